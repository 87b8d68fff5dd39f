"""The one clock. What is read, built or judged goes by ``as_of``; only durations and records take the real time."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The real time, UTC without a zone, to the microsecond: for durations and for when something was recorded."""
    return datetime.now(UTC).replace(tzinfo=None)


def as_of_or_now(as_of: datetime | None) -> datetime:
    """The instant that a command acts by: the one it was given (``--as-of``), or the real time to the second."""
    return as_of or utc_now().replace(microsecond=0)
