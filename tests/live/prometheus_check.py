#!/usr/bin/env python3
"""Compares what infrahub-sync reads of an exporter with what prometheus_client reads of the same bytes.

usage: prometheus_check.py EXPORTER_URL INFRAHUB_SYNC WORK_DIR

The exporter is scraped once, and its answer is served again from memory. Each metric becomes a kind, which infrahub-sync writes into a folder.
Prints each difference; exit code 1 if there is one. Needs prometheus_client, which it installs into WORK_DIR.
"""
import http.server, json, math, pathlib, subprocess, sys, threading, urllib.request

exporter, program, work = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3]).resolve()
packages = work / "packages"
if not (packages / "prometheus_client").is_dir():
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", packages, "prometheus-client==0.26.0"], check=True)
sys.path.insert(0, str(packages))
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

request = urllib.request.Request(exporter + "/metrics", headers={"Accept": "text/plain;version=0.0.4"})
body = urllib.request.urlopen(request, timeout=30).read()


class Again(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Again)
threading.Thread(target=server.serve_forever, daemon=True).start()

wanted = {}
for family in text_string_to_metric_families(body.decode()):
    for sample in family.samples:
        key = sample.name + "|" + ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
        wanted.setdefault(sample.name, {})[key] = sample.value
names = sorted(wanted)
project = work / "check"
project.mkdir(parents=True, exist_ok=True)
mappings = [
    {"name": f"M{at}", "mapping": name, "identifiers": ["key"], "fields": [{"name": "key", "mapping": "id"}, {"name": "value", "mapping": "value"}]}
    for at, name in enumerate(names)
]
config = {
    "name": "check",
    "source": {"name": "prometheus", "settings": {"url": f"http://127.0.0.1:{server.server_port}"}},
    "destination": {"name": "files", "settings": {"path": "out"}},
    "schema_mapping": mappings,
}
# JSON is YAML.
(project / "config.yml").write_text(json.dumps(config))
subprocess.run(["rm", "-rf", project / "out", project / ".infrahub-sync-cache"], check=True)
subprocess.run([program, "sync", "--config-file", "config.yml", "--no-diff"], cwd=project, check=True, stdout=subprocess.DEVNULL)

differences = samples = 0
for at, name in enumerate(names):
    lines = (project / "out" / f"M{at}.jsonl").read_text().splitlines()
    found = {record["key"]: record.get("value") for record in map(json.loads, lines)}
    samples += len(found)
    for key in sorted(found.keys() | wanted[name].keys()):
        theirs = wanted[name].get(key)
        theirs = None if theirs is None or not math.isfinite(theirs) else theirs
        if key not in found or key not in wanted[name] or found[key] != theirs:
            differences += 1
            print(f"DIFFERS {key}: {found.get(key)!r}, prometheus_client {wanted[name].get(key)!r}")
print(f"{samples} samples of {len(names)} metrics compared, {differences} differ")
sys.exit(1 if differences or not samples else 0)
