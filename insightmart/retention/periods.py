"""The periods of the settings, and the instants that they reach back to."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta

from insightmart.errors import ConfigurationError
from insightmart.settings import Settings

SHORTEST_DAYS = (
    90  # of raw: corrections come up to 7 days late, a month is closed some time after it, and then a margin
)


@dataclass(frozen=True)
class Cutoffs:
    """The midnights (UTC) before which rows may go."""

    raw: datetime
    aggregates: datetime
    evidence: datetime


def cutoffs(settings: Settings, as_of: datetime) -> Cutoffs:
    """What the settings say at an instant.

    Raises:
        ConfigurationError: raw is kept for too short a time, or something longer than what explains it.
    """
    found = Cutoffs(
        _before(settings.retention_raw, as_of),
        _before(settings.retention_aggregates, as_of),
        _before(settings.retention_evidence, as_of),
    )
    if (as_of - found.raw).days < SHORTEST_DAYS:
        raise ConfigurationError(
            f"RETENTION_RAW is {settings.retention_raw}, less than the {SHORTEST_DAYS} days in which corrections come"
            " in and a month is closed",
            f"Set it to {SHORTEST_DAYS} days or more",
        )
    if not found.evidence <= found.aggregates <= found.raw:
        raise ConfigurationError(
            f"RETENTION_EVIDENCE ({settings.retention_evidence}) must not be shorter than RETENTION_AGGREGATES"
            f" ({settings.retention_aggregates}), nor that than RETENTION_RAW ({settings.retention_raw}): a figure"
            " would outlive what explains it",
            "Lengthen the one or shorten the other",
        )
    return found


def _before(period: str, as_of: datetime) -> datetime:
    number, unit = period.split()
    midnight = as_of.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        if unit == "days":
            return midnight - timedelta(days=int(number))
        months = midnight.year * 12 + midnight.month - 1 - int(number) * (12 if unit == "years" else 1)
        year, month = divmod(months, 12)
        return midnight.replace(year, month + 1, min(midnight.day, calendar.monthrange(year, month + 1)[1]))
    except (ValueError, OverflowError):
        return datetime(1, 1, 1)  # longer than there are dates: nothing goes
