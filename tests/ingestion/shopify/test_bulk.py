"""Backfills and first loads of the Shopify source: bulk operations of the simulator, over HTTP."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.loading.context import SourceError, Window
from ingestion.shopify import bulk as shopify_bulk
from ingestion.shopify import queries as shopify_queries
from ingestion.shopify import source as shopify
from ingestion.shopify.client import ShopifyClient
from ingestion.shopify.source import backfill, ingest
from sandbox.shopify import server as simulator

if TYPE_CHECKING:
    from conftest import OnlineShop

from tests.support.bulk_orders import DAY, OPEN, TABLES, At, ids, operations, order, refund, start_foreign, told

# --- what lands --------------------------------------------------------------------------------------------------


def test_a_first_load_in_bulk_lands_what_pages_land(at: At, shop: OnlineShop) -> None:
    many = [order(3)["lineItems"][0] | {"id": 3000 + place} for place in range(120)]
    shop.shop.upsert_orders(
        [
            order(3, lineItems=many),
            order(4, refunds=[refund(41, 4000), refund(42, 4001, shipping="2.50")]),
            order(5, lineItems=[order(5)["lineItems"][0] | {"unitPrice": "0.123456", "discount": "0.00"}]),
            order(6, customerId=None, test=True, lineItems=[]),
        ]
    )
    context = at("2026-03-05T10:00")
    results = ingest(context, shop.source, entities=["orders"])
    by_bulk = {result.load_id for result in results}
    assert len(by_bulk) >= 3 and sum(result.rejected_rows for result in results) == 1
    assert max(result.source_count or 0 for result in results) <= 6
    loads = context.warehouse.rows(
        "SELECT SUM(source_count), SUM(rows), SUM(rejected_rows), SUM(source_sum) = SUM(landed_sum),"
        " COUNT(*) = COUNT(content_hash), MIN(bytes) > 0 FROM ops.loads WHERE entity = 'orders'"
    )
    assert loads == [(12, 11, 1, True, True, True)]
    watermark = "SELECT covered_through FROM ops.source_watermarks"
    assert context.warehouse.value(watermark) == datetime(2026, 3, 5, 10)
    assert context.warehouse.rows("SELECT status, window_start FROM ops.backfills") == [
        ("complete", datetime(1970, 1, 1))
    ]

    ingest(context, shop.source, DAY, ["orders"])  # by pages
    marks = ", ".join("?" * len(by_bulk))
    for table in TABLES:
        one, other = (
            f"SELECT * EXCLUDE (_dlt_load_id) FROM raw.shopify_{table} WHERE _dlt_load_id {which} ({marks})"
            for which in ("IN", "NOT IN")
        )
        differing = f"({one} EXCEPT ALL {other}) UNION ALL ({other} EXCEPT ALL {one})"
        assert context.warehouse.rows(differing, [*by_bulk] * 4) == [], table
    assert ids(context) == sorted([number for number in range(1, 13) if number != 5] * 2)
    texts = context.warehouse.rows("SELECT raw_text FROM raw.rejects")
    assert [json.loads(text)["name"] for (text,) in texts] == ["#5"]


def test_a_few_orders_are_read_by_pages(at: At, shop: OnlineShop) -> None:
    backfill(at("2026-03-05T10:00"), shop.source, Window(datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 9, 4)))
    assert operations(shop.source) == []
    assert ids(at("2026-03-05T10:00")) == [1, 2, 3]


def test_a_backfill_queues_its_hours_and_leaves_the_watermark(at: At, shop: OnlineShop) -> None:
    ingest(at("2026-03-05T09:00"), shop.source)  # nothing is that old
    context = at("2026-03-05T12:00")
    part = Window(datetime(2026, 3, 5, 9, 5), datetime(2026, 3, 5, 10))
    for times in (1, 2):  # asked for again it is read again
        results = backfill(context, shop.source, part, ["orders"])
        assert {result.status for result in results if result.entity == "orders"} == {"loaded"}
        assert ids(context) == sorted([*range(5, 13)] * times)
    watermarks = context.warehouse.rows("SELECT DISTINCT covered_through FROM ops.source_watermarks")
    assert watermarks == [(datetime(2026, 3, 5, 9),)]
    queued = context.warehouse.rows("SELECT source, entity, window_start, window_end FROM ops.correction_windows")
    assert queued == [("shopify", "sales", datetime(2026, 3, 5, 8), datetime(2026, 3, 5, 9))]


def test_orders_of_one_second_stay_one_piece(at: At, shop: OnlineShop) -> None:
    shop.shop.upsert_orders(order(number, "2026-03-05T09:30:30Z") for number in range(100, 130))
    context = at("2026-03-05T10:00")
    results = backfill(context, shop.source, DAY, ["orders"])
    assert max(result.source_count or 0 for result in results) == 30
    assert ids(context) == [*range(1, 13), *range(100, 130)]


def test_an_order_edited_while_it_is_read_is_left_to_the_next_load(
    at: At, shop: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.shop.upsert_orders([order(4, refunds=[refund(41, 4000)]), order(5, refunds=[refund(51, 5000)])])
    download = ShopifyClient.download

    def download_and_edit(client: ShopifyClient, url: str, path: Path) -> None:
        download(client, url, path)
        edited = order(4, "2026-03-05T10:05:00Z", refunds=[refund(41, 4000), refund(42, 4001)])
        shop.shop.upsert_orders([edited])
        shop.shop.delete_orders([5])

    monkeypatch.setattr(ShopifyClient, "download", download_and_edit)
    context = at("2026-03-05T10:00")
    ingest(context, shop.source, entities=["orders"])
    assert ids(context) == [number for number in range(1, 13) if number not in (4, 5)]
    ingest(at("2026-03-05T10:30"), shop.source, entities=["orders"])
    assert context.warehouse.rows("SELECT order_id, refund_id FROM raw.shopify_refunds ORDER BY 2") == [
        (4, 41),
        (4, 42),
    ]


def test_what_days_without_a_load_left_is_read_in_pieces(
    at: At, shop: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shopify, "CATCH_UP_FROM", 10)
    ingest(at("2026-03-05T09:00"), shop.source, entities=["orders"])
    context, lines = told(at("2026-03-05T10:00"))
    ingest(context, shop.source, entities=["orders"])
    assert ids(context) == list(range(1, 13))
    assert context.warehouse.value("SELECT covered_through FROM ops.source_watermarks") == datetime(2026, 3, 5, 10)
    assert re.search(r"(\d+) of \1 pieces in, about 0 minutes left$", lines[-1])
    done = len(operations(shop.source))
    ingest(at("2026-03-05T10:30"), shop.source, entities=["orders"])  # the hour is read by pages
    assert len(operations(shop.source)) == done


# --- operations that fail ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "value", "said"),
    [
        ("bulk_fails", {"after": 1}, "FAILED INTERNAL_SERVER_ERROR"),
        ("bulk_fails", {"after": 1, "code": "TIMEOUT"}, "FAILED TIMEOUT"),
        ("bulk_gone", {}, "no longer there"),
        ("bulk_truncate", {"silently": True}, "its file has"),
    ],
)
def test_a_piece_whose_operations_fail_is_read_by_pages(
    at: At, shop: OnlineShop, fault: str, value: dict[str, Any], said: str
) -> None:
    shop.shop.set_fault(fault, value)
    context, lines = told(at("2026-03-05T10:00"))
    backfill(context, shop.source, DAY, ["orders"])
    assert ids(context) == list(range(1, 13))
    failed = [line for line in lines if said in line]
    assert len(failed) == len(operations(shop.source)) >= 2 * 3


def test_a_cancelled_operation_is_started_again(at: At, shop: OnlineShop) -> None:
    shop.shop.set_fault("bulk_hold", {})
    cancelled: list[str] = []

    def cancel_once(_: float) -> None:
        running = [one["id"] for one in operations(shop.source) if one["status"] in OPEN]
        with ShopifyClient(replace(shop.source, pause=lambda _: None)) as client:
            for identity in running if not cancelled else ():
                client.query(shopify_queries.BULK_CANCEL, {"id": identity})
        cancelled.extend(running)
        shop.shop.set_fault("bulk_hold", None)

    context, lines = told(at("2026-03-05T10:00"))
    backfill(context, replace(shop.source, pause=cancel_once), DAY, ["orders"])
    assert ids(context) == list(range(1, 13))
    assert any("ended CANCELED" in line for line in lines)


def test_a_file_that_breaks_off_is_not_taken(at: At, shop: OnlineShop) -> None:
    shop.shop.set_fault("bulk_truncate", {})
    with pytest.raises(SourceError, match="could not be downloaded: RemoteProtocolError"):
        backfill(at("2026-03-05T10:00"), shop.source, DAY, ["orders"])
    context = at("2026-03-05T10:00")
    assert ids(context) == []
    shop.shop.set_fault("bulk_truncate", None)
    backfill(context, shop.source, DAY, ["orders"])
    assert ids(context) == list(range(1, 13))


def test_a_missing_scope_is_named(at: At, shop: OnlineShop) -> None:
    shop.shop.set_fault("bulk_fails", {"after": 0, "code": "ACCESS_DENIED"})
    with pytest.raises(SourceError, match="lacks an access scope") as raised:
        backfill(at("2026-03-05T10:00"), shop.source, DAY, ["orders"])
    assert "read_orders" in raised.value.cure


def test_orders_that_shopify_counts_and_does_not_serve_fail_their_piece(at: At, shop: OnlineShop) -> None:
    shop.shop.set_fault("count_more", {"by": 1})
    context, lines = told(at("2026-03-05T10:00"))
    with pytest.raises(SourceError, match="Shopify counts"):
        backfill(context, shop.source, DAY, ["orders"])
    assert ids(context) == []
    assert sum("orders where Shopify counts" in line for line in lines) >= 2


def test_orders_that_cost_too_much_together_are_read_in_smaller_parts(
    at: At, shop: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.shop.upsert_orders(order(number, refunds=[refund(number, number * 1000)]) for number in range(1, 13))
    monkeypatch.setattr(simulator, "MAX_QUERY_COST", 200)  # two orders
    monkeypatch.setattr(shopify, "PIECE_ORDERS", 100)
    context = at("2026-03-05T10:00")
    backfill(context, shop.source, DAY, ["orders"])
    assert ids(context) == list(range(1, 13))
    assert context.warehouse.value("SELECT COUNT(DISTINCT refund_id) FROM raw.shopify_refunds") == 12
    monkeypatch.setattr(simulator, "MAX_QUERY_COST", 60)
    with pytest.raises(SourceError, match="a single record costs too many points"):
        backfill(context, shop.source, DAY, ["orders"])


# --- several at once ---------------------------------------------------------------------------------------------


def test_as_many_run_as_shopify_allows(at: At, shop: OnlineShop) -> None:
    shop.shop.set_fault("bulk_hold", {"query": "products"})
    foreign = start_foreign(shop.source, 4)
    backfill(at("2026-03-05T10:00"), shop.source, DAY, ["orders"])
    assert ids(at("2026-03-05T10:00")) == list(range(1, 13))
    assert {one["id"] for one in operations(shop.source) if one["status"] == "RUNNING"} == foreign


def test_a_full_shop_is_waited_for(at: At, shop: OnlineShop) -> None:
    shop.shop.set_fault("bulk_hold", {"query": "products"})
    start_foreign(shop.source, 5)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            shop.shop.set_fault("bulk_hold", None)
        threading.Event().wait(0.005)

    backfill(at("2026-03-05T10:00"), replace(shop.source, pause=wait), DAY, ["orders"])
    assert ids(at("2026-03-05T10:00")) == list(range(1, 13))
    assert waits[:3] == [1, 2, 4]


def test_a_shop_that_stays_full_is_given_up(at: At, shop: OnlineShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shopify_bulk, "STALLED", 60.0)
    shop.shop.set_fault("bulk_hold", {"query": "products"})
    start_foreign(shop.source, 5)
    hurried = replace(shop.source, pause=lambda _: None)
    with pytest.raises(SourceError, match="no bulk operation made any progress in 1 minutes"):
        backfill(at("2026-03-05T10:00"), hurried, DAY, ["orders"])
