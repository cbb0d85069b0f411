"""The shape of kinds, for adapters that know the schema of their system."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from typing import Any


class FieldType(enum.Enum):
    """The type of a field's values."""

    ANY = "any"
    """Not known: values are taken as they come."""
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    TEXT = "text"
    """Text stays text: a transform's ``123`` is not read as a number."""
    TIMESTAMP = "timestamp"
    """A date and time, as ISO 8601 text."""
    IP_INTERFACE = "ip-interface"
    """An IP address with the length of its prefix; addresses are compared, not spellings."""
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
    reference: str | None = None
    """The kind that a reference points to."""
    choices: list[str] = field(default_factory=list)
    """The closed set of values, empty where any value is good."""
    default: Any = _NOTHING
    """What the system puts there when nothing is given: any JSON value. Such a value in the destination is not fought over when the source
    has none."""

    def default_text(self) -> str | None:
        """The default as JSON text; None when there is none."""
        return None if self.default is _NOTHING else json.dumps(self.default)


@dataclass
class Kind:
    """A kind of objects as the system's schema describes it."""

    name: str
    identifiers: list[str] = field(default_factory=list)
    """The fields of the natural key, in order. Empty where the schema does not tell."""
    fields: list[Field] = field(default_factory=list)
    stands_for: list[str] = field(default_factory=list)
    """Further kinds that a reference may name and be given an object of this kind."""
    can_create: bool = True
    can_update: bool = True
    can_delete: bool = True
