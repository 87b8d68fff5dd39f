"""Which business dates are complete. No warehouse is needed."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from insightmart.status.sales import day_state, first_open_date

START = date(2026, 3, 5)


@pytest.mark.parametrize(
    ("day", "first_open", "state"),
    [
        (4, 6, "partial"),
        (5, 6, "complete"),
        (6, 6, "open"),
        (7, 6, "open"),
        (5, None, "open"),
    ],
)
def test_a_day_is_complete_when_it_has_ended_everywhere(day: int, first_open: int | None, state: str) -> None:
    opening = None if first_open is None else date(2026, 3, first_open)
    assert day_state(date(2026, 3, day), opening, START) == state


@pytest.mark.parametrize(
    ("hour", "zones", "expected"),
    [
        (4, ["America/New_York", "Asia/Tokyo"], date(2026, 3, 5)),  # it is 23:00 of the 5th in New York
        (5, ["America/New_York", "Asia/Tokyo"], date(2026, 3, 6)),
        (16, ["Asia/Tokyo"], date(2026, 3, 7)),
        (16, [], None),
    ],
)
def test_the_westernmost_store_says_which_date_is_open(hour: int, zones: list[str], expected: date | None) -> None:
    assert first_open_date(datetime(2026, 3, 6, hour), zones) == expected
