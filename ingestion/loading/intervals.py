"""Ranges of time and what can be said about them, without a warehouse: put together, taken apart, cut up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from ingestion.loading.context import Window

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def start_of_hour(instant: datetime) -> datetime:
    """The beginning of the UTC hour that the instant lies in."""
    return instant.replace(minute=0, second=0, microsecond=0)


def start_of_day(instant: datetime) -> datetime:
    """The beginning of the UTC day that the instant lies in."""
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def overlaps(one: Window, other: Window) -> bool:
    """Whether two windows share an instant; windows that only touch do not."""
    return one.start < other.end and other.start < one.end


def merge(windows: Iterable[Window]) -> list[Window]:
    """The same instants in as few windows as can be, in order: those that overlap or touch are put together."""
    merged: list[Window] = []
    for window in sorted(windows, key=lambda window: (window.start, window.end)):
        if merged and window.start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(window.end, merged[-1].end))
        else:
            merged.append(window)
    return merged


def subtract(window: Window, others: Iterable[Window]) -> list[Window]:
    """What of a window no other one covers, in order of time."""
    left = []
    start = window.start
    for other in merge(others):
        if start < min(other.start, window.end):
            left.append(Window(start, min(other.start, window.end)))
        start = max(start, other.end)
    if start < window.end:
        left.append(Window(start, window.end))
    return left


def cut_at_midnight(window: Window) -> list[Window]:
    """The window as its parts of UTC days, in order."""
    days = []
    start = window.start
    while start < window.end:
        end = min(start_of_day(start) + DAY, window.end)
        days.append(Window(start, end))
        start = end
    return days


def hours(window: Window) -> Iterator[datetime]:
    """The start of every hour that the window reaches into, in order."""
    hour = start_of_hour(window.start)
    while hour < window.end:
        yield hour
        hour += HOUR


def merge_hours(counted: Iterable[tuple[datetime, int]]) -> list[tuple[Window, int]]:
    """Adjacent hours (start, rows) as windows with the rows added up, in order of time."""
    merged: list[tuple[Window, int]] = []
    for hour, rows in sorted(counted):
        if merged and merged[-1][0].end == hour:
            window, count = merged.pop()
            merged.append((Window(window.start, hour + HOUR), count + rows))
        else:
            merged.append((Window(hour, hour + HOUR), rows))
    return merged
