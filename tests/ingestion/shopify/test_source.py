"""The Shopify source against the simulator, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import entity
from ingestion.loading.context import IngestContext, Window
from ingestion.replay import replay
from ingestion.shopify import pages as shopify_pages
from ingestion.shopify import whole_orders
from ingestion.shopify.client import ShopifyClient
from ingestion.shopify.source import flatten_orders, ingest
from ingestion.shopify.tables.rejects import FLATTEN
from ingestion.shopify.tables.shapes import UnfitError

if TYPE_CHECKING:
    from conftest import OnlineShop

from tests.support.shop_documents import by_entity, level, line, order, product, raw, refund, refund_line

At = Callable[[str], IngestContext]


def test_an_order_with_lines_and_refunds(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders(
        [
            order(
                1,
                cancelledAt="2026-03-05T09:06:00Z",
                lineItems=[line(11), line(12, quantity=1, unitPrice="0.3333", discount="0.00", tax="0.00", sku=None)],
                refunds=[refund(21, [refund_line(31, 11)], shipping="2.50"), refund(22, [])],
            ),
            order(2, customerId=None, test=True, displayFulfillmentStatus="FULFILLED"),
        ]
    )
    context = at("2026-03-05T10:00")
    results = by_entity(ingest(context, online.source))
    assert {name: result.rows for name, result in results.items()} == {
        "orders": 2,
        "order_lines": 3,
        "refunds": 2,
        "sales": 7,  # the two lines and shipping of 1, the line and shipping of 2; a line and shipping came back
        "inventory": 0,
        "products": 0,
        "sales_reports": 4,  # of the days of history that are over
    }
    assert results["orders"].source_count == 2
    first, second = context.warehouse.records("SELECT * FROM raw.shopify_orders ORDER BY order_id")
    assert first | {"_dlt_load_id": ""} == {
        "order_id": 1,
        "name": "#1",
        "customer_id": 77,
        "is_test": False,
        "currency": "USD",
        "financial_status": "PAID",
        "fulfillment_status": "UNFULFILLED",
        "taxes_included": False,
        "source_name": "web",
        "retail_location_id": None,
        "retail_location_name": None,
        "created_at": datetime(2026, 3, 5, 9),
        "processed_at": datetime(2026, 3, 5, 9, 0, 1),
        "cancelled_at": datetime(2026, 3, 5, 9, 6),
        "subtotal_amount": Decimal("24.0133"),
        "discount_amount": Decimal("1.0000"),
        "tax_amount": Decimal("0.5500"),
        "shipping_amount": Decimal("5.0000"),
        "total_amount": Decimal("29.5633"),
        "placed_total_amount": Decimal("29.5633"),
        "current_total_amount": Decimal("15.4533"),
        "cash_rounding_amount": Decimal("0.0000"),
        "updated_at": datetime(2026, 3, 5, 9, 10),
        "_deleted_at": None,
        "_loaded_at": datetime(2026, 3, 5, 10),
        "_dlt_load_id": "",
    }
    assert (second["customer_id"], second["is_test"], second["cancelled_at"]) == (None, True, None)
    columns = "order_id, line_item_id, line_position, sku, quantity, unit_price, discount_amount, tax_amount"
    assert raw(context, "order_lines", columns)[:2] == [
        (1, 11, 1, "SKU-11", 2, Decimal("12.3400"), Decimal("1.0000"), Decimal("0.5500")),
        (1, 12, 2, None, 1, Decimal("0.3333"), Decimal(0), Decimal(0)),
    ]
    columns = "refund_id, refund_line_id, line_item_id, sku, quantity, subtotal_amount, tax_amount, shipping_amount"
    assert raw(context, "refunds", columns) == [
        (21, 31, 11, "SKU-11", 1, Decimal("11.3400"), Decimal("0.2700"), Decimal(0)),
        (21, None, None, None, None, Decimal(0), Decimal(0), Decimal("2.5000")),
    ]
    assert set(raw(context, "refunds", "order_id, order_updated_at, refunded_at")) == {
        (1, datetime(2026, 3, 5, 9, 10), datetime(2026, 3, 5, 9, 5))
    }


def test_pages_windows_and_overlap(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders(order(number, f"2026-03-05T09:{number:02d}:00Z") for number in range(1, 8))
    small = replace(online.source, page_size=2)
    ingest(at("2026-03-05T09:05"), small)  # 1 to 4
    context = at("2026-03-05T10:00")
    results = by_entity(ingest(context, small))
    assert results["orders"].window == Window(datetime(2026, 3, 5, 8, 35), datetime(2026, 3, 5, 10))
    assert [row[0] for row in raw(context, "orders", "order_id")] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7]


def test_children_beyond_the_nested_pages_are_completed(at: At, online: OnlineShop) -> None:
    many = [line(number) for number in range(1, 521)]
    refunds = [
        refund(number, [refund_line(number * 1000 + place, place) for place in range(1, 4)]) for number in range(9)
    ]
    long_refund = refund(100, [refund_line(100_000 + place, place) for place in range(1, 301)], shipping="1.00")
    online.shop.upsert_orders(
        [
            order(1, lineItems=many, refunds=[*refunds, long_refund]),
            order(2, lineItems=many[:51], refunds=refunds[:7]),
            order(3, lineItems=many[:50], refunds=refunds[:6]),
        ]
    )
    context = at("2026-03-05T10:00")
    ingest(context, online.source)
    lines = context.warehouse.rows(
        "SELECT order_id, COUNT(DISTINCT line_item_id), COUNT(*), MAX(line_position) FROM raw.shopify_order_lines"
        " GROUP BY 1 ORDER BY 1"
    )
    assert lines == [(1, 520, 520, 520), (2, 51, 51, 51), (3, 50, 50, 50)]
    refunded = context.warehouse.rows(
        "SELECT order_id, COUNT(DISTINCT refund_id), COUNT(*) FROM raw.shopify_refunds GROUP BY 1 ORDER BY 1"
    )
    assert refunded == [(1, 10, 9 * 3 + 301), (2, 7, 21), (3, 6, 18)]
    sold = context.warehouse.rows(
        "SELECT order_id, reason, COUNT(DISTINCT agreement_id), COUNT(DISTINCT sale_id), COUNT(*), SUM(quantity)"
        " FROM raw.shopify_sales GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert sold == [
        (1, "ORDER", 1, 521, 521, 1040),  # the lines and the shipping
        (1, "REFUND", 10, 9 * 3 + 301, 9 * 3 + 301, -9 * 3 - 300),
        (2, "ORDER", 1, 52, 52, 102),
        (2, "REFUND", 7, 21, 21, -21),
        (3, "ORDER", 1, 51, 51, 100),
        (3, "REFUND", 6, 18, 18, -18),
    ]


def test_an_order_edited_while_its_lines_are_fetched_lands_in_one_version(
    at: At, online: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = [line(number) for number in range(60)], [line(number, quantity=9) for number in range(70)]
    online.shop.upsert_orders([order(1, lineItems=before), order(2, lineItems=before)])
    complete = whole_orders._complete_lines
    edits = iter(
        [
            order(1, "2026-03-05T09:59:00Z", lineItems=after),
            order(2, "2026-03-05T10:00:00Z", lineItems=after),  # not before as_of any more
        ]
    )

    def edit_and_complete(client: ShopifyClient, record: dict[str, Any]) -> None:
        online.shop.upsert_orders([edit for edit in [next(edits, None)] if edit])
        complete(client, record)

    monkeypatch.setattr(whole_orders, "_complete_lines", edit_and_complete)
    context = at("2026-03-05T10:00")
    ingest(context, replace(online.source, page_size=1), entities=["orders"])
    assert raw(context, "orders", "order_id, updated_at") == [(1, datetime(2026, 3, 5, 9, 59))]
    assert set(raw(context, "order_lines", "order_id, quantity, order_updated_at")) == {
        (1, 9, datetime(2026, 3, 5, 9, 59))
    }
    assert len(raw(context, "order_lines", "line_item_id")) == 70


def test_a_long_search_goes_on_in_a_later_window(at: At, online: OnlineShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shopify_pages, "SEARCH_LIMIT", 5)
    seconds = [1, 2, 2, 2, 2, 2, 2, 2, 3, 4, 4, 5, 6, 6, 6]
    online.shop.upsert_orders(
        order(number, f"2026-03-05T09:10:{second:02d}Z") for number, second in enumerate(seconds, 1)
    )
    context = at("2026-03-05T10:00")
    ingest(context, replace(online.source, page_size=2), entities=["orders"])
    assert [row[0] for row in raw(context, "orders", "order_id")] == list(range(1, len(seconds) + 1))


def test_inventory_levels_that_changed(at: At, online: OnlineShop) -> None:
    online.shop.upsert_levels([level(1), level(2), level(3, "2026-03-05T09:55:00Z")])
    ingest(at("2026-03-05T09:30"), replace(online.source, page_size=1), entities=["inventory"])
    online.shop.upsert_levels([level(1, "2026-03-05T09:50:00Z", -4)])
    context = at("2026-03-05T10:30")
    (result,) = ingest(context, online.source, entities=["inventory"])
    assert result.rows == 3  # 1 anew, 2 out of the overlap, 3
    columns = "inventory_item_id, location_id, sku, available, on_hand, on_order, updated_at"
    assert raw(context, "inventory", columns) == [
        (1, 1, "SKU-1", -4, -3, 10, datetime(2026, 3, 5, 9, 50)),
        (1, 1, "SKU-1", 3, 4, 10, datetime(2026, 3, 5, 9, 10)),
        (2, 1, "SKU-2", 3, 4, 10, datetime(2026, 3, 5, 9, 10)),
        (2, 1, "SKU-2", 3, 4, 10, datetime(2026, 3, 5, 9, 10)),
        (3, 1, "SKU-3", 3, 4, 10, datetime(2026, 3, 5, 9, 55)),
    ]


def test_products_are_read_once_a_day_with_all_their_variants(at: At, online: OnlineShop) -> None:
    online.shop.upsert_products([product(1), product(2, variants=230)])
    context = at("2026-03-05T10:00")
    ingest(context, online.source, entities=["products"])
    found = context.warehouse.rows(
        "SELECT product_id, COUNT(DISTINCT variant_id), COUNT(*) FROM raw.shopify_products GROUP BY 1 ORDER BY 1"
    )
    assert found == [(1, 1, 1), (2, 230, 230)]
    columns = "variant_id, inventory_item_id, sku, title, variant_title, vendor, status, price, unit_cost, updated_at"
    assert raw(context, "products", columns)[0] == (
        1000,
        1000,
        "SKU-0",
        "Mug",
        "No 0",
        "Clay & Co",
        "ACTIVE",
        Decimal("12.3400"),
        Decimal("6.1000"),
        datetime(2026, 3, 2),
    )
    assert [result.status for result in ingest(at("2026-03-05T11:00"), online.source, entities=["products"])] == [
        "skipped"
    ]


def test_a_record_that_does_not_fit_is_a_reject_and_the_rest_lands(at: At, online: OnlineShop) -> None:
    too_fine = order(2, lineItems=[line(1, unitPrice="0.123456", discount="0.00")])
    online.shop.upsert_orders([order(1), too_fine, order(3)])
    context = at("2026-03-05T10:00")
    results = by_entity(ingest(context, online.source))
    assert [row[0] for row in raw(context, "orders", "order_id")] == [1, 3]
    assert (results["orders"].rows, results["orders"].rejected_rows, results["orders"].source_count) == (2, 1, 3)
    ((source, entity, rule, reason, text),) = context.warehouse.rows(
        "SELECT source, entity, rule_id, reason, raw_text FROM raw.rejects"
    )
    assert (source, entity, rule) == ("shopify", "orders", "record_invalid")
    assert "data loss" in reason
    assert json.loads(text)["id"] == "gid://shopify/Order/2"


def test_a_rejected_order_comes_in_whole_once_it_can_be_read(
    at: At, online: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strict(orders: Sequence[dict[str, Any]]) -> dict[str, Any]:
        if any(order["refunds"] for order in orders):
            raise UnfitError("no refunds, please")
        return flatten_orders(orders)

    refunded = order(2, lineItems=[line(2001), line(2002)], refunds=[refund(21, [refund_line(31, 2001)], "2.50")])
    online.shop.upsert_orders([order(1), refunded])
    context = at("2026-03-05T10:00")
    with monkeypatch.context() as before_the_repair:
        before_the_repair.setitem(FLATTEN, "orders", strict)
        ingest(context, online.source, entities=["orders"])
    assert raw(context, "orders", "order_id") == [(1,)]
    for resolved in (1, 0):
        results = replay(at("2026-03-05T11:00"), None, [entity("shopify", "orders")])
        assert sum(result.resolved for result in results) == resolved
        assert raw(context, "orders", "order_id") == [(1,), (2,)]
        assert raw(context, "order_lines", "line_item_id, line_position") == [(1001, 1), (2001, 1), (2002, 2)]
        assert raw(context, "refunds", "refund_line_id, shipping_amount") == [(31, Decimal(0)), (None, Decimal("2.5"))]


def test_a_changed_order_queues_its_hour(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders([order(1)])
    ingest(at("2026-03-05T10:00"), online.source)
    online.shop.upsert_orders([order(1, "2026-03-05T10:20:00Z", displayFulfillmentStatus="FULFILLED"), order(2)])
    online.shop.upsert_levels([level(1)])
    context = at("2026-03-05T11:00")
    ingest(context, online.source)
    queued = context.warehouse.rows(
        "SELECT source, entity, window_start, window_end FROM ops.correction_windows ORDER BY ALL"
    )
    nine = (datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 10))
    assert queued == [("shopify", "sales", *nine)]
