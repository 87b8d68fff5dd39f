"""The PostgreSQL source against a real server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ingestion.contracts import Entity, entity
from ingestion.loading.context import IngestContext, LoadResult, SourceError, Window
from ingestion.postgres import extract as postgres_extract
from ingestion.postgres import snapshot as postgres_snapshot
from ingestion.postgres.rows import typed_rows
from ingestion.postgres.source import OltpSource, ingest, retype
from ingestion.retries import AGAIN

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]
HOURLY = ["orders", "order_lines", "refunds"]


def order(**changes: Any) -> dict[str, Any]:
    """A good order, with changes."""
    good = {
        "order_id": 1,
        "customer_id": 7,
        "store_id": 12,
        "channel": "store",
        "status": "paid",
        "is_test": False,
        "currency": "USD",
        "ordered_at": "2026-03-05 09:10:11.123456+00",
        "discount_amount": Decimal("1.50"),
        "tax_amount": Decimal("0.75"),
        "shipping_amount": Decimal("0.00"),
        "total_amount": Decimal("9999999999.99"),
        "updated_at": "2026-03-05 09:10:12+00",
    }
    return good | changes


def by_entity(results: list[LoadResult]) -> dict[str, LoadResult]:
    return {result.entity: result for result in results}


def raw(context: IngestContext, table: str, columns: str = "*", order_by: str = "1") -> list[tuple[Any, ...]]:
    return context.warehouse.rows(f"SELECT {columns} FROM raw.{table} ORDER BY {order_by}")


def test_types_arrive_exactly(at: At, oltp: Oltp) -> None:
    oltp.add("orders", **order())
    oltp.add("order_lines", order_id=1, line_number=1, unit_price=Decimal("0.0001"), updated_at="2026-03-05 09:00+00")
    oltp.add("refunds", refund_id=5, amount=Decimal("-0.1234"), reason="", refunded_at="2026-03-05 04:00:00.5-05")
    context = at("2026-03-05T10:00")
    ingest(context, oltp.source, entities=HOURLY)
    (landed,) = context.warehouse.records("SELECT * FROM raw.oltp_orders")
    assert landed["ordered_at"] == datetime(2026, 3, 5, 9, 10, 11, 123456)
    assert landed["total_amount"] == Decimal("9999999999.99")
    assert (landed["is_test"], landed["currency"], landed["customer_id"]) == (False, "USD", 7)
    assert landed["_loaded_at"] == datetime(2026, 3, 5, 10)
    assert raw(context, "oltp_order_lines", "unit_price, sku, quantity") == [(Decimal("0.0001"), None, None)]
    assert raw(context, "oltp_refunds", "amount, reason, refunded_at, order_id") == [
        (Decimal("-0.1234"), "", datetime(2026, 3, 5, 9, 0, 0, 500000), None)
    ]


def test_empty_text_is_not_null_and_awkward_text_survives(at: At, oltp: Oltp) -> None:
    names = ["", None, "NULL", "\\N", '"', "a,b", "line\nbreak", "cr\r\nlf", " padded ", "Zoë ☃", "\\.", "t"]
    for number, name in enumerate(names):
        oltp.add("customers", customer_id=number, email=name, updated_at="2026-03-05 09:00+00")
    context = at("2026-03-05T10:00")
    ingest(context, oltp.source, entities=["customers"])
    assert raw(context, "oltp_customers", "customer_id, email") == list(enumerate(names))


def test_one_load_id_for_the_three_hourly_tables(at: At, oltp: Oltp) -> None:
    oltp.add("orders", **order())
    oltp.add("order_lines", order_id=1, line_number=1, updated_at="2026-03-05 09:00+00")
    oltp.add("refunds", refund_id=1, updated_at="2026-03-05 09:00+00")
    context = at("2026-03-05T10:00")
    results = by_entity(ingest(context, oltp.source))
    assert {results[name].load_id for name in HOURLY} == {raw(context, "oltp_orders", "_dlt_load_id")[0][0]}
    assert [results[name].status for name in (*HOURLY, "customers")] == ["loaded"] * 3 + ["empty"]
    recorded = context.warehouse.rows(
        "SELECT entity, rows, source_count, source_sum, landed_sum, window_end FROM ops.loads WHERE entity = 'orders'"
    )
    total = Decimal("9999999999.9900")
    assert recorded == [("orders", 1, 1, total, total, datetime(2026, 3, 5, 10))]


def test_values_that_do_not_fit_become_rejects(at: At, oltp: Oltp) -> None:
    oltp.execute("ALTER TABLE orders ALTER total_amount TYPE numeric, ALTER store_id TYPE numeric")
    try:
        for number, total in enumerate(["NaN", "Infinity", "12345678901.5", "1.005", "1.500", None]):
            oltp.add("orders", **order(order_id=number, total_amount=total))
        oltp.add("orders", **order(order_id=6, ordered_at="infinity"))
        oltp.add("orders", **order(order_id=7, store_id="1.5", currency=None))
        oltp.add("orders", **order(order_id=8, ordered_at="0044-03-15 10:00:00+00 BC"))
        context = at("2026-03-05T10:00")
        results = by_entity(ingest(context, oltp.source))
    finally:
        oltp.execute("TRUNCATE orders")
        oltp.execute("ALTER TABLE orders ALTER total_amount TYPE numeric(12, 2), ALTER store_id TYPE int")
    assert raw(context, "oltp_orders", "order_id, total_amount") == [(4, Decimal("1.50")), (5, None)]
    assert (results["orders"].rows, results["orders"].rejected_rows, results["orders"].source_count) == (2, 7, 9)
    rejects = raw(context, "rejects", "raw_text, column_name, rule_id, reason")
    assert [row[1:] for row in rejects] == [
        ("total_amount", "number_not_exact", "total_amount NaN is not a decimal128(12, 2)"),
        ("total_amount", "number_not_exact", "total_amount Infinity is not a decimal128(12, 2)"),
        ("total_amount", "number_not_exact", "total_amount 12345678901.5 is not a decimal128(12, 2)"),
        ("total_amount", "number_not_exact", "total_amount 1.005 is not a decimal128(12, 2)"),
        ("ordered_at", "instant_invalid", "ordered_at infinity is not a timestamp[us]"),
        ("store_id", "integer_invalid", "store_id 1.5 is not a int64"),
        ("ordered_at", "instant_invalid", "ordered_at 0044-03-15 10:00:00 BC is not a timestamp[us]"),
    ]
    assert rejects[5][0] == (
        '"7","7","1.5","store","paid","f",,"2026-03-05 09:10:11.123456","1.50","0.75","0.00","9999999999.99",'
        '"2026-03-05 09:10:12"'
    )
    assert set(raw(context, "rejects", "source, entity, is_whole_file, file_name, rejected_at")) == {
        ("oltp", "orders", False, None, datetime(2026, 3, 5, 10))
    }


def test_overlap_reads_late_commits_and_appends_no_reject_twice(at: At, oltp: Oltp) -> None:
    oltp.execute("ALTER TABLE refunds ALTER amount TYPE numeric")
    try:
        oltp.add("refunds", refund_id=1, amount="NaN", updated_at="2026-03-05 09:50+00")
        ingest(at("2026-03-05T10:00"), oltp.source, entities=HOURLY)
        oltp.add("orders", **order(updated_at="2026-03-05 09:45+00"))  # committed after the first load
        oltp.add("orders", **order(order_id=2, updated_at="2026-03-05 11:00+00"))  # not before as_of
        context = at("2026-03-05T11:00")
        results = by_entity(ingest(context, oltp.source, entities=HOURLY))
    finally:
        oltp.execute("TRUNCATE refunds")
        oltp.execute("ALTER TABLE refunds ALTER amount TYPE numeric(14, 4)")
    assert results["orders"].window == Window(datetime(2026, 3, 5, 9, 30), datetime(2026, 3, 5, 11))
    assert raw(context, "oltp_orders", "order_id") == [(1,)]
    assert len(raw(context, "rejects")) == 1
    assert (results["refunds"].rejected_rows, results["refunds"].source_count) == (1, 1)


def test_rows_without_updated_at_land_once(at: At, oltp: Oltp) -> None:
    oltp.add("orders", **order(updated_at=None))
    oltp.add("orders", **order(order_id=None, updated_at=None))
    first = by_entity(ingest(at("2026-03-05T10:00"), oltp.source))["orders"]
    assert (first.rows, first.source_count, first.source_sum) == (2, 2, first.landed_sum)
    oltp.add("orders", **order(updated_at=None, status="completed"))
    context = at("2026-03-05T11:00")
    second = by_entity(ingest(context, oltp.source))["orders"]
    assert (second.rows, second.source_count) == (1, 1)
    assert raw(context, "oltp_orders", "status, order_id", "1, 2") == [("completed", 1), ("paid", 1), ("paid", None)]


def test_daily_entities_load_once_a_utc_day(at: At, oltp: Oltp) -> None:
    oltp.add("products", sku="A", list_price=Decimal("1.00"), updated_at="2025-01-01 00:00+00")
    statuses = [
        by_entity(ingest(at(as_of), oltp.source))["products"].status
        for as_of in ("2026-03-05T22:00", "2026-03-05T23:00", "2026-03-06T00:00", "2026-03-06T01:00")
    ]
    assert statuses == ["loaded", "skipped", "empty", "skipped"]
    assert at("2026-03-06T01:00").warehouse.value(
        "SELECT covered_through FROM ops.source_watermarks WHERE entity = 'products'"
    ) == datetime(2026, 3, 6)


def test_a_requested_window_is_read_again_and_keeps_the_watermark(at: At, oltp: Oltp) -> None:
    oltp.add("orders", **order())
    oltp.add("orders", **order(order_id=2, updated_at="2026-03-05 08:00+00"))
    oltp.add("orders", **order(order_id=3, updated_at=None))
    ingest(at("2026-03-05T10:00"), oltp.source)
    context = at("2026-03-05T12:00")
    window = Window(datetime(2026, 3, 5, 8), datetime(2026, 3, 5, 9))
    (result,) = ingest(context, oltp.source, window, ["orders"])
    assert (result.rows, result.window) == (1, window)
    assert context.warehouse.rows("SELECT DISTINCT covered_through FROM ops.source_watermarks") == [
        (datetime(2026, 3, 5, 10),)
    ]


def test_one_snapshot_for_orders_lines_and_refunds(at: At, oltp: Oltp, monkeypatch: pytest.MonkeyPatch) -> None:
    oltp.add("orders", **order())
    typed = postgres_extract.typed_rows

    def type_and_sell(block: bytes, item: Entity, added: Any) -> Any:
        if item.name == "orders":
            oltp.add("order_lines", order_id=1, line_number=1, updated_at="2026-03-05 09:00+00")
        return typed(block, item, added)

    monkeypatch.setattr(postgres_extract, "typed_rows", type_and_sell)
    context = at("2026-03-05T10:00")
    results = by_entity(ingest(context, oltp.source, entities=HOURLY))
    assert (results["orders"].rows, results["order_lines"].rows) == (1, 0)


def test_the_session_may_only_read(oltp: Oltp, oltp_dsns: tuple[str, str]) -> None:
    with (
        postgres_snapshot.Snapshot(OltpSource(oltp_dsns[0])) as snapshot,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        snapshot.rows("INSERT INTO products (sku) VALUES ('x') RETURNING sku")


def test_an_unknown_entity_is_refused(at: At, oltp: Oltp) -> None:
    with pytest.raises(KeyError, match="ordres"):
        ingest(at("2026-03-05T10:00"), oltp.source, entities=["ordres"])


def test_a_lost_connection_is_tried_again_from_the_start(at: At, oltp: Oltp, monkeypatch: pytest.MonkeyPatch) -> None:
    oltp.add("orders", **order())
    oltp.add("order_lines", order_id=1, line_number=1, updated_at="2026-03-05 09:00+00")
    typed = postgres_extract.typed_rows
    cut = iter([True])

    def type_and_cut(block: bytes, item: Entity, added: Any) -> Any:
        if item.name == "orders" and next(cut, False):
            oltp.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'insightmart'"
            )
        return typed(block, item, added)

    monkeypatch.setattr(postgres_extract, "typed_rows", type_and_cut)
    context = at("2026-03-05T10:00")
    with capture_logs() as logged:
        results = by_entity(ingest(context, oltp.source, entities=HOURLY))
    assert [line["whom"] for line in logged if line["event"] == AGAIN] == ["PostgreSQL"]
    assert (results["orders"].rows, results["order_lines"].rows) == (1, 1)
    assert len(raw(context, "oltp_orders")) == 1
    assert context.warehouse.rows("SELECT status, COUNT(*) FROM ops.loads GROUP BY 1 ORDER BY 1") == [
        ("empty", 1),
        ("failed", 1),
        ("loaded", 2),
    ]


def failure(context: IngestContext, source: OltpSource) -> SourceError:
    with pytest.raises(SourceError) as raised:
        ingest(context, source, entities=["orders"])
    assert "\n" not in str(raised.value)
    return raised.value


def test_a_wrong_password_is_named_and_not_shown(at: At, oltp: Oltp, oltp_dsns: tuple[str, str]) -> None:
    secret = "hunter2-secret"
    port = psycopg.conninfo.conninfo_to_dict(oltp_dsns[1])["port"]
    error = failure(at("2026-03-05T10:00"), OltpSource(f"postgresql://nobody:{secret}@127.0.0.1:{port}/shop"))
    assert "authentication failed" in str(error) and "OLTP_DSN" in error.cure
    assert secret not in str(error)
    assert secret not in repr(OltpSource(secret))


def test_a_dsn_that_cannot_be_read_is_not_repeated(at: At) -> None:
    error = failure(at("2026-03-05T10:00"), OltpSource("host=x hunter2-secret"))
    assert error.cause == "OLTP_DSN is not a PostgreSQL connection string"


def test_a_server_that_is_not_there(at: At) -> None:
    source = OltpSource("postgresql://x@127.0.0.1:1/shop", attempts=2, retry_wait=0)
    error = failure(at("2026-03-05T10:00"), source)
    assert "refused" in error.cause
    assert at("2026-03-05T10:00").warehouse.rows("SELECT * FROM ops.source_watermarks") == []


def test_a_missing_table_or_column_or_grant_or_a_slow_query(
    at: At, oltp: Oltp, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = at("2026-03-05T10:00")
    oltp.execute("ALTER TABLE orders RENAME TO moved")
    try:
        assert "public.orders does not exist" in failure(context, oltp.source).cause
    finally:
        oltp.execute("ALTER TABLE moved RENAME TO orders")
    oltp.execute("ALTER TABLE orders RENAME store_id TO shop_id")
    try:
        assert "orders.store_id is gone at the source, expected bigint" in failure(context, oltp.source).cause
    finally:
        oltp.execute("ALTER TABLE orders RENAME shop_id TO store_id")
    oltp.execute("REVOKE SELECT ON orders FROM insightmart_reader")
    try:
        assert "Grant the role" in failure(context, oltp.source).cure
    finally:
        oltp.execute("GRANT SELECT ON orders TO insightmart_reader")
    oltp.execute("INSERT INTO orders (order_id) SELECT * FROM generate_series(1, 200000)")
    hurried = postgres_snapshot._settings
    monkeypatch.setattr(postgres_snapshot, "_settings", lambda source: hurried(source) | {"statement_timeout": "20ms"})
    assert "statement timeout" in failure(context, oltp.source).cause


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**10), max_value=10**10),
            st.sampled_from([Decimal("NaN"), Decimal("99999999.9999"), Decimal("100000000"), None, Decimal("1.23450")]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_number_is_exact_or_a_reject(prices: list[Decimal | None]) -> None:
    lines = [
        f'1,{number},"s",1,{"" if price is None else format(price, "f")},,,' for number, price in enumerate(prices)
    ]
    rows, faults = typed_rows(("\n".join(lines) + "\n").encode(), entity("oltp", "order_lines"))
    fits = [price is None or (price.is_finite() and abs(price) < 10**8) for price in prices]
    assert rows["unit_price"].to_pylist() == [price for price, good in zip(prices, fits, strict=True) if good]
    assert faults.num_rows == fits.count(False)
    assert set(faults["column_name"].to_pylist()) <= {"unit_price"}


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 10**25, 0])
def test_integers_up_to_64_bits(value: int) -> None:
    block = f'{value},1,"s",x,1.0,,,\n{value},1,"s",1,1.0,,,\n'.encode()
    rows, faults = typed_rows(block, entity("oltp", "order_lines"))
    good = -(2**63) <= value < 2**63
    assert rows["order_id"].to_pylist() == ([value] if good else [])
    assert faults["column_name"].to_pylist() == (["quantity"] if good else ["order_id", "order_id"])


def test_text_that_is_not_utf8_is_a_reject_and_cannot_be_replayed() -> None:
    block = b'1,1,"\xff",1,1.0,,,\n1,2,"ok",1,x,,,\n1,3,"\xc3\xa9",1,1.0,,,\n'
    rows, faults = typed_rows(block, entity("oltp", "order_lines"))
    assert rows.select(["line_number", "sku"]).to_pylist() == [{"line_number": 3, "sku": "é"}]
    assert faults.select(["column_name", "rule_id", "reason"]).to_pylist() == [
        {
            "column_name": "unit_price",
            "rule_id": "number_not_exact",
            "reason": "unit_price x is not a decimal128(12, 4)",
        },
        {"column_name": "sku", "rule_id": "text_undecodable", "reason": r"sku b'\xff' is not text in UTF-8"},
    ]
    pairs, readable = retype("order_lines", faults["raw_text"].filter(pa.array([False, True])))
    assert pairs == []
    assert not readable.any()


@pytest.mark.parametrize("filler", [b"x", b"a line\n", b'""'])
def test_a_text_of_megabytes_stops_no_row(filler: bytes) -> None:
    """Longer than the part that the CSV reader takes at once, beside rows that fit and one that does not."""
    long = filler * (3_000_000 // len(filler))
    block = b'1,1,"a",1,1.0,,,\n1,2,"%b",1,1.0,,,\n1,3,"c",1,x,,,\n' % long
    whole = long.decode().replace('""', '"')
    rows, faults = typed_rows(block, entity("oltp", "order_lines"))
    assert rows["sku"].to_pylist() == ["a", whole]
    assert faults["column_name"].to_pylist() == ["unit_price"]
    rows, faults = typed_rows(block + b'1,4,"\xff",1,1.0,,,\n', entity("oltp", "order_lines"))
    assert rows["sku"].to_pylist() == ["a", whole]
    assert faults["column_name"].to_pylist() == ["unit_price", "sku"]
    assert retype("order_lines", faults["raw_text"])[1].tolist() == [False, False]


def test_rejected_records_are_read_again_with_todays_rules() -> None:
    rows = [
        '"1","1","a\nb ""c""","2","1.2345",,,"2026-03-05 09:00:00"',  # fits now
        '"1","2","","x","1.0",,,"2026-03-05 09:00:00"',  # still no number of pieces
        '"1","3",,"2","1.5",,,,"a column that was added","",',
        '"1","4"',
        "",
    ]
    pairs, readable = retype("order_lines", pa.chunked_array([rows[:2], [*rows[2:], None]], pa.string()))
    assert readable.tolist() == [True, False, True, False, False, False]
    assert [table for table, _ in pairs] == ["oltp_order_lines"] * 2
    landed = pa.concat_tables([batch for _, batch in pairs])
    assert landed.schema == pa.schema(entity("oltp", "order_lines").columns)
    assert [tuple(row.values())[2:5] for row in landed.to_pylist()] == [
        ('a\nb "c"', 2, Decimal("1.2345")),
        (None, 2, Decimal("1.5000")),
    ]


def test_every_reject_of_a_load_can_be_given_to_retype(at: At, oltp: Oltp) -> None:
    oltp.add("orders", **order(ordered_at="infinity", channel='a,"b"\n'))
    oltp.add("orders", **order(order_id=2, ordered_at="0044-03-15 10:00:00+00 BC"))
    context = at("2026-03-05T10:00")
    ingest(context, oltp.source)
    texts = [text for (text,) in raw(context, "rejects", "raw_text")]
    pairs, readable = retype("orders", pa.array(texts))
    assert (pairs, readable.tolist()) == ([], [False, False])
    mended = pa.array([text.replace('"infinity"', '"2026-03-05 09:00:00"') for text in texts])
    ((table, rows),), readable = retype("orders", mended)
    assert (table, readable.tolist(), rows["channel"].to_pylist()) == ("oltp_orders", [True, False], ['a,"b"\n'])
