"""Stamps ahead of the clock, and columns that mark deleted rows: what is loaded, what counts, what is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import entity
from ingestion.loading.context import IngestContext, LoadResult, SourceError
from ingestion.loading.versions import is_latest_version, not_deleted
from ingestion.postgres import extract
from ingestion.postgres.source import OltpSource, ingest

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]
NOW, NEXT, DAY_AFTER = "2026-03-06T15:05", "2026-03-06T16:05", "2026-03-07T15:05"
ORDERS = entity("oltp", "orders")


def sell(oltp: Oltp, order_id: int, updated_at: str | None, **more: Any) -> None:
    oltp.add(
        "orders", order_id=order_id, ordered_at="2026-03-06 14:10Z", total_amount=20, updated_at=updated_at, **more
    )


def load(context: IngestContext, source: OltpSource) -> LoadResult:
    """The regular load of the orders."""
    return ingest(context, source, entities=["orders"])[0]


def standing(context: IngestContext, columns: str = "order_id, status") -> list[tuple[Any, ...]]:
    """The latest version of every order that is not deleted."""
    return context.warehouse.rows(
        f"SELECT {columns} FROM raw.oltp_orders AS r WHERE {not_deleted(ORDERS, 'r')}"
        f" QUALIFY {is_latest_version(ORDERS)} ORDER BY 1"
    )


def test_a_row_stamped_a_year_ahead_is_loaded_at_once_and_once(at: At, oltp: Oltp) -> None:
    sell(oltp, 1001, "2026-03-06 14:10Z")
    context = at(NOW)
    load(context, oltp.source)
    assert context.notices == []
    sell(oltp, 1002, "2027-03-06 14:10Z")
    context = at(NEXT)
    assert load(context, oltp.source).rows == 1
    [notice] = context.notices
    assert notice.subject == "oltp_orders"
    assert notice.message.startswith(
        "oltp: 1 row of orders stamped ahead of the clock, up to 2027-03-06 14:10 (order_id 1002)"
    )
    assert standing(context) == [(1001, None), (1002, None)]
    context = at("2026-03-06T17:05")
    assert load(context, oltp.source).rows == 0  # not again every hour
    assert context.notices == []


def test_the_true_version_wins_though_its_stamp_is_a_year_earlier(at: At, oltp: Oltp) -> None:
    sell(oltp, 1002, "2027-03-06 14:10Z", status="paid")
    load(at(NOW), oltp.source)
    oltp.execute("UPDATE orders SET status = 'cancelled', updated_at = '2026-03-06 15:40Z'")
    context = at(NEXT)
    assert load(context, oltp.source).rows == 1
    assert standing(context) == [(1002, "cancelled")]
    context = at(DAY_AFTER)
    assert len(ingest(context, oltp.source, entities=["orders"])) == 1  # the days are equal
    assert standing(context) == [(1002, "cancelled")]


def test_a_change_of_a_row_ahead_is_seen_though_its_stamp_stays_ahead(at: At, oltp: Oltp) -> None:
    sell(oltp, 1002, "2027-03-06 14:10Z", status="paid")
    load(at(NOW), oltp.source)
    oltp.execute("UPDATE orders SET status = 'cancelled', updated_at = '2027-03-06 15:10Z'")
    context = at(NEXT)
    assert load(context, oltp.source).rows == 1
    assert standing(context) == [(1002, "cancelled")]


def test_a_row_stamped_for_ever_is_rejected_once(at: At, oltp: Oltp) -> None:
    sell(oltp, 1002, "infinity")
    context = at(NOW)
    assert load(context, oltp.source).rejected_rows == 1
    assert context.warehouse.rows("SELECT column_name, rule_id FROM raw.rejects") == [("updated_at", "instant_invalid")]
    assert load(at(NEXT), oltp.source).rejected_rows == 0


def test_a_run_of_the_past_does_not_read_the_future(at: At, oltp: Oltp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "AHEAD_AT_MOST", 2)
    for number in range(3):
        sell(oltp, number, "2026-04-01 10:00Z")
    context = at(NOW)
    assert load(context, oltp.source).rows == 0
    assert [notice.message for notice in context.notices] == [
        "oltp: many rows of orders are stamped after 2026-03-06 15:05; none was read before its time"
    ]


def test_an_order_ahead_waits_where_too_many_lines_do(at: At, oltp: Oltp, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of the past near its end: few orders lie ahead, but more lines than are read before their time."""
    monkeypatch.setattr(extract, "AHEAD_AT_MOST", 2)
    sell(oltp, 1, "2026-04-01 10:00Z")
    oltp.execute(
        "INSERT INTO order_lines (order_id, line_number, quantity, unit_price, updated_at)"
        " SELECT 1, number, 1, 5, '2026-04-01 10:00Z' FROM generate_series(1, 3) AS number"
    )
    context = at(NOW)
    ingest(context, oltp.source)
    assert context.warehouse.rows("SELECT COUNT(*) FROM raw.oltp_orders") == [(0,)]
    assert context.warehouse.rows("SELECT COUNT(*) FROM raw.oltp_order_lines") == [(0,)]
    assert [notice.subject for notice in context.notices] == ["oltp_order_lines"]


@pytest.fixture
def marked(oltp: Oltp) -> Iterator[Oltp]:
    """Orders with the column ``deleted_at``."""
    oltp.execute("ALTER TABLE orders ADD deleted_at timestamptz, ADD is_deleted boolean")
    oltp.execute("GRANT SELECT ON orders TO insightmart_reader")
    try:
        yield oltp
    finally:
        oltp.execute("ALTER TABLE orders DROP deleted_at, DROP is_deleted")


@pytest.mark.parametrize(("column", "value"), [("deleted_at", "2026-03-06 15:30Z"), ("is_deleted", True)])
def test_a_declared_mark_is_a_deletion_and_can_be_taken_back(at: At, marked: Oltp, column: str, value: Any) -> None:
    source = replace(marked.source, deleted_columns=(column, "-deleted_at", "-is_deleted"))
    sell(marked, 1, "2026-03-06 14:10Z")
    sell(marked, 2, "2026-03-06 14:10Z")
    load(at(NOW), source)
    marked.execute(f"UPDATE orders SET {column} = %s, updated_at = '2026-03-06 15:30Z' WHERE order_id = 2", value)
    context = at(NEXT)
    load(context, source)
    assert standing(context, "order_id") == [(1,)]
    assert context.notices == []
    assert len(ingest(at(DAY_AFTER), source, entities=["orders"])) == 1  # nothing differs
    marked.execute(f"UPDATE orders SET {column} = NULL, updated_at = '2026-03-07 15:30Z' WHERE order_id = 2")
    context = at("2026-03-07T16:05")
    load(context, source)
    assert standing(context, "order_id") == [(1,), (2,)]


def test_a_mark_set_without_touching_updated_at_is_found_by_the_comparison(at: At, marked: Oltp) -> None:
    source = replace(marked.source, deleted_columns=("deleted_at", "-is_deleted"))
    sell(marked, 1, "2026-03-06 14:10Z")
    sell(marked, 2, "2026-03-06 14:10Z")
    load(at(NOW), source)
    marked.execute("UPDATE orders SET deleted_at = '2026-03-06 15:30Z' WHERE order_id = 2")
    context = at(DAY_AFTER)
    _, *further = ingest(context, source, entities=["orders"])
    assert [result.rows for result in further] == [1]
    assert standing(context, "order_id") == [(1,)]
    assert context.warehouse.rows("SELECT window_start FROM ops.correction_windows") == [(datetime(2026, 3, 6, 14),)]
    assert len(ingest(at("2026-03-08T15:05"), source, entities=["orders"])) == 1


def test_an_undeclared_mark_is_said_each_time(at: At, marked: Oltp) -> None:
    sell(marked, 1, "2026-03-06 14:10Z", deleted_at="2026-03-06 14:20Z")
    for instant in (NOW, NEXT):
        context = at(instant)
        load(context, marked.source)
        assert [notice.message for notice in context.notices] == [
            "oltp: orders has a column deleted_at, is_deleted; rows that it marks as deleted are still counted"
        ]
        assert standing(context, "order_id") == [(1,)]


def test_a_mark_that_cannot_be_read_stops_its_table_with_a_cure(at: At, oltp: Oltp) -> None:
    with pytest.raises(SourceError, match=r"orders\.channel has the type text, which cannot say"):
        load(at(NOW), replace(oltp.source, deleted_columns=("channel",)))
