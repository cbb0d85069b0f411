"""A mock host for an adapter's own unit tests.

Natively, ``http``, ``files``, ``memo`` and ``log`` use it. It answers registered requests, keeps files and memos in memory, and records
requests and messages. It has no limits: only a run shows what the sandbox denies.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Union

from . import _host
from .adapter import Adapter
from .page import Document, JsonLines, Layout, LoadRequest, Page
from .target import Target
from .write import Operation, WriteRequest

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


@dataclass
class SentRequest:
    """A request that the adapter sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    timeout_ms: int | None
    only_reads: bool
    unprocessed_if: tuple[str, str] | None

    def json(self) -> Any:
        """Parses the body as JSON."""
        return json.loads(self.body or b"null")


def _bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _at(value: Any, pointer: str) -> tuple[bool, Any]:
    """Returns whether there is a value at an RFC 6901 pointer, and the value."""
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdigit() and int(token) < len(value):
            value = value[int(token)]
        else:
            return False, None
    return True, value


@dataclass
class MockResponse:
    """A response of the mock host."""

    answer: Answer
    released: bool = False

    def status(self) -> int:
        return self.answer[0]

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.answer[1].items() if key.lower() == name.lower()), None)

    def json(self, pointers: list[str]) -> list[str | None]:
        try:
            whole = json.loads(self.answer[2])
        except ValueError:
            return [None] * len(pointers)
        found = (_at(whole, pointer) for pointer in pointers)
        return [json.dumps(value, ensure_ascii=False) if there else None for there, value in found]

    def count(self, pointer: str) -> int | None:
        (text,) = self.json([pointer])
        value = None if text is None else json.loads(text)
        return len(value) if isinstance(value, list) else None

    def body(self) -> bytes:
        return self.answer[2]

    def release(self) -> None:
        self.released = True


@dataclass
class MockHost:
    """The state of the mock host."""

    answers: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)
    handler: Callable[[SentRequest], Answer | None] | None = None
    breaks: list[Callable[[SentRequest], bool]] = field(default_factory=list)
    requests: list[SentRequest] = field(default_factory=list)
    responses: list[MockResponse] = field(default_factory=list)
    messages: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    memos: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def send(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
        timeout_ms: int | None,
        idempotent: bool,
        unprocessed: tuple[str, str] | None,
    ) -> MockResponse:
        request = SentRequest(method, url, dict(headers), body, timeout_ms, idempotent, unprocessed)
        self.requests.append(request)
        for broken in self.breaks:
            if broken(request):
                self.breaks.remove(broken)
                raise _host.HostError("transport", f"{method} {url}: the connection broke, as the test asked")
        registered = self.answers.get((method, url))
        answer: Answer | None
        if registered:
            answer = registered.pop(0) if len(registered) > 1 else registered[0]
        else:
            answer = self.handler(request) if self.handler else None
        if answer is None:
            raise _host.HostError("transport", f"no answer is registered for {method} {url}")
        return self._respond(answer)

    def _respond(self, answer: Answer) -> MockResponse:
        response = MockResponse(answer)
        self.responses.append(response)
        return response

    def _path(self, path: str) -> str:
        if path.startswith("/") or ".." in path.split("/"):
            raise _host.HostError("denied", f"`{path}` leads out of the folder")
        return path

    def list_files(self) -> list[str]:
        return sorted(path for path in self.files if "/" not in path)

    def read_file(self, path: str) -> MockResponse:
        data = self.files.get(self._path(path))
        if data is None:
            raise _host.HostError("not-found")
        return self._respond((200, {}, data))

    def read_lines(self, path: str, offset: int, bytes_max: int) -> tuple[MockResponse, int | None]:
        data = self.read_file(path).body()
        start = min(offset, len(data))
        limit = min(start + bytes_max, len(data))
        if limit < len(data):
            # The last whole line within the limit, else the first one after it.
            end = data.rfind(b"\n", start, limit) + 1 or data.find(b"\n", limit) + 1 or len(data)
        else:
            end = limit
        return self._respond((200, {}, data[start:end])), end if end < len(data) else None

    def append_file(self, path: str, data: bytes) -> None:
        self.files[self._path(path)] = self.files.get(path, b"") + data

    def replace_file(self, from_path: str, to_path: str) -> None:
        self._path(to_path)
        if self._path(from_path) not in self.files:
            raise _host.HostError("not-found")
        self.files[to_path] = self.files.pop(from_path)

    def remove_file(self, path: str) -> None:
        self.files.pop(self._path(path), None)

    def log(self, level: str, message: str) -> None:
        self.messages.append((level, message))

    def memo_get(self, lifetime: str, key: str) -> bytes | None:
        return self.memos.get((lifetime, key))

    def memo_put(self, lifetime: str, key: str, value: bytes) -> bytes:
        if lifetime == "run":
            return self.memos.setdefault((lifetime, key), value)
        self.memos[lifetime, key] = value
        return value


def _mock() -> MockHost:
    host = _host.host()
    assert isinstance(host, MockHost), "there is no mock host in a component"
    return host


def reset() -> None:
    """Drops everything that was registered and recorded."""
    _host.use(MockHost())


def respond(method: str, url: str, status: int, body: Any = b"", headers: dict[str, str] | None = None) -> None:
    """Registers the answer to a request: bytes, text, or any value that can be written as JSON. The URL must be the same text. Several
    answers to the same request are given in order; the last one repeats."""
    _mock().answers.setdefault((method, url), []).append((status, headers or {}, _bytes(body)))


def respond_with(handler: Callable[[SentRequest], Union[tuple[int, Any], None]]) -> None:
    """Registers a function for requests without an answer of their own. It returns status and body; None: no answer."""

    def answer(request: SentRequest) -> Answer | None:
        made = handler(request)
        return None if made is None else (made[0], {}, _bytes(made[1]))

    _mock().handler = answer


def fail_request(breaks: Callable[[SentRequest], bool]) -> None:
    """Makes the next request for which ``breaks`` returns true fail in transport, once: as if the connection broke, so that it is unknown
    whether the request arrived."""
    _mock().breaks.append(breaks)


def next_run() -> None:
    """Begins another run: drops the values of the run, keeps the lasting ones."""
    memos = _mock().memos
    for key in [key for key in memos if key[0] == "run"]:
        del memos[key]


def requests() -> list[SentRequest]:
    """Returns the requests that were sent, in order."""
    return _mock().requests


def messages() -> list[tuple[str, str]]:
    """Returns the messages that were logged (level, text), in order."""
    return _mock().messages


def put_file(path: str, data: bytes) -> None:
    """Puts a file into the folder."""
    _mock().files[path] = data


def file(path: str) -> bytes | None:
    """Returns the bytes of a file of the folder; None if it is missing."""
    return _mock().files.get(path)


def first_page(resource: str, *fields: str, page_size: int = 1000) -> LoadRequest:
    """Makes a request for the first page."""
    return LoadRequest(resource, list(fields), page_size=page_size)


def first_page_of(target: Target) -> LoadRequest:
    """Makes a request for the first page of a target: its resource, and the paths of its fields."""
    return LoadRequest(target.resource_or_kind, [each.read_path for each in target.fields], [target])


def write_request(target: Target, operation: Operation, *rows: Any) -> WriteRequest:
    """Makes a write of these rows: values that can be written as JSON."""
    return WriteRequest(target, operation, "".join(json.dumps(row) + "\n" for row in rows).encode(), len(rows))


def load_all(adapter: Adapter, request: LoadRequest) -> list[Any]:
    """Reads all pages. Returns their records as the host sees them."""
    records: list[Any] = []
    while True:
        page = adapter.load(request)
        records.extend(page_records(page))
        if page.next is None:
            return records
        # The host hands it over as JSON.
        request = dataclasses.replace(request, cursor=json.loads(json.dumps(page.next)))


def page_records(page: Page) -> list[Any]:
    """Returns the records of a page.

    Raises:
        AssertionError: The payload breaks the contract.
    """
    if isinstance(page.payload, JsonLines):
        return [json.loads(line) for line in page.payload.data.splitlines() if line]
    document: Document = page.payload
    if document.layout is Layout.JSON_LINES:
        return [json.loads(line) for line in document.response.body().splitlines() if line]
    value = document.response.value(document.pointer)
    assert isinstance(value, (list, dict)), f"neither a list nor an object at {document.pointer!r}: {value!r}"
    return value if isinstance(value, list) else list(value.values())
