"""Messages for the user; they go to stderr with the adapter's name."""

from __future__ import annotations

from ._host import host


def trace(message: str) -> None:
    """Logs a step, for a user who follows every step."""
    host().log("trace", message)


def debug(message: str) -> None:
    """Logs a fact that helps to find a defect."""
    host().log("debug", message)


def info(message: str) -> None:
    """Logs what the adapter has done."""
    host().log("info", message)


def warn(message: str) -> None:
    """Logs a problem that the user may act on."""
    host().log("warn", message)


def error(message: str) -> None:
    """Logs a failure that is reported nowhere else."""
    host().log("error", message)
