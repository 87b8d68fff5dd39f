"""What scans cover when the latest one of each instant decides."""

from __future__ import annotations

from datetime import datetime

from ingestion.loading.context import Window
from insightmart.promotion.windows import count, from_intervals, listed_names, spoken, verdicts

HOUR_MS = 3_600_000


def day(first: int, last: int) -> Window:
    return Window(datetime(2026, 3, first), datetime(2026, 3, last))


def test_the_latest_scan_of_an_instant_decides() -> None:
    assert verdicts([(day(1, 5), None), (day(2, 3), "spoilt")]) == (
        [day(1, 2), day(3, 5)],
        [(day(2, 3), "spoilt")],
    )
    assert verdicts([(day(2, 3), "spoilt"), (day(1, 5), None)]) == ([day(1, 5)], [(day(2, 3), "spoilt")])


def test_refusals_stand_latest_first() -> None:
    assert verdicts([(day(1, 2), "one"), (day(3, 4), "two")]) == ([], [(day(3, 4), "two"), (day(1, 2), "one")])


def test_intervals_that_touch_are_one_window() -> None:
    found = from_intervals([(HOUR_MS, 2 * HOUR_MS), (0, HOUR_MS), (3 * HOUR_MS, 4 * HOUR_MS)])
    assert [(window.start.hour, window.end.hour) for window in found] == [(0, 2), (3, 4)]


def test_names_counts_and_windows_for_people() -> None:
    assert listed_names(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert (count(1, "test"), count(2, "test")) == ("1 test", "2 tests")
    assert spoken(day(1, 2)) == "2026-03-01 00:00 to 2026-03-02 00:00 UTC"
