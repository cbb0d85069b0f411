"""Runs a custom adapter of infrahub-sync 2.0.1 as a component: its ``model_loader`` reads, and the host does the rest.

A component has no files but those of the folder that the project grants. ``open`` and ``pathlib.Path`` read from there.
"""

from __future__ import annotations

import builtins
import io
import pathlib
from typing import Any

import infrahub_sync_adapter as sdk
from diffsync import DiffSyncModel
from infrahub_sync import DiffSyncModelMixin, SchemaMappingField, SchemaMappingModel, SyncAdapter, SyncConfig
from infrahub_sync_adapter import Error, ErrorKind, LoadRequest, Page, Target, files


class Adapter(sdk.Adapter):
    """The adapter of a class that was made for infrahub-sync 2.0.1."""

    original: Any = None
    """The class: its ``__init__(target, adapter, config)`` and ``model_loader(model_name, model)`` are called."""

    models: Any = None
    """The module of the class, where its model is."""

    def load(self, request: LoadRequest) -> Page:
        install()
        if request.since is not None:
            raise Error.unsupported("this adapter does not tell which objects changed")
        target = request.targets[0] if request.targets else Target(request.resource, request.resource)
        mapping = SchemaMappingModel(
            name=target.kind,
            mapping=request.resource,
            identifiers=[field.name for field in target.identifiers],
            fields=[
                SchemaMappingField(name=field.name, mapping=field.read_path, reference=field.peers[0] if field.peers else None)
                for field in target.fields
            ],
        )
        return Page.records(self._records(target, mapping))

    def _records(self, target: Target, mapping: SchemaMappingModel) -> list[Any]:
        original = type(self).original
        # The class filters only where its own name is the source's.
        side = SyncAdapter(name=str(getattr(original, "type", None) or original.__name__), settings=dict(self.settings))
        config = SyncConfig(name="component", source=side, destination=SyncAdapter(name="", settings={}), schema_mapping=[mapping])
        model = self._model(target)
        adapter = original(target="source", adapter=side, config=config)
        setattr(adapter, target.kind, model)
        adapter.model_loader(model_name=target.kind, model=model)
        if model._kept is not None:
            return [record if isinstance(record, dict) else vars(record) for record in model._kept]
        # The class maps the fields itself: each value goes to the path from which the host takes it.
        return [_record(obj, target) for obj in adapter.store.get_all(model=target.kind)]

    def _model(self, target: Target) -> Any:
        bases = [
            each
            for each in vars(type(self).models).values()
            if isinstance(each, type) and issubclass(each, DiffSyncModel) and each is not DiffSyncModel
        ]
        own = bases[:1] or [DiffSyncModel]
        mixin = [] if issubclass(own[0], DiffSyncModelMixin) else [DiffSyncModelMixin]
        names = [field.name for field in target.fields]
        identifiers = tuple(field.name for field in target.identifiers)
        return type(
            target.kind,
            tuple(mixin + own),
            {
                "_modelname": target.kind,
                "_identifiers": identifiers,
                "_attributes": tuple(name for name in names if name not in identifiers),
                "_lists": tuple(field.name for field in target.fields if field.many),
                "_kept": None,
            },
        )


def _record(obj: Any, target: Target) -> dict[str, Any]:
    record: dict[str, Any] = {} if obj.local_id is None else {"id": obj.local_id}
    for field in target.fields:
        value = getattr(obj, field.name, None)
        place = record
        *way, last = field.read_path.split(".")
        for part in way:
            place = place.setdefault(part, {})
        place[last] = value
    return record


def _path(path: Any) -> str:
    return str(path).removeprefix("./")


def _read(path: Any) -> bytes:
    try:
        return files.read(_path(path)).body()
    except Error as error:
        if error.kind is ErrorKind.NOT_FOUND:
            raise FileNotFoundError(str(path)) from None
        raise


def _open(file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None, errors: Any = None, newline: Any = None, **_: Any) -> Any:
    if not set(mode) <= set("rbt"):
        raise Error.config(f"`{file}`: a component writes files with `infrahub_sync_adapter.files` only")
    data = _read(file)
    if "b" in mode:
        return io.BytesIO(data)
    return io.TextIOWrapper(io.BytesIO(data), encoding=encoding or "utf-8", errors=errors, newline=newline)


def _is_file(self: pathlib.Path, **_: Any) -> bool:
    try:
        _read(self)
    except FileNotFoundError:
        return False
    return True


def _use_granted_files() -> None:
    builtins.open = _open  # type: ignore[assignment]
    path: Any = pathlib.Path
    path.open = lambda self, *args, **kwargs: _open(self, *args, **kwargs)
    path.exists = _is_file
    path.is_file = _is_file
    path.read_bytes = _read
    path.read_text = lambda self, encoding=None, errors=None, newline=None: _read(self).decode(encoding or "utf-8", errors or "strict")


def install() -> None:
    """Makes files readable. Called when a call of the host begins, not while the component is built: the build reads files of its own."""
    if builtins.open is not _open:
        _use_granted_files()
