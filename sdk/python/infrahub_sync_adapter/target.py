"""A kind of the project and its place in the system."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .errors import Error


def peer_id(reference: dict[str, Any]) -> str:
    """Returns the id of the object that a reference of a row points to.

    Raises:
        Error: ``not-found``: the host does not know the id.
    """
    id = reference.get("id")  # noqa: A001 - the contract's word
    if id is None:
        key = json.dumps(reference.get("key") or {}, ensure_ascii=False, separators=(",", ":"))
        raise Error.not_found(f"the object {key} of `{reference['kind']}`, to which it refers, is not in the system")
    return str(id)


@dataclass
class TargetField:
    """A field of a kind, as the project uses it."""

    name: str
    """The field's name in the model."""
    path: str | None = None
    """The dotted path of the field in this system (``status.value``). It is the path that is read; the adapter knows how the field is
    written. None: the system is addressed by kind, or the mapping names no path."""
    peers: list[str] = field(default_factory=list)
    """The kinds that the field may refer to; empty if it is not a reference."""
    many: bool = False
    """The field holds a set of references."""
    identifier: bool = False
    """The field is part of the natural key. Identifiers come first, in the order of the key."""

    @property
    def read_path(self) -> str:
        """The dotted path at which the field is read: the mapping's, or its name."""
        return self.name if self.path is None else self.path

    @property
    def is_reference(self) -> bool:
        """Whether it is a reference, or a set of references."""
        return bool(self.peers)

    def split_path(self) -> tuple[str, str | None]:
        """Returns the first segment of the path (``status`` of ``status.value``) and the rest, if any: many systems take the value at the
        first one."""
        first, dot, rest = self.read_path.partition(".")
        return first, rest if dot else None

    def with_peers(self, value: Any, peer: Callable[[dict[str, Any]], Any] = peer_id) -> Any:
        """Returns a value of the field with its references replaced: by None, by one value of ``peer``, or by a list of them. A value of a
        field without references stays as it is. By default a reference becomes its peer's id.

        Raises:
            Error: See ``peer_id``.
        """
        if not self.is_reference or value is None:
            return value
        return [peer(each) for each in value] if isinstance(value, list) else peer(value)


@dataclass
class Target:
    """A kind of the project and its place in this system. The same record serves reading and writing, source and destination."""

    kind: str
    """The mapping's ``name:``."""
    resource: str | None = None
    """The list or resource that holds its objects (``dcim.devices``). None: the system is addressed by kind."""
    fields: list[TargetField] = field(default_factory=list)

    @property
    def resource_or_kind(self) -> str:
        """The resource; the kind, where the system is addressed by kind."""
        return self.kind if self.resource is None else self.resource

    @property
    def identifiers(self) -> list[TargetField]:
        """The fields of the natural key, in the order of the key."""
        return [each for each in self.fields if each.identifier]

    def field(self, name: str) -> TargetField | None:
        """Returns the field with that name in the model; None if the project has no such field."""
        return next((each for each in self.fields if each.name == name), None)

    def known_field(self, name: str) -> TargetField:
        """Returns the field, which the rows of a write always have in their target.

        Raises:
            Error: ``internal``: the host sent a row that does not fit its target.
        """
        found = self.field(name)
        if found is None:
            raise Error.internal(f"the target `{self.kind}` has no field `{name}`")
        return found

    def fields_at(self, path: str) -> list[TargetField]:
        """Returns the fields that are read at that path. A path may feed several fields."""
        return [each for each in self.fields if each.read_path == path]
