"""Failures are cases: the host acts on the kind, the user reads the message."""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .http import Response

# Characters of a system's own text in a message: enough for a sentence, not for a page of HTML.
_DETAIL_CHARS_MAX = 300


class ErrorKind(enum.Enum):
    """What went wrong, as far as the host must act on it."""

    CONFIG = "config"
    """A setting or the mapping asks for something that cannot work: the user must change config.yml."""
    AUTH = "auth"
    """The system rejected the credentials, or they do not permit this."""
    NOT_FOUND = "not-found"
    """The resource or object does not exist."""
    CONFLICT = "conflict"
    """The object exists already, or was modified by another user. From ``load``: the list moved, and is read again."""
    INVALID = "invalid"
    """The system rejected the data."""
    RATE_LIMITED = "rate-limited"
    """The system asks for fewer requests. The host has retried already."""
    TRANSPORT = "transport"
    """No answer: connection, name resolution, TLS, timeout."""
    REMOTE = "remote"
    """The system failed, or sent an invalid answer."""
    UNSUPPORTED = "unsupported"
    """The adapter cannot do this."""
    INTERNAL = "internal"
    """A defect of the adapter itself."""


class Error(Exception):
    """A failure. ``message`` is one sentence for the user, without credentials.

    Any other exception that leaves the adapter becomes an ``internal`` one with its text, and its traceback goes to the log.
    """

    def __init__(self, kind: ErrorKind, message: str, http_status: int | None = None, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.http_status = http_status
        self.retry_after_ms = retry_after_ms

    @classmethod
    def config(cls, message: str) -> Error:
        """Makes a ``config`` failure: the user must change config.yml."""
        return cls(ErrorKind.CONFIG, message)

    @classmethod
    def auth(cls, message: str) -> Error:
        """Makes an ``auth`` failure: the system rejected the credentials, or they do not permit this."""
        return cls(ErrorKind.AUTH, message)

    @classmethod
    def not_found(cls, message: str) -> Error:
        """Makes a ``not-found`` failure: the resource or object does not exist."""
        return cls(ErrorKind.NOT_FOUND, message)

    @classmethod
    def conflict(cls, message: str) -> Error:
        """Makes a ``conflict`` failure: the object exists already, or was modified by another user."""
        return cls(ErrorKind.CONFLICT, message)

    @classmethod
    def invalid(cls, message: str) -> Error:
        """Makes an ``invalid`` failure: the system rejected the data."""
        return cls(ErrorKind.INVALID, message)

    @classmethod
    def rate_limited(cls, message: str, retry_after_ms: int | None = None) -> Error:
        """Makes a ``rate-limited`` failure: the system asks for fewer requests."""
        return cls(ErrorKind.RATE_LIMITED, message, retry_after_ms=retry_after_ms)

    @classmethod
    def transport(cls, message: str) -> Error:
        """Makes a ``transport`` failure: no answer."""
        return cls(ErrorKind.TRANSPORT, message)

    @classmethod
    def remote(cls, message: str) -> Error:
        """Makes a ``remote`` failure: the system failed, or sent an invalid answer."""
        return cls(ErrorKind.REMOTE, message)

    @classmethod
    def unsupported(cls, message: str) -> Error:
        """Makes an ``unsupported`` failure: the adapter cannot do this."""
        return cls(ErrorKind.UNSUPPORTED, message)

    @classmethod
    def internal(cls, message: str) -> Error:
        """Makes an ``internal`` failure: a defect of the adapter itself."""
        return cls(ErrorKind.INTERNAL, message)

    def with_status(self, status: int) -> Error:
        """Adds the HTTP status that caused it."""
        self.http_status = status
        return self

    @classmethod
    def from_response(cls, what: str, response: Response) -> Error:
        """Makes the failure that a response without success stands for, and releases the response. ``what`` names the requested resource.

        401 and 403 are ``auth``, 404 and 410 ``not-found``, 409 and 412 ``conflict``, 429 ``rate-limited``, other 4xx ``invalid``, all others
        ``remote``. A short text or JSON body is quoted. ``System.refuse`` has better words.
        """
        status = response.status
        if status in (401, 403):
            kind = ErrorKind.AUTH
        elif status in (404, 410):
            kind = ErrorKind.NOT_FOUND
        elif status in (409, 412):
            kind = ErrorKind.CONFLICT
        elif status == 429:
            kind = ErrorKind.RATE_LIMITED
        elif 400 <= status < 500:
            kind = ErrorKind.INVALID
        else:
            kind = ErrorKind.REMOTE
        detail = response.detail()
        after = (response.header("retry-after") or "").strip()
        response.release()
        message = f"{what}: HTTP status {status}" + (f": {detail}" if detail else "")
        # Only digits: the host has waited already where the header is a date.
        return cls(kind, message, status, int(after) * 1000 if after.isascii() and after.isdigit() else None)


def detail(response: Response) -> str | None:
    """Returns the text of a refusal at a length for people: the usual JSON members, else a plain text; never HTML."""
    found = next((text for text in response.json("/detail", "/error", "/message", "") if text is not None), None)
    if found is not None:
        value = json.loads(found)
        text = value if isinstance(value, str) else found
    else:
        try:
            text = response.body().decode("utf-8")
        except UnicodeDecodeError:
            return None
        if text.lstrip().startswith("<"):
            return None
    text = " ".join(text.split())
    if len(text) > _DETAIL_CHARS_MAX:
        return text[:_DETAIL_CHARS_MAX] + "…"
    return text or None
