"""Writing: what is asked for, and what became of it."""

from __future__ import annotations

import enum
import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import log
from .errors import Error


class Operation(enum.Enum):
    """What is done with the rows."""

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
    """All set fields on create, the changed ones on update (None = clear), none on delete. A reference is
    ``{"kind": "…", "key": {…}, "id": "…"}``: the kind that the peer really has, where the field may refer to several (all of which are
    then in ``"of": […]``)."""


@dataclass
class Outcome:
    """What became of a row."""

    case: str
    id: str | None = None
    error: Error | None = None

    @classmethod
    def written(cls, id: str | int | None = None) -> Outcome:  # noqa: A002 - the contract's word
        """It is done; the id that the system gave, if it has ids."""
        return cls("written", None if id is None else str(id))

    @classmethod
    def staged(cls) -> Outcome:
        """It is done once ``Adapter.commit`` succeeds."""
        return cls("staged")

    @classmethod
    def unchanged(cls, id: str | int | None = None) -> Outcome:  # noqa: A002 - the contract's word
        """What was wanted is there already: nothing was sent."""
        return cls("unchanged", None if id is None else str(id))

    @classmethod
    def failed(cls, error: Error) -> Outcome:
        """This row was refused; others are not affected."""
        return cls("failed", None, error)


@dataclass
class WriteRequest:
    """Rows of one kind and one operation."""

    kind: str
    operation: Operation
    lines: bytes
    """The rows as the host wrote them, one JSON object a line; ``rows`` reads them."""
    count: int
    resource: str | None = None
    """The mapping's ``mapping:``, for systems that are addressed by it."""
    identifiers: list[str] = field(default_factory=list)
    """The fields of the natural key, in order."""
    references: list[str] = field(default_factory=list)
    """The fields that are references."""

    def rows(self) -> Iterator[Row]:
        """The rows, parsed one at a time."""
        for line in self.lines.splitlines():
            if line:
                row = json.loads(line)
                yield Row(row["key"], row.get("id"), row.get("fields") or {})

    def outcomes(self, write: Callable[[Row], Outcome]) -> list[Outcome]:
        """Writes row by row. An ``Error`` that ``write`` raises is that row's failure, and so is any other exception, as ``internal``: what
        became of the rows before it is not lost."""
        return [self._outcome(write, row) for row in self.rows()]

    @staticmethod
    def _outcome(write: Callable[[Row], Outcome], row: Row) -> Outcome:
        try:
            return write(row)
        except Error as error:
            return Outcome.failed(error)
        except Exception as error:
            return Outcome.failed(defect(error))


def defect(error: BaseException) -> Error:
    """An uncaught exception as a failure with its text; its traceback goes to the log."""
    log.error("".join(traceback.format_exception(error)).rstrip())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}, line {frames[-1].lineno})" if frames else ""
    return Error.internal(f"{type(error).__name__}: {error}{place}")


@dataclass
class KindChanges:
    """What a run is going to write to a kind, in rows."""

    kind: str
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
    """The kinds that get something."""


@dataclass
class RunResult:
    """What became of a run, in rows."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    failed: int = 0
    skipped: int = 0
