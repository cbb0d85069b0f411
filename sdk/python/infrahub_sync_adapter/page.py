"""Reading: what is asked for, and a page of records."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from .http import Response


@dataclass
class LoadRequest:
    """What to read."""

    resource: str
    """The resource (``dcim.devices``), or the kind, as the manifest's addressing says."""
    fields: list[str] = field(default_factory=list)
    """The dotted paths that the mapping reads. The adapter may return more; ``id`` is always welcome."""
    model: list[tuple[str, bool]] = field(default_factory=list)
    """The kind's fields as the model has them (name, is-reference), when a destination is read back."""
    page_size: int = 1000
    cursor: Any = None
    """The ``next`` of the page before; None for the first page."""
    since: str | None = None
    """What an earlier load returned as watermark: only records that changed since are wanted. An adapter that cannot tell raises
    ``Error.unsupported``. None: everything."""

    def top_level_fields(self) -> list[str]:
        """The top-level names of the fields that the mapping reads (``site.slug`` is ``site``), each once, in order."""
        return list(dict.fromkeys(name for name in (path.split(".")[0] for path in self.fields) if name))


class Layout(enum.Enum):
    """How records lie in a document."""

    JSON = "json"
    """One JSON document; the records are the elements of the array (or the values of the object) at the pointer."""
    JSON_LINES = "json-lines"
    """One JSON object a line."""


@dataclass
class Document:
    """"The records are at ``pointer`` of that response." """

    response: Response
    layout: Layout = Layout.JSON
    pointer: str = ""
    projection: Sequence[tuple[str, str]] = ()
    """Where fields lie that are not at their own path: (dotted path that was asked for, pointer within the record)."""


@dataclass
class JsonLines:
    """Records that the adapter made: one JSON object a line."""

    data: bytes


@dataclass
class Page:
    """A page of records."""

    payload: Union[Document, JsonLines]
    next: Any = None
    """Where to go on: any value that can be written as JSON. None on the last page."""
    watermark: str | None = None
    """What to hand over as ``since`` next time; by the clock of the system, from before the load began. Read on the first page."""
    deleted: list[str] | None = None
    """On the first page of a load with ``since``: ids of the objects deleted since then, where the system tells."""
    total: int | None = None
    """On the first page: the objects that the resource has, where the system tells."""

    @classmethod
    def document(cls, response: Response, pointer: str, *, projection: Sequence[tuple[str, str]] = (), **rest: Any) -> Page:
        """The records are the array (or the values of the object) at the pointer of the response's JSON. They stay with the host: by far
        the fastest. ``rest`` is ``next``, ``watermark``, ``deleted``, ``total``."""
        return cls(Document(response, Layout.JSON, pointer, projection), **rest)

    @classmethod
    def lines(cls, response: Response, **rest: Any) -> Page:
        """The records are the lines of the response, one JSON object each."""
        return cls(Document(response, Layout.JSON_LINES), **rest)

    @classmethod
    def records(cls, records: Iterable[Any], **rest: Any) -> Page:
        """The adapter made the records: anything that can be written as JSON objects."""
        # Compact: this is the larger part of what such a page costs.
        encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
        return cls(JsonLines("".join(f"{encode(record)}\n" for record in records).encode()), **rest)

    @classmethod
    def empty(cls, **rest: Any) -> Page:
        """No records."""
        return cls(JsonLines(b""), **rest)
