#!/usr/bin/env python3
"""Measures the small adapter in each language, by the program alone: build, size, first and later start, load of 100,000 records, memory.

    tests/bench/authors.py [--program target/release/infrahub-sync] [--records 100000] [--languages rust,python,javascript,go]

It prints a Markdown table. Times are by the clock, so measure on an idle machine. Tools and compiled components lie in a folder of its own.
"""

import argparse
import json
import os
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """name: bench
source: {{name: inventory, adapter: ./inventory/inventory.wasm, settings: {{url: "{url}"}}}}
destination: {{name: files, settings: {{path: out}}}}
schema_mapping:
  - name: Device
    mapping: devices
    identifiers: [name]
    fields: [{{name: name, mapping: name}}, {{name: site, mapping: site.slug}}, {{name: serial, mapping: serial}}, {{name: height, mapping: height}}]
"""


class Inventory(BaseHTTPRequestHandler):
    """A list of devices in pages."""

    protocol_version = "HTTP/1.1"
    records = 0

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        page, size = int(query["page"][0]), int(query["size"][0])
        first = (page - 1) * size
        items = [
            {"id": str(n), "name": f"device-{n}", "site": {"slug": f"site-{n % 97}"}, "serial": f"SN{n:08}", "height": n % 42}
            for n in range(first, min(first + size, self.records))
        ]
        body = json.dumps({"items": items, "total": self.records}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def run(words, folder, environment):
    """Runs a command; returns its seconds and its peak memory in MiB."""
    began = time.monotonic()
    process = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} failed:\n{said}")
    return time.monotonic() - began, usage.ru_maxrss / 1024


def measure(program, language, url, cache):
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        run([program, "adapter", "new", "inventory", "--language", language], folder, environment)
        build, _ = run([program, "adapter", "build", "inventory"], folder, environment)
        size = Path(folder, "inventory/inventory.wasm").stat().st_size / 1e6
        Path(folder, "config.yml").write_text(CONFIG.format(url=url))
        inspect = [program, "adapter", "inspect", "inventory/inventory.wasm"]
        run([program, "adapter", "prune", "--older-than", "0d"], folder, environment)
        first, _ = run(inspect, folder, environment)
        later = min(run(inspect, folder, environment)[0] for _ in range(3))
        load, memory = run([program, "diff", "--config-file", "config.yml"], folder, environment)
        return f"| {language} | {build:.1f} s | {size:.1f} MB | {first:.2f} s | {later:.2f} s | {load:.1f} s | {memory:.0f} MiB |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=str(ROOT / "target/release/infrahub-sync"))
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--languages", default="rust,python,javascript,go")
    options = parser.parse_args()
    Inventory.records = options.records
    server = ThreadingHTTPServer(("127.0.0.1", 0), Inventory)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    cache = ROOT / "target/bench-authors"
    print(f"| language | build | size | first start | later start | load of {options.records:,} records | memory of the load |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for language in options.languages.split(","):
        print(measure(options.program, language, url, cache), flush=True)


if __name__ == "__main__":
    main()
