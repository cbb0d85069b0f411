"""Requests, sent by the host.

The host adds the credentials, checks the address, keeps connections, retries and limits: what comes back is final. A path is below the
configured address.
"""

from __future__ import annotations

import json as _json
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from . import errors
from ._host import HostError, RawResponse, host
from .errors import Error

__all__ = ["Request", "Response", "delete", "get", "patch", "post", "put", "request", "with_query"]

_READS = ("GET", "HEAD", "PUT", "DELETE")


@dataclass
class Request:
    """A request, not sent yet. ``get``, ``post``, … make one and send it at once."""

    method: str
    url: str
    """A path (and query) below the configured address, beginning with ``/``, or an absolute URL of the same origin."""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_ms: int | None = None
    """A limit of its own for this request, within the host's."""
    only_reads: bool | None = None
    """The host may send it twice. None: GET, HEAD, PUT and DELETE may be, others not."""
    unprocessed_if: tuple[str, str] | None = None
    """The header (name, value) of an answer (429 or 503) that proves that nothing was done with the request: only such an answer makes the
    host repeat a request that does not only read. None: any 429 does."""

    def send(self) -> Response:
        """Sends it and waits. A response of any status is a success here: see ``Response.success``.

        Raises:
            Error: ``config`` when the host denies it, ``auth`` when its login is refused, ``transport`` without an answer, ``remote``
                when the answer is too large, ``internal`` for what the adapter did wrong.
        """
        headers = {"accept": "application/json", **{name.lower(): value for name, value in self.headers.items()}}
        idempotent = self.method in _READS if self.only_reads is None else self.only_reads
        try:
            raw = host().send(
                self.method, self.url, list(headers.items()), self.body, self.timeout_ms, idempotent, self.unprocessed_if
            )
        except HostError as refused:
            raise self._failed(refused) from None
        return Response(raw)

    def _failed(self, refused: HostError) -> Error:
        what = f"{self.method} {self.url}"
        if refused.case == "denied":
            return Error.config(refused.value)
        if refused.case == "login-failed":
            return Error.auth(refused.value)
        if refused.case in ("transport", "timeout"):
            return Error.transport(refused.value)
        if refused.case == "too-large":
            return Error.remote(f"the answer to {what} is larger than the limit of {refused.value} bytes")
        if refused.case == "too-many-responses":
            return Error.internal(f"the adapter holds {refused.value} responses already, which is the limit")
        return Error.internal(f"{what} is no request: {refused.value}")


class Response:
    """A response of a request or of a file. The body stays in host memory until the adapter asks for a part of it.

    The handle lives for the call in which it was received: hand it back in a page, or let go of it. The host keeps a limited number at a
    time. Python lets go of a response as soon as nothing refers to it; ``release`` and ``with`` do it at once.
    """

    __slots__ = ("__weakref__", "_raw", "_status")

    def __init__(self, raw: RawResponse) -> None:
        self._raw: RawResponse | None = raw
        self._status = raw.status()
        _held.add(self)

    def _held(self) -> RawResponse:
        if self._raw is None:
            raise Error.internal("a response was used after it was released or handed back")
        return self._raw

    def _take(self) -> RawResponse:
        """Takes the handle away: it goes back to the host, and touching it here would end the instance."""
        raw = self._held()
        self._raw = None
        _held.discard(self)
        return raw

    @property
    def status(self) -> int:
        """The HTTP status; 200 for a file."""
        return self._status

    @property
    def is_success(self) -> bool:
        """Whether the status is a success (2xx)."""
        return 200 <= self._status < 300

    def header(self, name: str) -> str | None:
        """The value of a header, whatever its case; the first one of several."""
        return self._held().header(name)

    def json(self, *pointers: str) -> list[str | None]:
        """The JSON text at each RFC 6901 pointer, in one pass over the body; None where there is nothing. The empty pointer is the whole
        body."""
        return self._held().json(list(pointers))

    def value(self, pointer: str) -> Any:
        """The value at a pointer; None where there is nothing (and where there is null)."""
        (text,) = self.json(pointer)
        return None if text is None else _json.loads(text)

    def count(self, pointer: str) -> int | None:
        """The number of elements of the array at the pointer; None where there is no array."""
        return self._held().count(pointer)

    def body(self) -> bytes:
        """The whole body, copied into the adapter. For small bodies."""
        return bytes(self._held().body())

    def parse(self) -> Any:
        """The whole body, read as JSON. This costs many times what handing the response back costs: for small bodies.

        Raises:
            Error: ``remote`` when it is no JSON.
        """
        (text,) = self.json("")
        if text is None:
            raise Error.remote("the answer cannot be read: it is no JSON")
        return _json.loads(text)

    def release(self) -> None:
        """Gives the memory back before the call ends. Nothing but ``status`` can be asked afterwards."""
        if self._raw is not None:
            self._take().release()

    def success(self, what: str) -> Response:
        """Itself if it is a success. ``what`` says what was asked for.

        Raises:
            Error: What its status means: see ``Error.from_response``.
        """
        if self.is_success:
            return self
        raise Error.from_response(what, self)

    def detail(self) -> str | None:
        """What the system says about a refusal, as one short line: ``detail``, ``error`` or ``message`` of a JSON body, else the JSON or
        the plain text itself. HTML is no answer for a person."""
        return errors.detail(self)

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


# The responses of the call under way: a handle is of no use in a later one.
_held: weakref.WeakSet[Response] = weakref.WeakSet()


def end_call() -> None:
    """Releases what the call that ended has left: a response that the adapter keeps somewhere."""
    for response in list(_held):
        response.release()


def with_query(path: str, query: Mapping[str, Any] | Sequence[tuple[str, Any]]) -> str:
    """A path with a query, encoded as RFC 3986 wants it. Commas stay, which lists are written with."""
    pairs = query.items() if isinstance(query, Mapping) else query
    texts = [f"{quote(str(name), safe=',')}={quote(_text(value), safe=',')}" for name, value in pairs]
    if not texts:
        return path
    return path + ("&" if "?" in path else "?") + "&".join(texts)


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def request(
    method: str,
    url: str,
    *,
    query: Mapping[str, Any] | Sequence[tuple[str, Any]] = (),
    json: Any = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_ms: int | None = None,
    only_reads: bool | None = None,
    unprocessed_if: tuple[str, str] | None = None,
) -> Response:
    """Sends a request; ``json`` is any value that can be written as JSON. See ``Request`` for the rest."""
    headers = dict(headers or {})
    if json is not None:
        body = _json.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
        headers.setdefault("content-type", "application/json")
    return Request(method, with_query(url, query), headers, body, timeout_ms, only_reads, unprocessed_if).send()


def get(url: str, **options: Any) -> Response:
    """A GET; the options are those of ``request``."""
    return request("GET", url, **options)


def post(url: str, **options: Any) -> Response:
    """A POST; the options are those of ``request``."""
    return request("POST", url, **options)


def put(url: str, **options: Any) -> Response:
    """A PUT; the options are those of ``request``."""
    return request("PUT", url, **options)


def patch(url: str, **options: Any) -> Response:
    """A PATCH; the options are those of ``request``."""
    return request("PATCH", url, **options)


def delete(url: str, **options: Any) -> Response:
    """A DELETE; the options are those of ``request``."""
    return request("DELETE", url, **options)
