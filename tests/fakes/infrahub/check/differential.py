#!/usr/bin/env python3
"""The same documents to a real Infrahub and to the fake, comparing the answers modulo ids, times and the order of errors.

usage: differential.py URL_REAL TOKEN_REAL FAKE_BINARY [BRANCH] [-v] [-k TEXT]

On the real server everything happens on BRANCH (default `fakecheck`), which is made if it is not there, with `schema.yml`
(beside this file) loaded into it; needs PyYAML for that. The fake is started with the schema that the real server then
publishes for the branch. Objects of earlier runs are deleted first. Exit code 1 if an answer differs.
"""
import http.client, json, os, re, subprocess, sys, tempfile, time, gzip, urllib.parse, uuid

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)")
KINDS = ["FakeInterface", "FakeDevice", "FakeAsset", "FakeTwin", "FakeTag", "FakeRoom", "FakeSite", "FakeNote"]


class Side:
    """One of the two servers: a connection, a token, and the names that were given to ids."""

    def __init__(self, url, token, branch):
        self.host, self.token, self.branch = urllib.parse.urlsplit(url).netloc, token, branch
        self.ids, self.connection = {}, None

    def request(self, method, path, body=None, headers=None):
        headers = {"content-type": "application/json", "X-INFRAHUB-KEY": self.token, **(headers or {})}
        headers = {k: v for k, v in headers.items() if v is not None}
        for attempt in (0, 1):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(self.host, timeout=180)
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                data = answer.read()
                break
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.connection = None
                if attempt:
                    raise
        if answer.status == 500:  # the server closes the socket without saying so
            self.connection.close()
            self.connection = None
        if answer.headers.get("content-encoding") == "gzip":
            data = gzip.decompress(data)
        return answer.status, answer.headers, data.decode()

    def graphql(self, document, variables=None, branch=None, at=None, **more):
        path = "/graphql/" + urllib.parse.quote(branch or self.branch, safe="") + ("?at=" + urllib.parse.quote(at) if at else "")
        body = more.pop("body", None) or json.dumps({"query": document, "variables": variables or {}, **more.pop("extra", {})})
        status, _, text = self.request("POST", path, body, **more)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def fill(self, value):
        """Puts this side's ids for `@name`."""
        if isinstance(value, str) and value.startswith("@"):
            return self.ids.get(value[1:], "unknown-" + value[1:])
        if isinstance(value, dict):
            return {k: self.fill(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.fill(v) for v in value]
        return value

    def normal(self, value):
        """An answer in which ids are names, times are T, and errors are sorted."""
        names = {i: n for n, i in self.ids.items()}
        def text(t):
            t = UUID.sub(lambda m: "<" + names.get(m.group(0), "id") + ">", t)
            t = TIME.sub("<time>", t)
            return re.sub(r" Did you mean .*", "", t)
        def walk(v):
            if isinstance(v, str):
                return text(v)
            if isinstance(v, list):
                return [walk(e) for e in v]
            if isinstance(v, dict):
                return {text(k): walk(e) for k, e in v.items() if k != "locations"}
            return v
        out = walk(value)
        if isinstance(out, dict) and isinstance(out.get("errors"), list):
            out["errors"].sort(key=lambda e: json.dumps(e, sort_keys=True))
        return out

    def moments(self):
        """updated_at of everything, by name."""
        names = {i: n for n, i in self.ids.items()}
        document = "{" + " ".join(f"{k}(order:{{disable:true}}){{edges{{node_metadata{{updated_at}} node{{id}}}}}}" for k in KINDS) + "}"
        _, answer = self.graphql(document)
        return {names.get(e["node"]["id"], "?"): e["node_metadata"]["updated_at"] for k in KINDS for e in answer["data"][k]["edges"]}


def steps():
    """Yields (name, document, variables, options). Options: save {name: alias}, moved, branch, at, wait, headers, raw, unordered, any_id."""
    def create(kind, name, data, **options):
        return (f"create {name}", f"mutation($d:{kind}CreateInput!){{m:{kind}Create(data:$d){{ok object{{id hfid __typename}}}}}}", {"d": data}, {"save": {name: "m"}, **options})
    def update(what, kind, data, fields="id", **options):
        return (what, f"mutation($d:{kind}UpdateInput!){{m:{kind}Update(data:$d){{ok object{{{fields}}}}}}}", {"d": data}, {"moved": True, **options})
    def upsert(what, kind, data, **options):
        return (what, f"mutation($d:{kind}UpsertInput!){{m:{kind}Upsert(data:$d){{ok object{{id hfid}}}}}}", {"d": data}, {"moved": True, **options})
    def delete(what, kind, data, **options):
        return (what, f"mutation($d:DeleteInput!){{m:{kind}Delete(data:$d){{ok}}}}", {"d": data}, {"moved": True, **options})
    def read(what, selection, variables=None, **options):
        return (what, selection, variables or {}, options)
    v = lambda x: {"value": x}
    device = "id hfid status{value is_default} units{value is_default} managed{value is_default} role{value} site{node{id hfid} properties{is_protected source{id} owner{id}}} tags{count edges{node{id}}} interfaces{count edges{node{id}}} place{node{id __typename}} twin{node{id}}"

    for n in ("s1", "s2", "s3"):
        yield create("FakeSite", n, {"name": v(n)})
    yield create("FakeRoom", "r1", {"name": v("r1"), "label": v("Room one")})
    for n in ("t1", "t2", "t3"):
        yield create("FakeTag", n, {"name": v(n)})
    yield create("FakeDevice", "d1", {"name": v("d1"), "site": {"id": "@s1"}, "tags": [{"id": "@t1"}]}, moved=True)
    yield create("FakeDevice", "d2", {"name": v("d2"), "site": {"hfid": ["s2"]}, "place": {"id": "@r1"}}, moved=True)
    yield create("FakeInterface", "i1", {"name": v("eth0"), "device": {"id": "@d1"}}, moved=True)
    yield create("FakeInterface", "i2", {"name": v("eth1"), "device": {"hfid": ["d1"]}})
    yield create("FakeTwin", "w1", {"name": v("w1"), "device": {"id": "@d1"}}, moved=True)
    yield create("FakeTwin", "w2", {"name": v("w2")})
    yield create("FakeNote", "n1", {"text": v("n")})
    yield create("FakeAsset", "a1", {"name": v("a1"), "number": v(1), "site": {"id": "@s1"}, "slot": v("x")})
    yield create("FakeAsset", "a2", {"name": v("a2"), "number": v(2), "site": {"id": "@s1"}, "slot": v("y")})
    yield read("devices as created", f"{{FakeDevice{{count edges{{node{{{device}}}}}}}}}")
    yield read("typenames", "{FakeDevice(ids:[\"@d1\"]){__typename edges{__typename node{__typename name{__typename value} status{__typename value label color description} primary_ip{__typename} labels{__typename} height{__typename} managed{__typename} mac{__typename} extra{__typename} anything{__typename} network{__typename} link{__typename} site{__typename node{__typename} properties{__typename}} tags{__typename count edges{__typename}}}}}}")
    yield read("generic", "{FakeThing{count edges{node{id __typename name{value} ... on FakeDevice{status{value}}}}} FakePlace{count edges{node{id __typename label{value} ... on FakeRoom{name{value}}}}}}", unordered=True)
    yield read("labels", "{FakeSite{edges{node{display_label hfid}}} FakeTag{edges{node{display_label}}} FakeInterface{edges{node{display_label hfid}}} FakeNote{edges{node{hfid display_label}}}}", unordered=True)
    yield read("attribution is empty", "{FakeDevice(ids:[\"@d1\"]){edges{node{name{value is_default is_protected is_from_profile source{id} owner{id} updated_at} tags{edges{properties{is_protected source{id} owner{id} updated_at}}}}}}}")

    # Values, written and read. Each is its own update, so that a refusal hides nothing.
    values = {
        "primary_ip": ["10.0.0.1", "10.0.0.1/24", "10.0.0.1/255.255.255.0", "10.0.0.1/0.0.0.255", "2001:DB8:0:0::1", "2001:db8::1/64", "::ffff:10.0.0.1", "fe80::1%eth0", "fe80::1%eth0/64", "010.0.0.1", " 10.0.0.1 ", "", "10.0.0.999", "10.0.0.1/33", "2001:db8:0:1:0:0:0:1", "1:0:0:2:0:0:3:4", "::/0", "10.0.0.1/", "10.0.0", "1::2::3", "10.0.0.1/024"],
        "network": ["10.0.0.0", "10.0.0.0/24", "10.0.0.0/255.255.255.0", "10.0.0.1/24", "2001:DB8::/32", "0.0.0.0/0", "x"],
        "mac": ["aa:bb:cc:dd:ee:ff", "AA-BB-CC-DD-EE-FF", "aabb.ccdd.eeff", "aabbccddeeff", "a:b:c:d:e:f", "aabbcc-ddeeff", "aa:bb:cc", "zz:bb:cc:dd:ee:ff"],
        "height": [5, 5.0, 5.5, -5.5, "5", " 7 ", "5.9", True, False, "x", [1], 2**53 + 1, -1, 2**63 - 1, 0],
        "managed": [True, False, "true", 1],
        "labels": [["b", "a", "b"], [], {}, "x", "[1]", 5, [1, {"a": None}, "NULL"], [None]],
        "extra": [{"b": 1, "a": [1.5, None, True]}, [1, 2], [], {}, "x", "{}", 5, True, {"k": "NULL"}, {"u": "é😀\"\\\n"}],
        "anything": [5, "x", True, 1.5, ["a", "b"], "NULL"],
        "installed": ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00+02:00", "2024-01-01", "2024-01-01T00:00:00", "yesterday", "5m", ""],
        "link": ["https://example.org/x", "http://", "example.org", "ftp://h", "/x", "https://a b"],
        "mail": ["a@b.org", "not an address"],
        "colour": ["#ff0000", "redish"],
        "secret": ["hunter2"],
        "comments": ["NULL", "x" * 5000, "line\nline\t\"quoted\" $x \u00e9\u4e2d\U0001f600", " spaced ", "", "null", "None"],
        "code": ["AB", "ABC", "A", "ABCDE", "ab", "AB1", ""],
        "role": ["leaf", "nope", "", "Leaf"],
        "status": ["planned", "nope", "", "Active"],
    }
    for field, tries in values.items():
        for i, value in enumerate(tries):
            yield update(f"value {field} #{i} {str(value)[:30]!r}", "FakeDevice", {"id": "@d2", field: v(value)}, f"{field}{{value is_default}}", moved=False)
            yield read(f"read {field} #{i}", f"{{FakeDevice(ids:[\"@d2\"]){{edges{{node{{{field}{{value is_default}}}}}}}}}}")
    for field in ("primary_ip", "network", "mac", "status"):
        more = {"primary_ip": "ip hostmask netmask prefixlen version with_hostmask with_netmask", "network": "broadcast_address hostmask netmask prefixlen num_addresses version with_hostmask with_netmask", "status": "label color description", "mac": "value"}[field]
        for value in {"primary_ip": ["10.1.2.3/20", "2001:db8::5/64"], "network": ["10.1.0.0/20"], "mac": [], "status": ["planned"]}[field]:
            yield update(f"derived {field} {value}", "FakeDevice", {"id": "@d2", field: v(value)}, "id", moved=False)
            yield read(f"read derived {field} {value}", f"{{FakeDevice(ids:[\"@d2\"]){{edges{{node{{{field}{{{more}}}}}}}}}}}")
    for n, value in enumerate(["NULL", "x" * 4092, "x" * 4093, "é" * 2047, "", " ", "a\nb", "$x"]):
        yield update(f"text #{n}", "FakeSite", {"id": "@s3", "description": v(value)}, "id", moved=False)
        yield read(f"read text #{n}", "{FakeSite(ids:[\"@s3\"]){edges{node{description{value}}}}}")

    # The same in a create.
    for i, data in enumerate([
        {"name": v("x")}, {"site": {"id": "@s1"}}, {}, {"name": v(None), "site": {"id": "@s1"}}, {"name": None, "site": {"id": "@s1"}}, {"name": {}, "site": {"id": "@s1"}},
        {"name": v("x"), "site": None}, {"name": v("x"), "site": {}}, {"name": v("x"), "site": {"hfid": []}}, {"name": v("x"), "site": {"id": None}},
        {"name": v("x"), "site": {"id": "nosite"}}, {"name": v("x"), "site": {"id": "11111111-2222-4333-8444-555555555555"}}, {"name": v("x"), "site": {"hfid": ["nosite"]}},
        {"name": v("x"), "site": {"hfid": ["s1", "s2"]}}, {"name": v("x"), "site": {"id": "@t1"}}, {"name": v("x"), "site": {"id": "@s1"}, "status": v("nope")},
        {"name": v("x"), "site": {"id": "@s1"}, "status": v("nope"), "role": v("nope"), "primary_ip": v("10.0.0.999")}, {"name": v("x"), "site": {"id": "@s1"}, "role": v("nope")},
        {"name": v("d1"), "site": {"id": "@s1"}}, {"name": v("d1"), "site": {"id": "nosite"}}, {"name": v("x"), "site": {"id": "@s1"}, "tags": [{"id": "@s1"}]},
        {"id": "not-a-uuid", "name": v("x"), "site": {"id": "@s1"}}, {"id": "@d1", "name": v("x"), "site": {"id": "@s1"}}, {"name": v("x"), "site": {"id": "@s1"}, "interfaces": [{"id": "@i1"}]},
        {"name": v("x"), "site": {"id": "@s1"}, "twin": {"id": "@w1"}}, {"name": v("x"), "site": {"id": "@s1"}, "place": {"id": "@t1"}}, {"name": v("x"), "site": {"id": "@s1"}, "place": {"hfid": ["s1"]}},
        {"name": v("x"), "site": {"id": "@s1"}, "code": v("ab"), "link": v("x"), "mac": v("x")},
    ]):
        yield create("FakeDevice", f"bad{i}", data, save={})
    yield create("FakeInterface", "bad interface", {"name": v("eth0"), "device": {"id": "@d1"}}, save={})
    yield create("FakeInterface", "bad orphan", {"name": v("eth0")}, save={})
    yield create("FakeInterface", "no device", {"name": v("eth0"), "device": {"hfid": ["nodevice"]}}, save={})
    yield create("FakeDevice", "d3", {"name": v("d3"), "site": {"id": "@s2", "hfid": ["s1"]}, "place": {"hfid": ["r1"], "kind": "FakeRoom"}, "height": v("12"), "labels": v(["z", "a"]), "units": v(None), "status": {}, "managed": None, "comments": {"value": "c", "is_protected": True}})
    yield read("d3", f"{{FakeDevice(ids:[\"@d3\"]){{edges{{node{{{device} height{{value}} labels{{value}} comments{{value is_protected is_default}}}}}}}}}}")
    yield create("FakeDevice", "d4", {"name": v("D1"), "site": {"id": "@s2"}})
    yield create("FakeDevice", "d5", {"id": str(uuid.uuid4()), "name": v("d5"), "site": {"id": "@s2"}, "status": v("active")})
    yield read("d5 defaults", "{FakeDevice(ids:[\"@d5\"]){edges{node{id status{value is_default} units{value is_default} name{is_default} height{value is_default}}}}}")
    yield create("FakeTag", "null tag", {"name": v("NULL")})

    # Documents and variables that are refused as a whole.
    yield read("unknown field", "{FakeDevice{edges{node{bogus}}}}")
    yield read("unknown argument", "{FakeDevice(bogus:1){count}}")
    yield read("unknown kind", "{FakeBogus{count}}")
    yield read("wrong literal", "{FakeDevice(limit:\"x\"){count}}")
    yield read("no subselection", "{FakeDevice}")
    yield read("undefined variable", "{FakeDevice(limit:$x){count}}")
    yield read("unused variable", "query($x:Int){FakeDevice{count}}", {"x": 1})
    for i, data in enumerate([{"name": v(5)}, {"bogus": v(5)}, {"serial": v("x")}, {"name": "x"}, {"name": {"bogus": 1, "value": "x"}}, {"height": v("x")}, {"managed": v("x")}, None, [], "x", {"tags": {"id": "@t1"}, "name": v("y"), "site": {"id": 5}}, {"name": {"value": ["x"]}}]):
        yield create("FakeDevice", f"bad variable {i}", data, save={})
    yield read("missing variable", "mutation($d:FakeDeviceCreateInput!){FakeDeviceCreate(data:$d){ok}}")
    yield read("two bad variables", "mutation($a:FakeTagCreateInput!,$b:FakeTagCreateInput!){a:FakeTagCreate(data:$a){ok} b:FakeTagCreate(data:$b){ok}}", {"a": {"bogus": 1}, "b": {"name": {"value": 5}}})
    yield read("negative limit", "{FakeDevice(limit:-1){count}}")
    yield read("variable not an object", "{FakeDevice{count}}", raw={"body": json.dumps({"query": "{FakeDevice{count}}", "variables": [1]})})
    yield read("syntax error", "{FakeDevice{", {})
    yield read("no query", "", {}, raw={"body": "{}"})
    yield read("batch", "", {}, raw={"body": "[]"})
    yield read("not json", "", {}, raw={"body": "nope"})
    yield read("wrong content type", "", {}, raw={"headers": {"content-type": "text/plain"}})
    yield read("unknown operation", "query A{FakeDevice{count}}", {}, raw={"extra": {"operationName": "B"}})
    yield read("several operations", "query A{FakeDevice{count}} query B{FakeTag{count}}", {})
    yield read("second operation", "query A{FakeDevice{count}} query B{FakeTag{count}}", {}, raw={"extra": {"operationName": "B"}})
    yield read("unknown branch", "{FakeDevice{count}}", branch="no-such-branch")
    yield read("bad token", "{FakeDevice{count}}", raw={"headers": {"X-INFRAHUB-KEY": "nope"}})
    yield read("anonymous read", "{FakeTag{count}}", raw={"headers": {"X-INFRAHUB-KEY": None}})
    yield read("anonymous write", "mutation{FakeTagCreate(data:{name:{value:\"q\"}}){ok}}", raw={"headers": {"X-INFRAHUB-KEY": None}})
    yield read("bad jwt", "{FakeDevice{count}}", raw={"headers": {"X-INFRAHUB-KEY": None, "authorization": "Bearer nope"}})
    yield read("aliases, some bad", "mutation($a:FakeTagCreateInput!,$b:FakeTagCreateInput!,$c:FakeTagCreateInput!){m0:FakeTagCreate(data:$a){ok object{hfid}} m1:FakeTagCreate(data:$b){ok object{id}} m2:FakeTagCreate(data:$c){ok object{hfid}}}", {"a": {"name": v("t4")}, "b": {"name": v("t1")}, "c": {"name": v("t5")}})
    yield read("tags after", "{FakeTag{count edges{node{name{value}}}}}", unordered=True)

    # Updates.
    yield update("unchanged", "FakeDevice", {"id": "@d1", "name": v("d1"), "status": v("active"), "site": {"id": "@s1"}, "tags": [{"id": "@t1"}]})
    yield update("unchanged default", "FakeDevice", {"id": "@d1", "units": v(1), "managed": v(False)}, "units{value is_default} managed{value is_default}")
    yield update("attribute", "FakeDevice", {"id": "@d1", "height": v(3)}, "height{value is_default}")
    yield update("attribute again", "FakeDevice", {"id": "@d1", "height": v(3)}, "height{value is_default}")
    yield update("canonical again", "FakeDevice", {"id": "@d1", "primary_ip": v("10.0.0.5")})
    yield update("canonical the same", "FakeDevice", {"id": "@d1", "primary_ip": v("10.0.0.5/32")})
    yield update("clear", "FakeDevice", {"id": "@d1", "height": v(None)}, "height{value}")
    yield update("ignored null and {}", "FakeDevice", {"id": "@d1", "primary_ip": None, "comments": {}}, "primary_ip{value}")
    yield update("away from default", "FakeDevice", {"id": "@d1", "units": v(4)}, "id")
    yield read("units away", "{FakeDevice(ids:[\"@d1\"]){edges{node{units{value is_default}}}}}")
    yield update("null restores default", "FakeDevice", {"id": "@d1", "units": v(None)}, "id")
    yield read("units null", "{FakeDevice(ids:[\"@d1\"]){edges{node{units{value is_default}}}}}")
    yield update("null restores default again", "FakeDevice", {"id": "@d1", "units": v(None)}, "id")
    yield update("is_default", "FakeDevice", {"id": "@d1", "status": v("planned")}, "id")
    yield update("is_default back", "FakeDevice", {"id": "@d1", "status": {"is_default": True}}, "id")
    yield read("status default", "{FakeDevice(ids:[\"@d1\"]){edges{node{status{value is_default}}}}}")
    yield update("mandatory null", "FakeDevice", {"id": "@d1", "name": v(None)})
    yield update("mandatory empty", "FakeNote", {"id": "@n1", "text": v("")}, "text{value}")
    yield update("to a taken name", "FakeDevice", {"id": "@d1", "name": v("d2")})
    yield update("bad dropdown", "FakeDevice", {"id": "@d1", "status": v("nope")})
    yield update("bad enum", "FakeDevice", {"id": "@d1", "role": v("nope")})
    yield update("two bad", "FakeDevice", {"id": "@d1", "status": v("nope"), "primary_ip": v("nope")})
    yield update("by hfid", "FakeDevice", {"hfid": ["d1"], "height": v(9)}, "id height{value}")
    yield update("by wrong hfid", "FakeDevice", {"hfid": ["nope"], "height": v(9)})
    yield update("by neither", "FakeDevice", {"height": v(9)})
    yield update("by name as id", "FakeDevice", {"id": "d1", "height": v(9)})
    yield update("missing id", "FakeDevice", {"id": "11111111-2222-4333-8444-555555555555", "height": v(9)})
    yield update("id of another kind", "FakeDevice", {"id": "@t1", "height": v(9)})
    yield update("protected", "FakeDevice", {"id": "@d1", "height": {"is_protected": True}}, "height{value is_protected}")
    yield update("protected is not enforced", "FakeDevice", {"id": "@d1", "height": v(10)}, "height{value is_protected}")

    # Relationships to one.
    yield update("site to s2", "FakeDevice", {"id": "@d1", "site": {"id": "@s2"}}, device)
    yield update("site null", "FakeDevice", {"id": "@d1", "site": None})
    yield update("site {}", "FakeDevice", {"id": "@d1", "site": {}})
    yield update("site hfid []", "FakeDevice", {"id": "@d1", "site": {"hfid": []}})
    yield update("site id null", "FakeDevice", {"id": "@d1", "site": {"id": None}})
    yield update("site missing", "FakeDevice", {"id": "@d1", "site": {"hfid": ["nope"]}})
    yield update("site missing uuid", "FakeDevice", {"id": "@d1", "site": {"id": "11111111-2222-4333-8444-555555555555"}})
    yield update("site of wrong kind", "FakeDevice", {"id": "@d1", "site": {"id": "@t1"}})
    yield update("site id wins", "FakeDevice", {"id": "@d1", "site": {"id": "@s1", "hfid": ["s2"]}}, device)
    yield update("place set", "FakeDevice", {"id": "@d1", "place": {"id": "@s3"}}, device)
    yield update("place cleared", "FakeDevice", {"id": "@d1", "place": None}, device)
    yield update("place cleared again", "FakeDevice", {"id": "@d1", "place": None}, device)
    yield update("twin taken", "FakeDevice", {"id": "@d2", "twin": {"id": "@w1"}})
    yield update("twin free", "FakeDevice", {"id": "@d2", "twin": {"id": "@w2"}}, device)
    yield read("both ends", "{FakeTwin{edges{node{id device{node{id}}}}} FakeDevice(ids:[\"@d1\",\"@d2\"]){edges{node{id twin{node{id}} interfaces{edges{node{id}}}}}}}", unordered=True)
    # Relationships to many.
    yield update("tags replaced", "FakeDevice", {"id": "@d1", "tags": [{"id": "@t2"}, {"id": "@t3"}]}, "tags{count}")
    yield update("tags the same, other order", "FakeDevice", {"id": "@d1", "tags": [{"id": "@t3"}, {"id": "@t2"}]}, "tags{count}")
    yield update("tags by hfid", "FakeDevice", {"id": "@d1", "tags": [{"hfid": ["t1"]}, {"hfid": ["t2"]}]}, "tags{count}")
    yield read("tags read", "{FakeDevice(ids:[\"@d1\"]){edges{node{tags{count edges{node{id}}}}}}}")
    yield update("tags omitted", "FakeDevice", {"id": "@d1", "height": v(11)}, "tags{count}")
    yield update("tags one missing", "FakeDevice", {"id": "@d1", "tags": [{"id": "@t1"}, {"hfid": ["nope"]}]})
    yield update("tags emptied", "FakeDevice", {"id": "@d1", "tags": []}, "tags{count}")
    yield update("tags emptied again", "FakeDevice", {"id": "@d1", "tags": []})
    yield update("tags null", "FakeDevice", {"id": "@d1", "tags": None})
    yield update("tag twice", "FakeDevice", {"id": "@d1", "tags": [{"id": "@t1"}, {"id": "@t1"}]}, "id")
    yield read("tag twice read", "{FakeDevice(ids:[\"@d1\"]){edges{node{tags{count edges{node{id}}}}}}}")
    yield update("tag twice emptied", "FakeDevice", {"id": "@d1", "tags": []}, "id")
    yield read("tag twice emptied read", "{FakeDevice(ids:[\"@d1\"]){edges{node{tags{count}}}}}")
    yield update("tag twice emptied again", "FakeDevice", {"id": "@d1", "tags": []}, "id")
    yield read("tag twice emptied again read", "{FakeDevice(ids:[\"@d1\"]){edges{node{tags{count}}}}}")
    rel = lambda what, which, data: (what, f"mutation($d:RelationshipNodesInput!){{{which}(data:$d){{ok}}}}", {"d": data}, {"moved": True})
    yield rel("add", "RelationshipAdd", {"id": "@d1", "name": "tags", "nodes": [{"id": "@t1"}, {"id": "@t2"}]})
    yield rel("add again", "RelationshipAdd", {"id": "@d1", "name": "tags", "nodes": [{"id": "@t1"}]})
    yield rel("remove", "RelationshipRemove", {"id": "@d1", "name": "tags", "nodes": [{"id": "@t1"}]})
    yield rel("remove again", "RelationshipRemove", {"id": "@d1", "name": "tags", "nodes": [{"id": "@t1"}]})
    yield rel("add to unknown", "RelationshipAdd", {"id": "@d1", "name": "bogus", "nodes": [{"id": "@t1"}]})
    yield rel("add wrong kind", "RelationshipAdd", {"id": "@d1", "name": "tags", "nodes": [{"id": "@s1"}]})
    yield rel("add missing", "RelationshipAdd", {"id": "@d1", "name": "tags", "nodes": [{"id": "11111111-2222-4333-8444-555555555555"}]})
    yield rel("add to missing", "RelationshipAdd", {"id": "11111111-2222-4333-8444-555555555555", "name": "tags", "nodes": [{"id": "@t1"}]})
    yield rel("add to one", "RelationshipAdd", {"id": "@d1", "name": "site", "nodes": [{"id": "@s2"}]})
    yield rel("remove mandatory", "RelationshipRemove", {"id": "@d1", "name": "site", "nodes": [{"id": "@s1"}]})
    yield rel("add a taken child", "RelationshipAdd", {"id": "@d2", "name": "interfaces", "nodes": [{"id": "@i1"}]})
    yield update("steal a child", "FakeDevice", {"id": "@d2", "interfaces": [{"id": "@i1"}]})
    yield update("lose a child", "FakeDevice", {"id": "@d1", "interfaces": [{"id": "@i1"}]})
    yield read("after relationships", f"{{FakeDevice{{edges{{node{{{device}}}}}}}}}")

    # Attribution.
    yield read("accounts", "{CoreAccount{edges{node{name{value} __typename account_type{value} status{value}}}} AccountProfile{__typename name{value}}}", only_accounts=True)
    yield update("source and owner", "FakeDevice", {"id": "@d1", "height": {"value": 10, "source": "@account", "owner": "@account"}}, "height{value source{id __typename} owner{id}}")
    yield update("source again", "FakeDevice", {"id": "@d1", "height": {"value": 10, "source": "@account"}})
    yield update("source null", "FakeDevice", {"id": "@d1", "height": {"source": None, "owner": ""}})
    yield read("source read", "{FakeDevice(ids:[\"@d1\"]){edges{node{height{value source{id display_label __typename ... on CoreAccount{name{value}}} owner{id}}}}}}")
    yield read("filter by source", "{FakeDevice(height__source__id:\"@account\"){count} b:FakeDevice(height__owner__id:\"@t1\"){count} c:FakeDevice(height__is_protected:true){count}}")
    yield update("relation source", "FakeDevice", {"id": "@d1", "site": {"id": "@s1", "_relation__source": "@account", "_relation__owner": "@account", "_relation__is_protected": True}}, device)
    yield update("relation source kept", "FakeDevice", {"id": "@d1", "site": {"id": "@s1"}}, device)
    yield update("relation by hfid", "FakeDevice", {"id": "@d1", "site": {"hfid": ["s1"]}}, "id")
    yield read("relation by hfid read", f"{{FakeDevice(ids:[\"@d1\"]){{edges{{node{{{device}}}}}}}}}")
    yield update("relation source again", "FakeDevice", {"id": "@d1", "site": {"id": "@s1", "_relation__source": "@account"}}, "id")
    yield update("relation source lost", "FakeDevice", {"id": "@d1", "site": {"id": "@s2"}}, device)
    yield update("source unknown uuid", "FakeDevice", {"id": "@d3", "height": {"value": 1, "source": "11111111-2222-4333-8444-555555555555"}}, "id")
    yield update("source no uuid", "FakeDevice", {"id": "@d3", "height": {"value": 2, "source": "nobody"}}, "id")
    yield read("source unknown read", "{FakeDevice(ids:[\"@d3\"]){edges{node{height{value source{id}}}}}}")
    yield update("relation source no uuid, same peer", "FakeDevice", {"id": "@d3", "site": {"id": "@s2", "_relation__source": "nobody"}}, "id")
    yield read("relation source no uuid, same peer read", f"{{FakeDevice(ids:[\"@d3\"]){{edges{{node{{{device}}}}}}}}}")
    yield update("relation source no uuid, new peer", "FakeDevice", {"id": "@d3", "site": {"id": "@s1", "_relation__source": "nobody"}}, "id")
    yield read("relation source no uuid, new peer read", f"{{FakeDevice(ids:[\"@d3\"]){{edges{{node{{{device}}}}}}}}}")
    yield update("site again", "FakeDevice", {"id": "@d3", "site": {"id": "@s2"}}, "id")
    yield create("FakeNote", "n2", {"text": {"value": "x", "source": "@t1"}})
    yield read("broken source", "{FakeNote(ids:[\"@n2\"]){edges{node{text{value source{id}}}}}}")
    yield read("context", "mutation($a:String!){FakeNoteCreate(context:{account:{id:$a}},data:{text:{value:\"ctx\"}}){object{id}}}", {"a": "@account"})
    yield read("context read", "{FakeNote(text__value:\"ctx\"){edges{node_metadata{created_by{id} updated_by{id}} node{text{updated_by{id}}}}}}")

    # Upserts.
    yield upsert("new", "FakeDevice", {"name": v("u1"), "site": {"id": "@s1"}}, save={"u1": "m"})
    yield upsert("known, unchanged", "FakeDevice", {"name": v("u1"), "site": {"id": "@s1"}})
    yield upsert("known, changed", "FakeDevice", {"name": v("u1"), "site": {"id": "@s1"}, "height": v(5)})
    yield upsert("known, mandatory missing", "FakeDevice", {"name": v("u1"), "height": v(5)})
    yield upsert("by id", "FakeDevice", {"id": "@u1", "height": v(6)})
    yield upsert("by id, unchanged", "FakeDevice", {"id": "@u1", "height": v(6)})
    yield upsert("by id that is gone", "FakeDevice", {"id": "11111111-2222-4333-8444-555555555555", "name": v("u9"), "site": {"id": "@s1"}})
    yield upsert("by id null", "FakeDevice", {"id": None, "name": v("u1"), "site": {"id": "@s1"}})
    yield upsert("by id of another kind", "FakeDevice", {"id": "@t1", "height": v(1)})
    yield upsert("by name as id", "FakeDevice", {"id": "u1", "height": v(1)})
    yield upsert("by hfid", "FakeDevice", {"hfid": ["u1"], "height": v(7)})
    yield upsert("by new hfid", "FakeDevice", {"hfid": ["u2"], "name": v("u2"), "site": {"id": "@s1"}}, save={"u2": "m"})
    yield upsert("by hfid against name", "FakeDevice", {"hfid": ["u1"], "name": v("u2")})
    yield upsert("by hfid null", "FakeDevice", {"hfid": None, "name": v("u1"), "site": {"id": "@s1"}})
    yield upsert("rename by hfid", "FakeDevice", {"hfid": ["u2"], "name": v("u3")})
    yield upsert("no hfid kind creates", "FakeNote", {"text": v("same")})
    yield upsert("no hfid kind creates again", "FakeNote", {"text": v("same")})
    yield read("notes", "{FakeNote{count}}")
    yield upsert("hfid on a kind without", "FakeNote", {"hfid": ["x"], "text": v("same")})
    yield upsert("child", "FakeInterface", {"name": v("eth0"), "device": {"id": "@d1"}, "enabled": v(False)})
    yield upsert("child by hfid", "FakeInterface", {"hfid": ["d1", "eth0"], "enabled": v(True)})
    yield upsert("child new", "FakeInterface", {"name": v("eth0"), "device": {"id": "@d2"}}, save={"i3": "m"})
    yield upsert("child by short hfid", "FakeInterface", {"hfid": ["eth0"], "enabled": v(True)})
    yield upsert("asset: all constraints on one object", "FakeAsset", {"name": v("a1"), "number": v(1), "site": {"id": "@s1"}, "slot": v("x")})
    yield upsert("asset: number of another", "FakeAsset", {"name": v("a1"), "number": v(2), "site": {"id": "@s1"}})
    yield upsert("asset: number taken, new name", "FakeAsset", {"name": v("a3"), "number": v(2), "site": {"id": "@s1"}})
    yield upsert("asset: slot taken, new name", "FakeAsset", {"name": v("a3"), "number": v(3), "slot": v("y"), "site": {"id": "@s1"}})
    yield upsert("asset: moved in silence", "FakeAsset", {"name": v("a1"), "number": v(7), "slot": v("z"), "site": {"id": "@s2"}})
    yield create("FakeAsset", "asset again", {"name": v("a1"), "number": v(8), "slot": v("q"), "site": {"id": "@s2"}}, save={})
    yield create("FakeAsset", "asset null slot", {"name": v("a4"), "number": v(9), "site": {"id": "@s3"}}, save={})
    yield create("FakeAsset", "asset null slot again", {"name": v("a5"), "number": v(10), "site": {"id": "@s3"}}, save={})
    yield create("FakeAsset", "asset null number", {"name": v("a6"), "slot": v("1"), "site": {"id": "@s3"}}, save={})
    yield create("FakeAsset", "asset null number again", {"name": v("a7"), "slot": v("2"), "site": {"id": "@s3"}}, save={})
    yield update("asset to a taken number", "FakeAsset", {"id": "@a1", "number": v(2)})
    yield update("asset to a taken slot", "FakeAsset", {"id": "@a1", "slot": v("y"), "site": {"id": "@s1"}})
    yield read("assets", "{FakeAsset{count edges{node{name{value} number{value} slot{value} site{node{id}}}}}}", unordered=True)

    # Reads.
    for what, arguments in {
        "ids": "ids:[\"@d1\",\"@d2\"]", "no such id": "ids:[\"11111111-2222-4333-8444-555555555555\"]", "ids none": "ids:[]", "bad id": "ids:[\"x\"]", "hfid": "hfid:[\"d1\"]", "hfid missing": "hfid:[\"nope\"]", "hfid long": "hfid:[\"a\",\"b\"]",
        "value": "name__value:\"d1\"", "values": "name__values:[\"d1\",\"d2\",\"nope\"]", "isnull": "height__isnull:true", "not null": "height__isnull:false", "number": "height__value:10", "boolean": "managed__value:false", "dropdown": "status__value:\"active\"",
        "null value": "height__value:null", "peer ids": "site__ids:[\"@s1\"]", "peer value": "site__name__value:\"s1\"", "peer values": "site__name__values:[\"s1\",\"s2\"]", "peer null": "place__isnull:true", "peer not null": "place__isnull:false", "tags": "tags__ids:[\"@t2\"]", "tags value": "tags__name__value:\"t2\"", "tags null": "tags__isnull:true",
        "any": "any__value:\"d1\"", "partial": "name__value:\"1\",partial_match:true", "partial case": "name__value:\"D\",partial_match:true", "case": "name__value:\"D1\"", "two": "site__ids:[\"@s1\"],status__value:\"active\"",
        "limit": "limit:2", "offset": "offset:1,limit:2", "beyond": "offset:100,limit:2", "limit 0": "limit:0", "descending": "order:{by:[{field:\"name__value\",direction:DESC}]}", "by number": "order:{by:[{field:\"height__value\",direction:ASC},{field:\"name__value\",direction:DESC}]}", "by created": "order:{by:[{field:\"node_metadata__created_at\",direction:DESC}]}",
        "ip": "primary_ip__value:\"10.0.0.5/32\"", "future": "node_metadata__created_at__after:\"2100-01-01T00:00:00Z\"", "past": "node_metadata__updated_at__after:\"2000-01-01T00:00:00Z\"", "before": "node_metadata__updated_at__before:\"2000-01-01T00:00:00Z\"",
    }.items():
        yield read(f"filter {what}", f"{{FakeDevice({arguments}){{count edges{{node{{id name{{value}}}}}}}}}}")
    yield read("bad order field", "{FakeDevice(order:{by:[{field:\"bogus__value\",direction:DESC}]}){count edges{node{id}}}}")
    yield read("default order", "{FakeDevice{edges{node{name{value}}}} FakeSite{edges{node{name{value}}}}}")
    yield rel("tags for reading", "RelationshipAdd", {"id": "@d1", "name": "tags", "nodes": [{"id": "@t1"}]})
    yield read("hfid beside properties", "{FakeDevice(ids:[\"@d1\"]){edges{node{tags{edges{node{id hfid} properties{is_protected}}} interfaces{edges{node{hfid display_label} properties{updated_at}}} b:tags{edges{node{hfid name{value}} properties{is_protected}}} c:tags{edges{node{hfid} relationship_metadata{updated_at}}} d:tags{edges{node{hfid} node_metadata{updated_at}}} site{node{display_label hfid} properties{is_protected}} e:site{node{hfid} node_metadata{updated_at}} f:site{node{hfid name{value}} properties{is_protected}}}}} FakeInterface(ids:[\"@i1\"]){edges{node{device{node{hfid} properties{is_protected}}}}} FakeTwin{edges{node{device{node{hfid} relationship_metadata{created_at}}}}}}", unordered=True)
    yield read("limit 1 has no order", "{a:FakeDevice(limit:1){edges{node{id}}} b:FakeDevice(limit:1,offset:1){edges{node{id}}} c:FakeDevice(limit:1,order:{by:[{field:\"name__value\",direction:ASC}]}){edges{node{id}}}}", any_id=True)
    yield read("variables in filters", "query($n:[String],$i:[ID],$t:DateTime,$l:Int=1,$p:Boolean){a:FakeDevice(name__values:$n){count} b:FakeDevice(ids:$i){count} c:FakeDevice(node_metadata__updated_at__after:$t){count} d:FakeDevice(limit:$l){edges{node{id}}} e:FakeDevice(name__value:\"d1\",partial_match:$p){count}}", {"n": ["d1", "d2"], "i": ["@d1"], "t": "2020-01-01T00:00:00Z"}, any_id=True)
    yield read("bad time", "query($t:DateTime){FakeDevice(node_metadata__updated_at__after:$t){count}}", {"t": "nonsense"})
    yield read("single value for a list", "query($n:[String]){FakeDevice(name__values:$n){count}}", {"n": "d1"})
    yield read("bad enum value", "query($o:OrderInput){FakeDevice(order:$o){count}}", {"o": {"by": [{"field": "name__value", "direction": "UP"}]}})
    yield read("big literal", "mutation{FakeDeviceUpdate(data:{id:\"@d3\",height:{value:5000000000},labels:{value:[\"a\",1]},extra:{value:{a:[1,{b:null}]}}}){object{height{value} labels{value} extra{value}}}}")
    yield read("string literal for a number", "mutation{FakeDeviceUpdate(data:{id:\"@d3\",height:{value:\"5\"}}){ok}}")
    yield read("unknown field in a literal", "mutation{FakeDeviceUpdate(data:{id:\"@d3\",bogus:{value:5}}){ok}}")
    yield read("introspection of a name", "{__typename FakeDevice(limit:1){__typename}}")
    yield read("mutation typename", "mutation{__typename FakeDeviceUpdate(data:{id:\"@d3\"}){__typename ok object{__typename id}}}")
    yield read("nested pages", "{FakeDevice(ids:[\"@d1\"]){edges{node{interfaces(limit:1){count edges{node{name{value}}}} tags(name__value:\"t2\"){count edges{node{name{value}}}} b:tags(ids:[\"@t1\"]){count}}}}}")
    yield read("fragments", "query{FakeThing(name__value:\"d1\"){edges{node{...F}}}} fragment F on FakeThing{id n:name{value} ... on FakeDevice{status{value} site{node{...S}}}} fragment S on FakeSite{hfid}")
    yield read("directives", "query($y:Boolean!){FakeDevice(limit:1){count @include(if:$y) edges @skip(if:$y){node{id}}}}", {"y": True})
    yield read("permissions", "{FakeDevice(limit:1){permissions{count edges{node{kind view create update delete}}}}}")
    yield read("metadata", "{FakeDevice(ids:[\"@d1\"]){edges{node_metadata{created_at updated_at created_by{id} updated_by{id}} node{site{node_metadata{updated_at} relationship_metadata{created_at updated_at}}}}}}")
    yield read("info", "{InfrahubInfo{version}}")
    yield read("branch", "query($n:String!){Branch(name:$n){name is_default sync_with_git has_schema_changes origin_branch status}}", {"n": "main"}, ignore=["status", "has_schema_changes", "sync_with_git"])
    yield read("no such branch", "{Branch(name:\"nope\"){name}}")
    yield read("events: limit", "{InfrahubEvent(limit:51){count}}")
    yield read("at now", "{FakeDevice{count}}", at="now")
    yield read("at long ago", "{FakeDevice{count}}", at="2020-01-01T00:00:00Z")
    yield read("at in the future", "{FakeDevice{count}}", at="2100-01-01T00:00:00Z")
    yield read("at a duration", "{FakeDevice{count}}", at="0s")
    yield read("at nonsense", "{FakeDevice{count}}", at="nonsense")

    # Rename of a parent, and what follows it.
    yield update("rename parent", "FakeDevice", {"id": "@d1", "name": v("d1-new")}, "id hfid", wait=90)
    yield read("children after rename", "{FakeInterface(device__ids:[\"@d1\"]){edges{node{hfid name{value}}}}}", unordered=True)
    yield upsert("child by new hfid", "FakeInterface", {"hfid": ["d1-new", "eth0"], "enabled": v(False)})

    # Deletes.
    yield delete("blocked", "FakeSite", {"id": "@s2"}, unordered=True, any_id=True)
    yield delete("not blocked by an optional relationship", "FakeRoom", {"id": "@r1"})
    yield delete("twice", "FakeRoom", {"id": "@r1"})
    yield delete("by hfid", "FakeTag", {"hfid": ["t3"]})
    yield delete("by wrong hfid", "FakeTag", {"hfid": ["t3"]})
    yield delete("by neither", "FakeTag", {})
    yield delete("wrong kind", "FakeTag", {"id": "@d2"})
    yield delete("a child", "FakeInterface", {"id": "@i2"})
    yield delete("a parent with children", "FakeDevice", {"id": "@d1"})
    yield delete("a peer of many", "FakeTag", {"id": "@t1"})
    yield read("after deletes", f"{{FakeDevice{{count edges{{node{{{device}}}}}}} FakeInterface{{count}} FakeTwin{{edges{{node{{id device{{node{{id}}}}}}}}}}}}", unordered=True)
    yield create("FakeDevice", "d1b", {"name": v("d1-new"), "site": {"id": "@s1"}})
    yield update("update of a deleted one", "FakeDevice", {"id": "@d1", "height": v(1)})


def rest():
    """(method, path, body, headers, header names to compare): outside of GraphQL, and the mutations of branches that fail."""
    no = {"X-INFRAHUB-KEY": None}
    yield "GET", "/api/schema?branch=nope", None, {}, ["content-type"]
    yield "GET", "/api/schema/Nope", None, {}, []
    yield "GET", "/api/schema/FakeTag?branch=@branch", None, {}, ["content-type"]
    yield "GET", "/api/schema/summary?branch=@branch", None, {"accept-encoding": "gzip"}, ["content-encoding", "content-type"]
    yield "GET", "/api/schema?branch=@branch&namespaces=Fake", None, {"accept-encoding": "gzip"}, ["content-encoding"]
    yield "GET", "/api/schema/summary", None, {"X-INFRAHUB-KEY": "nope"}, []
    yield "GET", "/api/nothing", None, {}, ["content-type"]
    yield "GET", "/graphql", None, {}, ["content-type"]
    yield "GET", "/schema.graphql?branch=nope", None, {}, []
    yield "POST", "/api/auth/login", '{"username":"admin","password":"x"}', no, []
    yield "POST", "/api/auth/login", '{"username":"nobody","password":"x"}', no, []
    yield "POST", "/api/auth/refresh", None, no, []
    for mutation in (
        'BranchCreate(data:{name:"@branch"}){ok}', 'BranchCreate(data:{name:"ab"}){ok}', 'BranchCreate(data:{name:"a b"}){ok}', 'BranchDelete(data:{name:"nope"}){ok}', 'BranchDelete(data:{name:"main"}){ok}',
        'BranchMerge(data:{name:"nope"}){ok}', 'BranchMerge(data:{name:"main"}){ok}',
        'CoreProposedChangeCreate(data:{name:{value:"x"},source_branch:{value:"nope"},destination_branch:{value:"main"}}){ok}', 'CoreProposedChangeCreate(data:{source_branch:{value:"@branch"},destination_branch:{value:"main"}}){ok}',
    ):
        yield "POST", "/graphql/@branch", json.dumps({"query": "mutation{" + mutation + "}"}), {}, ["content-type"]
    for query in ('{CoreAccount{edges{node{name{value} label{value} account_type{value} status{value} display_label}}} AccountProfile{__typename display_label}}', '{CoreAccountGroup{edges{node{hfid label{value} group_type{value} members{count}}}}}', '{IpamNamespace{edges{node{hfid default{value} description{value}}}}}'):
        yield "POST", "/graphql/@branch", json.dumps({"query": query}), {}, ["content-type"]


def unordered(value):
    if isinstance(value, dict):
        return {k: unordered(v) for k, v in value.items()}
    if isinstance(value, list):
        return sorted((unordered(v) for v in value), key=lambda v: json.dumps(v, sort_keys=True))
    return value


def without(value, names):
    if isinstance(value, dict):
        return {k: without(v, names) for k, v in value.items() if k not in names}
    if isinstance(value, list):
        return [without(v, names) for v in value]
    return value


def run(side, step):
    name, document, variables, options = step
    before = side.moments() if options.get("moved") else None
    for known in side.ids:
        document = document.replace(f'"@{known}"', f'"{side.ids[known]}"')
    status, answer = side.graphql(document, side.fill(variables), branch=options.get("branch"), at=options.get("at"), **options.get("raw", {}))
    for _ in range(options.get("wait", 0)):  # what a task of the real server brings up to date: seconds, more on a busy machine
        _, children = side.graphql("{FakeInterface(device__ids:[\"" + side.ids["d1"] + "\"]){edges{node{hfid}}}}")
        if all(e["node"]["hfid"][:1] == ["d1-new"] for e in children["data"]["FakeInterface"]["edges"]):
            break
        time.sleep(1)
    if isinstance(answer, dict) and isinstance(answer.get("data"), dict):
        for save, alias in options.get("save", {}).items():
            if (answer["data"].get(alias) or {}).get("object"):
                side.ids[save] = answer["data"][alias]["object"]["id"]
    out = {"status": status, "answer": side.normal(answer)}
    if before is not None:
        after = side.moments()
        out["moved"] = sorted(n for n in after if before.get(n) != after[n])
    if options.get("any_id"):  # the server takes any one of several
        out = json.loads(re.sub(r"""(['"])<\w+>\1""", r"\1<id>\1", json.dumps(out)))
    if options.get("unordered"):
        out = unordered(out)
    return without(out, options.get("ignore", []))


def concerns(step):
    """The names of the objects that a step saves, or names as `@name`."""
    _, document, variables, options = step
    return set(options.get("save", {})) | set(re.findall(r'"@([^"]+)"', document + json.dumps(variables)))


def prepare(real):
    """The branch and its schema on the real server; what it publishes for it."""
    status, _ = real.graphql("{InfrahubInfo{version}}")
    if status == 404:
        print(real.graphql('mutation($n:String!){BranchCreate(data:{name:$n,sync_with_git:false},wait_until_completion:true){ok}}', {"n": real.branch}, branch="main"))
    if '"FakeAsset"' not in real.request("GET", f"/api/schema/summary?branch={real.branch}", headers={"accept-encoding": "gzip"})[2]:
        import yaml
        with open(os.path.join(os.path.dirname(__file__), "schema.yml")) as file:
            body = json.dumps({"schemas": [yaml.safe_load(file)]})
        print(real.request("POST", f"/api/schema/load?branch={real.branch}", body)[2][:300])
        time.sleep(12)
    folder = tempfile.mkdtemp()
    for path, name in (("/api/schema", "api_schema.json"), ("/api/schema/summary", "schema_summary.json"), ("/schema.graphql", "schema.graphql")):
        with open(os.path.join(folder, name), "w") as file:
            file.write(real.request("GET", f"{path}?branch={real.branch}")[2])
    for kind in KINDS:
        while True:
            _, answer = real.graphql(f"{{{kind}(limit:100){{edges{{node{{id}}}}}}}}")
            ids = [e["node"]["id"] for e in answer["data"][kind]["edges"]]
            if not ids:
                break
            real.graphql("mutation{" + " ".join(f'm{i}:{kind}Delete(data:{{id:"{x}"}}){{ok}}' for i, x in enumerate(ids)) + "}")
    return folder


def main():
    arguments = [a for a in sys.argv[1:] if a != "-v"]
    verbose, only = "-v" in sys.argv, None
    if "-k" in arguments:
        at = arguments.index("-k")
        only = arguments[at + 1]
        del arguments[at:at + 2]
    branch = arguments[3] if len(arguments) > 3 else "fakecheck"
    real = Side(arguments[0], arguments[1], branch)
    folder = prepare(real)
    process = subprocess.Popen([arguments[2], "--schema", folder], stdout=subprocess.PIPE, text=True)
    try:
        fake = Side(process.stdout.readline().strip(), "06438eb2-8019-4776-878c-0941b1f1d1ec", branch)
        real.is_fake, fake.is_fake = False, True
        fake.graphql('mutation($n:String!){BranchCreate(data:{name:$n},wait_until_completion:true){ok}}', {"n": branch}, branch="main")
        for side in (real, fake):
            _, answer = side.graphql('{CoreAccount(name__value:"admin"){edges{node{id}}}}')
            side.ids["account"] = answer["data"]["CoreAccount"]["edges"][0]["node"]["id"]
        count, different = 0, []
        for step in steps():
            if step[3].get("only_accounts"):
                continue
            count += 1
            answers = [run(real, step), run(fake, step)]
            # A task of the real server may be late, and move an object that an earlier step concerned.
            moved, concerned = [answer.get("moved") for answer in answers], concerns(step)
            if moved[0] and moved[1] is not None:
                answers[0]["moved"] = [name for name in moved[0] if name in moved[1] or name in concerned]
            if answers[0] != answers[1]:
                different.append(step[0])
                print(f"DIFFERS  {step[0]}\n  real {json.dumps(answers[0], sort_keys=True)[:1500]}\n  fake {json.dumps(answers[1], sort_keys=True)[:1500]}")
            elif verbose and (only is None or only in step[0]):
                print(f"same     {step[0]}  {json.dumps(answers[0], sort_keys=True)[:300]}")
        for method, path, body, headers, names in rest():
            count += 1
            answers = []
            for side in (real, fake):
                fill = lambda t: t and t.replace("@branch", branch)
                status, found, text = side.request(method, fill(path), fill(body), headers)
                try:
                    text = side.normal(json.loads(text))
                except ValueError:
                    pass
                answers.append({"status": status, "answer": text, "headers": {n: found.get(n) for n in names}})
            if answers[0] != answers[1]:
                different.append(path)
                print(f"DIFFERS  {method} {path} {body}\n  real {json.dumps(answers[0], sort_keys=True)[:1500]}\n  fake {json.dumps(answers[1], sort_keys=True)[:1500]}")
        print(f"{count} answers compared, {len(different)} differ")
        return 1 if different else 0
    finally:
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
