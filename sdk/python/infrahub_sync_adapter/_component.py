"""Between the bindings that componentize-py generates from the contract and this package. Only a component imports it.

An exception that leaves an export ends the instance, and only the host's log shows its text. So each export turns any exception of an
adapter into the contract's failure.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import destination as wit_destination
from wit_world.exports import meta as wit_meta
from wit_world.exports import source as wit_source
from wit_world.imports import files as wit_files
from wit_world.imports import http as wit_http
from wit_world.imports import log as wit_log
from wit_world.imports import memo as wit_memo
from wit_world.imports import types as wit_types

from . import _host
from ._export import exported
from .adapter import Adapter
from .errors import Error
from .http import end_call
from .kinds import Kind
from .manifest import Addressing, Basic, Condition, Credential, Evidence, Header, Login, LoginPlace, LoginStep, Manifest, ReadingPath, Setting
from .page import Document, LoadRequest, Page
from .target import Target, TargetField
from .write import Dependents, KindChanges, Operation, Outcome, Run, RunResult, WriteRequest, defect

T = TypeVar("T")


def _name(case: str) -> str:
    """`not-found` as the bindings spell the case of an enum: `NOT_FOUND`."""
    return case.upper().replace("-", "_")


# The contract's cases, as this package's host interface spells them.
_REFUSALS = {
    wit_http.HttpError_Denied: "denied",
    wit_http.HttpError_InvalidRequest: "invalid-request",
    wit_http.HttpError_Transport: "transport",
    wit_http.HttpError_Timeout: "timeout",
    wit_http.HttpError_TooLarge: "too-large",
    wit_http.HttpError_TooManyResponses: "too-many-responses",
    wit_http.HttpError_LoginFailed: "login-failed",
    wit_files.FileError_Denied: "denied",
    wit_files.FileError_NotFound: "not-found",
    wit_files.FileError_TooLarge: "too-large",
    wit_files.FileError_Other: "other",
}


def _ask(call: Callable[..., T], *arguments: Any) -> T:
    """Calls the host. A denial arrives as the bindings' own exception, and only that one is caught."""
    try:
        return call(*arguments)
    except Err as refused:
        raise _host.HostError(_REFUSALS[type(refused.value)], getattr(refused.value, "value", None)) from None


class _Response:
    """A response of the real host."""

    __slots__ = ("handle",)

    def __init__(self, handle: wit_http.Response) -> None:
        self.handle = handle

    def status(self) -> int:
        return self.handle.status()

    def header(self, name: str) -> str | None:
        return self.handle.header(name)

    def json(self, pointers: list[str]) -> list[str | None]:
        return self.handle.json(pointers)

    def count(self, pointer: str) -> int | None:
        return self.handle.count(pointer)

    def body(self) -> bytes:
        return self.handle.body()

    def release(self) -> None:
        self.handle.__exit__(None, None, None)


class _Host:
    """The real host."""

    def send(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
        timeout_ms: int | None,
        idempotent: bool,
        unprocessed: tuple[str, str] | None,
    ) -> _Response:
        wit_headers = [wit_http.Header(name, value) for name, value in headers]
        wit_unprocessed = wit_http.Header(*unprocessed) if unprocessed else None
        request = wit_http.Request(method, url, wit_headers, body, timeout_ms, idempotent, wit_unprocessed)
        return _Response(_ask(wit_http.send, request))

    def list_files(self) -> list[str]:
        return _ask(wit_files.list)

    def read_file(self, path: str) -> _Response:
        return _Response(_ask(wit_files.read, path))

    def read_lines(self, path: str, offset: int, bytes_max: int) -> tuple[_Response, int | None]:
        handle, after = _ask(wit_files.read_lines, path, offset, bytes_max)
        return _Response(handle), after

    def append_file(self, path: str, data: bytes) -> None:
        _ask(wit_files.append, path, data)

    def replace_file(self, from_path: str, to_path: str) -> None:
        _ask(wit_files.replace, from_path, to_path)

    def remove_file(self, path: str) -> None:
        _ask(wit_files.remove, path)

    def log(self, level: str, message: str) -> None:
        wit_log.log(wit_log.Level[_name(level)], message)

    def memo_get(self, lifetime: str, key: str) -> bytes | None:
        return wit_memo.get(wit_memo.Lifetime[_name(lifetime)], key)

    def memo_put(self, lifetime: str, key: str, value: bytes) -> bytes:
        return wit_memo.put(wit_memo.Lifetime[_name(lifetime)], key, value)


_host.use(_Host())

_configured: Adapter | None = None


def _adapter() -> Adapter:
    if _configured is None:
        raise Error.internal("the adapter was called before it was configured")
    return _configured


def _wit_error(error: Error) -> wit_types.Error:
    return wit_types.Error(wit_types.ErrorKind[_name(error.kind.value)], error.message, error.http_status, error.retry_after_ms)


def _fail(error: BaseException) -> NoReturn:
    """Raises an exception of an adapter as the contract's failure."""
    raise Err(_wit_error(error if isinstance(error, Error) else defect(error))) from None


class Meta(exports.Meta):
    """The adapter's description of itself."""

    def describe(self) -> wit_meta.Manifest:
        # This call cannot fail in the contract: an exception ends the instance, and the host shows its text.
        return _wit_manifest(exported().manifest())

    def configure(self, settings: str) -> None:
        global _configured
        try:
            _configured = exported().configure(json.loads(settings))
        except BaseException as error:
            _fail(error)
        finally:
            end_call()


class Schema(exports.Schema):
    """The kinds of the system."""

    def kinds(self, targets: list[wit_types.Target]) -> list[wit_types.Kind]:
        try:
            return [_wit_kind(kind) for kind in _adapter().kinds([_target(target) for target in targets])]
        except BaseException as error:
            _fail(error)
        finally:
            end_call()


class Source(exports.Source):
    """Reading."""

    def load(self, request: wit_source.LoadRequest) -> wit_source.Page:
        try:
            cursor = None if request.cursor is None else json.loads(request.cursor)
            targets = [_target(target) for target in request.targets]
            page = _adapter().load(
                LoadRequest(
                    request.resource,
                    request.fields,
                    targets,
                    request.ids,
                    page_size=request.page_size,
                    cursor=cursor,
                    since=request.since,
                )
            )
            return _wit_page(page)
        except BaseException as error:
            _fail(error)
        finally:
            end_call()

    def absent(self, target: wit_types.Target, ids: list[str]) -> list[wit_source.Absence]:
        try:
            return [wit_source.Absence[_name(each.value)] for each in _adapter().absent(_target(target), ids)]
        except BaseException as error:
            _fail(error)
        finally:
            end_call()


class Destination(exports.Destination):
    """Writing."""

    def begin(self, run: wit_destination.Run) -> str | None:
        try:
            return _adapter().begin(_run(run))
        except BaseException as error:
            _fail(error)
        finally:
            end_call()

    def write(self, request: wit_destination.WriteRequest) -> list[wit_destination.Outcome]:
        try:
            outcomes = _adapter().write(
                WriteRequest(_target(request.target), Operation(request.operation.name.lower()), request.rows, request.count)
            )
            return [_wit_outcome(outcome) for outcome in outcomes]
        except BaseException as error:
            _fail(error)
        finally:
            end_call()

    def commit(self, kinds: list[str]) -> None:
        try:
            _adapter().commit(kinds)
        except BaseException as error:
            _fail(error)
        finally:
            end_call()

    def cascade(self, target: wit_types.Target, ids: list[str]) -> list[wit_destination.Dependents]:
        try:
            return [_wit_dependents(each) for each in _adapter().cascade(_target(target), ids)]
        except BaseException as error:
            _fail(error)
        finally:
            end_call()

    def finish(self, run: wit_destination.Run, outcome: wit_destination.RunResult) -> str | None:
        try:
            result = RunResult(
                outcome.created, outcome.updated, outcome.deleted, outcome.unchanged, outcome.failed, outcome.skipped
            )
            return _adapter().finish(_run(run), result)
        except BaseException as error:
            _fail(error)
        finally:
            end_call()


def _target(target: wit_types.Target) -> Target:
    fields = [TargetField(each.name, each.path, each.peers, each.many, each.identifier) for each in target.fields]
    return Target(target.kind, target.resource, fields)


def _run(run: wit_destination.Run) -> Run:
    changes = [KindChanges(_target(change.target), change.creates, change.updates, change.deletes) for change in run.changes]
    return Run(run.id, run.sync, run.source, changes)


def _wit_dependents(dependents: Dependents) -> wit_destination.Dependents:
    return wit_destination.Dependents(dependents.kind, dependents.count, dependents.ids)


def _wit_setting(setting: Setting) -> wit_meta.Setting:
    return wit_meta.Setting(
        setting.name,
        setting.help,
        wit_meta.SettingType[_name(setting.type.value)],
        setting.required,
        setting.secret,
        list(setting.environment),
        setting.environment_setting,
        setting.project_first,
        setting.command_line,
        setting.default,
    )


def _wit_credential(credential: Credential) -> wit_meta.Credential:
    return wit_meta.Credential(_wit_condition(credential.when), _wit_credential_form(credential))


def _wit_condition(condition: Condition | None) -> wit_meta.Condition | None:
    return None if condition is None else wit_meta.Condition(condition.setting, condition.values)


def _wit_credential_form(credential: Credential) -> wit_meta.CredentialForm:
    if isinstance(credential, Header):
        templates = [wit_meta.HeaderTemplate(each.name, each.template, each.prefix) for each in credential.templates]
        return wit_meta.CredentialForm_Header(templates)
    if isinstance(credential, Basic):
        return wit_meta.CredentialForm_Basic((credential.user_setting, credential.password_setting))
    if isinstance(credential, Login):
        return wit_meta.CredentialForm_Login(
            wit_meta.Login(
                [_wit_login_step(step) for step in credential.steps],
                list(credential.headers.items()),
                credential.renew_after_s,
                credential.expired,
                [_wit_login_step(step) for step in credential.refresh],
            )
        )
    return wit_meta.CredentialForm_Query((credential.parameter, credential.setting))


def _wit_login_step(step: LoginStep) -> wit_meta.LoginStep:
    body: wit_meta.LoginBody | None = None
    if step.json is not None:
        body = wit_meta.LoginBody_Json(step.json)
    elif step.form is not None:
        body = wit_meta.LoginBody_Form(list(step.form.items()))
    values = [(name, _wit_login_place(place)) for name, place in step.values.items()]
    return wit_meta.LoginStep(step.method, step.path, list(step.headers.items()), body, values)


def _wit_login_place(place: LoginPlace) -> wit_meta.LoginPlace:
    if place.case == "json":
        return wit_meta.LoginPlace_Json(place.where)
    if place.case == "header":
        return wit_meta.LoginPlace_Header(place.where)
    return wit_meta.LoginPlace_Cookie(place.where)


def _wit_addressing(addressing: Addressing | None) -> wit_meta.Addressing | None:
    return None if addressing is None else wit_meta.Addressing[_name(addressing.value)]


def _wit_manifest(manifest: Manifest) -> wit_meta.Manifest:
    return wit_meta.Manifest(
        manifest.name,
        manifest.version,
        manifest.description,
        [_wit_setting(setting) for setting in manifest.settings],
        manifest.address_setting,
        manifest.folder_setting,
        [_wit_credential(credential) for credential in manifest.credentials],
        [_wit_reading_path(each) for each in manifest.reading_paths],
        [wit_meta.Alias(each.name, each.setting, list(each.environment)) for each in manifest.aliases],
        _wit_addressing(manifest.source),
        _wit_addressing(manifest.destination),
        [wit_meta.ReferenceRule[_name(rule.value)] for rule in manifest.references],
        [wit_meta.Table(table.name, table.resource, table.key, table.value) for table in manifest.tables],
        manifest.lookup,
        _wit_evidence(manifest.evidence),
        manifest.ownership,
        manifest.reads_ids,
        manifest.schema,
        manifest.page_size,
        manifest.write_batch_max,
        manifest.write_concurrency,
        manifest.has_ids,
    )


def _wit_reading_path(reading: ReadingPath) -> wit_meta.ReadingPath:
    return wit_meta.ReadingPath(reading.path, wit_meta.ReadingForm.GRAPHQL if reading.graphql else wit_meta.ReadingForm.ANY)


def _wit_evidence(evidence: Evidence) -> wit_meta.Evidence:
    found = wit_meta.Evidence(0)
    for each in Evidence:
        if each in evidence:
            found |= wit_meta.Evidence[each.name]
    return found


def _wit_kind(kind: Kind) -> wit_types.Kind:
    fields = [
        wit_types.Field(
            field.name,
            wit_types.FieldType[_name(field.type.value)],
            field.optional,
            field.unique,
            field.read_only,
            field.references,
            field.choices,
            field.default_text(),
        )
        for field in kind.fields
    ]
    cascades = [wit_types.Cascade(each.kind, each.field) for each in kind.cascades]
    return wit_types.Kind(
        kind.name,
        kind.identifiers,
        fields,
        kind.stands_for,
        cascades,
        kind.unique_together,
        kind.can_create,
        kind.can_update,
        kind.can_delete,
    )


def _wit_page(page: Page) -> wit_source.Page:
    after = None if page.next is None else json.dumps(page.next, ensure_ascii=False, separators=(",", ":")).encode()
    payload: wit_source.Payload
    if isinstance(page.payload, Document):
        document = page.payload
        layout = wit_source.Layout[_name(document.layout.value)]
        # Handing the handle back empties it. The response forgets it first, so that a later use is an ordinary error.
        handle = document.response._take().handle  # type: ignore[attr-defined]
        payload = wit_source.Payload_Document(
            wit_source.Document(handle, layout, document.pointer, [(path, at) for path, at in document.projection])
        )
    else:
        payload = wit_source.Payload_JsonLines(page.payload.data)
    return wit_source.Page(payload, after, page.watermark, page.deleted, page.total, page.partial)


def _wit_outcome(outcome: Outcome) -> wit_destination.Outcome:
    if outcome.case == "written":
        return wit_destination.Outcome_Written(outcome.id)
    if outcome.case == "unchanged":
        return wit_destination.Outcome_Unchanged(outcome.id)
    if outcome.case == "staged":
        return wit_destination.Outcome_Staged()
    error = outcome.error or Error.internal("a row failed without an error")
    return wit_destination.Outcome_Failed(_wit_error(error))
