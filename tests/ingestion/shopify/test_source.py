"""The Shopify source against the simulator, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import entity
from ingestion.loading.context import IngestContext, LoadResult, SourceError, Window
from ingestion.replay import replay
from ingestion.shopify import client as shopify_client
from ingestion.shopify import pages as shopify_pages
from ingestion.shopify.client import ShopifyClient
from ingestion.shopify.source import ShopifySource, flatten_orders, ingest
from ingestion.shopify.tables.rejects import FLATTEN
from ingestion.shopify.tables.shapes import UnfitError

if TYPE_CHECKING:
    from conftest import OnlineShop

At = Callable[[str], IngestContext]


# --- what the shop holds -----------------------------------------------------------------------------------------


def line(line_id: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": line_id,
        "productId": 1,
        "variantId": 1,
        "sku": f"SKU-{line_id}",
        "title": "Mug",
        "quantity": 2,
        "currentQuantity": 2,
        "unitPrice": "12.34",
        "discount": "1.00",
        "tax": "0.55",
    } | changes


def order(order_id: int, updated: str = "2026-03-05T09:10:00Z", **changes: Any) -> dict[str, Any]:
    return {
        "id": order_id,
        "name": f"#{order_id}",
        "createdAt": "2026-03-05T09:00:00Z",
        "processedAt": "2026-03-05T09:00:01Z",
        "updatedAt": updated,
        "cancelledAt": None,
        "cancelReason": None,
        "test": False,
        "currencyCode": "USD",
        "customerId": 77,
        "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "UNFULFILLED",
        "shipping": "5.00",
        "lineItems": [line(order_id * 1000 + 1)],
        "refunds": [],
    } | changes


def refund(refund_id: int, lines: list[dict[str, Any]], shipping: str = "0.00") -> dict[str, Any]:
    return {"id": refund_id, "createdAt": "2026-03-05T09:05:00Z", "note": None, "lines": lines, "shipping": shipping}


def refund_line(line_id: int, of_line: int) -> dict[str, Any]:
    return {"id": line_id, "lineItemId": of_line, "quantity": 1, "subtotal": "11.34", "tax": "0.27"}


def level(item: int, updated: str = "2026-03-05T09:10:00Z", available: int = 3) -> dict[str, Any]:
    return {
        "inventoryItemId": item,
        "locationId": 1,
        "sku": f"SKU-{item}",
        "available": available,
        "onHand": available + 1,
        "incoming": 10,
        "updatedAt": updated,
    }


def product(product_id: int, variants: int = 1) -> dict[str, Any]:
    return {
        "id": product_id,
        "title": "Mug",
        "vendor": "Clay & Co",
        "productType": "Kitchen",
        "status": "ACTIVE",
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-03-01T00:00:00Z",
        "variants": [
            {
                "id": product_id * 1000 + number,
                "sku": f"SKU-{number}",
                "title": f"No {number}",
                "price": "12.34",
                "cost": "6.10",
                "inventoryItemId": product_id * 1000 + number,
                "updatedAt": "2026-03-02T00:00:00Z",
            }
            for number in range(variants)
        ],
    }


def by_entity(results: list[LoadResult]) -> dict[str, LoadResult]:
    return {result.entity: result for result in results}


def raw(context: IngestContext, table: str, columns: str) -> list[tuple[Any, ...]]:
    return context.warehouse.rows(f"SELECT {columns} FROM raw.shopify_{table} ORDER BY ALL")


# --- what lands --------------------------------------------------------------------------------------------------


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
        "inventory": 0,
        "products": 0,
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
        "created_at": datetime(2026, 3, 5, 9),
        "processed_at": datetime(2026, 3, 5, 9, 0, 1),
        "cancelled_at": datetime(2026, 3, 5, 9, 6),
        "subtotal_amount": Decimal("24.0133"),
        "discount_amount": Decimal("1.0000"),
        "tax_amount": Decimal("0.5500"),
        "shipping_amount": Decimal("5.0000"),
        "total_amount": Decimal("29.5633"),
        "updated_at": datetime(2026, 3, 5, 9, 10),
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


def test_an_order_edited_while_its_lines_are_fetched_lands_in_one_version(
    at: At, online: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = [line(number) for number in range(60)], [line(number, quantity=9) for number in range(70)]
    online.shop.upsert_orders([order(1, lineItems=before), order(2, lineItems=before)])
    complete = shopify_pages._complete_lines
    edits = iter(
        [
            order(1, "2026-03-05T09:59:00Z", lineItems=after),
            order(2, "2026-03-05T10:00:00Z", lineItems=after),  # not before as_of any more
        ]
    )

    def edit_and_complete(client: ShopifyClient, record: dict[str, Any]) -> None:
        online.shop.upsert_orders([edit for edit in [next(edits, None)] if edit])
        complete(client, record)

    monkeypatch.setattr(shopify_pages, "_complete_lines", edit_and_complete)
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


# --- counted and compared ----------------------------------------------------------------------------------------


def after_the_first_page(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen in the shop between the first page of orders and the second."""
    pages = ShopifyClient.pages
    pending = [happens]

    def interrupted(client: ShopifyClient, *given: Any) -> Iterator[dict[str, Any]]:
        for page in pages(client, *given):
            yield page
            if pending:
                pending.pop()()

    monkeypatch.setattr(ShopifyClient, "pages", interrupted)


def seven(online: OnlineShop) -> None:
    online.shop.upsert_orders(order(number, f"2026-03-05T09:{number:02d}:00Z") for number in range(1, 8))


def test_orders_edited_and_deleted_while_paging_are_explained_and_not_missed(
    at: At, online: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def happens() -> None:
        online.shop.upsert_orders(
            [
                order(1, "2026-03-05T09:50:00Z"),  # read already, and still in the window
                order(2, "2026-03-05T10:00:10Z"),  # read already
                order(6, "2026-03-05T10:00:20Z"),  # not read yet
            ]
        )
        online.shop.delete_orders([5])

    seven(online)
    after_the_first_page(monkeypatch, happens)
    told: list[str] = []
    context = replace(at("2026-03-05T10:00"), progress=told.append)
    results = by_entity(ingest(context, replace(online.source, page_size=2), entities=["orders"]))
    assert [row[0] for row in raw(context, "orders", "order_id")] == [1, 1, 2, 3, 4, 7]
    assert results["orders"].source_count == 7
    assert "shopify orders: 2 of 7 orders were edited or deleted while they were read; the next load" in told[0]
    ingest(at("2026-03-05T11:00"), online.source, entities=["orders"])
    latest = "SELECT order_id, MAX(updated_at) FROM raw.shopify_orders GROUP BY 1 ORDER BY 1"
    assert context.warehouse.rows(latest)[:2] == [
        (1, datetime(2026, 3, 5, 9, 50)),
        (2, datetime(2026, 3, 5, 10, 0, 10)),
    ]
    assert (6, datetime(2026, 3, 5, 10, 0, 20)) in context.warehouse.rows(latest)


def test_a_window_that_comes_short_is_read_again(at: At, online: OnlineShop, monkeypatch: pytest.MonkeyPatch) -> None:
    changed, readings = shopify_pages.changed, []

    def forgetful(*given: Any) -> Iterator[list[dict[str, Any]]]:
        readings.append(given)
        for page in changed(*given):
            yield page[1:] if len(readings) == 1 else page

    seven(online)
    monkeypatch.setattr(shopify_pages, "changed", forgetful)
    context = at("2026-03-05T10:00")
    results = by_entity(ingest(context, replace(online.source, page_size=3), entities=["orders"]))
    assert [row[0] for row in raw(context, "orders", "order_id")] == list(range(1, 8))
    assert (results["orders"].source_count, results["orders"].rows, len(readings)) == (7, 7, 2)


@pytest.mark.parametrize("entity", ["orders", "products"])
def test_a_window_that_stays_short_is_an_error(at: At, online: OnlineShop, entity: str) -> None:
    seven(online)
    online.shop.upsert_products(product(number) for number in range(1, 8))
    online.shop.set_fault("count_more", {"by": 1})
    with pytest.raises(SourceError, match=f"Shopify counts 8 {entity} and serves 7 in 3 readings"):
        ingest(at("2026-03-05T10:00"), online.source, entities=[entity])
    assert raw(at("2026-03-05T10:00"), entity, "updated_at") == []


def test_a_count_that_is_not_exact_is_not_compared_and_said(at: At, online: OnlineShop) -> None:
    seven(online)
    online.shop.set_fault("count_inexact", {})
    told: list[str] = []
    context = replace(at("2026-03-05T10:00"), progress=told.append)
    results = by_entity(ingest(context, online.source, entities=["orders"]))
    assert (results["orders"].source_count, results["orders"].rows) == (None, 7)
    assert "no exact count" in told[0]


def test_the_load_record_is_complete(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders([order(1, refunds=[refund(21, [refund_line(31, 1001)])]), order(2)])
    context = at("2026-03-05T10:00")
    ingest(context, online.source)
    columns = (
        "entity, rows, source_count, source_sum, landed_sum, bytes > 0, LENGTH(content_hash), seconds >= 0, status"
    )
    assert context.warehouse.rows(f"SELECT {columns} FROM ops.loads ORDER BY entity") == [
        ("inventory", 0, None, None, None, True, 64, True, "empty"),
        ("order_lines", 2, None, Decimal("24.6800"), Decimal("24.6800"), False, 64, True, "loaded"),
        ("orders", 2, 2, Decimal("58.4600"), Decimal("58.4600"), True, 64, True, "loaded"),
        ("products", 0, None, None, None, True, 64, True, "empty"),
        ("refunds", 1, None, Decimal("11.3400"), Decimal("11.3400"), False, 64, True, "loaded"),
    ]


def test_a_refund_of_a_free_amount_has_its_row(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders([order(1, refunds=[refund(21, []) | {"amount": "7.50"}])])
    context = at("2026-03-05T10:00")
    ingest(context, online.source)
    columns = "refund_id, refund_line_id, subtotal_amount, tax_amount, shipping_amount, refunded_at"
    zero = Decimal("0.0000")
    assert raw(context, "refunds", columns) == [(21, None, Decimal("7.5000"), zero, zero, datetime(2026, 3, 5, 9, 5))]


# --- waiting and failing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        ("throttle_every", {"n": 2}),
        ("internal_error_every", {"n": 2}),
        ("http_429_every", {"n": 2, "retry_after": 1}),
        ("truncate_every", {"n": 2}),
    ],
)
def test_what_passes_is_waited_out(at: At, online: OnlineShop, fault: str, value: dict[str, Any]) -> None:
    online.shop.upsert_orders(order(number, f"2026-03-05T09:{number:02d}:00Z") for number in range(1, 8))
    online.shop.set_fault(fault, value)
    context = at("2026-03-05T10:00")
    ingest(context, replace(online.source, page_size=2))
    assert [row[0] for row in raw(context, "orders", "order_id")] == list(range(1, 8))
    assert online.pauses
    assert fault != "http_429_every" or set(online.pauses) >= {1.0}


def test_a_wait_until_a_date_is_kept(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders([order(1)])
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    online.shop.set_fault("http_429_every", {"n": 2, "retry_after": date})
    ingest(at("2026-03-05T10:00"), online.source, entities=["orders"])
    assert all(60 < pause <= 121 for pause in online.pauses) and online.pauses


@pytest.mark.parametrize("after", ["soon", "nan", "-5"])
def test_a_wait_that_makes_no_sense_is_our_own(at: At, online: OnlineShop, after: str) -> None:
    online.shop.upsert_orders([order(1)])
    online.shop.set_fault("http_429_every", {"n": 2, "retry_after": after})
    ingest(at("2026-03-05T10:00"), online.source, entities=["orders"])
    assert raw(at("2026-03-05T10:00"), "orders", "order_id") == [(1,)]
    assert max(online.pauses) <= 0.01


def test_a_wait_of_an_hour_is_left_to_the_next_run(at: At, online: OnlineShop) -> None:
    online.shop.set_fault("http_429_every", {"n": 1, "retry_after": 3600})
    assert "in 1 attempts: HTTP 429, to wait 3600 s" in failure(at("2026-03-05T10:00"), online.source).cause
    assert online.pauses == []


def test_the_wait_is_as_long_as_the_next_page_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(shopify_client.time, "monotonic", lambda: now)
    points = shopify_client._Points()
    assert points.seconds_until_affordable("page") == 0
    status = {"maximumAvailable": 1000.0, "currentlyAvailable": 41, "restoreRate": 50.0}
    points.update("page", {"requestedQueryCost": 941, "throttleStatus": status})
    assert points.seconds_until_affordable("page") == 18
    assert points.seconds_until_affordable("another query") == 0
    now = 110.0
    assert points.seconds_until_affordable("page") == 8
    now = 200.0
    assert points.seconds_until_affordable("page") == 0


def failure(context: IngestContext, source: ShopifySource) -> SourceError:
    with pytest.raises(SourceError) as raised:
        ingest(context, source)
    assert source.token not in str(raised.value)
    assert context.warehouse.rows("SELECT * FROM ops.source_watermarks") == []
    assert raw(context, "orders", "order_id") == []
    return raised.value


@pytest.mark.parametrize(("mode", "cause"), [("refuse", "attempts"), ("503", "HTTP 503"), ("hang", "Timeout")])
def test_a_shop_that_is_down(at: At, online: OnlineShop, mode: str, cause: str) -> None:
    online.shop.upsert_orders([order(1)])
    online.shop.set_fault("down", {"mode": mode})
    context = at("2026-03-05T10:00")
    error = failure(context, replace(online.source, attempts=2, timeout=0.2))
    assert cause in error.cause and "in 2 attempts" in error.cause
    online.shop.set_fault("down", None)
    ingest(context, online.source)
    assert raw(context, "orders", "order_id") == [(1,)]


def test_nobody_there(at: At) -> None:
    error = failure(at("2026-03-05T10:00"), ShopifySource("http://127.0.0.1:1", "x-token", attempts=2, retry_wait=0))
    assert "ConnectError" in error.cause and "SHOPIFY_URL" in error.cure


@pytest.mark.parametrize("url", ["127.0.0.1:1", "http://127.0.0.1:notaport", "ftp://127.0.0.1"])
def test_a_malformed_url(at: At, url: str) -> None:
    assert "malformed" in failure(at("2026-03-05T10:00"), ShopifySource(url, "x-token")).cause


def test_a_token_that_no_header_can_carry_is_not_shown(at: At, online: OnlineShop) -> None:
    assert "malformed" in failure(at("2026-03-05T10:00"), replace(online.source, token="line\nbreak")).cause


def test_a_refused_token(at: At, online: OnlineShop) -> None:
    error = failure(at("2026-03-05T10:00"), replace(online.source, token="shpat_not_this_one"))
    assert "HTTP 401" in error.cause and "SHOPIFY_TOKEN" in error.cure
    online.shop.set_fault("revoked_token", {})
    assert "HTTP 401" in failure(at("2026-03-05T10:00"), online.source).cause


def test_another_version(at: At, online: OnlineShop) -> None:
    online.shop.set_fault("wrong_version", {"version": "2027-01"})
    assert "2026-10" in failure(at("2026-03-05T10:00"), online.source).cause


def test_old_orders_are_not_left_out_silently(at: At, online: OnlineShop) -> None:
    online.shop.set_fault("missing_scope", {})
    online.shop.upsert_orders([order(1)])
    old = replace(at("2026-03-05T10:00"), history_start=datetime(2025, 1, 1))
    assert "read_all_orders" in failure(old, online.source).cure
    young = at("2026-03-05T10:00")
    ingest(young, online.source)
    assert raw(young, "orders", "order_id") == [(1,)]


def test_the_token_is_not_in_the_settings_text(online: OnlineShop) -> None:
    assert online.source.token not in repr(online.source)


def test_a_page_that_costs_too_much_is_halved(online: OnlineShop) -> None:
    online.shop.upsert_orders(order(number) for number in range(1, 601))
    costly = """query Costly($first: Int!, $after: String) {
      orders(first: $first, after: $after, sortKey: ID) {
        nodes { id refunds(first: 100) { id refundLineItems(first: 50) { nodes { id lineItem { id } } } } }
        pageInfo { hasNextPage endCursor }
      }
    }"""
    with ShopifyClient(online.source) as client:
        pages = [data["orders"]["nodes"] for data in client.pages(costly, {}, lambda data: data["orders"])]
    assert [node["id"] for page in pages for node in page] == [f"gid://shopify/Order/{n}" for n in range(1, 601)]
    assert [len(page) for page in pages] == [31] * 19 + [11]
