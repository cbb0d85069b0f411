"""Queries a run's files with DuckDB as users do, and checks what comes back.

Started by `duckdb.rs` with the run's folder, which holds what that program wrote.
"""

import sys

import duckdb

run = sys.argv[1]
db = duckdb.connect()


def types(file: str) -> dict[str, str]:
    return {row[0]: row[1] for row in db.execute(f"describe select * from '{run}/{file}'").fetchall()}


def rows(query: str) -> list[tuple]:
    return db.execute(query.replace("RUN", run)).fetchall()


def check(found: object, expected: object) -> None:
    if found != expected:
        raise SystemExit(f"expected {expected!r}\n   found {found!r}")


# The plan: the ten columns of infrahub-sync 2.0.1 are text, ours come after them.
check(
    list(types("plan.parquet").items()),
    [
        (name, "VARCHAR")
        for name in (
            "action",
            "resource",
            "source_id",
            "dest_id",
            "attribute",
            "old_value",
            "new_value",
            "owner",
            "skip_reason",
            "conflict_class",
        )
    ]
    + [("tier", "INTEGER"), ("pass", "INTEGER"), ("key", "VARCHAR"), ("peers", "VARCHAR"), ("evidence", "VARCHAR")]
    + [("destination_mapping", "VARCHAR"), ("along", "VARCHAR")],
)
check(
    rows("select action, resource, count(*), max(tier) from 'RUN/plan.parquet' group by all order by all"),
    [("create", "InfraRäck", 1, 0), ("update", "InfraDevice", 200_000, 2)],
)
check(rows("select source_id, dest_id, attribute from 'RUN/plan.parquet' where action = 'create'"), [("r1\n\u2764", "", None)])
check(rows("select json_extract_string(new_value, '$.name') from 'RUN/plan.parquet' where source_id = '199999'"), [("",)])
check(rows("select count(*) from 'RUN/plan.parquet' where peers is null and owner is null"), [(200_001,)])

# Snapshots: both sides and all kinds at once.
check(
    types("A/InfraDevice.parquet"),
    {
        "name": "VARCHAR",
        "mtu": "BIGINT",
        "_extract_ts": "TIMESTAMP WITH TIME ZONE",
        "_source_id": "VARCHAR",
        "_tombstone": "BOOLEAN",
    },
)
check(
    rows("select name, mtu, epoch_us(_extract_ts), _source_id, _tombstone from 'RUN/A/InfraDevice.parquet' limit 3"),
    [
        ("é", 0, 1767323045000000, "0", False),
        ("", 1, 1767323045000000, "1", False),
        (None, 2, 1767323045000000, "2", False),
    ],
)
check(
    rows(
        "select parse_filename(filename), count(*) from read_parquet('RUN/A/*.parquet', filename = true) group by all order by all"
    ),
    [("InfraDevice.parquet", 300_000), ("InfraRäck.parquet", 3)],
)
check(rows("select count(*) from 'RUN/B/InfraDevice.parquet'"), [(0,)])

# Errors, in the types of 2.0.1.
check(
    list(types("errors.parquet").items()),
    [
        ("error_class", "VARCHAR"),
        ("resource", "VARCHAR"),
        ("source_id", "VARCHAR"),
        ("dest_id", "VARCHAR"),
        ("attribute", "VARCHAR"),
        ("message", "VARCHAR"),
        ("hint", "VARCHAR"),
        ("retry_count", "BIGINT"),
        ("terminal", "BOOLEAN"),
    ],
)
check(
    rows("select * from 'RUN/errors.parquet'"),
    [("rejected", "InfraDevice", "x", None, None, "no «such» peer", None, 2, True)],
)
check(rows("select status, mode, format from read_json('RUN/run.json')"), [("running", "diff", 1)])
print("DuckDB", duckdb.__version__, "reads the run")
