"""The one folder that the project granted. Paths are relative, with ``/``; they cannot lead out of the folder."""

from __future__ import annotations

import builtins

from ._host import HostError, host
from .errors import Error
from .http import Response


def _failed(path: str, refused: HostError) -> Error:
    # An error of the operating system is `remote`: the folder is the system here.
    if refused.case == "denied":
        return Error.config(refused.value)
    if refused.case == "not-found":
        return Error.not_found(f"there is no file `{path}`")
    if refused.case == "too-large":
        return Error.config(f"`{path}` is larger than the limit of {refused.value} bytes")
    return Error.remote(f"`{path}`: {refused.value}")


def list() -> builtins.list[str]:  # noqa: A001 - the contract's word
    """Returns the names of the files in the folder, sorted, without sub-folders.

    Raises:
        Error: ``config`` when no folder was granted, ``remote`` when it cannot be read.
    """
    try:
        return host().list_files()
    except HostError as refused:
        raise _failed(".", refused) from None


def read(path: str) -> Response:
    """Reads a whole file; the bytes stay with the host.

    Raises:
        Error: ``not-found``, ``config`` (denied or too large), ``remote``.
    """
    try:
        return Response(host().read_file(path))
    except HostError as refused:
        raise _failed(path, refused) from None


def read_lines(path: str, offset: int, bytes_max: int) -> tuple[Response, int | None]:
    """Reads whole lines from ``offset``, up to about ``bytes_max`` bytes (always at least one line), and returns where the next line begins;
    None at the end of the file.

    Raises:
        Error: As ``read``.
    """
    try:
        raw, after = host().read_lines(path, offset, bytes_max)
    except HostError as refused:
        raise _failed(path, refused) from None
    return Response(raw), after


def append(path: str, data: bytes) -> None:
    """Appends to a file. Creates it if it is missing.

    Raises:
        Error: ``config`` (denied), ``remote``.
    """
    try:
        host().append_file(path, data)
    except HostError as refused:
        raise _failed(path, refused) from None


def replace(from_path: str, to_path: str) -> None:
    """Replaces a file by a finished one, atomically and durably.

    Raises:
        Error: ``not-found``, ``config`` (denied), ``remote``.
    """
    try:
        host().replace_file(from_path, to_path)
    except HostError as refused:
        raise _failed(from_path, refused) from None


def remove(path: str) -> None:
    """Removes a file. A missing file is not an error.

    Raises:
        Error: ``config`` (denied), ``remote``.
    """
    try:
        host().remove_file(path)
    except HostError as refused:
        raise _failed(path, refused) from None
