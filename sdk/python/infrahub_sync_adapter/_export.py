"""The adapter that this component exports."""

from __future__ import annotations

from typing import TypeVar

from .adapter import Adapter

A = TypeVar("A", bound="type[Adapter]")

_exported: type[Adapter] | None = None


def export_adapter(adapter: A) -> A:
    """Makes a class the adapter of this component. The last one counts. Works as a decorator, too."""
    global _exported
    _exported = adapter
    return adapter


def exported() -> type[Adapter]:
    """Returns the class that was exported.

    Raises:
        RuntimeError: No class was exported; componentize-py shows it when the component is built.
    """
    if _exported is None:
        raise RuntimeError("no adapter is exported: write export_adapter(YourAdapter) at the end of adapter.py")
    return _exported
