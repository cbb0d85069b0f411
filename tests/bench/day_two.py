#!/usr/bin/env python3
"""Times the second day: applies of many rows, and runs that read only what changed.

usage: tests/bench/day_two.py [--binary target/release/infrahub-sync] [--sizes 10000,100000,1000000] [--runs 5] [--python VENV]

Two ways, at each size:

- played NetBox -> fake Infrahub (`played-netbox`, `fake-infrahub`, both of the workspace; the fake records every request): `diff`, `apply` of
  that plan, then runs with `--no-full-extract`. The servers' work is in the wall time, not in the CPU time. Up to 200,000 objects:
  the fake holds all it was ever asked in memory.
- files -> files, the project of whole.py: the same without a network.

With --python also infrahub-sync 2.0.1 on the same servers, up to 10,000 objects (it takes a connection and a mutation an object); what it
cannot do is said with its exit code.

CPU seconds and peak memory are the operating system's accounting of each finished process (wait4), medians of the runs. Machines are shared
and noisy: quote medians and ratios. Prints Markdown.
"""
import argparse, json, os, pathlib, shutil, statistics, subprocess, sys, time, urllib.request

import whole

TOKEN = "06438eb2-8019-4776-878c-0941b1f1d1ec"
SERVED_MAX, PYTHON_MAX = 200_000, 10_000
# Infrahub is asked from half a minute before the last read; what is younger is read twice.
OVERLAP_S = 40


def timed(command, folder, environment, expect=0):
    """CPU seconds, wall seconds and peak MiB of a process; its words are in `words`."""
    with open(folder / "words", "w") as words:
        begin = time.monotonic()
        actions = [(os.POSIX_SPAWN_DUP2, words.fileno(), 1), (os.POSIX_SPAWN_DUP2, words.fileno(), 2)]
        pid = os.posix_spawn(command[0], [str(word) for word in command], environment, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
        wall = time.monotonic() - begin
    code = os.waitstatus_to_exitcode(status)
    if expect is not None and code != expect:
        sys.exit(f"{' '.join(map(str, command))} exited with {code}:\n{(folder / 'words').read_text()[-4000:]}")
    return code, usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


class Bench:
    def __init__(self, folder, binary, runs):
        self.folder, self.binary, self.runs = folder, binary, runs
        self.environment = dict(os.environ, INFRAHUB_SYNC_CACHE_DIR=str(folder / "cache"), NETBOX_TOKEN="x", INFRAHUB_API_TOKEN=TOKEN)

    def run(self, *words):
        config = ["--config-file", self.folder / "config.yml", "--no-show-progress"]
        return timed([self.binary, words[0], *config, *words[1:]], self.folder, self.environment)[1:]

    def run_folder(self, run):
        return next(self.folder.glob(f"cache/*/{run}"))

    def run_file(self, run):
        return json.loads((self.run_folder(run) / "run.json").read_text())

    def quiet(self, name, objects, kinds):
        """A run in which nothing has changed, several times."""
        measured = []
        for at in range(self.runs + 1):
            measured.append(self.run("diff", "--no-full-extract", "--run-id", f"quiet{at}"))
        file = self.run_file(f"quiet{self.runs}")
        reading = [entry["how"] for side in file["reading"].values() for entry in side.values()]
        if not all(how.startswith("0 changed, 0 deleted") for how in reading):
            sys.exit(f"something has changed: {reading}")
        cpu, wall, peak = (statistics.median(column) for column in zip(*measured[1:]))
        asked = [file["traffic"][side]["requests"] for side in "AB"]
        print(f"| {name} | {objects:,} | {cpu:.3f} | {wall:.3f} | {peak:.0f} | {cpu / objects * 1e6:.2f} | {asked[0]} + {asked[1]}, {kinds} kinds |", flush=True)


HEADER = "| run | objects a side | CPU s | wall s | peak MiB | CPU us an object | requests: source + destination |\n|---|---:|---:|---:|---:|---:|---:|"


def served(size, binary, runs, python, bin_folder):
    folder = pathlib.Path(f"target/bench/day-two-{size}").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mapping = subprocess.run([bin_folder / "played-netbox", "--mapping"], capture_output=True, text=True, check=True).stdout
    servers = [subprocess.Popen([bin_folder / name, *words], stdout=subprocess.PIPE, text=True) for name, words in
               (("played-netbox", [str(size)]), ("fake-infrahub", []), ("fake-infrahub", []))]
    try:
        netbox, infrahub, second = (server.stdout.readline().strip() for server in servers)
        project = lambda destination: (f"name: day-two\nsource: {{name: netbox, settings: {{url: '{netbox}', token: x}}}}\n"
                                       f"destination: {{name: infrahub, settings: {{url: '{destination}', token: {TOKEN}}}}}\n{mapping}")
        (folder / "config.yml").write_text(project(infrahub))
        bench = Bench(folder, binary, runs)
        rows = []
        show = lambda name, taken, asked: rows.append(f"| {name} | {size:,} | {taken[0]:.2f} | {taken[1]:.2f} | {taken[2]:.0f} | {taken[0] / size * 1e6:.2f} | {asked} |")
        show("diff, destination empty", bench.run("diff", "--run-id", "plan"), "")
        taken = bench.run("apply", "--run-id", "plan")
        file, applied = bench.run_file("plan"), bench.run_folder("plan")
        seconds = file["duration_ms"]["apply"] / 1000
        show("apply of that plan", taken, f"{file['traffic']['B']['requests']}")
        journal = (applied / "journal.bin").stat().st_size / size
        rows.append(f"\nApply of {size:,} rows: {size / seconds:,.0f} rows a second ({seconds:.1f} s, the fake's work in them), "
                    f"{size / taken[0]:,.0f} a second of our CPU time, peak {taken[2]:.0f} MiB, journal {journal:.2f} bytes a row.\n")
        time.sleep(OVERLAP_S)
        full = bench.run("diff", "--run-id", "first")
        print(HEADER)
        print("\n".join(rows[:2]))
        file = bench.run_file("first")
        print(f"| diff, everything read, in sync | {size:,} | {full[0]:.3f} | {full[1]:.3f} | {full[2]:.0f} | {full[0] / size * 1e6:.2f} | "
              f"{file['traffic']['A']['requests']} + {file['traffic']['B']['requests']} |")
        bench.quiet("diff --no-full-extract, nothing changed", size, 4)
        edit(infrahub, 100)
        taken = bench.run("diff", "--no-full-extract", "--run-id", "edited")
        file = bench.run_file("edited")
        print(f"| the same, 100 devices edited in the destination | {size:,} | {taken[0]:.3f} | {taken[1]:.3f} | {taken[2]:.0f} | {taken[0] / size * 1e6:.2f} | "
              f"{file['traffic']['A']['requests']} + {file['traffic']['B']['requests']} |")
        print(rows[2], flush=True)
        if python and size <= PYTHON_MAX:
            original(folder, project(second), size, python)
    finally:
        for server in servers:
            server.kill()
            server.wait()


def ask(url, query):
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"content-type": "application/json", "X-INFRAHUB-KEY": TOKEN})
    return json.load(urllib.request.urlopen(request))["data"]


def edit(url, count):
    found = ask(url, f"{{InfraDevice(limit:{count}){{edges{{node{{id}}}}}}}}")["InfraDevice"]["edges"]
    for edge in found:
        ask(url, f'mutation{{InfraDeviceUpdate(data:{{id:"{edge["node"]["id"]}",comments:{{value:"edited"}}}}){{ok}}}}')


def original(folder, config, size, python):
    """infrahub-sync 2.0.1 on the same NetBox and an Infrahub of its own."""
    theirs = folder / "original"
    (theirs / "day-two").mkdir(parents=True)
    (theirs / "day-two/config.yml").write_text(config)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("INFRAHUB", "NETBOX"))}
    environment |= {"INFRAHUB_SYNC_CACHE_DIR": str(theirs / "cache")}
    print("\ninfrahub-sync 2.0.1 on the same servers:\n")
    print("| run | objects a side | CPU s | wall s | peak MiB | exit code |\n|---|---:|---:|---:|---:|---:|")
    for name, words in (("generate", ["generate"]), ("sync, first", ["sync", "--no-diff"]), ("diff --no-full-extract, nothing changed", ["diff", "--no-full-extract"]),
                        ("apply of the first run", ["apply", "--run-id", "FIRST"])):
        if "FIRST" in words:
            runs = sorted(path.name for path in theirs.glob("cache/day-two/*") if path.is_dir())
            words = [word.replace("FIRST", runs[0] if runs else "none") for word in words]
        command = [str(pathlib.Path(python) / "bin/infrahub-sync"), *words, "--name", "day-two", "--directory", str(theirs)]
        here = os.getcwd()
        os.chdir(theirs)
        code, cpu, wall, peak = timed(command, theirs, environment, expect=None)
        os.chdir(here)
        print(f"| {name} | {size:,} | {cpu:.2f} | {wall:.1f} | {peak:.0f} | {code} |", flush=True)
        if code != 0:
            shutil.copy(theirs / "words", theirs / f"words-{words[0]}")


def filed(size, binary, runs):
    folder = pathlib.Path(f"target/bench/{size}").absolute()
    whole.make(folder, size)
    bench = Bench(folder, binary, runs)
    print(HEADER)
    show = lambda name, taken: print(f"| {name} | {size:,} | {taken[0]:.3f} | {taken[1]:.3f} | {taken[2]:.0f} | {taken[0] / size * 1e6:.2f} | |", flush=True)
    show("diff, destination empty", bench.run("diff", "--run-id", "plan"))
    taken = bench.run("apply", "--run-id", "plan")
    show("apply of that plan", taken)
    seconds = bench.run_file("plan")["duration_ms"]["apply"] / 1000
    journal = (bench.run_folder("plan") / "journal.bin").stat().st_size / size
    show("diff, everything read, in sync", bench.run("diff", "--run-id", "first"))
    bench.quiet("diff --no-full-extract, nothing changed", size, len(whole.KINDS))
    print(f"\nApply of {size:,} rows: {size / seconds:,.0f} rows a second, peak {taken[2]:.0f} MiB, journal {journal:.2f} bytes a row.\n", flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", default="target/release/infrahub-sync")
    arguments.add_argument("--sizes", default="10000,100000,1000000")
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--python", metavar="VENV", help="a virtual environment with infrahub-sync 2.0.1 (tests/live/reference.sh makes one)")
    given = arguments.parse_args()
    binary = os.path.abspath(given.binary)
    sizes = [int(size) for size in given.sizes.split(",")]
    for size in sizes:
        if size <= SERVED_MAX:
            print(f"\n#### Played NetBox to fake Infrahub, {size:,} objects\n", flush=True)
            served(size, binary, given.runs, given.python and os.path.abspath(given.python), pathlib.Path(binary).parent)
    for size in sizes:
        print(f"\n#### Files to files, {size:,} objects\n", flush=True)
        filed(size, binary, given.runs)


if __name__ == "__main__":
    main()
