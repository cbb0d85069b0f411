"""The class that an author derives from."""

from __future__ import annotations

from typing import Any

from .errors import Error
from .kinds import Kind
from .manifest import Manifest
from .page import Absence, LoadRequest, Page
from .target import Target
from .write import Dependents, Outcome, Run, RunResult, WriteRequest


class Adapter:
    """An adapter: its description of itself, and how its system is read and written.

    The host makes an instance with ``configure`` and may make several; any of them may serve any page. So do not keep in ``self`` what a
    later call needs: state travels in the cursor, or is kept by the host (``memo``).
    """

    settings: dict[str, Any]
    """The settings of config.yml without the secrets, as ``configure`` got them."""

    @classmethod
    def manifest(cls) -> Manifest:
        """Describes the adapter. Called before anything else: no network, no files, no settings."""
        raise Error.internal(f"{cls.__name__} has no manifest")

    @classmethod
    def configure(cls, settings: dict[str, Any]) -> Adapter:
        """Receives the settings, without the secrets, and makes the adapter. The default keeps them as ``self.settings``.

        Raises:
            Error: A setting cannot work; the host reports it as an error of config.yml.
        """
        adapter = cls()
        adapter.settings = settings
        return adapter

    def kinds(self, targets: list[Target]) -> list[Kind]:
        """Returns the kinds of the targets, or all kinds when the list is empty. Only called when the manifest says ``schema``.

        Names of kinds and fields are those of the targets: a system that is addressed by mapping answers for ``resource`` and ``path``. Leave
        out a kind that the system does not have.
        """
        raise Error.unsupported("this adapter does not know the kinds of its system")

    def load(self, request: LoadRequest) -> Page:
        """Reads one page. Nothing is kept between calls."""
        raise Error.unsupported("this adapter cannot be read")

    def absent(self, target: Target, ids: list[str]) -> list[Absence]:
        """Says of objects that an earlier run had read and this one did not whether they are deleted, in the order of the ids. Called when
        the manifest names evidence beyond ``Evidence.TOTAL``."""
        raise Error.unsupported("this adapter has no evidence of deletions")

    def begin(self, run: Run) -> str | None:
        """Prepares a run. Called once before the first write, also when there is nothing to write: the place to remove leftovers of an
        interrupted run, and to check what would be rejected. The text, if any, is shown to the user."""
        return None

    def write(self, request: WriteRequest) -> list[Outcome]:
        """Writes a batch of rows of one target and one operation. Returns one outcome a row, in their order (``WriteRequest.outcomes`` and
        ``WriteRequest.bisect`` help).

        Raises:
            Error: The outcome of every row is unknown. A rejected row is an ``Outcome.failed`` instead.
        """
        raise Error.unsupported("this adapter cannot write")

    def commit(self, kinds: list[str]) -> None:
        """Makes the rows of these kinds durable that ``write`` reported as ``Outcome.staged``. An adapter that writes at once needs no
        ``commit``."""

    def cascade(self, target: Target, ids: list[str]) -> list[Dependents]:
        """Returns what a delete of these objects takes along in the system, beyond the ids themselves. Asked before a plan with deletes is
        made, of kinds with ``Kind.cascades``."""
        return []

    def finish(self, run: Run, result: RunResult) -> str | None:
        """Ends a run. Called once after the last commit of a run that completed, also when rows were rejected. The text, if any, is shown to
        the user."""
        return None
