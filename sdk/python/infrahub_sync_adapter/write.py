"""Writing: the request, and the outcomes of its rows."""

from __future__ import annotations

import enum
import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from . import log
from .errors import Error, ErrorKind
from .target import Target

T = TypeVar("T")

# The system rejected the rows. Any other failure has another cause, and would come again for each half of them.
_REJECTIONS = (ErrorKind.INVALID, ErrorKind.CONFLICT, ErrorKind.NOT_FOUND)


class Operation(enum.Enum):
    """The operation on the rows."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass
class Row:
    """A row of a write."""

    key: dict[str, Any]
    """The natural key: identifier to value."""
    id: str | None = None
    """The system's own id of the object, when the host knows it."""
    fields: dict[str, Any] = field(default_factory=dict)
    """All set fields on create, the changed ones on update (None = clear), none on delete, by their names in the model. A reference is
    ``{"kind": "…", "key": {…}, "id": "…"}`` with the peer's id in this system; where the system is addressed by mapping it has
    ``"resource": "…"`` as well. Where a field may refer to several kinds it has all of them in ``"of": […]``. See
    ``TargetField.with_peers``."""

    def known_id(self) -> str:
        """Returns the id of the object.

        Raises:
            Error: ``invalid``: the host does not know it.
        """
        if self.id is None:
            raise Error.invalid("the id of this object is unknown")
        return self.id


@dataclass
class Outcome:
    """The outcome of a row."""

    case: str
    id: str | None = None
    error: Error | None = None

    @classmethod
    def written(cls, id: str | int | None = None) -> Outcome:  # noqa: A002 - the contract's word
        """Reports a row as written, with the id that the system gave, if it has ids."""
        return cls("written", None if id is None else str(id))

    @classmethod
    def staged(cls) -> Outcome:
        """Reports a row as accepted, and written when ``Adapter.commit`` succeeds."""
        return cls("staged")

    @classmethod
    def unchanged(cls, id: str | int | None = None) -> Outcome:  # noqa: A002 - the contract's word
        """Reports that the destination has the wanted state already: nothing was sent."""
        return cls("unchanged", None if id is None else str(id))

    @classmethod
    def failed(cls, error: Error) -> Outcome:
        """Reports a row as rejected; the other rows are not affected."""
        return cls("failed", None, error)


@dataclass
class WriteRequest:
    """Rows of one target and one operation."""

    target: Target
    operation: Operation
    lines: bytes
    """The rows as the host wrote them, one JSON object a line; ``rows`` reads them."""
    count: int

    def rows(self) -> Iterator[Row]:
        """Parses the rows, one at a time."""
        for line in self.lines.splitlines():
            if line:
                row = json.loads(line)
                yield Row(row["key"], row.get("id"), row.get("fields") or {})

    def outcomes(self, write: Callable[[Row], Outcome]) -> list[Outcome]:
        """Writes row by row. An ``Error`` that ``write`` raises is that row's failure, and so is any other exception, as ``internal``: the
        outcomes of the rows before it are kept."""
        return [self._outcome(write, row) for row in self.rows()]

    @staticmethod
    def _outcome(write: Callable[[Row], Outcome], row: Row) -> Outcome:
        try:
            return write(row)
        except Error as error:
            return Outcome.failed(error)
        except Exception as error:
            return Outcome.failed(defect(error))

    def bisect(self, prepare: Callable[[Row], T], send: Callable[[list[T]], list[Outcome]]) -> list[Outcome]:
        """Sends the rows in as few requests as possible. A batch that the system rejects as a whole is halved until the rows at fault are
        alone.

        ``prepare`` converts a row for ``send``. If it raises, the row fails and is not sent.

        ``send`` sends one request and returns one outcome a row. An ``Error`` of kind ``invalid``, ``conflict`` or ``not-found`` says that the
        system rejected the rows and wrote none of them. After any other error no further request is sent: it is the failure of the rows
        that have no outcome yet.

        Raises:
            Error: Any other error of the first request: the outcome of every row is unknown.
        """
        rows: list[tuple[int, T]] = []
        outcomes: dict[int, Outcome] = {}
        count = 0
        for count, row in enumerate(self.rows(), 1):
            try:
                rows.append((count - 1, prepare(row)))
            except Exception as error:
                outcomes[count - 1] = Outcome.failed(error if isinstance(error, Error) else defect(error))
        waiting = [(0, len(rows))] if rows else []
        first = True
        while waiting:
            start, end = waiting.pop()
            try:
                sent = send([row for _, row in rows[start:end]])
                outcomes.update((number, outcome) for (number, _), outcome in zip(rows[start:end], sent))
            except Error as error:
                if error.kind in _REJECTIONS and end - start > 1:
                    middle = (start + end) // 2
                    waiting += [(middle, end), (start, middle)]
                elif error.kind in _REJECTIONS:
                    outcomes[rows[start][0]] = Outcome.failed(error)
                elif first:
                    raise
                else:
                    outcomes = {at: outcomes.get(at) or Outcome.failed(error) for at in range(count)}
                    break
            first = False
        unknown = Outcome.failed(Error.remote("the answer says nothing about this row"))
        return [outcomes.get(at, unknown) for at in range(count)]


def defect(error: BaseException) -> Error:
    """Returns an uncaught exception as a failure with its text; its traceback goes to the log."""
    log.error("".join(traceback.format_exception(error)).rstrip())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}, line {frames[-1].lineno})" if frames else ""
    return Error.internal(f"{type(error).__name__}: {error}{place}")


@dataclass
class Dependents:
    """Objects of one kind that a delete takes along."""

    kind: str
    """The kind; the resource where the system is addressed by mapping."""
    count: int
    ids: list[str] = field(default_factory=list)
    """Their ids, if the system tells them."""


@dataclass
class KindChanges:
    """The rows that a run is going to write to a kind."""

    target: Target
    creates: int = 0
    updates: int = 0
    deletes: int = 0


@dataclass
class Run:
    """A run that is about to write."""

    id: str
    """The run's id, as in the cache."""
    sync: str
    """The project's ``name``."""
    source: str
    """The ``name`` of the project's source."""
    changes: list[KindChanges] = field(default_factory=list)
    """One entry for each kind and resource with changes."""


@dataclass
class RunResult:
    """The outcome of a run, in rows."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    failed: int = 0
    skipped: int = 0
