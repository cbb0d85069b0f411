"""Requests, sent by the host.

The host adds the credentials, checks the address, keeps connections, retries and limits: a response is final. A path is below the
configured address.
"""

from __future__ import annotations

import json as _json
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar
from urllib.parse import quote

from . import errors
from ._host import HostError, RawResponse, host
from .errors import Error

__all__ = ["Request", "Response", "delete", "get", "patch", "path_segment", "post", "put", "request", "with_query"]

T = TypeVar("T")

_READS = ("GET", "HEAD", "PUT", "DELETE")

# The types that a value of JSON may have, as a message names them.
_TYPES = {bool: "a boolean", int: "an integer", float: "a number", str: "a text", list: "a list", dict: "an object"}

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass
class Request:
    """A request that is not sent yet. ``get``, ``post``, … make one and send it at once."""

    method: str
    url: str
    """A path (and query) below the configured address, beginning with ``/``, or an absolute URL of the same origin."""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_ms: int | None = None
    """A shorter limit for this request than the host's."""
    only_reads: bool | None = None
    """The host may send it twice. None: GET, HEAD, PUT and DELETE qualify, others do not."""
    unprocessed_if: tuple[str, str] | None = None
    """The header (name, value) of a 429 or 503 answer that proves that the request was not executed. The host then repeats a request that
    does not only read only after an answer with this header. None: after any 429."""

    def send(self) -> Response:
        """Sends it and waits. A response of any status counts as a success here: see ``Response.success``.

        Raises:
            Error: ``config`` when the host denies it, ``auth`` when the login is rejected, ``transport`` without an answer, ``remote``
                when the answer is too large, ``internal`` for a mistake of the adapter.
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
            return Error.internal(f"the adapter already holds {refused.value} responses, which is the limit")
        return Error.internal(f"{what} is not a valid request: {refused.value}")


class Response:
    """A response of a request or of a file. The body stays in host memory until the adapter asks for a part of it.

    The handle lives for the call in which it was received: hand it back in a page, or release it. The host keeps a limited number at a time.
    Python releases a response as soon as nothing refers to it; ``release`` and ``with`` do it at once.
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
        """Returns the value of a header, whatever its case; the first one of several."""
        return self._held().header(name)

    def date(self) -> datetime | None:
        """Returns the system's time when it answered: the header ``Date``, in UTC. None if there is none."""
        parts = (self.header("date") or "").replace(":", " ").split()
        # RFC 9110: `Sun, 06 Nov 1994 08:49:37 GMT`. Not strptime, which depends on the locale and imports a module when it is called.
        if len(parts) != 8 or parts[7] != "GMT" or parts[2] not in _MONTHS:
            return None
        try:
            day, year, hour, minute, second = (int(parts[at]) for at in (1, 3, 4, 5, 6))
            moment = datetime(year, _MONTHS.index(parts[2]) + 1, day, hour, minute, tzinfo=timezone.utc)
        except ValueError:
            return None
        # A leap second counts as the first one of the next minute.
        return moment + timedelta(seconds=second) if 0 <= second <= 60 else None

    def json(self, *pointers: str) -> list[str | None]:
        """Returns the JSON text at each RFC 6901 pointer, in one pass over the body; None where the pointer leads nowhere. The empty pointer
        is the whole body."""
        return self._held().json(list(pointers))

    def value(self, pointer: str) -> Any:
        """Returns the value at a pointer; None where the pointer leads nowhere (and where there is null)."""
        (text,) = self.json(pointer)
        return None if text is None else _json.loads(text)

    def get(self, pointer: str, type: type[T]) -> T:  # noqa: A002 - the word for it
        """Returns the value at a pointer, which must be of that type: ``bool``, ``int``, ``float``, ``str``, ``list`` or ``dict``.

        Raises:
            Error: ``remote``: the answer has no such value. The message names the pointer.
        """
        (text,) = self.json(pointer)
        if text is None:
            raise Error.remote("the answer has no JSON value" + (f" at `{pointer}`" if pointer else "")).with_status(self._status)
        value = _json.loads(text)
        if type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        # In Python true and false are integers, too.
        if not isinstance(value, type) or (isinstance(value, bool) and type is not bool):
            wanted = _TYPES.get(type, type.__name__)
            raise Error.remote(f"the value at `{pointer}` of the answer is not {wanted}").with_status(self._status)
        return value

    def count(self, pointer: str) -> int | None:
        """Returns the number of elements of the array at the pointer; None where there is no array."""
        return self._held().count(pointer)

    def body(self) -> bytes:
        """Returns the whole body, copied into the adapter. For small bodies."""
        return bytes(self._held().body())

    def parse(self) -> Any:
        """Parses the whole body as JSON. This costs many times what handing the response back costs: for small bodies.

        Raises:
            Error: ``remote``: the body is not JSON.
        """
        (text,) = self.json("")
        if text is None:
            raise Error.remote("the answer cannot be read: it is not JSON").with_status(self._status)
        return _json.loads(text)

    def release(self) -> None:
        """Frees the memory before the call ends. Only ``status`` can be asked afterwards."""
        if self._raw is not None:
            self._take().release()

    def success(self, what: str) -> Response:
        """Returns itself if it is a success. ``what`` names the requested resource.

        Raises:
            Error: The failure of its status: see ``Error.from_response``.
        """
        if self.is_success:
            return self
        raise Error.from_response(what, self)

    def detail(self) -> str | None:
        """Returns the system's own words about a refusal, as one short line: ``detail``, ``error`` or ``message`` of a JSON body, else the
        JSON or the plain text itself; never HTML."""
        return errors.detail(self)

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


# The responses of the current call: a handle is invalid in later calls.
_held: weakref.WeakSet[Response] = weakref.WeakSet()


def end_call() -> None:
    """Releases the responses that the call has left, such as one that the adapter keeps somewhere."""
    for response in list(_held):
        response.release()


def path_segment(text: Any) -> str:
    """Encodes a text, or an id, as one segment of a path."""
    return quote(str(text), safe="")


def with_query(path: str, query: Mapping[str, Any] | Sequence[tuple[str, Any]]) -> str:
    """Returns a path with a query, encoded by RFC 3986. Commas, which separate the elements of lists, stay."""
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
    """Sends a request; ``json`` is any value that can be written as JSON. See ``Request`` for the other options."""
    headers = dict(headers or {})
    if json is not None:
        body = _json.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
        headers.setdefault("content-type", "application/json")
    return Request(method, with_query(url, query), headers, body, timeout_ms, only_reads, unprocessed_if).send()


def get(url: str, **options: Any) -> Response:
    """Sends a GET; the options are those of ``request``."""
    return request("GET", url, **options)


def post(url: str, **options: Any) -> Response:
    """Sends a POST; the options are those of ``request``."""
    return request("POST", url, **options)


def put(url: str, **options: Any) -> Response:
    """Sends a PUT; the options are those of ``request``."""
    return request("PUT", url, **options)


def patch(url: str, **options: Any) -> Response:
    """Sends a PATCH; the options are those of ``request``."""
    return request("PATCH", url, **options)


def delete(url: str, **options: Any) -> Response:
    """Sends a DELETE; the options are those of ``request``."""
    return request("DELETE", url, **options)
