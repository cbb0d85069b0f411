"""Small values that the host keeps: instances are created and dropped, and any of them may serve any call.

Values belong to this component and its granted address. They may be dropped at any time, a lasting value also between two runs: a memo
saves work, and is never the only place of anything. A value is anything that can be written as JSON. A key has up to 256 bytes, a value up
to 8 MiB, all values of a lifetime together 32 MiB; the host does not store more.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from typing import Any, TypeVar

from ._host import host

T = TypeVar("T")


class Lifetime(enum.Enum):
    """How long a value is kept."""

    RUN = "run"
    """As long as this command runs; all instances of this side see it."""
    LASTING = "lasting"
    """For later runs, too."""


def get(lifetime: Lifetime, key: str) -> Any:
    """Returns the value under a key; None if there is none."""
    kept = host().memo_get(lifetime.value, key)
    return None if kept is None else json.loads(kept)


def put(lifetime: Lifetime, key: str, value: Any) -> Any:
    """Stores a value and returns the stored one: within a run the first value stays; a lasting one is replaced. A value over the host's
    limits is not stored and is returned as given."""
    return json.loads(host().memo_put(lifetime.value, key, json.dumps(value, separators=(",", ":")).encode()))


def once(key: str, make: Callable[[], T]) -> T:
    """Returns the value under a key of this run; if there is none, makes and stores it. All instances get the value that was stored first,
    None included. A failure of ``make`` is not stored."""
    kept = host().memo_get(Lifetime.RUN.value, key)
    value: T = put(Lifetime.RUN, key, make()) if kept is None else json.loads(kept)
    return value
