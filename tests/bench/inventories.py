#!/usr/bin/env python3
"""Times reads and writes of a real NetBox and a real Nautobot beside their own clients.

usage: tests/bench/inventories.py [--binary target/release/infrahub-sync] [--objects 1000] [--runs 3]

The servers of tests/live/netbox.sh and tests/live/nautobot.sh must run (`up`). The clients are pynetbox and pynautobot, used by hand as their
documents advise: pages of 1,000, lists of 100. They are installed once, in target/bench/clients (pip). The objects are prefixes of 10.128.0.0/9 (with a description) and
tenants. Both sides make the same ones, and delete them afterwards. infrahub-sync 2.0.1 cannot write to these systems. Its load of a list is `list.all()`
of the same client.

CPU seconds are the operating system's accounting of each finished process (wait4). Both take turns; medians count. Prints Markdown.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSTEMS = {
    "netbox": {"url": "http://127.0.0.1:18012", "variable": "NETBOX"},
    "nautobot": {"url": "http://127.0.0.1:18011", "variable": "NAUTOBOT"},
}
TOKEN = "0123456789abcdef0123456789abcdef01234567"

# The other side: what a person writes with the client. Arguments: system, url, what to do, objects.
BY_HAND = '''
import json, sys
system, url, what, path = sys.argv[1:]
if system == "netbox":
    import pynetbox; api = pynetbox.api(url, token="%s")
else:
    import pynautobot; api = pynautobot.api(url, token="%s")
objects = json.load(open(path))
prefixes, tenants = objects["prefixes"], objects["tenants"]
lists = [(api.tenancy.tenants, tenants, "name"), (api.ipam.prefixes, prefixes, "prefix")]
in_hundreds = lambda rows: [rows[at : at + 100] for at in range(0, len(rows), 100)]
if what == "load":
    for endpoint, _, name in lists:
        found = [(getattr(one, name), one.description) for one in endpoint.all(limit=1000)]
elif what == "create":
    for endpoint, rows, name in lists:
        for some in in_hundreds(rows): endpoint.create(some)
else:
    for endpoint, rows, name in reversed(lists):
        names = {row[name] for row in rows}
        ours = [one for one in endpoint.all(limit=1000) if str(getattr(one, name)) in names]
        if what == "update":
            for some in in_hundreds(ours): endpoint.update([{"id": one.id, "description": "changed"} for one in some])
        else:
            for some in in_hundreds(ours): endpoint.delete([one.id for one in some])
''' % (TOKEN, TOKEN)


def timed(command, environment):
    begin = time.monotonic()
    with open(environment["OUT"], "w") as out:
        actions = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, out.fileno(), 2)]
        pid = os.posix_spawn(command[0], [str(word) for word in command], environment, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 2):
        sys.exit(f"{command} failed:\n{pathlib.Path(environment['OUT']).read_text()[-3000:]}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime


def clients():
    venv = ROOT / "target/bench/clients"
    if not (venv / "complete").exists():
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", "pynetbox==7.8.0", "pynautobot==3.2.0"], check=True)
        (venv / "complete").touch()
    return venv / "bin/python"


class System:
    def __init__(self, name, binary, python, count):
        self.name, self.binary, self.python = name, binary, python
        self.folder = ROOT / "target/bench/inventories" / name
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "source").mkdir(parents=True)
        facts = SYSTEMS[name]
        self.url = facts["url"]
        self.environment = dict(os.environ, OUT=str(self.folder / "out"), INFRAHUB_SYNC_CACHE_DIR=str(self.folder / "cache"), **{
            f"{facts['variable']}_ADDRESS": facts["url"], f"{facts['variable']}_TOKEN": TOKEN})
        status = {"status": "Active"} if name == "nautobot" else {"status": "active"}
        half = count // 2
        tenants = [{"name": f"Bench {at:05}", "description": "made for timing"} for at in range(half)]
        if name == "netbox":
            tenants = [dict(one, slug=f"bench-{at:05}") for at, one in enumerate(tenants)]
        prefixes = [{"prefix": f"10.{128 + at // 250}.{at % 250}.0/24", "description": "made for timing", **status} for at in range(half)]
        (self.folder / "objects.json").write_text(json.dumps({"tenants": tenants, "prefixes": prefixes}))
        (self.folder / "by_hand.py").write_text(BY_HAND)
        self.objects = {"tenants": tenants, "prefixes": prefixes}

    def configure(self, description, some=True):
        for kind, rows in self.objects.items():
            rows = [dict(row, id=at, description=description) for at, row in enumerate(rows)] if some else []
            (self.folder / f"source/{kind}.json").write_text(json.dumps(rows))
        status = "status.name" if self.name == "nautobot" else "status.value"
        slug = "" if self.name == "nautobot" else ", {name: slug, mapping: slug}"
        (self.folder / "config.yml").write_text(f"""
name: bench
source: {{name: files, settings: {{path: source}}}}
destination: {{name: {self.name}, settings: {{url: "{self.url}"}}}}
diffsync_flags: [NONE]
max_deletes: 100%
schema_mapping:
  - name: Tenant
    mapping: tenants
    destination_mapping: tenancy.tenants
    identifiers: [name]
    fields: [{{name: name, mapping: name}}, {{name: description, mapping: description}}{slug}]
  - name: Prefix
    mapping: prefixes
    destination_mapping: ipam.prefixes
    identifiers: [prefix]
    fields: [{{name: prefix, mapping: prefix}}, {{name: description, mapping: description}}, {{name: status, mapping: status, destination_mapping: {status}}}]
""")

    def ours(self, what):
        self.configure("changed" if what == "update" else "made for timing", what != "delete")
        config = ["--config-file", self.folder / "config.yml", "--no-show-progress"]
        command = ["diff"] if what == "load" else ["sync", "--no-diff"]
        return timed([self.binary, *command, *config], self.environment)

    def by_hand(self, what):
        return timed([self.python, self.folder / "by_hand.py", self.name, self.url, what, self.folder / "objects.json"], self.environment)

    def requests(self):
        last = max((self.folder / "cache/bench").glob("*/run.json"), key=lambda file: file.stat().st_mtime)
        return json.loads(last.read_text())["traffic"]["B"]["requests"]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", default="target/release/infrahub-sync")
    arguments.add_argument("--objects", type=int, default=1000)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--systems", default="netbox,nautobot")
    given = arguments.parse_args()
    python = clients()
    print("| system | work | objects | ours: wall s | by hand: wall s | wall ratio | ours: CPU s | by hand: CPU s | CPU ratio | our requests |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name in given.systems.split(","):
        system = System(name, os.path.abspath(given.binary), python, given.objects)
        measured, requests = {}, {}
        for run in range(given.runs):
            # Each makes the objects, changes them and deletes them; who begins changes.
            for who in (("ours", "by_hand") if run % 2 == 0 else ("by_hand", "ours")):
                for what in ("create", "load", "update", "delete"):
                    measured.setdefault((what, who), []).append(getattr(system, who)(what))
                    if who == "ours":
                        requests[what] = system.requests()
        for what in ("load", "create", "update", "delete"):
            wall, cpu = zip(*(map(statistics.median, zip(*measured[what, who])) for who in ("ours", "by_hand")))
            print(f"| {name} | {what} | {given.objects} | {wall[0]:.2f} | {wall[1]:.2f} | {wall[0] / wall[1]:.2f} | {cpu[0]:.2f} | {cpu[1]:.2f} | {cpu[0] / cpu[1]:.2f} | {requests[what]} |", flush=True)


if __name__ == "__main__":
    main()
