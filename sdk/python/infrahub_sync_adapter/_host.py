"""The abilities of an adapter: the real host in a component, a mock host (``testing``) natively.

This module uses the contract's own terms; the modules beside it turn them into the API of authors.
"""

from __future__ import annotations

from typing import Any, Protocol


class HostError(Exception):
    """An answer of the host in place of a response: the contract's case, and its value."""

    def __init__(self, case: str, value: Any = None) -> None:
        super().__init__(case, value)
        self.case = case
        self.value = value


class RawResponse(Protocol):
    """A response as the contract has it."""

    def status(self) -> int: ...
    def header(self, name: str) -> str | None: ...
    def json(self, pointers: list[str]) -> list[str | None]: ...
    def count(self, pointer: str) -> int | None: ...
    def body(self) -> bytes: ...
    def release(self) -> None: ...


class Host(Protocol):
    """The imports of the contract."""

    def send(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
        timeout_ms: int | None,
        idempotent: bool,
        unprocessed: tuple[str, str] | None,
    ) -> RawResponse: ...
    def list_files(self) -> list[str]: ...
    def read_file(self, path: str) -> RawResponse: ...
    def read_lines(self, path: str, offset: int, bytes_max: int) -> tuple[RawResponse, int | None]: ...
    def append_file(self, path: str, data: bytes) -> None: ...
    def replace_file(self, from_path: str, to_path: str) -> None: ...
    def remove_file(self, path: str) -> None: ...
    def log(self, level: str, message: str) -> None: ...
    def memo_get(self, lifetime: str, key: str) -> bytes | None: ...
    def memo_put(self, lifetime: str, key: str, value: bytes) -> bytes: ...


_host: Host | None = None


def use(host: Host) -> None:
    """Sets the host."""
    global _host
    _host = host


def host() -> Host:
    """Returns the host. Natively that is the mock host, unless a test has set another one."""
    if _host is None:
        # Not at the top: in a component the real host is set, and the mock host need not be in there.
        from .testing import MockHost

        use(MockHost())
    assert _host is not None
    return _host
