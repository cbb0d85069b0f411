"""The part of infrahub_sync.adapters.utils that custom adapters use."""

from __future__ import annotations

from typing import Any


def get_value(obj: Any, name: str) -> Any:
    """Returns the value at a dotted path of an object or a dict; None if there is none."""
    for part in name.split("."):
        if obj is None:
            return None
        obj = obj.get(part) if isinstance(obj, dict) else getattr(obj, part, None)
    return obj
