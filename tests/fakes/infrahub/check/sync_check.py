#!/usr/bin/env python3
"""infrahub-sync 2.0.1, the Python one, with the fake as destination and as source.

usage: sync_check.py FAKE_BINARY INFRAHUB_SYNC_COMMAND. Exit code 0 if all agrees.
"""
import http.server, json, os, subprocess, sys, tempfile, threading, urllib.request

TOKEN = "06438eb2-8019-4776-878c-0941b1f1d1ec"
DATA = {
    "sites": [{"id": i, "name": f"site{i}"} for i in range(3)],
    "devices": [{"id": i, "name": f"device{i}", "height": i, "site": f"site{i % 3}"} for i in range(60)],
    "interfaces": [{"id": i, "name": f"eth{i % 2}", "device": f"device{i // 2}"} for i in range(20)],
}


class Source(http.server.BaseHTTPRequestHandler):
    """A REST source with three collections."""

    def do_GET(self):
        name = self.path.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
        body = json.dumps({name: DATA[name]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def project(folder, name, source, destination):
    """A project with three kinds; a REST source names its collections, an Infrahub its kinds."""
    os.makedirs(os.path.join(folder, name))
    rest = source["name"] == "genericrestapi"
    field = lambda n, **more: {"name": n, "mapping": n, **more}
    config = {
        "name": name, "source": source, "destination": destination, "order": ["LocationSite", "InfraDevice", "InfraInterface"],
        "schema_mapping": [
            {"name": "LocationSite", "mapping": "sites" if rest else "LocationSite", "identifiers": ["name"], "fields": [field("name")]},
            {"name": "InfraDevice", "mapping": "devices" if rest else "InfraDevice", "identifiers": ["name"], "fields": [field("name"), field("height"), field("site", reference="LocationSite")]},
            {"name": "InfraInterface", "mapping": "interfaces" if rest else "InfraInterface", "identifiers": ["name", "device"], "fields": [field("name"), field("device", reference="InfraDevice")]},
        ],
    }
    with open(os.path.join(folder, name, "config.yml"), "w") as file:
        json.dump(config, file)  # JSON is YAML


def run(command, folder, name):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("INFRAHUB")}
    done = subprocess.run([*sys.argv[2:], command, "--name", name, "--directory", folder], capture_output=True, text=True, env=environment, cwd=folder)
    print(f"{name} {command}: exit code {done.returncode}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def count(url):
    body = json.dumps({"query": "{LocationSite{count} InfraDevice{count edges{node{name{value} height{value} site{node{hfid}}}}} InfraInterface{count}}"}).encode()
    answer = json.load(urllib.request.urlopen(urllib.request.Request(url + "/graphql", body, {"content-type": "application/json"})))["data"]
    devices = sorted((e["node"]["name"]["value"], e["node"]["height"]["value"], e["node"]["site"]["node"]["hfid"][0]) for e in answer["InfraDevice"]["edges"])
    return {k: v["count"] for k, v in answer.items()}, devices


servers = [subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, text=True) for _ in range(2)]
try:
    first, second = (server.stdout.readline().strip() for server in servers)
    source = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Source)
    threading.Thread(target=source.serve_forever, daemon=True).start()
    rest = {"name": "genericrestapi", "settings": {"url": f"http://127.0.0.1:{source.server_port}", "auth_method": "none", "api_endpoint": "api"}}
    infrahub = lambda url: {"name": "infrahub", "settings": {"url": url, "token": TOKEN}}
    with tempfile.TemporaryDirectory() as folder:
        project(folder, "into", rest, infrahub(first))
        for command in ("generate", "diff", "sync"):
            run(command, folder, "into")
        found, devices = count(first)
        print(found)
        assert found == {"LocationSite": 3, "InfraDevice": 60, "InfraInterface": 20}, found
        assert devices == sorted((d["name"], d["height"], d["site"]) for d in DATA["devices"])
        again = run("sync", folder, "into")
        project(folder, "outof", infrahub(first), infrahub(second))
        for command in ("generate", "diff", "sync"):
            run(command, folder, "outof")
        assert count(second) == count(first), count(second)
    print("infrahub-sync and the fake agree")
finally:
    for server in servers:
        server.kill()
