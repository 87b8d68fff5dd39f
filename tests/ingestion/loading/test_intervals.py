"""Ranges of time: put together, taken apart, cut up."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingestion.loading.context import Window
from ingestion.loading.intervals import HOUR, cut_at_midnight, hours, merge, merge_hours, overlaps, subtract

MIDNIGHT = datetime(2026, 3, 5)


def window(first: float, last: float) -> Window:
    """From one hour of 5 March to another."""
    return Window(MIDNIGHT + first * HOUR, MIDNIGHT + last * HOUR)


WINDOWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 6)).map(lambda w: window(w[0], w[0] + w[1])), max_size=8
)


def covered(*windows: Window) -> set[datetime]:
    """The whole hours of windows."""
    return {hour for one in windows for hour in hours(one)}


def test_windows_that_overlap_or_touch_become_one() -> None:
    assert merge([window(5, 6), window(1, 2), window(2, 3), window(0, 2.5)]) == [window(0, 3), window(5, 6)]
    assert merge([window(0, 9), window(1, 2)]) == [window(0, 9)]
    assert merge([]) == []


def test_what_is_left_of_a_window() -> None:
    assert subtract(window(0, 10), [window(4, 5), window(2, 3), window(9, 12)]) == [
        window(0, 2),
        window(3, 4),
        window(5, 9),
    ]
    assert subtract(window(2, 3), [window(0, 2), window(3, 4)]) == [window(2, 3)]
    assert subtract(window(2, 3), [window(1, 4)]) == []
    assert subtract(window(2, 3), []) == [window(2, 3)]


def test_windows_that_only_touch_do_not_overlap() -> None:
    assert overlaps(window(1, 3), window(2, 4))
    assert overlaps(window(1, 4), window(2, 3))
    assert not overlaps(window(1, 2), window(2, 3))


@given(WINDOWS)
def test_merging_keeps_every_hour_and_leaves_holes_between(windows: list[Window]) -> None:
    merged = merge(windows)
    assert covered(*merged) == covered(*windows)
    assert all(one.end < other.start for one, other in pairwise(merged))


@given(WINDOWS)
def test_what_is_left_and_what_was_taken_make_the_whole(windows: list[Window]) -> None:
    whole = window(5, 25)
    left = subtract(whole, windows)
    assert covered(*left) == covered(whole) - covered(*windows)
    assert not any(overlaps(part, other) for part in left for other in windows)


def test_a_window_is_cut_at_every_midnight() -> None:
    assert cut_at_midnight(window(-30, 5)) == [window(-30, -24), window(-24, 0), window(0, 5)]
    assert cut_at_midnight(window(0, 24)) == [window(0, 24)]
    assert cut_at_midnight(window(3, 3)) == []


def test_the_hours_a_window_reaches_into() -> None:
    assert list(hours(window(1.5, 3.5))) == [MIDNIGHT + n * HOUR for n in (1, 2, 3)]
    assert list(hours(Window(MIDNIGHT, MIDNIGHT + timedelta(microseconds=1)))) == [MIDNIGHT]
    assert list(hours(window(1, 1))) == []


def test_adjacent_hours_are_counted_together() -> None:
    one, two, five = (MIDNIGHT + n * HOUR for n in (1, 2, 5))
    assert merge_hours([(five, 7), (two, 3), (one, 1)]) == [(window(1, 3), 4), (window(5, 6), 7)]
