"""The part of infrahub-sync 2.0.1 that the classes of a custom adapter use.

Filters, transforms and the mapping of fields are the host's task. So ``filter_records`` and ``transform_records`` keep the records that they are given,
for the host, and return none of them.
"""

from __future__ import annotations

from typing import Any


class _Record:
    """An object with any attributes; those that are missing are None."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


class SchemaMappingFilter(_Record):
    """A filter of a mapping."""


class SchemaMappingTransform(_Record):
    """A transform of a mapping."""


class SchemaMappingField(_Record):
    """A field of a mapping: ``name``, ``mapping``, ``static``, ``reference``."""


class SchemaMappingModel(_Record):
    """A mapping: ``name``, ``mapping``, ``identifiers``, ``filters``, ``transforms``, ``fields``."""


class SyncAdapter(_Record):
    """A side of a project: ``name``, ``adapter``, ``settings``."""


class SyncConfig(_Record):
    """A project: ``name``, ``source``, ``destination``, ``schema_mapping``."""


SyncInstance = SyncConfig
SyncStore = _Record


class DiffSyncMixin:
    """What adapters have in common."""

    def load(self) -> None:
        for item in self.config.schema_mapping:  # type: ignore[attr-defined]
            self.model_loader(model_name=item.name, model=getattr(self, item.name))

    def model_loader(self, model_name: str, model: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no model_loader")


class DiffSyncModelMixin:
    """What models have in common."""

    _kept: list[Any] | None = None
    _lists: tuple[str, ...] = ()

    @classmethod
    def filter_records(cls, records: Any, schema_mapping: Any) -> list[Any]:
        cls._kept = [*(cls._kept or []), *records]
        return []

    @classmethod
    def transform_records(cls, records: Any, schema_mapping: Any) -> list[Any]:
        return cls.filter_records(records, schema_mapping)

    @classmethod
    def get_resource_name(cls, schema_mapping: Any) -> Any:
        return next((item.mapping for item in schema_mapping if item.name == cls.__name__), None)

    @classmethod
    def is_list(cls, name: str) -> bool:
        return name in cls._lists
