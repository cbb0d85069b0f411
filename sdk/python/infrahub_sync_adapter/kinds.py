"""The shape of kinds, for adapters that know the schema of their system."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from typing import Any


class FieldType(enum.Enum):
    """The type of a field's values."""

    ANY = "any"
    """Unknown: values are taken as they are."""
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    TEXT = "text"
    """Text stays text: a transform's ``123`` is not read as a number."""
    TIMESTAMP = "timestamp"
    """A date and time, as ISO 8601 text."""
    IP_INTERFACE = "ip-interface"
    """An IP address with the length of its prefix. The host compares addresses, not spellings."""
    IP_NETWORK = "ip-network"
    IP_ADDRESS = "ip-address"
    MAC = "mac"
    """A MAC address, compared whatever its separators and case."""
    JSON = "json"
    """Any JSON value."""
    LIST = "list"
    """A list of plain values."""
    REFERENCE = "reference"
    """One object of another kind."""
    REFERENCE_LIST = "reference-list"
    """A set of objects of another kind."""


_NOTHING: Any = object()


@dataclass
class Field:
    """A field of a kind."""

    name: str
    type: FieldType = FieldType.ANY
    optional: bool = False
    """May be null or absent."""
    unique: bool = False
    """No two objects of the kind have the same value."""
    read_only: bool = False
    """Computed by the system: never written, never compared."""
    references: list[str] = field(default_factory=list)
    """The kinds that a reference may point to; generic kinds count for the kinds that stand for them."""
    choices: list[str] = field(default_factory=list)
    """The closed set of values; empty if any value is allowed."""
    default: Any = _NOTHING
    """The value that the system sets when none is given: any JSON value. The host does not report a difference when the destination has this
    value and the source has none."""

    def default_text(self) -> str | None:
        """Returns the default as JSON text; None if there is none."""
        return None if self.default is _NOTHING else json.dumps(self.default)


@dataclass
class Cascade:
    """Objects that the system deletes along with another one."""

    kind: str
    """The kind of the objects that are deleted, or their resource where the schema knows no kind."""
    field: str | None = None
    """Their field that refers to the deleted object. None: the system does not expose it."""


@dataclass
class Kind:
    """A kind of objects as the system's schema describes it."""

    name: str
    identifiers: list[str] = field(default_factory=list)
    """The fields of the natural key, in order. Empty where the schema does not tell."""
    fields: list[Field] = field(default_factory=list)
    stands_for: list[str] = field(default_factory=list)
    """Further kinds that a reference may name to accept an object of this kind."""
    cascades: list[Cascade] = field(default_factory=list)
    """Objects that are deleted along with an object of this kind."""
    unique_together: list[list[str]] = field(default_factory=list)
    """Sets of fields whose values together no two objects have, unless one of the values is null."""
    can_create: bool = True
    can_update: bool = True
    can_delete: bool = True
