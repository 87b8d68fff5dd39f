"""Instants as whole microseconds since 1970-01-01 UTC: exact, and fast in arrays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from sandbox.events.draws import Integers

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = date(1970, 1, 1)


def to_instant(moment: datetime) -> int:
    """Microseconds since the epoch of a datetime with a zone."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(instant: int) -> datetime:
    """The UTC datetime of an instant."""
    return EPOCH + timedelta(microseconds=int(instant))


def iso(instant: int) -> str:
    """ISO 8601 in UTC with a Z; fractions only where there are some."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")


def midnight_of(day: date) -> int:
    """The first instant of a UTC day."""
    return (day - EPOCH_DAY).days * DAY


def date_of(day_number: int) -> date:
    """The date that is `day_number` days after 1970-01-01."""
    return EPOCH_DAY + timedelta(days=int(day_number))


@cache
def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name."""
    return ZoneInfo(name)


def local_midnight(zone_name: str, day: date) -> int:
    """The instant at which a local date begins."""
    return to_instant(datetime(day.year, day.month, day.day, tzinfo=zone(zone_name)))


def to_local(instants: Integers, zone_name: str) -> Integers:
    """What a clock on the wall in that zone shows, as if it were UTC: `// DAY` is the local date, `% DAY` the time."""
    moments = pd.DatetimeIndex(instants.astype("datetime64[us]"), tz=UTC)
    local = moments.tz_convert(zone(zone_name)).tz_localize(None)
    return np.asarray(local.astype("datetime64[us]").astype(np.int64), dtype=np.int64)
