"""A record of the shop that could not be typed leaves quarantine when it is mended in the shop, and not before."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.loading.context import IngestContext
from ingestion.loading.rejects import CURRENT_REJECTS
from ingestion.shopify.source import ingest
from ingestion.shopify.tables import rejects
from ingestion.shopify.tables.shapes import UnfitError

if TYPE_CHECKING:
    from conftest import OnlineShop

from tests.ingestion.shopify.test_sales_reports import day, table
from tests.support.shop_documents import level, line, order, product

At = Callable[[str], IngestContext]
FIRST, NEXT, NEXT_DAY = "2026-03-05T10:00", "2026-03-05T11:00", "2026-03-06T11:00"


def held(context: IngestContext) -> list[tuple[str, Any]]:
    """Entity of what is in quarantine, and what names it."""
    found = context.warehouse.rows(f"SELECT entity, raw_text FROM ({CURRENT_REJECTS}) AS held")
    texts = [(entity, json.loads(text)) for entity, text in found]
    return sorted((entity, record.get("id") or record.get("day")) for entity, record in texts)


def broken(order_id: int, updated: str = "2026-03-05T09:10:00Z") -> dict[str, Any]:
    """An order with a price that no column can hold exactly."""
    return order(order_id, updated, lineItems=[line(order_id * 10, unitPrice="0.123456", discount="0.00")])


def test_an_order_leaves_with_the_load_that_brings_it_mended(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders([broken(1), broken(12)])
    ingest(at(FIRST), online.source, entities=["orders"])
    assert held(at(FIRST)) == [
        ("shopify_orders", "gid://shopify/Order/1"),
        ("shopify_orders", "gid://shopify/Order/12"),
    ]
    online.shop.upsert_orders([order(1, "2026-03-05T10:10:00Z"), order(2, "2026-03-05T10:10:00Z")])
    context = at(NEXT)
    loaded = ingest(context, online.source, entities=["orders"])
    assert held(context) == [("shopify_orders", "gid://shopify/Order/12")]
    noted = context.warehouse.rows("SELECT source, entity, rule_id, load_id FROM ops.replays")
    assert noted == [("shopify", "orders", "record_invalid", loaded[0].load_id)]


def test_an_order_that_goes_wrong_in_the_same_way_again_is_in_quarantine_again(at: At, online: OnlineShop) -> None:
    waiting = [("shopify_orders", "gid://shopify/Order/1")]
    for hour, document, expected in (
        (10, broken(1, "2026-03-05T09:10:00Z"), waiting),
        (11, order(1, "2026-03-05T10:10:00Z"), []),
        (12, broken(1, "2026-03-05T11:10:00Z"), waiting),
        (13, broken(1, "2026-03-05T11:10:00Z"), waiting),
    ):
        online.shop.upsert_orders([document])
        context = at(f"2026-03-05T{hour}:00")
        ingest(context, online.source, entities=["orders"])
        assert held(context) == expected, hour


def test_products_levels_and_days_of_the_report_leave_too(
    at: At, online: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(flatten: Callable[..., Any]) -> Callable[..., Any]:
        def refused(records: Sequence[Any]) -> Any:
            if records:
                raise UnfitError("not today")
            return flatten(records)

        return refused

    online.shop.upsert_products([product(1), product(11)])
    online.shop.upsert_levels([level(1), level(11)])
    online.shop.set_fault("report_says", table(day("2026-03-04", taxes="twelve"), day("2026-03-03", taxes="twelve")))
    context = at(FIRST)
    with monkeypatch.context() as before:
        for name in ("products", "inventory"):
            before.setitem(rejects.FLATTEN, name, refusing(rejects.FLATTEN[name]))
        ingest(context, online.source)
    assert len(held(context)) == 6
    online.shop.upsert_products([product(1) | {"updatedAt": "2026-03-05T10:10:00Z"}])
    online.shop.upsert_levels([level(1, "2026-03-05T10:10:00Z")])
    online.shop.set_fault("report_says", table(day("2026-03-04")))
    context = at(NEXT_DAY)
    ingest(context, online.source)
    assert [name for _, name in held(context) if "Level" not in name] == ["gid://shopify/Product/11", "2026-03-03"]
    assert [name.endswith("11") for _, name in held(context) if "Level" in name] == [True]
