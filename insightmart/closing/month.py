"""A calendar month of business dates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from insightmart.errors import ConfigurationError

# A business date ends last where local time is furthest behind UTC.
BEHIND_UTC = timedelta(hours=12)


@dataclass(frozen=True, order=True)
class FinanceMonth:
    """A month; ``first`` is its first business date."""

    first: date

    @property
    def last(self) -> date:
        """Its last business date."""
        return self.next_first - timedelta(days=1)

    @property
    def next_first(self) -> date:
        """The first business date after it."""
        return (self.first.replace(day=28) + timedelta(days=4)).replace(day=1)

    @property
    def over_at(self) -> datetime:
        """The instant (UTC) at which its last business date has ended everywhere."""
        return datetime.combine(self.next_first, datetime.min.time()) + BEHIND_UTC

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


def month_of(text: str) -> FinanceMonth:
    """The month that a text such as ``2026-03`` names.

    Raises:
        ConfigurationError: it names none.
    """
    found = re.fullmatch(r"(\d{4})-(\d{2})", text.strip())
    try:
        if found:
            return FinanceMonth(datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC).date())
    except ValueError:
        pass
    raise ConfigurationError(f"{text!r} is no month", "Write it as in 2026-03")
