"""Which hours a load queues for restatement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ingestion.contracts import entity
from ingestion.loading.context import IngestContext, LoadResult, Window
from ingestion.loading.correction_queue import Correction, queue
from ingestion.loading.intervals import merge_hours
from ingestion.loading.package import load
from ingestion.loading.planning import released_through
from ingestion.loading.records import record
from ingestion.postgres import touched_windows as oltp_touched
from ingestion.shopify import touched_windows as shopify_touched
from ingestion.warehouse import bind

At = Callable[[str], IngestContext]


def instant(text: str) -> datetime:
    """``5 09:30`` is 2026-03-05 09:30 UTC."""
    day, time = text.split()
    return datetime.fromisoformat(f"2026-03-{int(day):02d}T{time}")


def rows(source: str, name: str, *records: dict[str, Any]) -> tuple[str, pa.Table]:
    item = entity(source, name)
    filled = [{column.name: record.get(column.name) for column in item.columns} for record in records]
    return item.table, pa.Table.from_pylist(filled, schema=pa.schema(item.columns))


def order(order_id: int | None, ordered: str | None, updated: str | None, **more: Any) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "ordered_at": instant(ordered) if ordered else None,
        "updated_at": instant(updated) if updated else None,
        "total_amount": Decimal("1.00"),
    } | more


def line(order_id: int | None, number: int, updated: str | None, **more: Any) -> dict[str, Any]:
    return {"order_id": order_id, "line_number": number, "updated_at": instant(updated) if updated else None} | more


def refund(refund_id: int, order_id: int | None, refunded: str, updated: str) -> dict[str, Any]:
    return {
        "refund_id": refund_id,
        "order_id": order_id,
        "refunded_at": instant(refunded),
        "updated_at": instant(updated),
    }


class Runs:
    """Loads one after the other, each recorded unless the run is killed before."""

    def __init__(self, at: At) -> None:
        self.at = at

    def __call__(self, as_of: str, *tables: tuple[str, pa.Table], killed: bool = False) -> list[tuple[str, str]]:
        """Load, and return the windows queued for sales, as ``5 09:00`` texts."""
        context = self.at(instant(as_of).isoformat())
        released = released_through(context, "oltp", ["orders", "order_lines", "refunds"])
        load_id = load(context, "oltp", iter(tables))
        found = oltp_touched.sales(context, load_id, released)
        if not killed:
            result = LoadResult("oltp", "orders", load_id, None, 1, covered_through=context.as_of)
            with context.warehouse.transaction():
                record(context, [result])
                queue(context, found)
        assert {(item.source, item.entity, item.load_id) for item in found} <= {("oltp", "sales", load_id)}
        return [(f"{item.window.start:%-d %H:%M}", f"{item.window.end:%-d %H:%M}") for item in found]


@pytest.fixture
def run(at: At) -> Runs:
    return Runs(at)


def test_the_first_load_and_what_is_on_time_queue_nothing(run: Runs) -> None:
    assert run("5 10:00", rows("oltp", "orders", order(1, "5 09:10", "5 09:10"))) == []
    assert run("5 11:00", rows("oltp", "orders", order(2, "5 10:10", "5 10:10"))) == []


def test_a_late_order_queues_its_hour(run: Runs) -> None:
    run("5 10:00", rows("oltp", "orders", order(1, "5 09:10", "5 09:10")))
    assert run("5 11:00", rows("oltp", "orders", order(2, "5 08:59", "5 10:10"))) == [("5 08:00", "5 09:00")]
    assert run("5 12:00", rows("oltp", "orders", order(3, "1 00:00", "5 11:10"))) == [("1 00:00", "1 01:00")]


def test_the_overlap_queues_nothing(run: Runs) -> None:
    same = [
        rows("oltp", "orders", order(1, "5 09:40", "5 09:40"), order(None, "5 09:40", "5 09:40")),
        rows("oltp", "order_lines", line(1, 1, "5 09:40"), line(9, 1, "5 09:40"), line(None, 1, "5 09:41")),
        rows("oltp", "refunds", refund(1, None, "5 09:40", "5 09:40")),
    ]
    run("5 10:00", *same)
    assert run("5 11:00", *same) == []


def test_a_changed_order_queues_its_old_and_its_new_hour_and_its_refunds(run: Runs) -> None:
    run(
        "5 10:00",
        rows("oltp", "orders", order(1, "4 03:10", "4 03:10"), order(2, "4 02:10", "4 02:10")),
        rows("oltp", "refunds", refund(1, 1, "5 01:00", "5 01:00"), refund(2, 2, "4 20:00", "4 20:00")),
    )
    moved = order(1, "4 07:10", "5 10:30", store_id=3)
    assert run("5 11:00", rows("oltp", "orders", moved)) == [
        ("4 03:00", "4 04:00"),
        ("4 07:00", "4 08:00"),
        ("5 01:00", "5 02:00"),
    ]


def test_a_changed_line_queues_the_hour_of_its_order(run: Runs) -> None:
    run(
        "5 10:00",
        rows("oltp", "orders", order(1, "5 03:10", "5 03:10")),
        rows("oltp", "order_lines", line(1, 1, "5 03:10", quantity=1)),
    )
    changed = line(1, 1, "5 10:30", quantity=2)
    assert run("5 11:00", rows("oltp", "order_lines", changed)) == [("5 03:00", "5 04:00")]


def test_a_late_line_of_an_unknown_order_queues_its_own_hours(run: Runs) -> None:
    run("5 10:00", rows("oltp", "order_lines", line(9, 1, "5 04:10")))
    late = [line(9, 1, "5 09:50"), line(None, 1, "5 07:10")]
    assert run("5 11:00", rows("oltp", "order_lines", *late)) == [
        ("5 04:00", "5 05:00"),
        ("5 07:00", "5 08:00"),
        ("5 09:00", "5 10:00"),
    ]


def test_an_order_seen_for_the_first_time_queues_where_its_lines_and_refunds_stood(run: Runs) -> None:
    run(
        "5 10:00",
        rows("oltp", "order_lines", line(1, 1, "5 04:10")),
        rows("oltp", "refunds", refund(1, 1, "5 06:10", "5 06:10")),
    )
    assert run("5 11:00", rows("oltp", "orders", order(1, "5 10:10", "5 10:10"))) == [
        ("5 04:00", "5 05:00"),
        ("5 06:00", "5 07:00"),
    ]


def test_a_changed_refund_queues_old_and_new_hour(run: Runs) -> None:
    run("5 10:00", rows("oltp", "refunds", refund(1, None, "5 04:10", "5 04:10")))
    assert run("5 11:00", rows("oltp", "refunds", refund(1, None, "5 02:10", "5 10:10"))) == [
        ("5 02:00", "5 03:00"),
        ("5 04:00", "5 05:00"),
    ]


@pytest.mark.parametrize("ordered", [None, "7 12:00"])
def test_an_unusable_event_stands_where_it_was_written(run: Runs, ordered: str | None) -> None:
    run("5 10:00")
    assert run("5 11:00", rows("oltp", "orders", order(1, ordered, "5 08:10"))) == [("5 08:00", "5 09:00")]


def test_before_history_counts_when_it_was_written_and_never_before_the_start(run: Runs) -> None:
    run("5 10:00")
    before = order(1, None, "5 08:10", ordered_at=datetime(2020, 1, 1))
    long_ago = order(2, None, None, ordered_at=datetime(2020, 1, 1), updated_at=datetime(2020, 1, 2))
    assert run("5 11:00", rows("oltp", "orders", before, long_ago)) == [("1 00:00", "1 01:00"), ("5 08:00", "5 09:00")]


def test_adjacent_hours_become_one_range_up_to_the_watermark(run: Runs, at: At) -> None:
    run("5 10:00")
    late = [order(number, f"5 0{6 + number}:15", "5 10:10") for number in range(4)]  # 06, 07, 08, 09
    also = [order(10, "5 09:59", "5 10:10"), order(11, "5 10:00", "5 10:10"), order(12, "5 03:00", "5 10:10")]
    assert run("5 11:00", rows("oltp", "orders", *late, *also)) == [("5 03:00", "5 04:00"), ("5 06:00", "5 10:00")]
    queued = at("2026-03-05T11:00").warehouse.rows(
        "SELECT source, entity, window_start, rows, status, attempts, queued_at FROM ops.correction_windows ORDER BY 3"
    )
    assert queued == [
        ("oltp", "sales", instant("5 03:00"), 1, "open", 0, instant("5 11:00")),
        ("oltp", "sales", instant("5 06:00"), 5, "open", 0, instant("5 11:00")),
    ]


def test_a_watermark_within_an_hour_has_not_released_that_hour(run: Runs) -> None:
    run("5 10:20")
    late = [order(1, "5 10:10", "5 10:25"), order(2, "5 09:10", "5 10:25")]
    assert run("5 11:00", rows("oltp", "orders", *late)) == [("5 09:00", "5 10:00")]


def test_a_kill_before_the_record_loses_no_correction(run: Runs) -> None:
    run("5 10:00", rows("oltp", "orders", order(1, "5 03:10", "5 03:10")))
    changed = rows("oltp", "orders", order(1, "5 03:10", "5 10:10", status="cancelled"))
    assert run("5 11:00", changed, killed=True) == [("5 03:00", "5 04:00")]
    assert run("5 11:00", changed) == [("5 03:00", "5 04:00")]
    assert run("5 12:00", changed) == []


def shopify_run(
    at: At, as_of: str, find: Callable[..., list[Correction]], *tables: tuple[str, pa.Table]
) -> list[tuple[str, str]]:
    context = at(instant(as_of).isoformat())
    released = released_through(context, "shopify", ["orders", "inventory"])
    load_id = load(context, "shopify", iter(tables))
    found = find(context, load_id, released)
    with context.warehouse.transaction():
        record(context, [LoadResult("shopify", "orders", load_id, None, 1, covered_through=context.as_of)])
        queue(context, found)
    return [(f"{item.window.start:%-d %H:%M}", f"{item.window.end:%-d %H:%M}") for item in found]


def online_order(order_id: int, processed: str, updated: str) -> dict[str, Any]:
    return {"order_id": order_id, "processed_at": instant(processed), "updated_at": instant(updated)}


def given_back(order_id: int, happened: str, updated: str) -> dict[str, Any]:
    """A sale of the ledger: all of an order's agreements come with each of its versions."""
    return {"order_id": order_id, "happened_at": instant(happened), "order_updated_at": instant(updated)}


def test_online_orders(at: At) -> None:
    first = [
        rows("shopify", "orders", online_order(1, "5 03:10", "5 03:10"), online_order(2, "5 04:10", "5 09:50")),
        rows("shopify", "sales", given_back(2, "5 06:00", "5 09:50")),
    ]
    assert shopify_run(at, "5 10:00", shopify_touched.sales, *first) == []
    assert shopify_run(at, "5 11:00", shopify_touched.sales, *first) == []
    again = [
        rows("shopify", "orders", online_order(2, "5 04:10", "5 11:10")),
        rows("shopify", "sales", given_back(2, "5 06:00", "5 11:10"), given_back(2, "5 11:05", "5 11:10")),
    ]
    assert shopify_run(at, "5 12:00", shopify_touched.sales, *again) == [("5 04:00", "5 05:00"), ("5 06:00", "5 07:00")]


def test_online_inventory(at: At) -> None:
    def level(item: int, updated: str) -> dict[str, Any]:
        return {"inventory_item_id": item, "location_id": 1, "available": 3, "updated_at": instant(updated)}

    first = rows("shopify", "inventory", level(1, "5 09:50"))
    shopify_run(at, "5 10:00", shopify_touched.inventory, first)
    # what the SKU of a version comes to when it is read again is no change of it
    again = level(1, "5 09:50") | {"sku_on_hand": 12, "sku_on_order": 3}
    late = rows("shopify", "inventory", again, level(2, "5 08:10"), level(3, "5 10:10"))
    assert shopify_run(at, "5 11:00", shopify_touched.inventory, late) == [("5 08:00", "5 09:00")]


def test_what_is_open_already_is_not_queued_twice(at: At) -> None:
    context = at("2026-03-05T10:00")
    window = Window(instant("5 03:00"), instant("5 04:00"))
    correction = Correction("oltp", "sales", window, "x", 1, "late")
    assert queue(context, [correction, correction]) == 1
    context.warehouse.execute("UPDATE ops.correction_windows SET status = 'closed'")
    assert queue(context, [correction]) == 1
    longer = Window(window.start, window.end + timedelta(hours=1))
    assert queue(context, [Correction("oltp", "sales", longer, "x", 1, "late")]) == 1


def test_hours_merge() -> None:
    hours = [(instant("5 04:00"), 2), (instant("5 03:00"), 1), (instant("5 23:00"), 1), (instant("6 00:00"), 1)]
    assert merge_hours(hours) == [
        (Window(instant("5 03:00"), instant("5 05:00")), 3),
        (Window(instant("5 23:00"), instant("6 01:00")), 2),
    ]
    assert merge_hours([]) == []


def test_marks_are_bound_in_order() -> None:
    now = instant("5 03:00")
    assert bind("a = :x AND b::text = :y AND c < :now", x=1, y="2", now=now) == (
        "a = ? AND b::text = ? AND c < CAST(? AS TIMESTAMP_NTZ)",
        [1, "2", now],
    )
