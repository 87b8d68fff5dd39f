"""Rows that come with a stamp of long ago: loaded on the next day, once, and said; what is not of them is not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.loading.context import IngestContext, LoadResult, Window
from ingestion.postgres import behind
from ingestion.postgres.source import backfill, ingest
from ingestion.warehouse import Warehouse
from tests.support.scans import ROWS_A_GROUP, CountingWarehouse

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]
FIRST_DAY = datetime(2026, 3, 5, 10)
EVENING, NIGHT, NEXT_HOUR, DAY_AFTER = "2026-03-15T20:00", "2026-03-16T01:00", "2026-03-16T02:00", "2026-03-17T01:00"
ABSURD = 2**62


def sell(oltp: Oltp, order_id: int, updated_at: str, ordered_at: str | None = None) -> None:
    """An order with its line, and a refund of it."""
    ordered_at = ordered_at or updated_at
    oltp.add("orders", order_id=order_id, ordered_at=ordered_at, total_amount=20, updated_at=updated_at)
    oltp.add("order_lines", order_id=order_id, line_number=1, unit_price=20, updated_at=updated_at)
    oltp.add("refunds", refund_id=order_id, order_id=order_id, amount=5, refunded_at=ordered_at, updated_at=updated_at)


@pytest.fixture
def history(at: At, oltp: Oltp) -> Oltp:
    """Eleven days of three sales each, loaded: the fifth has 1 to 3, the seventh 21 to 23, the fifteenth 101 to 103.

    In the night to the sixteenth the days from the eighth on are compared: the keys of the seventh have the median 22.
    """
    for day in range(11):
        for number in (1, 2, 3):
            sell(oltp, 10 * day + number, f"{FIRST_DAY + timedelta(days=day, minutes=number)}Z")
        oltp.add("customers", customer_id=day, created_at=f"{FIRST_DAY + timedelta(days=day)}Z", city="Ulm",
                 updated_at=f"{FIRST_DAY + timedelta(days=day)}Z")  # fmt: skip
    ingest(at(EVENING), oltp.source)
    return oltp


def load(context: IngestContext, oltp: Oltp) -> dict[str, LoadResult]:
    """The regular load of each table."""
    return {result.entity: result for result in ingest(context, oltp.source)[:5]}


def held(context: IngestContext, table: str, key: str, value: int) -> int:
    count: int = context.warehouse.value(f"SELECT COUNT(*) FROM raw.oltp_{table} WHERE {key} = ?", [value])
    return count


def messages(context: IngestContext) -> list[str]:
    return [notice.message for notice in context.notices]


def test_a_sale_of_a_till_that_fell_back_to_1970_is_loaded_the_next_day_and_once(at: At, history: Oltp) -> None:
    sell(history, 111, "1970-01-01 00:10Z", ordered_at="2026-03-15 20:30Z")
    assert load(at("2026-03-15T21:00"), history)["orders"].rows == 0  # an hourly load does not look for it
    night = at(NIGHT)
    loads = load(night, history)
    assert [loads[name].rows for name in ("orders", "order_lines", "refunds", "customers")] == [1, 1, 1, 0]
    assert messages(night) == [
        f"oltp: 1 row of {name} stamped before 2026-03-07 and inserted since, back to 1970-01-01 00:10 ({key}); loaded"
        for name, key in (
            ("orders", "order_id 111"),
            ("order_lines", "order_id 111, line_number 1"),
            ("refunds", "refund_id 111"),
        )
    ]
    next_hour, day_after = at(NEXT_HOUR), at(DAY_AFTER)
    assert load(next_hour, history)["orders"].rows == 0
    assert messages(next_hour) == []
    loads = load(day_after, history)
    assert [loads[name].rows for name in ("orders", "order_lines", "refunds")] == [0, 0, 0]
    assert messages(day_after) == [message.replace("03-07", "03-08") for message in messages(night)]
    assert [held(day_after, name, "order_id", 111) for name in ("orders", "order_lines", "refunds")] == [1, 1, 1]
    assert night.notices[0].cure == (
        "Have the clock that wrote it set right, and the rows stamped anew; what is dated more than a day after its"
        " stamp waits in quarantine until then"
    )


def test_a_till_that_was_offline_for_ten_days_brings_its_sales_and_their_hours_are_queued(
    at: At, history: Oltp
) -> None:
    sell(history, 111, "2026-03-05 14:10Z")
    sell(history, 112, "2026-03-06 15:10Z")
    night = at(NIGHT)
    assert load(night, history)["orders"].rows == 2
    queued = night.warehouse.rows("SELECT window_start FROM ops.correction_windows ORDER BY 1")
    assert queued == [(datetime(2026, 3, 5, 14),), (datetime(2026, 3, 6, 15),)]


def test_a_customer_with_an_old_stamp_is_loaded(at: At, history: Oltp) -> None:
    history.add("customers", customer_id=12, city="Bonn", updated_at="1970-01-01 00:00Z")
    night = at(NIGHT)
    assert load(night, history)["customers"].rows == 1
    assert held(night, "customers", "customer_id", 12) == 1


def test_a_row_that_is_stamped_anew_is_said_no_more(at: At, history: Oltp) -> None:
    sell(history, 111, "1970-01-01 00:10Z", ordered_at="2026-03-15 20:30Z")
    load(at(NIGHT), history)
    for name in ("orders", "order_lines", "refunds"):
        history.execute(f"UPDATE {name} SET updated_at = '2026-03-16 01:30Z' WHERE order_id = 111")
    assert load(at(NEXT_HOUR), history)["orders"].rows == 1
    day_after = at(DAY_AFTER)
    load(day_after, history)
    assert messages(day_after) == []


@pytest.mark.parametrize("stamp", ["-infinity", "0044-03-15 10:00:00Z BC"])
def test_a_stamp_that_cannot_be_typed_is_rejected_with_its_key_once(at: At, history: Oltp, stamp: str) -> None:
    sell(history, 111, stamp, ordered_at="2026-03-15 20:30Z")
    night = at(NIGHT)
    loads = load(night, history)
    assert [loads[name].rejected_rows for name in ("orders", "order_lines", "refunds")] == [1, 1, 1]
    found = night.warehouse.rows("SELECT entity, column_name, rule_id, LEFT(raw_text, 5) FROM raw.rejects ORDER BY 1")
    assert found == [(name, "updated_at", "instant_invalid", '"111"') for name in ("order_lines", "orders", "refunds")]
    day_after = at(DAY_AFTER)
    assert load(day_after, history)["orders"].rejected_rows == 0
    assert len(day_after.warehouse.rows("SELECT * FROM raw.rejects")) == 3


def test_ordinary_history_is_not_read_again(at: At, history: Oltp) -> None:
    history.execute("UPDATE orders SET total_amount = 30 WHERE order_id = 2")  # of the fifth, below the median
    night = at(NIGHT)
    result = load(night, history)["orders"]
    assert (result.rows, result.bytes) == (0, 0)
    assert held(night, "orders", "order_id", 2) == 1
    assert messages(night) == []


def test_keys_of_old_rows_that_changed_on_the_day_do_not_make_history_look_behind(at: At, oltp: Oltp) -> None:
    """Most rows that changed on the seventh are years old: the median of all of them would be 3."""
    for number in range(1, 6):
        oltp.add("orders", order_id=number, ordered_at="2024-01-01Z", updated_at="2026-03-07 10:00Z")
        oltp.add("customers", customer_id=number, created_at="2024-01-01Z", updated_at="2026-03-07 10:00Z")
    for number in range(6, 9):
        oltp.add("orders", order_id=number, ordered_at="2026-03-06 10:00Z", updated_at="2026-03-06 10:00Z")
        oltp.add("customers", customer_id=number, created_at="2024-01-01Z", updated_at="2024-01-01Z")
    oltp.add("orders", order_id=9, ordered_at="2026-03-07 10:00Z", updated_at="2026-03-07 10:00Z")
    ingest(at(EVENING), oltp.source)
    night = at(NIGHT)
    loads = load(night, oltp)
    assert [(loads[name].rows, loads[name].bytes) for name in ("orders", "customers")] == [(0, 0), (0, 0)]
    assert messages(night) == []


def test_where_the_keys_of_a_day_begin_is_asked_of_that_day(at: At, warehouse: Warehouse) -> None:
    """Ten days in the order of time. One key that was given on the fifth is lower than all that there are."""
    instant = f"TIMESTAMP '2026-03-01' + INTERVAL 1 DAY * (i // {ROWS_A_GROUP}) + to_microseconds(i % {ROWS_A_GROUP})"
    warehouse.execute(
        "INSERT INTO raw.oltp_customers (customer_id, updated_at, created_at)"
        f" SELECT i, {instant}, {instant} FROM range({10 * ROWS_A_GROUP}) AS r(i)"
        " UNION ALL SELECT -1, TIMESTAMP '2026-03-05', TIMESTAMP '2026-03-05'"
    )
    warehouse.checkpoint()
    counting = CountingWarehouse(warehouse)
    fifth = Window(datetime(2026, 3, 5), datetime(2026, 3, 6))
    middle = behind._middle_key(replace(at(NIGHT), warehouse=counting), "customers", fifth)
    assert middle == 4 * ROWS_A_GROUP + ROWS_A_GROUP // 2 - 1
    assert counting.looked_at["raw.oltp_customers"] < 2 * ROWS_A_GROUP


def test_one_absurd_key_does_not_blind_it(at: At, history: Oltp) -> None:
    sell(history, ABSURD, "2026-03-07 10:30Z")  # on the very day whose keys are looked at
    seventh = Window(datetime(2026, 3, 7), datetime(2026, 3, 8))
    assert [result.rows for result in backfill(at("2026-03-15T21:00"), history.source, seventh)] == [1, 1, 1]
    sell(history, 111, "1970-01-01 00:10Z")
    night = at(NIGHT)
    assert load(night, history)["orders"].rows == 1
    assert held(night, "orders", "order_id", 111) == 1


def test_an_old_row_under_an_absurd_key_is_never_said(at: At, oltp: Oltp) -> None:
    sell(oltp, ABSURD, "2026-03-02 10:00Z")
    load(at("2026-03-03T01:00"), oltp)
    for day in range(3, 16):
        sell(oltp, day, f"2026-03-{day:02} 10:00Z")
    load(at(EVENING), oltp)
    night = at(NIGHT)
    load(night, oltp)
    assert messages(night) == []
    assert held(night, "orders", "order_id", ABSURD) == 1


def import_old_sales(oltp: Oltp) -> None:
    for number in range(111, 115):
        sell(oltp, number, "2025-01-02 10:00Z")
    sell(oltp, 115, "-infinity", ordered_at="2025-01-02 10:00Z")


def test_more_than_the_limit_are_not_read_and_one_line_says_what_to_do(
    at: At, history: Oltp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "BEHIND_AT_MOST", 3)
    import_old_sales(history)
    night = at(NIGHT)
    assert load(night, history)["orders"].rows == 0
    assert messages(night) == [
        f"oltp: more than 3 rows of {name} stamped before 2026-03-07 and inserted since, back to 2025-01-02; none was"
        " read"
        for name in ("orders", "order_lines", "refunds")
    ]
    assert night.notices[0].cure.startswith(
        "Run `insightmart backfill oltp --from 2025-01-02 --to 2026-03-07` where old data was imported"
    )


def test_no_table_is_read_where_another_has_too_many(at: At, history: Oltp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind, "BEHIND_AT_MOST", 3)
    sell(history, 111, "2025-01-02 10:00Z")
    for number in (2, 3, 4):
        history.add("order_lines", order_id=111, line_number=number, updated_at="2025-01-02 10:00Z")
    night = at(NIGHT)
    assert [load(night, history)[name].rows for name in ("orders", "order_lines", "refunds")] == [0, 0, 0]
    assert [notice.subject for notice in night.notices] == ["oltp_order_lines"]


def test_an_import_that_was_backfilled_is_said_no_more_and_hides_no_other_row(
    at: At, history: Oltp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "BEHIND_AT_MOST", 3)
    for number in range(111, 115):
        history.add("orders", order_id=number, ordered_at="2025-01-02 10:00Z", updated_at="2025-01-02 10:00Z")
    window = Window(datetime(2025, 1, 2), datetime(2025, 1, 3))
    assert [result.rows for result in backfill(at("2026-03-15T21:00"), history.source, window)] == [4]
    history.add(
        "refunds", refund_id=111, order_id=1, amount=5, refunded_at="2026-03-15 20:30Z", updated_at="1970-01-01Z"
    )
    night = at(NIGHT)
    loads = load(night, history)
    assert [loads[name].rows for name in ("orders", "refunds")] == [0, 1]
    assert [notice.subject for notice in night.notices] == ["oltp_refunds"]


def raw_rows(context: IngestContext) -> list[tuple[Any, ...]]:
    return context.warehouse.rows("SELECT order_id, updated_at FROM raw.oltp_orders ORDER BY ALL")


def test_a_first_load_and_one_after_a_long_pause_read_each_row_once(at: At, history: Oltp) -> None:
    for day in range(16, 30):
        sell(history, day * 10, f"2026-03-{day} 10:00Z")
    late = at("2026-03-30T01:00")
    ingest(late, history.source)
    assert len(raw_rows(late)) == len(set(raw_rows(late))) == 33 + 14
    assert messages(late) == []
