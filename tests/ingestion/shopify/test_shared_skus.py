"""Inventory items that carry one SKU: what they come to together, against the simulator, over HTTP."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ingestion.loading.context import IngestContext
from ingestion.ops_tables import create_tables
from ingestion.shopify import queries, shared_skus
from ingestion.shopify.client import ShopifyClient
from ingestion.shopify.source import ingest
from tests.support.shop_documents import level, product, raw

if TYPE_CHECKING:
    from conftest import OnlineShop

At = Callable[[str], IngestContext]

LATER = "2026-03-05T09:40:00Z"


def stock(item: int, sku: str | None, on_hand: int, incoming: int = 0, updated: str = LATER) -> dict[str, Any]:
    return level(item, updated) | {"sku": sku, "onHand": on_hand, "incoming": incoming}


def carry(online: OnlineShop, skus: Mapping[int, str | None]) -> None:
    """The shop's inventory items and their SKUs, all of them: variants of one product."""
    (variant,) = product(1)["variants"]
    variants = [variant | {"id": item, "inventoryItemId": item, "sku": sku} for item, sku in skus.items()]
    online.shop.upsert_products([product(1) | {"variants": variants}])


def sums(context: IngestContext) -> list[tuple[Any, ...]]:
    """Of each version of a level: its item, pieces on hand of its own and of its SKU."""
    return raw(context, "inventory", "inventory_item_id, on_hand, sku_on_hand")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and variables of each request to the shop."""
    requests: list[tuple[str, Mapping[str, Any]]] = []
    attempt = ShopifyClient._attempt

    def recorded(client: ShopifyClient, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        found = re.search(r"query (\w+)", document)
        assert found is not None
        requests.append((found[1], variables))
        return attempt(client, document, variables)

    monkeypatch.setattr(ShopifyClient, "_attempt", recorded)
    return requests


def test_two_items_with_one_sku_say_what_they_come_to(at: At, online: OnlineShop) -> None:
    carry(online, {1: "A-1", 2: "A-1", 3: "B"})
    online.shop.upsert_levels([stock(1, "A-1", 5, 3, "2026-03-05T09:10:00Z"), stock(2, "A-1", 7, 24), stock(3, "B", 9)])
    context = at("2026-03-05T10:00")
    (result,) = ingest(context, online.source, entities=["inventory"])
    assert (result.rows, result.rejected_rows) == (3, 0)
    columns = "inventory_item_id, sku, on_hand, on_order, sku_on_hand, sku_on_order"
    assert raw(context, "inventory", columns) == [
        (1, "A-1", 5, 3, 12, 27),
        (2, "A-1", 7, 24, 12, 27),
        (3, "B", 9, 0, None, None),
    ]


def test_an_item_that_changes_alone_days_later_counts_with_what_the_other_holds(at: At, online: OnlineShop) -> None:
    carry(online, {1: "A-1", 2: "A-1"})
    online.shop.upsert_levels([stock(1, "A-1", 5), stock(2, "A-1", 7)])
    ingest(at("2026-03-05T12:00"), online.source, entities=["inventory"])
    online.shop.upsert_levels([stock(2, "A-1", -1, updated="2026-03-07T09:10:00Z")])
    context = at("2026-03-07T10:00")
    ingest(context, online.source, entities=["inventory"])
    assert sums(context) == [(1, 5, 12), (2, -1, 4), (2, 7, 12)]


def test_other_skus_that_the_search_finds_do_not_count(at: At, online: OnlineShop) -> None:
    others = ("a-1", "A 1", "A-1-B", "B/A-1", "1.A")
    carry(online, {1: "A-1", 2: "A-1"} | dict(enumerate(others, start=3)))
    online.shop.upsert_levels([stock(1, "A-1", 5), stock(2, "A-1", 7)])
    online.shop.upsert_levels(stock(item, sku, 100) for item, sku in enumerate(others, start=3))
    with httpx.Client(headers={"X-Shopify-Access-Token": online.source.token}) as client:
        found = client.post(
            f"{online.source.url}/admin/api/2026-10/graphql.json",
            json={
                "query": queries.INVENTORY_ITEMS,
                "variables": {"location": "gid://shopify/Location/1", "first": 250, "query": shared_skus.term("A-1")},
            },
        ).json()["data"]["inventoryItems"]["nodes"]
    assert len(found) == 7
    context = at("2026-03-05T10:00")
    ingest(context, online.source, entities=["inventory"])
    assert sums(context) == [(1, 5, 12), (2, 7, 12), *((item, 100, None) for item in range(3, 8))]


def test_an_item_that_was_deleted_counts_no_more(at: At, online: OnlineShop) -> None:
    carry(online, {1: "A-1", 2: "A-1"})
    online.shop.upsert_levels([stock(1, "A-1", 5), stock(2, "A-1", 7)])
    ingest(at("2026-03-05T12:00"), online.source, entities=["inventory"])
    carry(online, {2: "A-1"})
    online.shop.upsert_levels([stock(2, "A-1", 8, updated="2026-03-05T13:10:00Z")])
    context = at("2026-03-05T14:00")
    ingest(context, online.source, entities=["inventory"])
    assert sums(context) == [(1, 5, 12), (2, 7, 12), (2, 8, None)]


def test_an_item_without_a_level_at_the_location_holds_nothing(at: At, online: OnlineShop) -> None:
    carry(online, {1: "A-1", 2: "A-1", 3: "A-1", 4: "B", 5: "B"})
    online.shop.upsert_levels([stock(1, "A-1", 5), stock(2, "A-1", 7), stock(4, "B", 6)])
    context = at("2026-03-05T10:00")
    ingest(context, online.source, entities=["inventory"])
    assert sums(context) == [(1, 5, 12), (2, 7, 12), (4, 6, None)]


def test_items_of_one_sku_are_found_over_several_pages(
    at: At, online: OnlineShop, asked: list[tuple[str, Mapping[str, Any]]]
) -> None:
    carry(online, dict.fromkeys(range(1, 6), "A-1"))
    online.shop.upsert_levels(stock(item, "A-1", item) for item in range(1, 6))
    context = at("2026-03-05T10:00")
    ingest(context, replace(online.source, page_size=2), entities=["inventory"])
    assert sums(context) == [(item, item, 15) for item in range(1, 6)]
    assert Counter(name for name, _ in asked) == {
        "Scopes": 1,
        "Locations": 1,
        "InventoryPage": 3,
        "InventoryItems": 3,  # the five items, once: the pages of levels after the first find them known
    }


@pytest.mark.parametrize(
    "sku",
    [
        '12" frame',
        "O'Neil",
        "color:red",
        "(set) of 2",
        "back\\slash",
        '\\" OR sku:"B',
        "NOT *",
        "Crème brûlée 茶",
        "A" * 128,
    ],
)
def test_a_sku_is_asked_for_as_it_is(at: At, online: OnlineShop, sku: str) -> None:
    carry(online, {1: sku, 2: sku, 3: "B", 4: "red"})
    online.shop.upsert_levels([stock(1, sku, 5), stock(2, sku, 7), stock(3, "B", 100), stock(4, "red", 100)])
    context = at("2026-03-05T10:00")
    ingest(context, online.source, entities=["inventory"])
    assert sums(context) == [(1, 5, 12), (2, 7, 12), (3, 100, None), (4, 100, None)]


def test_only_skus_that_are_shared_are_asked_for(
    at: At, online: OnlineShop, asked: list[tuple[str, Mapping[str, Any]]]
) -> None:
    skus: dict[int, str | None] = {item: f"SKU-{item}" for item in range(1, 301)}
    skus |= {item: f"PAIR-{item // 2}" for item in range(302, 404)}  # 51 pairs
    skus |= {500: None, 501: None, 502: "", 503: ""}  # without one they share nothing
    carry(online, skus)
    online.shop.upsert_levels(stock(item, sku, 1) for item, sku in skus.items())
    context = at("2026-03-05T10:00")
    ingest(context, online.source, entities=["inventory"])
    found = sums(context)
    assert [row for row in found if row[2] is not None] == [(item, 1, 2) for item in range(302, 404)]
    assert len(found) == len(skus)
    searches = [variables["query"].split(" OR ") for name, variables in asked if name == "InventoryItems"]
    assert sorted(map(len, searches)) == [1, 50]
    assert {text for search in searches for text in search} == {f'sku:"PAIR-{number}"' for number in range(151, 202)}
    assert Counter(name for name, _ in asked) == {
        "Scopes": 1,
        "Locations": 1,
        "InventoryPage": 2,
        "InventoryItems": 2,
    }


def test_no_sku_is_asked_for_where_none_is_shared(
    at: At, online: OnlineShop, asked: list[tuple[str, Mapping[str, Any]]]
) -> None:
    carry(online, {1: "A", 2: "B"})
    online.shop.upsert_levels([stock(1, "A", 5), stock(2, "B", 7)])
    ingest(at("2026-03-05T10:00"), online.source, entities=["inventory"])
    assert [name for name, _ in asked] == ["Scopes", "Locations", "InventoryPage"]


def test_an_item_that_is_counted_and_not_found_is_said(
    at: At, online: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry(online, {1: "A-1", 2: "A-1"})
    online.shop.upsert_levels([stock(1, "A-1", 5)])
    monkeypatch.setattr(shared_skus, "term", lambda sku: 'sku:"nothing"')  # as an index that lags behind
    lines: list[str] = []
    context = replace(at("2026-03-05T10:00"), progress=lines.append)
    ingest(context, online.source, entities=["inventory"])
    assert sums(context) == [(1, 5, None)]
    assert [line for line in lines if "'A-1' among them" in line]


def test_a_level_that_is_read_again_beside_a_new_count_of_the_other_corrects_nothing(
    at: At, online: OnlineShop
) -> None:
    carry(online, {1: "A-1", 2: "A-1"})
    online.shop.upsert_levels([stock(1, "A-1", 5, updated="2026-03-05T09:50:00Z"), stock(2, "A-1", 7)])
    ingest(at("2026-03-05T10:00"), online.source, entities=["inventory"])
    online.shop.upsert_levels([stock(2, "A-1", 2, updated="2026-03-05T10:20:00Z")])
    context = at("2026-03-05T11:00")
    ingest(context, online.source, entities=["inventory"])
    assert sums(context) == [(1, 5, 7), (1, 5, 12), (2, 2, 7), (2, 7, 12)]
    assert context.warehouse.value("SELECT COUNT(*) FROM ops.correction_windows") == 0


def test_a_warehouse_from_before_gets_the_columns(at: At, online: OnlineShop) -> None:
    context = at("2026-03-05T10:00")
    context.warehouse.execute("DROP TABLE ops.schema_version")
    for column in ("sku_on_hand", "sku_on_order"):
        context.warehouse.execute(f"ALTER TABLE raw.shopify_inventory DROP COLUMN {column}")
    create_tables(context.warehouse)
    carry(online, {1: "A-1", 2: "A-1"})
    online.shop.upsert_levels([stock(1, "A-1", 5), stock(2, "A-1", 7)])
    ingest(context, online.source, entities=["inventory"])
    assert sums(context) == [(1, 5, 12), (2, 7, 12)]


def test_the_count_of_a_sku_costs_a_page_of_levels_nothing(online: OnlineShop) -> None:
    """What is requested of a page of 250, as the simulator charges it by what people have measured."""
    asked = {"location": "gid://shopify/Location/1", "first": 250, "query": shared_skus.term("A-1")}
    documents = [
        queries.INVENTORY_PAGE,
        queries.INVENTORY_PAGE.replace(" duplicateSkuCount", ""),
        queries.INVENTORY_ITEMS,
    ]
    searches = ["updated_at:<'2026-03-05T10:00:00Z'"] * 2 + [shared_skus.term("A-1")]
    with httpx.Client(headers={"X-Shopify-Access-Token": online.source.token}) as client:
        costs = [
            client.post(
                f"{online.source.url}/admin/api/2026-10/graphql.json",
                json={"query": document, "variables": asked | {"query": search}},
            ).json()["extensions"]["cost"]["requestedQueryCost"]
            for document, search in zip(documents, searches, strict=True)
        ]
    assert costs == [36, 36, 35]
