"""Which adapter this component is."""

from __future__ import annotations

from typing import TypeVar

from .adapter import Adapter

A = TypeVar("A", bound="type[Adapter]")

_exported: type[Adapter] | None = None


def export_adapter(adapter: A) -> A:
    """Makes a class the adapter of this component. The last one that is named counts. May be used as a decorator."""
    global _exported
    _exported = adapter
    return adapter


def exported() -> type[Adapter]:
    """The class that was exported.

    Raises:
        RuntimeError: There is none; componentize-py shows it when the component is built.
    """
    if _exported is None:
        raise RuntimeError("no adapter is exported: write export_adapter(YourAdapter) at the end of adapter.py")
    return _exported
