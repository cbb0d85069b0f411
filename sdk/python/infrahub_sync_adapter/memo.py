"""Small values that the host keeps: instances come and go, and any of them may be asked for anything.

What is kept belongs to this very component and the address that it was granted. It may be gone at any time, a lasting value also between
two runs: it saves work, and is never the only place of anything. A value is anything that can be written as JSON. A key has up to 256 bytes,
a value up to 8 MiB, all values of a lifetime together 32 MiB; what is more is not kept.
"""

from __future__ import annotations

import enum
import json
from typing import Any

from ._host import host


class Lifetime(enum.Enum):
    """How long a value is kept."""

    RUN = "run"
    """As long as this command runs; all instances of this side see it."""
    LASTING = "lasting"
    """For later runs, too."""


def get(lifetime: Lifetime, key: str) -> Any:
    """What is kept under a key; None if nothing is."""
    kept = host().memo_get(lifetime.value, key)
    return None if kept is None else json.loads(kept)


def put(lifetime: Lifetime, key: str, value: Any) -> Any:
    """Keeps a value and returns the one that is kept: in a run the first one stays, a lasting one is replaced. A value that the host does
    not keep, because it is too large, comes back all the same."""
    return json.loads(host().memo_put(lifetime.value, key, json.dumps(value, separators=(",", ":")).encode()))
