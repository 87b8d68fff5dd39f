"""Why figures became other ones: what was evaluated, against the queue of corrections. No warehouse is needed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

from insightmart.journal.followed import INVENTORY, SALES
from insightmart.journal.reasons import Cause, Evaluated, PassedScan, QueuedCorrection, Reason, reasons

HOUR = timedelta(hours=1)
NOON = datetime(2026, 3, 6, 12)
OLTP, SHOPIFY = "agg_sales_hourly__oltp", "agg_sales_hourly__shopify"
LATE = QueuedCorrection(NOON - HOUR, NOON, "oltp", "sales", "w1", "17.1", False)


def evaluated(start: datetime, end: datetime, part: str = OLTP) -> Evaluated:
    return Evaluated(start, end, part)


def test_a_new_hour_explains_every_date_that_its_events_can_have() -> None:
    found = reasons(SALES, [evaluated(NOON, NOON + HOUR)], [], [], {OLTP: NOON})
    # 12:00 is midnight in UTC-12, and 13:00 is 03:00 of the next day in UTC+14
    assert found == [Reason(date(2026, 3, 6), date(2026, 3, 7), Cause.NEW_HOURS, None, None, None)]
    early = reasons(SALES, [evaluated(NOON - HOUR, NOON)], [], [], {})
    assert [(one.first, one.last) for one in early] == [(date(2026, 3, 5), date(2026, 3, 7))]


def test_the_last_instant_of_a_window_is_not_in_it() -> None:
    ten = datetime(2026, 3, 6, 9)
    assert [one.last for one in reasons(SALES, [evaluated(ten, ten + HOUR)], [], [], {OLTP: ten})] == [date(2026, 3, 6)]


def test_hours_that_were_shown_are_explained_by_the_correction_they_were_restated_for() -> None:
    window = evaluated(NOON - HOUR, NOON)
    scan = PassedScan(NOON - HOUR, NOON, "sales__oltp", "s1")
    found = reasons(SALES, [window], [LATE], [scan, replace(scan, gate="sales__shopify", scan_id="s2")], {OLTP: NOON})
    assert {(one.cause, one.loads, one.windows, one.scan_ids) for one in found} == {
        (Cause.LATE_ROWS, "17.1", "w1", "s1")
    }


def test_a_correction_of_another_source_area_or_time_explains_nothing() -> None:
    window = evaluated(NOON - HOUR, NOON)
    for other in (
        replace(LATE, source="shopify"),
        replace(LATE, entity="inventory"),
        replace(LATE, start=NOON, end=NOON + HOUR),
    ):
        assert {one.cause for one in reasons(SALES, [window], [other], [], {OLTP: NOON})} == {Cause.RESTATED}


def test_what_waits_for_a_correction_does_not_explain_new_hours() -> None:
    found = reasons(SALES, [evaluated(NOON, NOON + HOUR)], [replace(LATE, end=NOON + HOUR)], [], {OLTP: NOON})
    assert {one.cause for one in found} == {Cause.NEW_HOURS}


def test_a_replay_releases_and_a_hand_restates() -> None:
    window = evaluated(NOON - HOUR, NOON)
    for correction, cause in (
        (replace(LATE, is_replay=True), Cause.RELEASED),
        (replace(LATE, source="manual", entity="core.fct_orders__oltp"), Cause.RESTATED),
    ):
        found = reasons(SALES, [window], [correction], [], {OLTP: NOON})
        assert {one.cause for one in found} == {cause}
        assert {one.windows for one in found} == {"w1"}


def test_dates_are_told_apart_by_what_happened_to_them() -> None:
    days = [evaluated(NOON - 5 * 24 * HOUR, NOON - 5 * 24 * HOUR + HOUR), evaluated(NOON, NOON + HOUR)]
    old = replace(LATE, start=days[0].start, end=days[0].end)
    found = reasons(SALES, days, [old], [], {OLTP: NOON})
    assert [(one.first, one.last, one.cause) for one in found] == [
        (date(2026, 3, 1), date(2026, 3, 2), Cause.LATE_ROWS),
        (date(2026, 3, 6), date(2026, 3, 7), Cause.NEW_HOURS),
    ]


def test_of_several_reasons_for_a_date_the_one_that_is_a_surprise_is_said() -> None:
    both = [evaluated(NOON - HOUR, NOON), evaluated(NOON, NOON + HOUR, SHOPIFY)]
    found = reasons(SALES, both, [LATE], [], {OLTP: NOON, SHOPIFY: NOON})
    assert {one.cause for one in found} == {Cause.LATE_ROWS}


def test_stock_is_written_by_whole_dates() -> None:
    part = "agg_inventory_daily__stores"
    found = reasons(INVENTORY, [evaluated(NOON, NOON + HOUR, part)], [], [], {part: NOON})
    assert [(one.first, one.last) for one in found] == [(date(2026, 3, 5), date(2026, 3, 7))]
    assert reasons(SALES, [evaluated(NOON, NOON + HOUR, part)], [], [], {}) == []
