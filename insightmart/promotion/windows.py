"""SQLMesh's intervals as windows of UTC, what a sequence of scans covers, and how people are told of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ingestion.loading.context import Window
from ingestion.loading.intervals import merge, subtract

NAMED = 5  # how many models an error names


def utc(milliseconds: int | None) -> datetime:
    """An instant of SQLMesh's, UTC without a zone, in whole seconds."""
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC).replace(tzinfo=None, microsecond=0)


def from_intervals(intervals: Iterable[tuple[int, int]]) -> list[Window]:
    """SQLMesh's intervals, in milliseconds, as windows, those that touch put together."""
    return merge(Window(utc(start), utc(end)) for start, end in intervals)


def verdicts(scans: Sequence[tuple[Window, str | None]]) -> tuple[list[Window], list[tuple[Window, str]]]:
    """What has passed when the latest scan of each instant decides, and the refusals, latest first.

    Args:
        scans: in order of time, the window of each and why it was refused; None: it passed.
    """
    covered: list[Window] = []
    refusals: list[tuple[Window, str]] = []
    for scanned, why in scans:
        covered = [part for window in covered for part in subtract(window, [scanned])]
        if why is None:
            covered.append(scanned)
        else:
            refusals.insert(0, (scanned, why))
    return sorted(covered, key=lambda window: window.start), refusals


def spoken(window: Window) -> str:
    """A window for people."""
    return f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"


def listed_names(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it is one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
