"""Reading: the request, and a page of records."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from .http import Response
from .target import Target

# The path at which a read returns the sync that made an object.
_OWNER = "@owner"


@dataclass
class LoadRequest:
    """A request for one page of a resource."""

    resource: str
    """The resource (``dcim.devices``), or the kind, as the manifest's addressing says."""
    fields: list[str] = field(default_factory=list)
    """The dotted paths that are read; ``name.*`` where a filter or transform may read anything below ``name``, ``@owner`` for the sync that
    made the object. The adapter may return more; ``id`` is always welcome."""
    targets: list[Target] = field(default_factory=list)
    """The kinds that are made of this resource, with the fields that the project uses. Empty for a table or an inventory of ids."""
    ids: list[str] = field(default_factory=list)
    """Only these objects, by id. Empty: no such limit. Only asked of an adapter whose manifest says ``reads_ids``."""
    page_size: int = 1000
    cursor: Any = None
    """The ``next`` of the page before; None for the first page."""
    since: str | None = None
    """The watermark of an earlier load: the adapter returns the records modified since then. An adapter that cannot tell raises
    ``Error.unsupported``. None: all records."""

    def top_level_fields(self) -> list[str]:
        """Returns the top-level names of the fields that are read (``site.slug`` is ``site``), each once, in order. ``@owner`` is not among
        them: see ``wants_owner``."""
        return list(dict.fromkeys(name for name in (path.split(".")[0] for path in self.fields) if name not in ("", _OWNER)))

    @property
    def wants_owner(self) -> bool:
        """Whether the name of the sync that made an object is asked for, at the path ``@owner``."""
        return _OWNER in self.fields


class Absence(enum.Enum):
    """The whereabouts of an object that a load did not return."""

    DELETED = "deleted"
    """Deleted: the system says so, by its change log or by the id."""
    PRESENT = "present"
    """It exists and was not listed: the list moved, or a filter or permission hides it."""
    UNKNOWN = "unknown"
    """The system does not tell."""


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
    """The fields that are not at their own path: (requested dotted path, pointer within the record)."""


@dataclass
class JsonLines:
    """Records made by the adapter: one JSON object a line."""

    data: bytes


@dataclass
class Page:
    """A page of records."""

    payload: Union[Document, JsonLines]
    next: Any = None
    """Where to continue: any value that can be written as JSON. None on the last page."""
    watermark: str | None = None
    """The ``since`` of the next run, by the clock of the system, from before the load began. Read on the first page."""
    deleted: list[str] | None = None
    """On the first page of a load with ``since``: ids of the objects deleted since then, where the system tells."""
    total: int | None = None
    """On the first page: the number of objects that the resource has, where the system tells."""
    partial: str | None = None
    """The reason why the answer is incomplete, if the system says so. Objects that are missing from such a load are never deleted."""

    @classmethod
    def document(cls, response: Response, pointer: str, *, projection: Sequence[tuple[str, str]] = (), **rest: Any) -> Page:
        """Returns a page whose records are the array (or the values of the object) at the pointer of the response's JSON.

        The records stay with the host: by far the fastest. ``rest`` is ``next``, ``watermark``, ``deleted``, ``total``, ``partial``.
        """
        return cls(Document(response, Layout.JSON, pointer, projection), **rest)

    @classmethod
    def lines(cls, response: Response, **rest: Any) -> Page:
        """Returns a page whose records are the lines of the response, one JSON object each."""
        return cls(Document(response, Layout.JSON_LINES), **rest)

    @classmethod
    def records(cls, records: Iterable[Any], **rest: Any) -> Page:
        """Returns a page of records that the adapter made: anything that can be written as JSON objects."""
        # Compact: this is the larger part of what such a page costs.
        encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
        return cls(JsonLines("".join(f"{encode(record)}\n" for record in records).encode()), **rest)

    @classmethod
    def empty(cls, **rest: Any) -> Page:
        """Returns a page without records."""
        return cls(JsonLines(b""), **rest)
