"""The class that an author derives from."""

from __future__ import annotations

from typing import Any

from .errors import Error
from .kinds import Kind
from .manifest import Manifest
from .page import LoadRequest, Page
from .write import Outcome, Run, RunResult, WriteRequest


class Adapter:
    """An adapter: what it is, and how its system is read and written.

    The host makes an instance with ``configure`` and may make several; any of them may be asked for any page. So nothing that a later call
    needs may be kept in ``self``: state travels in the cursor, or is kept by the host (``memo``).
    """

    settings: dict[str, Any]
    """The settings of config.yml without the secrets, as ``configure`` got them."""

    @classmethod
    def manifest(cls) -> Manifest:
        """Describes the adapter. No network, no files, no settings: this is the first thing the host asks."""
        raise Error.internal(f"{cls.__name__} has no manifest")

    @classmethod
    def configure(cls, settings: dict[str, Any]) -> Adapter:
        """Takes the settings, without the secrets, and makes the adapter. By itself it keeps them as ``self.settings``.

        Raises:
            Error: Whatever is wrong with them; the host shows it as an error of config.yml.
        """
        adapter = cls()
        adapter.settings = settings
        return adapter

    def kinds(self, names: list[str]) -> list[Kind]:
        """The kinds named, or all when ``names`` is empty; an unknown name is left out. Only called when the manifest says ``schema``."""
        raise Error.unsupported("this adapter does not know the kinds of its system")

    def load(self, request: LoadRequest) -> Page:
        """Reads one page. Nothing is kept between calls."""
        raise Error.unsupported("this adapter cannot be read")

    def begin(self, run: Run) -> str | None:
        """Called once before the first write of a run, also when there is nothing to write: the place to clear away what an interrupted
        run left, and to find out what would be refused. The text, if there is one, is told to the user."""
        return None

    def write(self, request: WriteRequest) -> list[Outcome]:
        """Writes a batch of rows of one kind and one operation, and answers one outcome a row, in their order
        (``WriteRequest.outcomes`` helps).

        Raises:
            Error: Only when nothing is known about any row: a refused row is an ``Outcome.failed``.
        """
        raise Error.unsupported("this adapter cannot write")

    def commit(self, kinds: list[str]) -> None:
        """Makes the rows of these kinds durable that were answered as ``Outcome.staged``. An adapter that writes at once has nothing to do
        here."""

    def finish(self, run: Run, result: RunResult) -> str | None:
        """Called once after the last commit of a run that came to its end, also when rows were refused. The text, if there is one, is told
        to the user."""
        return None
