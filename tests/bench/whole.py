#!/usr/bin/env python3
"""Times whole commands on generated data: files -> files, ten kinds with references, at several sizes.

usage: tests/bench/whole.py [--binary target/release/infrahub-sync] [--beside OTHER] [--sizes 10000,100000,1000000] [--runs 3]

`--beside` runs each command with another build, too, in turns, and prints the ratio of the CPU times.

CPU seconds and peak memory are the operating system's accounting of each finished process (wait4). Machines are shared and noisy: quote
medians and ratios. Prints one Markdown table. Data is made anew in target/bench and is the same every time.
"""
import argparse, json, os, pathlib, random, shutil, statistics, sys, time

KINDS = ["Tag", "Tenant", "Site", "Manufacturer", "DeviceType", "Rack", "Device", "Interface", "Vlan", "Address"]
# kind -> (reference field, peer kind, is a list)
REFERENCES = {
    "Site": [("tenant", "Tenant", False)], "DeviceType": [("manufacturer", "Manufacturer", False)], "Rack": [("site", "Site", False)],
    "Device": [("site", "Site", False), ("rack", "Rack", False), ("device_type", "DeviceType", False), ("tags", "Tag", True)],
    "Interface": [("device", "Device", False)], "Vlan": [("site", "Site", False), ("tenant", "Tenant", False)],
    "Address": [("interface", "Interface", False), ("tenant", "Tenant", False)],
}
IDENTIFIERS = {"Interface": ["name", "device"]}


def records(kind, count, rng):
    for i in range(count):
        record = {"id": i + 1, "name": f"{kind.lower()}-{i:07d}", "description": f"{kind} number {i}, made for timing", "status": rng.choice(["active", "planned", "offline"]),
                  "serial": f"SN{rng.randrange(10**9):09d}", "position": rng.randrange(48), "enabled": rng.random() < 0.9, "comment": None if i % 3 else ""}
        for field, peer, many in REFERENCES.get(kind, []):
            if many:
                record[field] = [{"id": rng.randrange(count) + 1, "name": "shown"} for _ in range(rng.randrange(3))]
            else:
                record[field] = {"id": rng.randrange(count) + 1, "name": "shown", "display": "shown"}
        yield record


def make(folder, size):
    source = folder / "source"
    shutil.rmtree(folder, ignore_errors=True)
    source.mkdir(parents=True)
    rng = random.Random(1)
    for kind in KINDS:
        with open(source / f"{kind.lower()}s.jsonl", "w") as out:
            for record in records(kind, size // len(KINDS), rng):
                out.write(json.dumps(record) + "\n")
    lines = ["name: bench", "source: {name: files, settings: {path: source, format: jsonl}}", "destination: {name: files, settings: {path: destination}}",
             "schema_mapping:"]
    for kind in KINDS:
        fields = [f"{{name: {f}, mapping: {f}}}" for f in ["name", "description", "status", "serial", "position", "enabled", "comment"]]
        fields += [f"{{name: {f}, mapping: {f}, reference: {peer}}}" for f, peer, _ in REFERENCES.get(kind, [])]
        lines += [f"  - name: {kind}", f"    mapping: {kind.lower()}s", f"    identifiers: [{', '.join(IDENTIFIERS.get(kind, ['name']))}]", "    fields:"]
        lines += [f"      - {field}" for field in fields]
    (folder / "config.yml").write_text("\n".join(lines) + "\n")


def run(command, folder, expect):
    shutil.rmtree(folder / "cache", ignore_errors=True)
    env = dict(os.environ, INFRAHUB_SYNC_CACHE_DIR=str(folder / "cache"))
    out = os.open(os.devnull, os.O_WRONLY)
    err = os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    begin = time.monotonic()
    pid = os.posix_spawn(command[0], command, env, file_actions=[(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, err, 2)])
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - begin
    os.close(out), os.close(err)
    if os.waitstatus_to_exitcode(status) != expect:
        sys.exit(f"{' '.join(command)} exited with {os.waitstatus_to_exitcode(status)}:\n{(folder / 'stderr').read_text()}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", default="target/release/infrahub-sync")
    arguments.add_argument("--beside", metavar="OTHER")
    arguments.add_argument("--sizes", default="10000,100000,1000000")
    arguments.add_argument("--runs", type=int, default=3)
    given = arguments.parse_args()
    binaries = [os.path.abspath(path) for path in (given.binary, given.beside) if path]
    print("| command | objects | CPU s (median) | wall s | peak MiB | CPU us an object |" + (" other: CPU s | peak MiB | ratio |" if given.beside else ""))
    print("|---|---|---|---|---|---|" + ("---|---|---|" if given.beside else ""))

    def show(name, objects, command, folder, expect=0, before=lambda: None):
        measured = {binary: [] for binary in binaries}
        for _ in range(given.runs):
            for binary in binaries:
                before()
                measured[binary].append(run([binary, *command], folder, expect))
        medians = [[statistics.median(column) for column in zip(*measured[binary])] for binary in binaries]
        cpu, wall, peak = medians[0]
        each = f"{cpu / objects * 1e6:.2f}" if objects else "-"
        line = f"| {name} | {objects or '-'} | {cpu:.4f} | {wall:.4f} | {peak:.1f} | {each} |"
        if given.beside:
            line += f" {medians[1][0]:.4f} | {medians[1][2]:.1f} | {cpu / medians[1][0]:.2f} |"
        print(line, flush=True)

    folder = pathlib.Path("target/bench/start").absolute()
    make(folder, 100)
    show("--help", 0, ["--help"], folder)
    show("list", 0, ["list", "--directory", str(folder)], folder)
    for size in map(int, given.sizes.split(",")):
        folder = pathlib.Path(f"target/bench/{size}").absolute()
        make(folder, size)
        config = ["--config-file", str(folder / "config.yml"), "--no-show-progress"]
        clear = lambda: shutil.rmtree(folder / "destination", ignore_errors=True)
        show("diff, destination empty", size, ["diff", *config], folder, before=clear)
        show("sync, first", size, ["sync", "--no-diff", *config], folder, before=clear)
        show("diff, in sync", size, ["diff", *config], folder)


if __name__ == "__main__":
    main()
