"""Windows read by pages are counted and compared: what changes meanwhile is explained, what is short is read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.loading.context import IngestContext, SourceError
from ingestion.shopify import pages as shopify_pages
from ingestion.shopify.client import ShopifyClient
from ingestion.shopify.source import ingest

if TYPE_CHECKING:
    from conftest import OnlineShop

from tests.support.shop_documents import by_entity, order, product, raw, refund, refund_line

At = Callable[[str], IngestContext]


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
        # two orders of 29.23 each: a line of 24.23, shipping of 5.00; of one came back 11.34 and 0.27 tax
        ("sales", 5, None, Decimal("46.8500"), Decimal("46.8500"), False, 64, True, "loaded"),
        ("sales_reports", 4, None, Decimal(0), Decimal(0), True, 64, True, "loaded"),  # the days before
    ]


def test_a_refund_of_a_free_amount_has_its_row(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders([order(1, refunds=[refund(21, []) | {"amount": "7.50"}])])
    context = at("2026-03-05T10:00")
    ingest(context, online.source)
    columns = "refund_id, refund_line_id, subtotal_amount, tax_amount, shipping_amount, refunded_at"
    zero = Decimal("0.0000")
    assert raw(context, "refunds", columns) == [(21, None, Decimal("7.5000"), zero, zero, datetime(2026, 3, 5, 9, 5))]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("holes", "a page has nothing where a record should be"),
        ("missing", "Shopify counts 7 orders and serves 3 in 3 readings"),
        ("twice", "Shopify counts 7 orders and serves 4 in 3 readings"),
        ("circle", "there is more where it has been before"),
        ("ends", "Shopify counts 7 orders and serves 2 in 3 readings"),
    ],
)
def test_pages_that_cannot_be_whole_are_not_believed(at: At, online: OnlineShop, how: str, said: str) -> None:
    seven(online)
    online.shop.set_fault("odd_pages", {"how": how})
    context = at("2026-03-05T10:00")
    with pytest.raises(SourceError) as caught:
        ingest(context, replace(online.source, page_size=2), entities=["orders"])
    assert said in caught.value.cause
    assert context.warehouse.rows("SELECT * FROM ops.source_watermarks") == []
    online.shop.set_fault("odd_pages", None)
    ingest(context, replace(online.source, page_size=2), entities=["orders"])
    assert raw(context, "orders", "order_id") == [(number,) for number in range(1, 8)]


@pytest.mark.parametrize("how", ["holes", "circle"])
def test_stock_levels_have_no_count_but_their_pages_are_looked_at(at: At, online: OnlineShop, how: str) -> None:
    online.shop.upsert_levels(
        {"inventoryItemId": number, "locationId": 1, "sku": f"A-{number}", "available": 3, "onHand": 4, "incoming": 0}
        | {"updatedAt": "2026-03-05T09:00:00Z"}
        for number in range(1, 6)
    )
    online.shop.set_fault("odd_pages", {"how": how})
    context = at("2026-03-05T10:00")
    with pytest.raises(SourceError, match="a page"):
        ingest(context, replace(online.source, page_size=2), entities=["inventory"])
    assert raw(context, "inventory", "inventory_item_id") == []
