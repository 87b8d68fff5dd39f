"""When the big faults happen, and the form in which every planted fault is reported.

The first week's faults lie within its first 90 hours; later weeks repeat them at hours of their own.
Hours are counted from the start of history.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.events.draws import Draws
from sandbox.events.instants import iso

WEEK_HOURS = 7 * 24
PRICE_BUG_HOUR = 40  # 16:00 UTC of the second day: open from Honolulu (nearly) to Bengaluru
PRICE_BUG_REPAIR_HOURS = 5
OUTAGE_HOURS = (54, 59)
DELETION_HOUR = 47.5  # of an order of the week's first day, in the online shop: half an hour before midnight UTC
MARK_HOUR = 33.5  # an order of the week's first day is marked as deleted
HAND_CHANGE_HOUR = 47.6  # another one is changed by hand: half an hour before midnight UTC, as the deletion
HIDING_HOUR = 60  # at its end rows of PostgreSQL are hidden; they are back with whatever happens next


@dataclass(frozen=True)
class Planted:
    """One fault: the instant it shows, where, what it is, and what the pipeline is expected to do about it."""

    at: int
    source: str
    what: str
    expected: str

    def as_json(self) -> dict[str, str]:
        return {"at": iso(self.at), "source": self.source, "what": self.what, "expected": self.expected}


def price_bug_hour(seed: int, week: int) -> int:
    """The hour of a week (from 0) in which the price bug strikes; a busy one."""
    if week == 0:
        return PRICE_BUG_HOUR
    return week * WEEK_HOURS + 24 * int(Draws(seed, "price bug", week).between(1, 1, 5)[0]) + 16


def price_bug_hours(seed: int, day: int) -> list[int]:
    """The hours of a day in which the price bug strikes."""
    hour = price_bug_hour(seed, day // 7)
    return [hour] if hour // 24 == day else []


def hides_rows(hour: int) -> bool:
    """Whether rows of PostgreSQL are hidden at the end of an hour."""
    return hour % WEEK_HOURS == HIDING_HOUR


def shop_outage(seed: int, week: int) -> tuple[int, int]:
    """First and last+1 hour of the week's outage of the online shop."""
    if week == 0:
        return OUTAGE_HOURS
    first = week * WEEK_HOURS + int(Draws(seed, "shop outage", week).between(1, 12, 150)[0])
    return first, first + 5
