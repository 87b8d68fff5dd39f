"""A connection string that names another database is found before anything of it is read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from ingestion.loading.context import IngestContext, Window
from ingestion.loading.same_source import AnotherSourceError
from ingestion.postgres.source import ingest

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]


def sell(oltp: Oltp, first: int, last: int, at: str) -> None:
    oltp.execute(
        "INSERT INTO orders (order_id, store_id, total_amount, ordered_at, updated_at)"
        " SELECT n, 1, 10, %s::timestamptz, %s::timestamptz FROM generate_series(%s::int, %s::int) AS n",
        at,
        at,
        first,
        last,
    )


@pytest.fixture
def loaded(at: At, oltp: Oltp) -> Oltp:
    sell(oltp, 1, 10, "2026-03-05 09:10+00")
    ingest(at("2026-03-05T10:00"), oltp.source)
    return oltp


def test_other_orders_of_the_same_numbers_are_another_database(at: At, loaded: Oltp) -> None:
    loaded.execute("UPDATE orders SET ordered_at = ordered_at - INTERVAL '1 MINUTE'")
    sell(loaded, 11, 12, "2026-03-05 10:20+00")
    context = at("2026-03-05T11:00")
    before = context.warehouse.rows("SELECT * FROM ops.source_watermarks ORDER BY entity")
    with pytest.raises(AnotherSourceError, match=r"none of the 10 orders that were loaded last.*Correct OLTP_DSN"):
        ingest(context, loaded.source)
    assert context.warehouse.value("SELECT COUNT(*) FROM raw.oltp_orders") == 10
    assert context.warehouse.rows("SELECT * FROM ops.source_watermarks ORDER BY entity") == before


def test_an_older_copy_is_refused_until_somebody_reads_on_from_it(at: At, loaded: Oltp) -> None:
    loaded.execute("DELETE FROM orders")
    sell(loaded, 21, 21, "2026-02-01 09:10+00")
    with pytest.raises(AnotherSourceError) as refused:
        ingest(at("2026-03-05T11:00"), loaded.source)
    assert "insightmart ingest oltp --from 2026-03-05T10:00 --to 2026-03-05T11:00" in refused.value.cure
    sell(loaded, 22, 26, "2026-03-05 10:20+00")
    ingest(at("2026-03-05T11:00"), loaded.source, Window(datetime(2026, 3, 5, 10), datetime(2026, 3, 5, 11)))
    sell(loaded, 27, 27, "2026-03-05 11:20+00")
    orders, *_ = ingest(at("2026-03-05T12:00"), loaded.source)
    assert orders.rows == 1


def test_orders_that_were_deleted_but_for_one_are_no_other_database(at: At, loaded: Oltp) -> None:
    loaded.execute("DELETE FROM orders WHERE order_id <> 4")
    sell(loaded, 11, 12, "2026-03-05 10:20+00")
    orders, *_ = ingest(at("2026-03-05T11:00"), loaded.source)
    assert orders.rows == 2
