#!/usr/bin/env python3
"""Makes the recording of an Infrahub small enough for a repository.

    tests/live/shorten_recording.py RECORDING.jsonl CONFIG.yml

Infrahub's schema is a megabyte, most of it about kinds of its own. Of the answers to /api/schema this keeps the kinds that CONFIG.yml
names, what they inherit from, and of each all that it has. An exchange that is repeated word by word, because several instances of the
adapter ask at the same time, is kept once. Nothing else is touched. A second time it changes nothing.
"""

import json
import re
import sys


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    recording, config = sys.argv[1:]
    with open(config, encoding="utf-8") as file:
        # Kinds are what `name:` and `reference:` say in camel case; a wrong guess keeps nothing, since there is no such kind.
        wanted = set(re.findall(r"(?:name|reference): ([A-Z][A-Za-z0-9]+)", file.read()))
    lines = []
    with open(recording, encoding="utf-8") as file:
        for line in file:
            exchange = json.loads(line)
            if exchange["request"]["path"].startswith("/api/schema?"):
                schema = json.loads(exchange["response"]["body"])
                kept = [node for node in schema["nodes"] if node["kind"] in wanted]
                generics = {generic for node in kept for generic in node["inherit_from"]} | wanted
                body = {"main": schema["main"], "nodes": kept, "generics": [g for g in schema["generics"] if g["kind"] in generics]}
                exchange["response"]["body"] = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
                line = json.dumps(exchange, ensure_ascii=False, separators=(",", ":")) + "\n"
            if line not in lines:
                lines.append(line)
    with open(recording, "w", encoding="utf-8") as file:
        file.writelines(lines)


if __name__ == "__main__":
    main()
