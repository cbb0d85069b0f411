"""Words for the person who runs the sync."""

from __future__ import annotations

from ._host import host


def trace(message: str) -> None:
    """What only somebody who follows every step wants to know."""
    host().log("trace", message)


def debug(message: str) -> None:
    """What helps to find a defect."""
    host().log("debug", message)


def info(message: str) -> None:
    """What was done."""
    host().log("info", message)


def warn(message: str) -> None:
    """What a person may act on."""
    host().log("warn", message)


def error(message: str) -> None:
    """What went wrong and is told nowhere else."""
    host().log("error", message)
