"""The simulated business as tests of the sandbox see it: when it starts, and what is true of it at an hour."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.truth.certified import truth

REPOSITORY = Path(__file__).resolve().parents[2]
START = date(2026, 3, 5)
MIDNIGHT = datetime(2026, 3, 5, tzinfo=UTC)
HOUR = 3_600_000_000
EASTERN = ZoneInfo("America/New_York")
SOUND_FILE = "inventory/2026/03/05/10/store_003.csv"

Row = dict[str, Any]


def hours(number: int) -> datetime:
    return MIDNIGHT + timedelta(hours=number)


@cache
def tiny_truth(hour: int) -> Row:
    return truth(1, "tiny", START, hours(hour))
