"""The first load of a large PostgreSQL table, in pieces. Kills in and between pieces are in test_recovery.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.loading.context import IngestContext
from ingestion.postgres import first_load as postgres_first
from ingestion.postgres.source import ingest

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_first, "PIECE_ROWS", 10)


def raw(context: IngestContext, columns: str) -> list[tuple[Any, ...]]:
    return context.warehouse.rows(f"SELECT {columns} FROM raw.oltp_orders")


def test_every_row_once_with_progress_rate_and_time_left(at: At, oltp: Oltp) -> None:
    oltp.execute(
        "INSERT INTO orders (order_id, total_amount, updated_at)"
        " SELECT n - 5, n, '2026-03-05 09:00+00' FROM generate_series(1, 28) AS n"  # keys below zero, too
    )
    for _ in range(5):
        oltp.add("orders", order_id=5, total_amount=1000, updated_at="2026-03-05 09:00+00")  # across a bound
    oltp.add("orders", total_amount=5, updated_at="2026-03-05 09:00+00")  # no key
    oltp.add("orders", order_id=90, total_amount=7)  # no updated_at
    oltp.add("orders", order_id=91, total_amount="NaN", updated_at="2026-03-05 09:00+00")
    oltp.execute("ANALYZE orders")
    lines: list[str] = []
    context = replace(at("2026-03-05T10:00"), progress=lines.append)
    results = ingest(context, oltp.source, entities=["orders"])
    regular, *pieces = results
    assert raw(context, "COUNT(*), COUNT(DISTINCT order_id), SUM(total_amount)") == [(35, 29, 28 * 29 // 2 + 5012)]
    assert [(piece.rows, piece.rejected_rows) for piece in pieces] == [(15, 0), (10, 0), (9, 1), (0, 0), (1, 0)]
    assert all(piece.source_count == piece.rows + piece.rejected_rows for piece in pieces)
    assert all(piece.source_sum == piece.landed_sum for piece in pieces)
    assert [bool(piece.content_hash and piece.bytes) for piece in pieces] == [True, True, True, False, True]
    assert regular.rows == 0
    assert context.warehouse.rows("SELECT covered_through, load_id FROM ops.source_watermarks")[0][0] == context.as_of
    assert re.search(r"oltp orders: 15 of about 36 rows, [\d,]+ rows/s, 0:00:\d\d left", "\n".join(lines))
    assert ingest(at("2026-03-05T11:00"), oltp.source, entities=["orders"])[0].rows == 0


def test_what_changes_while_pieces_are_read_comes_with_the_next_load(
    at: At, oltp: Oltp, monkeypatch: pytest.MonkeyPatch
) -> None:
    oltp.execute(
        "INSERT INTO orders (order_id, total_amount, updated_at)"
        " SELECT n, 1, '2026-03-05 09:00+00' FROM generate_series(1, 25) AS n"
    )
    read_piece = postgres_first._read_piece
    changes = iter(["UPDATE orders SET total_amount = 2, updated_at = '2026-03-05 10:10+00' WHERE order_id IN (1, 20)"])

    def read_and_change(*arguments: Any) -> Any:
        found = read_piece(*arguments)
        if change := next(changes, None):
            oltp.execute(change)
        return found

    monkeypatch.setattr(postgres_first, "_read_piece", read_and_change)
    ingest(at("2026-03-05T10:00"), oltp.source, entities=["orders"])
    context = at("2026-03-05T11:00")
    ingest(context, oltp.source, entities=["orders"])
    latest = "SELECT order_id, total_amount FROM raw.oltp_orders QUALIFY ROW_NUMBER() OVER ("
    latest += "PARTITION BY order_id ORDER BY updated_at DESC) = 1"
    assert dict(context.warehouse.rows(latest)) == {n: 2 if n in (1, 20) else 1 for n in range(1, 26)}


def test_without_an_index_on_the_key_it_says_so_and_reads_one_piece(at: At, oltp: Oltp) -> None:
    oltp.execute(
        "INSERT INTO orders (order_id, updated_at) SELECT n, '2026-03-05 09:00+00' FROM generate_series(1, 25) AS n"
    )
    lines: list[str] = []
    context = replace(at("2026-03-05T10:00"), progress=lines.append)
    oltp.execute("DROP INDEX orders_key")
    try:
        results = ingest(context, oltp.source, entities=["orders"])
    finally:
        oltp.execute("CREATE INDEX orders_key ON orders (order_id)")
    assert [result.rows for result in results] == [25]
    assert "CREATE INDEX CONCURRENTLY ON orders (order_id) helps" in lines[0]
    assert context.warehouse.value("SELECT MIN(covered_through) FROM ops.source_watermarks") == datetime(2026, 3, 5, 10)
