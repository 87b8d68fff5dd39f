"""Columns that are added, dropped and retyped at the PostgreSQL source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.loading.context import IngestContext, SourceError
from ingestion.postgres.source import ingest

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]
SALES = ["orders", "order_lines", "refunds"]


@pytest.fixture
def changing(oltp: Oltp) -> Iterator[Callable[[str, str], None]]:
    """``changing(change, back)`` alters the tables until the end of the test."""
    ways_back = []

    def alter(change: str, back: str) -> None:
        oltp.execute(change)
        ways_back.append(back)

    yield alter
    oltp.execute("TRUNCATE orders, order_lines, refunds, customers, products")
    for back in reversed(ways_back):
        oltp.execute(back)


def add_one_of_each(oltp: Oltp, number: int, at: str) -> None:
    oltp.add("orders", order_id=number, total_amount=1, updated_at=at)
    oltp.add("order_lines", order_id=number, line_number=1, unit_price=1, updated_at=at)
    oltp.add("refunds", refund_id=number, amount=1, updated_at=at)


def raw(context: IngestContext, table: str, columns: str) -> list[tuple[Any, ...]]:
    return context.warehouse.rows(f"SELECT {columns} FROM raw.{table} ORDER BY 1")


def test_added_columns_are_recorded_and_loaded_from_then_on(
    at: At, oltp: Oltp, changing: Callable[[str, str], None]
) -> None:
    add_one_of_each(oltp, 1, "2026-03-05 09:00+00")
    ingest(at("2026-03-05T10:00"), oltp.source, entities=SALES)
    added = {
        "note": "text",
        "details": "jsonb",
        "rate": "numeric(20, 10)",
        "free": "numeric",
        "seen_at": "timestamptz",
        "seen_on": "date",
        "Über Größe": "bigint",
        "_loaded_at": "double precision",
    }
    for name, kind in added.items():
        changing(f'ALTER TABLE orders ADD "{name}" {kind}', f'ALTER TABLE orders DROP "{name}"')
    values = {
        "note": "a\tb\nc\\d",
        "details": '{"n": 1.10, "e": [null, "\\u0007"]}',
        "rate": Decimal("1234567890.0123456789"),
        "free": Decimal("NaN"),
        "seen_at": "2026-03-05 12:00:00.000001+05:30",
        "seen_on": "2026-03-05",
        '"Über Größe"': 2**62,
        '"_loaded_at"': 0.1,
    }
    oltp.add("orders", order_id=2, total_amount=1, updated_at="2026-03-05 10:30+00", **values)
    oltp.add("orders", order_id=3, total_amount=1, updated_at="2026-03-05 10:30+00", seen_at="infinity")
    context = at("2026-03-05T11:00")
    results = ingest(context, oltp.source, entities=SALES)
    assert [(result.rows, result.rejected_rows) for result in results] == [(1, 1), (0, 0), (0, 0)]
    names = "order_id, note, details, rate, free, seen_at, seen_on, ber_gr_e, loaded_at"
    assert raw(context, "oltp_orders", names) == [
        (1, *[None] * 8),
        (
            2,
            "a\tb\nc\\d",
            '{"e": [null, "\\u0007"], "n": 1.10}',
            Decimal("1234567890.0123456789"),
            "NaN",
            datetime(2026, 3, 5, 6, 30, 0, 1),
            date(2026, 3, 5),
            2**62,
            "0.1",
        ),
    ]
    assert raw(context, "rejects", "column_name, rule_id") == [("seen_at", "instant_invalid")]
    recorded = context.warehouse.rows(
        "SELECT source_column, source_type, raw_column, raw_type, first_seen_at FROM ops.source_columns"
        " WHERE raw_column IN ('rate', 'ber_gr_e', 'details') ORDER BY 1"
    )
    assert recorded == [
        ("details", "jsonb", "details", "VARCHAR", context.as_of),
        ("rate", "numeric(20,10)", "rate", "DECIMAL(20, 10)", context.as_of),
        ("Über Größe", "bigint", "ber_gr_e", "BIGINT", context.as_of),
    ]


def test_an_added_column_that_is_retyped_gets_another_raw_column_and_one_that_goes_stays_empty(
    at: At, oltp: Oltp, changing: Callable[[str, str], None]
) -> None:
    changing("ALTER TABLE refunds ADD points int", "ALTER TABLE refunds DROP IF EXISTS points")
    oltp.add("refunds", refund_id=1, points=5, updated_at="2026-03-05 09:00+00")
    ingest(at("2026-03-05T10:00"), oltp.source, entities=["refunds"])
    oltp.execute("TRUNCATE refunds")
    oltp.execute("ALTER TABLE refunds ALTER points TYPE text")
    oltp.add("refunds", refund_id=2, points="many", updated_at="2026-03-05 10:30+00")
    ingest(at("2026-03-05T11:00"), oltp.source, entities=["refunds"])
    oltp.execute("TRUNCATE refunds")
    oltp.execute("ALTER TABLE refunds DROP points")
    oltp.add("refunds", refund_id=3, updated_at="2026-03-05 11:30+00")
    context = at("2026-03-05T12:00")
    ingest(context, oltp.source, entities=["refunds"])
    assert raw(context, "oltp_refunds", "refund_id, points, points_2") == [
        (1, 5, None),
        (2, None, "many"),
        (3, None, None),
    ]


@pytest.mark.parametrize(
    ("change", "back", "cause"),
    [
        (
            "RENAME total_amount TO total",
            "RENAME total TO total_amount",
            "orders.total_amount is gone at the source, expected numeric(12,2)",
        ),
        (
            "ALTER total_amount TYPE double precision",
            "ALTER total_amount TYPE numeric(12, 2)",
            "orders.total_amount has the type double precision at the source, expected numeric(12,2)",
        ),
        (
            "ALTER ordered_at TYPE timestamp",
            "ALTER ordered_at TYPE timestamptz",
            "orders.ordered_at has the type timestamp without time zone at the source,"
            " expected timestamp with time zone",
        ),
        (
            "ALTER status TYPE int USING 1",
            "ALTER status TYPE text",
            "orders.status has the type integer at the source, expected text",
        ),
    ],
)
def test_a_column_that_models_need_stops_its_entity_alone_before_anything_is_written(
    at: At, oltp: Oltp, changing: Callable[[str, str], None], change: str, back: str, cause: str
) -> None:
    add_one_of_each(oltp, 1, "2026-03-05 09:00+00")
    changing(f"ALTER TABLE orders {change}", f"ALTER TABLE orders {back}")
    context = at("2026-03-05T10:00")
    with pytest.raises(SourceError) as raised:
        ingest(context, oltp.source)
    assert raised.value.cause == f"{cause}: nothing of orders was loaded"
    assert "\n" not in str(raised.value)
    counts = [len(raw(context, f"oltp_{name}", "*")) for name in SALES]
    assert counts == [0, 1, 1]
    assert context.warehouse.rows("SELECT entity FROM ops.source_watermarks ORDER BY 1") == [
        ("customers",),
        ("order_lines",),
        ("products",),
        ("refunds",),
    ]
    assert context.warehouse.value("SELECT COUNT(*) FROM ops.loads WHERE entity = 'orders'") == 0
