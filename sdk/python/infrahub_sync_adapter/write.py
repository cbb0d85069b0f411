"""Writing: the request, and the outcomes of its rows."""

from __future__ import annotations

import enum
import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import log
from .errors import Error, ErrorKind
from .target import Target

# Failures of data. Any other one has a cause beside the rows, and would come again for each half of them.
_OF_ROWS = (ErrorKind.INVALID, ErrorKind.CONFLICT, ErrorKind.NOT_FOUND)


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
    ``"resource": "…"`` as well. Where a field may refer to several kinds it has all of them in ``"of": […]``."""

    def known_id(self) -> str:
        """Returns the id of the object.

        Raises:
            Error: ``invalid``: the host does not know it.
        """
        if self.id is None:
            raise Error.invalid("the id of this object is not known")
        return self.id


def reference_ids(value: Any) -> Any:
    """Returns a reference as its peer's id, a list of references as the list of ids, None as None.

    Raises:
        Error: ``invalid``: the id of a peer is not known.
    """
    if isinstance(value, list):
        return [reference_ids(each) for each in value]
    if value is None:
        return None
    if value.get("id") is None:
        raise Error.invalid(f"the id of the {value['kind']} that it refers to is not known")
    return value["id"]


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

    def outcomes_by_halves(self, write: Callable[[list[Row]], list[Outcome]]) -> list[Outcome]:
        """Writes all rows at once, for a system that takes a batch or rejects it as a whole.

        ``write`` returns one outcome a row, or raises the ``Error`` of a batch of which nothing was written. A batch that is ``invalid``,
        ``conflict`` or ``not-found`` is halved until the rows at fault are alone. Any other failure is not of the rows: nothing more is
        sent, and the rows that have no outcome yet fail with it.

        Raises:
            Error: The first request failed, and not because of its rows.
        """
        rows = list(self.rows())
        outcomes: dict[int, Outcome] = {}
        waiting = [(0, len(rows))] if rows else []
        while waiting:
            start, end = waiting.pop()
            try:
                written = write(rows[start:end])
            except Error as error:
                if error.kind not in _OF_ROWS:
                    if not outcomes:
                        raise
                    return [outcomes.get(at) or Outcome.failed(error) for at in range(len(rows))]
                if end - start == 1:
                    outcomes[start] = Outcome.failed(error)
                else:
                    middle = (start + end) // 2
                    waiting += [(middle, end), (start, middle)]
                continue
            if len(written) != end - start:
                raise Error.internal(f"{len(written)} outcomes for {end - start} rows")
            outcomes.update(enumerate(written, start))
        return [outcomes[at] for at in range(len(rows))]


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
    """The kind, or the resource where the project maps no kind to it."""
    count: int
    ids: list[str] = field(default_factory=list)
    """Their ids, if the system tells them."""
    mapped: bool = True
    """The kind is a kind of the project."""


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
