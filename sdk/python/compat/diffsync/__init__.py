"""The part of diffsync that the classes of a custom adapter of infrahub-sync 2.0.1 use. It loads objects; comparing them is the host's task."""

from __future__ import annotations

from typing import Any


class ObjectNotFound(Exception):
    """No object has this identity."""


class ObjectAlreadyExists(Exception):
    """Another object has this identity. Never raised here: the host reports such objects."""


class DiffSyncModel:
    """An object of a kind, with the values that it was made with."""

    _modelname = ""
    _identifiers: tuple[str, ...] = ()
    _attributes: tuple[str, ...] = ()

    def __init__(self, **data: Any) -> None:
        self.local_id: Any = None
        self.local_data: Any = None
        self.adapter: Any = None
        self.__dict__.update(data)

    @classmethod
    def get_type(cls) -> str:
        return cls._modelname or cls.__name__

    def get_identifiers(self) -> dict[str, Any]:
        return {name: getattr(self, name, None) for name in self._identifiers}

    def get_attrs(self) -> dict[str, Any]:
        return {name: getattr(self, name, None) for name in self._attributes}

    @classmethod
    def create_unique_id(cls, **identifiers: Any) -> str:
        return "__".join(str(identifiers[name]) for name in cls._identifiers)

    def get_unique_id(self) -> str:
        return self.create_unique_id(**self.get_identifiers())

    @classmethod
    def create(cls, adapter: Any, ids: Any, attrs: Any) -> Any:
        return cls(**dict(ids), **dict(attrs))

    def update(self, attrs: Any) -> Any:
        self.__dict__.update(attrs)
        return self

    def delete(self) -> Any:
        return self


class Store:
    """The objects that were loaded, by kind."""

    def __init__(self) -> None:
        self._objects: dict[str, list[DiffSyncModel]] = {}

    @staticmethod
    def _name(model: Any) -> str:
        return model if isinstance(model, str) else model.get_type()

    def add(self, *, obj: DiffSyncModel) -> None:
        self._objects.setdefault(obj.get_type(), []).append(obj)

    def get_all(self, *, model: Any) -> list[DiffSyncModel]:
        return list(self._objects.get(self._name(model), []))

    def get(self, *, model: Any, identifier: Any) -> DiffSyncModel:
        for obj in self._objects.get(self._name(model), []):
            if identifier in (obj.get_unique_id(), obj.get_identifiers()):
                return obj
        raise ObjectNotFound(f"{self._name(model)} {identifier} not present")


class Adapter:
    """A set of objects."""

    type: str | None = None
    top_level: list[str] = []

    def __init__(self, *args: Any, name: str | None = None, **kwargs: Any) -> None:
        self.name = name or type(self).__name__
        self.store = Store()

    def add(self, obj: DiffSyncModel) -> None:
        obj.adapter = self
        self.store.add(obj=obj)

    def update(self, obj: DiffSyncModel) -> None:
        self.add(obj)

    def get(self, obj: Any, identifier: Any) -> DiffSyncModel:
        return self.store.get(model=obj, identifier=identifier)

    def get_or_none(self, obj: Any, identifier: Any) -> DiffSyncModel | None:
        try:
            return self.get(obj, identifier)
        except ObjectNotFound:
            return None

    def get_all(self, obj: Any) -> list[DiffSyncModel]:
        return self.store.get_all(model=obj)


# The name of the class in diffsync 1.
DiffSync = Adapter
