#!/usr/bin/env python3
"""NetBox -> Infrahub on the real servers: infrahub-sync 2.0.1 (Python) and this binary, side by side.

usage: tests/bench/infrahub.py --python VENV [--binary target/release/infrahub-sync] [--scale N] [--only python|ours] [--whole] [--keep]
       tests/bench/infrahub.py --python VENV --check [--config CONFIG]

Each tool gets the same NetBox and a fresh branch of the same Infrahub, both behind a proxy of its own that counts requests and
connections. Three commands each: `diff` on the empty branch, `sync`, and `sync` again, when there is nothing to do. Then the objects of
both branches are compared, field by field and by natural key, with what NetBox's data says; that expectation is computed here,
independently of both tools. Prints Markdown.

It needs the servers of tests/live (netbox.sh up, infrahub.sh up examples/netbox_to_infrahub/schema.yml) and a Python with PyYAML and
Jinja; it takes that of VENV, or of the Infrahub server. `--scale N` loads NetBox to that scale first; it never gets smaller again.

`--check` is a test instead of a measurement: both load the whole project once, ours a second time, and exit code 1 means that a tool failed,
that ours had something to do the second time, or that an object differs from NetBox's data or between the branches, value by value as
Infrahub has stored it, without being in EXPLAINED.

How it is fair: CPU time and peak memory are the operating system's accounting of the finished client process (wait4); what the servers
cost is in the wall time only. References of a kind to itself are left out of the project, for both, because 2.0.1 cannot read them back.
Before each command the bench waits until Infrahub's background tasks are done. Both have run `generate` before.
"""

import argparse
import asyncio
import ipaddress
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
LIVE = pathlib.Path(os.environ.get("INFRAHUB_SYNC_LIVE_DIR", REPOSITORY / "target/live")).absolute()
COMMANDS = [("diff, empty branch", "diff"), ("sync, first load", "sync"), ("sync again, nothing to do", "sync")]
# Differences that are right: (kind, field) or (kind, None) for whole objects -> why. `--check` fails on one that is not here, and on one
# here that is none any more.
EXPLAINED = {}
# The server lets requests wait for long when it is busy.
TIMEOUT_S = 300
PAGE_ROWS = 500


def say(text):
    print(text, file=sys.stderr, flush=True)


try:
    import jinja2.nativetypes
    import yaml
except ImportError:
    # This interpreter has no PyYAML: start again with one of the two that do.
    folders = [sys.argv[i + 1] for i, word in enumerate(sys.argv[:-1]) if word == "--python"] + [LIVE / "infrahub/venv"]
    found = [f"{folder}/bin/python" for folder in folders if os.access(f"{folder}/bin/python", os.X_OK)]
    if not found or os.environ.get("INFRAHUB_BENCH_AGAIN"):
        sys.exit("error: this needs a Python with PyYAML and Jinja: give --python VENV, or run tests/live/infrahub.sh up")
    os.environ["INFRAHUB_BENCH_AGAIN"] = "yes"
    os.execv(found[0], [found[0], *sys.argv])


# ---------------------------------------------------------------- counting


class Proxy:
    """Hands a TCP connection on to `upstream` byte by byte, and counts what of HTTP/1.1 goes by from client to server."""

    def __init__(self, upstream):
        host, _, port = upstream.removeprefix("http://").rstrip("/").partition(":")
        self.upstream = host, int(port or 80)
        self.tasks = set()
        self.clear()

    def clear(self):
        self.connections = self.requests = self.mutations = 0

    async def start(self):
        self.server = await asyncio.start_server(self.connection, "127.0.0.1", 0, limit=1 << 20)
        self.url = "http://127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]

    async def connection(self, reader, writer):
        self.connections += 1
        # The loop itself holds tasks but weakly.
        self.tasks.add(asyncio.current_task())
        there = back = None
        try:
            up, there = await asyncio.open_connection(*self.upstream)
            back = asyncio.create_task(self.answers(up, writer))
            await self.questions(reader, there)
            # The client is done sending; an answer may still be under way.
            there.write_eof()
            await asyncio.wait_for(back, 5)
        except (OSError, TimeoutError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            if back is not None:
                back.cancel()
            for end in (there, writer):
                if end is not None:
                    end.close()
            self.tasks.discard(asyncio.current_task())

    @staticmethod
    async def answers(reader, writer):
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async def questions(self, reader, there):
        """Follows the framing of requests: head, then a body of Content-Length bytes, or chunks."""
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as end:
                if end.partial:
                    raise
                return
            self.requests += 1
            there.write(head)
            fields = {}
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                fields[name.strip().lower()] = value.strip()
            if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
                body = await self.chunks(reader, there)
            else:
                body = await reader.readexactly(int(fields.get(b"content-length", 0)))
                there.write(body)
            await there.drain()
            if b"/graphql" in head.split(b"\r\n", 1)[0]:
                try:
                    self.mutations += json.loads(body)["query"].lstrip().startswith("mutation")
                except (ValueError, KeyError, TypeError):
                    pass

    @staticmethod
    async def chunks(reader, there):
        body = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            there.write(line)
            size = int(line.split(b";")[0], 16)
            if size == 0:
                # Trailers, if any, and the empty line.
                while line != b"\r\n":
                    line = await reader.readuntil(b"\r\n")
                    there.write(line)
                return body
            chunk = await reader.readexactly(size + 2)
            there.write(chunk)
            body += chunk[:-2]


def start_proxies(*upstreams):
    """The proxies run in a thread of this process, so their CPU time is none of a client's."""
    proxies = [Proxy(upstream) for upstream in upstreams]
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    for proxy in proxies:
        asyncio.run_coroutine_threadsafe(proxy.start(), loop).result()
    return proxies


# A process's peak memory starts with that of the process which has spawned it, so a bare interpreter spawns the client.
MEASURE = """
import json, os, sys, time
begin = time.monotonic()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, usage = os.wait4(pid, 0)
print(json.dumps({"wall": time.monotonic() - begin, "cpu": usage.ru_utime + usage.ru_stime, "mib": usage.ru_maxrss / 1024,
                  "code": os.waitstatus_to_exitcode(status)}))
"""


def measured(command, folder, environment, log):
    with open(log, "w") as out:
        done = subprocess.run(
            [sys.executable, "-IS", "-c", MEASURE, *command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=out, check=True,
        )
    return json.loads(done.stdout)


# ---------------------------------------------------------------- the two servers


class Server:
    def __init__(self, url, headers):
        self.url, self.headers = url.rstrip("/"), {"Content-Type": "application/json", **headers}
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        url = path if path.startswith("http") else self.url + path
        try:
            with self.opener.open(urllib.request.Request(url, data, self.headers), timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            sys.exit(f"error: {url}: {error.code} {error.read()[:1000].decode(errors='replace')}")
        except urllib.error.URLError as error:
            sys.exit(f"error: {self.url} does not answer ({error.reason}): see tests/live/README.md")

    # NetBox
    def records(self, resource):
        url, records = f"/api/{resource.replace('_', '-').replace('.', '/')}/?limit=1000&ordering=id", []
        while url:
            page = self.request(url)
            records += page["results"]
            url = page["next"]
        return records

    # Infrahub
    def query(self, text, branch="main"):
        answer = self.request(f"/graphql/{branch}", {"query": text})
        if answer.get("errors"):
            sys.exit(f"error: {text[:300]}: {answer['errors'][0]['message']}")
        return answer["data"]

    def quiet(self):
        """Waits until the background tasks which earlier writes have started are done."""
        states = "SCHEDULED, PENDING, RUNNING"
        for _ in range(240):
            tasks = self.query("{InfrahubTask(state: [%s], limit: 1) {count}}" % states)["InfrahubTask"]["count"]
            if tasks == 0:
                return
            time.sleep(1)
        say(f"warning: {tasks} of Infrahub's background tasks do not end; going on")

    def branch(self, name):
        self.query('mutation {BranchCreate(data: {name: "%s", sync_with_git: false}, wait_until_completion: true) {ok}}' % name)

    def drop(self, name):
        self.query('mutation {BranchDelete(data: {name: "%s"}, wait_until_completion: true) {ok}}' % name)


# ---------------------------------------------------------------- what NetBox's data says


def at(record, path):
    for name in path.split("."):
        if not record:
            return None
        record = record.get(name)
    return record


FILTERS = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "in": lambda a, b: a in b,
    "not in": lambda a, b: a not in b,
    "not contains": lambda a, b: b not in a,
    "is_empty": lambda a, _: not a,
    "is_not_empty": lambda a, _: bool(a),
}


class Expectation:
    """kind -> natural key -> field -> value, where a peer is (kind, natural key)."""

    def __init__(self, project, netbox, schema):
        self.schema = schema
        self.identifiers = {mapping["name"]: mapping["identifiers"] for mapping in project["schema_mapping"]}
        environment = jinja2.nativetypes.NativeEnvironment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        records, self.rows, self.by_id = {}, [], {}
        for mapping in project["schema_mapping"]:
            resource = mapping["mapping"]
            if resource not in records:
                records[resource] = netbox.records(resource)
            for record in records[resource]:
                record = dict(record)
                if not all(FILTERS[f["operation"]](at(record, f["field"]), f.get("value")) for f in mapping.get("filters", [])):
                    continue
                for transform in mapping.get("transforms", []):
                    value = environment.from_string(transform["expression"]).render(**record)
                    if value is not None:
                        record[transform["field"]] = value
                row = mapping["name"], mapping["fields"], record
                self.rows.append(row)
                self.by_id[mapping["name"], record["id"]] = row
        self.objects = {kind: {} for kind in self.identifiers}
        self.twice = []
        for kind, fields, record in self.rows:
            values = {field["name"]: self.value(kind, field, record) for field in fields}
            key = tuple(values[name] for name in self.identifiers[kind])
            if key in self.objects[kind]:
                self.twice.append((kind, key))
            self.objects[kind][key] = values

    def value(self, kind, field, record):
        if "static" in field:
            return field["static"]
        value = at(record, field["mapping"])
        if "reference" in field:
            if isinstance(value, list):
                return frozenset(self.peer(field["reference"], one) for one in value)
            if value is None:
                # A list of peers that the record does not have is empty.
                many = self.schema.relationships[kind][field["name"]]["cardinality"] == "many"
                return frozenset() if many else None
            return self.peer(field["reference"], value)
        return self.schema.normal(kind, field["name"], value)

    def peer(self, kind, value):
        if not isinstance(value, dict):
            return kind, (value,)
        # Its fields say its key, which may go over further peers.
        _, fields, record = self.by_id[kind, value["id"]]
        by_name = {field["name"]: field for field in fields}
        return kind, tuple(self.value(kind, by_name[name], record) for name in self.identifiers[kind])


class Schema:
    """What Infrahub says of the kinds: which fields are relationships, which values it makes of others."""

    def __init__(self, infrahub, branch):
        answer = infrahub.request(f"/api/schema?branch={branch}")
        nodes = {node["kind"]: node for node in answer["nodes"]}
        self.attributes = {kind: {a["name"]: a for a in node["attributes"]} for kind, node in nodes.items()}
        self.relationships = {kind: {r["name"]: r for r in node["relationships"]} for kind, node in nodes.items()}

    def normal(self, kind, name, value):
        attribute = self.attributes[kind][name]
        if value is None:
            value = attribute["default_value"]
        if value is None:
            return None
        if attribute["kind"] == "IPHost":
            return ipaddress.ip_interface(value).with_prefixlen
        if attribute["kind"] == "IPNetwork":
            return ipaddress.ip_network(value).with_prefixlen
        if attribute["kind"] == "MacAddress":
            return value.upper().replace("-", ":")
        if attribute["kind"] == "Number":
            return int(value)
        # Keys and sets are made of these.
        return tuple(value) if isinstance(value, list) else value


def stored(_kind, _name, value):
    """A value as Infrahub gives it, in a form that keys and sets can be made of."""
    return json.dumps(value, sort_keys=True) if isinstance(value, (list, dict)) else value


def read_branch(infrahub, branch, schema, project, identifiers, normal=None):
    """kind -> natural key -> field -> value, as Expectation has it, and the keys that more than one object has."""
    normal = normal or schema.normal
    fields = {kind: sorted({f["name"] for m in project["schema_mapping"] if m["name"] == kind for f in m["fields"]}) for kind in identifiers}
    nodes = {}
    for kind in identifiers:
        selection = []
        for name in fields[kind]:
            relationship = schema.relationships[kind].get(name)
            # A peer without __typename is an error where GraphQL's type of it is an interface.
            if relationship is None:
                selection.append(name + " {value}")
            elif relationship["cardinality"] == "one":
                selection.append(name + " {node {id __typename}}")
            else:
                selection.append(name + "(limit: 1000) {edges {node {id __typename}}}")
        offset = 0
        while True:
            page = infrahub.query(
                "{%s(offset: %d, limit: %d, order: {disable: true}) {edges {node {id %s}}}}" % (kind, offset, PAGE_ROWS, " ".join(selection)),
                branch,
            )[kind]["edges"]
            nodes.update({edge["node"]["id"]: (kind, edge["node"]) for edge in page})
            offset += PAGE_ROWS
            if len(page) < PAGE_ROWS:
                break

    def value(kind, node, name):
        relationship = schema.relationships[kind].get(name)
        if relationship is None:
            return normal(kind, name, node[name]["value"])
        if relationship["cardinality"] == "one":
            return peer(node[name]["node"])
        return frozenset(peer(edge["node"]) for edge in node[name]["edges"])

    def peer(reference):
        if reference is None:
            return None
        if reference["id"] not in nodes:
            return reference["__typename"], ("not synced", reference["id"])
        kind, node = nodes[reference["id"]]
        return kind, tuple(value(kind, node, name) for name in identifiers[kind])

    objects, twice = {kind: {} for kind in identifiers}, []
    for kind, node in nodes.values():
        values = {name: value(kind, node, name) for name in fields[kind]}
        key = tuple(values[name] for name in identifiers[kind])
        if key in objects[kind]:
            twice.append((kind, key))
        objects[kind][key] = values
    return objects, twice


def shown(value):
    """A value in few words: of a peer its kind and the parts of its key."""
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(shown, value))) + "}"
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], tuple):
        return f"{value[0]}({', '.join(map(shown, value[1]))})"
    return json.dumps(value, ensure_ascii=False, default=str)


def compare(wanted_objects, results):
    """results: tool -> (objects, keys twice). Prints each difference and returns their number for each tool."""
    lines, numbers = [], dict.fromkeys(results, 0)
    for tool, (objects, twice) in results.items():
        for kind, key in twice:
            numbers[tool] += 1
            lines.append((kind, shown((kind, key)), "", "once", f"{tool}: more than once"))
        for kind, wanted in wanted_objects.items():
            for key in objects[kind].keys() - wanted.keys():
                numbers[tool] += 1
                lines.append((kind, shown((kind, key)), "", "nothing", f"{tool}: an object"))
            for key in wanted.keys() - objects[kind].keys():
                numbers[tool] += 1
                lines.append((kind, shown((kind, key)), "", "an object", f"{tool}: nothing"))
    for kind, wanted in wanted_objects.items():
        for key, values in wanted.items():
            for name, value in values.items():
                others = {
                    tool: objects[kind][key][name]
                    for tool, (objects, _) in results.items()
                    # True is not 1 here.
                    if key in objects[kind] and shown(objects[kind][key][name]) != shown(value)
                }
                for tool in others:
                    numbers[tool] += 1
                if others:
                    lines.append((kind, shown((kind, key)), name, shown(value), "; ".join(f"{t}: {shown(v)}" for t, v in others.items())))
    return lines, numbers


def unexplained(rows, from_netbox, between):
    """What `--check` fails on, in words."""
    problems = [f"{row['tool']}: {row['step']} ended with exit code {row['code']}" for row in rows if row["code"]]
    problems += [f"ours: {row['step']} sent {row['mutations']} mutations" for row in rows if row["step"] == COMMANDS[2][0] and row["mutations"]]
    seen = set()
    for wanted_by, lines in (("NetBox", from_netbox), ("2.0.1", between)):
        for kind, key, name, wanted, others in lines:
            place = (kind, name or None)
            seen.add(place)
            if place not in EXPLAINED:
                problems.append(f"{key} {name}: {wanted_by} has {wanted}; {others}")
    return problems + [f"{place} is explained, and is no difference any more" for place in EXPLAINED if place not in seen]


# ---------------------------------------------------------------- the run


def project_of(path, whole):
    """The project, unless `whole` without what 2.0.1 cannot read back: references of a kind to itself."""
    project = yaml.safe_load(path.read_text())
    for mapping in project["schema_mapping"]:
        mapping["fields"] = [field for field in mapping["fields"] if whole or field.get("reference") != mapping["name"]]
    return project


def run_tool(tool, program, project, netbox, infrahub, tokens, commands):
    folder = REPOSITORY / "target/bench/infrahub" / tool
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    branch = f"bench-{tool}-{time.strftime('%H%M%S')}"
    infrahub.branch(branch)
    proxies = start_proxies(netbox.url, infrahub.url)
    environment = {
        "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8",
        "NETBOX_ADDRESS": proxies[0].url, "INFRAHUB_ADDRESS": proxies[1].url, **tokens,
        "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "INFRAHUB_SYNC_CACHE_DIR": str(folder / "cache"),
    }
    # 2.0.1's `generate` takes the address from the file only, and a file's address comes before a variable's.
    project = {**project, "destination": {**project["destination"], "settings": {"url": proxies[1].url}}}
    if "url" in project["source"].get("settings", {}):
        project["source"] = {**project["source"], "settings": {**project["source"]["settings"], "url": proxies[0].url}}
    (folder / "config.yml").write_text(yaml.safe_dump(project, sort_keys=False, allow_unicode=True))
    options = ["--config-file", str(folder / "config.yml"), "--branch", branch]
    rows = []
    for name, command in [("generate", "generate"), *commands]:
        infrahub.quiet()
        for proxy in proxies:
            proxy.clear()
        log = folder / f"{len(rows)}-{command}.log"
        progress = [] if command == "generate" else ["--no-show-progress"]
        result = measured([str(program), command, *options, *progress], folder, environment, log)
        say(f"{tool}: {name}: {result['wall']:.1f} s, exit code {result['code']} (log: {log})")
        if result["code"] != 0:
            say("\n".join(log.read_text(errors="replace").splitlines()[-8:]))
        result.update(
            tool=tool, step=name, netbox=proxies[0].requests, netbox_connections=proxies[0].connections,
            infrahub=proxies[1].requests, infrahub_connections=proxies[1].connections, mutations=proxies[1].mutations,
        )
        result["log"] = log
        rows.append(result)
    return branch, rows[1:]


def main():
    parser = argparse.ArgumentParser(description="NetBox to Infrahub on the real servers: infrahub-sync 2.0.1 and this binary.")
    parser.add_argument("--python", type=pathlib.Path, metavar="VENV", help="a virtual environment with infrahub-sync 2.0.1 and pynetbox")
    parser.add_argument("--binary", type=pathlib.Path, default=REPOSITORY / "target/release/infrahub-sync")
    parser.add_argument("--config", type=pathlib.Path, default=REPOSITORY / "examples/netbox_to_infrahub/config.yml")
    parser.add_argument("--netbox", default="http://127.0.0.1:18012")
    parser.add_argument("--infrahub", default="http://127.0.0.1:58000")
    parser.add_argument("--scale", type=int, help="load NetBox to this scale first (tests/live/load_netbox.py)")
    parser.add_argument("--only", choices=["python", "ours"], help="just one of the tools")
    parser.add_argument("--whole", action="store_true", help="with the references of a kind to itself, on which 2.0.1's third command fails")
    parser.add_argument("--show", type=int, default=40, help="how many differences are listed (40)")
    parser.add_argument("--check", action="store_true", help="a test: exit code 1 on a difference that is not explained")
    parser.add_argument("--keep", action="store_true", help="keep the branches")
    given = parser.parse_args()

    if given.check and given.only:
        parser.error("--check compares both tools")
    programs = {}
    if given.only != "ours":
        if given.python is None:
            parser.error("--python VENV is needed, or --only ours")
        programs["python"] = (given.python / "bin/infrahub-sync").absolute()
    if given.only != "python":
        programs["ours"] = given.binary.absolute()
    for program in programs.values():
        if not os.access(program, os.X_OK):
            parser.error(f"there is no program {program}")
    try:
        tokens = {
            "NETBOX_TOKEN": os.environ.get("NETBOX_TOKEN") or (LIVE / "netbox/token-v1").read_text().strip(),
            "INFRAHUB_API_TOKEN": os.environ.get("INFRAHUB_API_TOKEN") or (LIVE / "infrahub/token").read_text().strip(),
        }
    except FileNotFoundError as error:
        sys.exit(f"error: there is no {error.filename}: start tests/live/netbox.sh and infrahub.sh, or set NETBOX_TOKEN and INFRAHUB_API_TOKEN")
    netbox = Server(given.netbox, {"Authorization": "Token " + tokens["NETBOX_TOKEN"]})
    infrahub = Server(given.infrahub, {"X-INFRAHUB-KEY": tokens["INFRAHUB_API_TOKEN"]})
    if given.scale:
        loader = REPOSITORY / "tests/live/load_netbox.py"
        subprocess.run(
            [sys.executable, loader, given.netbox, tokens["NETBOX_TOKEN"], "--scale", str(given.scale)], check=True, stdout=subprocess.DEVNULL
        )

    project = project_of(given.config, given.whole or given.check)
    commands = {tool: COMMANDS for tool in programs}
    if given.check:
        # 2.0.1 cannot read back what it wrote of the whole project.
        commands = {"python": COMMANDS[1:2], "ours": COMMANDS[1:3]}
    branches, rows = {}, []
    for tool, program in programs.items():
        branches[tool], measurements = run_tool(tool, program, project, netbox, infrahub, tokens, commands[tool])
        rows += measurements

    schema = Schema(infrahub, next(iter(branches.values())))
    expectation = Expectation(project, netbox, schema)
    objects = sum(map(len, expectation.objects.values()))
    print(f"{objects} objects of {len(expectation.objects)} kinds; {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end\n")
    print("| command | tool | wall s | CPU s | peak MiB | NetBox: requests / connections | Infrahub: requests / mutations / connections |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for command, _ in COMMANDS:
        for row in (r for r in rows if r["step"] == command):
            failed = "" if row["code"] == 0 else f" (exit code {row['code']})"
            print(
                f"| {command} | {row['tool']}{failed} | {row['wall']:.1f} | {row['cpu']:.2f} | {row['mib']:.0f} "
                f"| {row['netbox']} / {row['netbox_connections']} | {row['infrahub']} / {row['mutations']} / {row['infrahub_connections']} |"
            )

    results = {tool: read_branch(infrahub, branch, schema, project, expectation.identifiers) for tool, branch in branches.items()}
    lines, numbers = compare(expectation.objects, results)
    values = sum(len(v) for kind in expectation.objects.values() for v in kind.values())
    print(f"\nCompared with NetBox's data, {values} values of {objects} objects: "
          + ", ".join(f"{tool} differs in {number}" for tool, number in numbers.items()) + ".")
    if expectation.twice:
        print(f"\n{len(expectation.twice)} objects of NetBox share their identifiers with another, so one of each is compared.")
    if lines:
        print("\n| object | field | NetBox | who differs |\n|---|---|---|---|")
        for _, key, name, wanted, others in lines[: given.show]:
            print("| " + " | ".join(cell.replace("|", "\\|") for cell in (key, name, wanted, others)) + " |")
        if len(lines) > given.show:
            print(f"\n… and {len(lines) - given.show} more.")
    problems = []
    if given.check:
        raw = {tool: read_branch(infrahub, b, schema, project, expectation.identifiers, stored) for tool, b in branches.items()}
        between, _ = compare(raw["python"][0], {"ours": raw["ours"]})
        problems = unexplained(rows, lines, between)
        for problem in problems:
            print(f"FAILED: {problem}")
        if not problems:
            print(f"\nThe branches of both tools are equal, value by value, but for {len(EXPLAINED)} differences that are explained.")
    for branch in branches.values():
        if given.keep:
            say(f"kept: branch {branch}")
        else:
            infrahub.drop(branch)
    return 1 if problems or any(row["code"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
