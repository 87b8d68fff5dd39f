"""The Shopify simulator: the shapes of the published schema, and the faults of the real thing, over HTTP."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import GraphQLEnumType, GraphQLObjectType, build_client_schema, is_specified_scalar_type

from sandbox.shopify.objects import FIELDS
from sandbox.shopify.selection import schema
from tests.support.simulated_shop import Client, order, product

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "shopify" / "admin_2026-10.json.gz"
PUBLISHED = Path(os.environ.get("SHOPIFY_SCHEMA", SHARED))


def test_the_served_schema_is_a_true_subset_of_the_published_one() -> None:
    if not PUBLISHED.exists():
        pytest.skip(f"the published schema is not here: {PUBLISHED}")
    with gzip.open(PUBLISHED) as file:
        published = build_client_schema(json.load(file)["data"])
    compared = 0
    for name, served in schema().type_map.items():
        if name.startswith("__") or is_specified_scalar_type(served):
            continue
        real = published.type_map[name]
        assert type(served) is type(real), name
        if isinstance(served, GraphQLEnumType) and isinstance(real, GraphQLEnumType):
            assert set(served.values) <= set(real.values), name
        if isinstance(served, GraphQLObjectType) and isinstance(real, GraphQLObjectType):
            for field_name, field in served.fields.items():
                assert str(field.type) == str(real.fields[field_name].type), f"{name}.{field_name}"
                for argument, declared in field.args.items():
                    expected = real.fields[field_name].args[argument]
                    assert str(declared.type) == str(expected.type), f"{name}.{field_name}({argument})"
                    assert declared.default_value == expected.default_value, f"{name}.{field_name}({argument})"
                compared += 1
    assert compared > 100


def test_every_field_of_the_schema_is_served() -> None:
    for name, kind in schema().type_map.items():
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__"):
            assert set(kind.fields) <= set(FIELDS[name]), name


def test_pages_follow_updated_at_and_miss_nothing(client: Client) -> None:
    seen, after = [], None
    while True:
        page = client.data(
            first=3, after=after, query="updated_at:>='2026-03-05T10:00:02Z' AND updated_at:<'2026-03-05T10:00:07Z'"
        )
        seen += [node["id"] for node in page["orders"]["nodes"]]
        if not page["orders"]["pageInfo"]["hasNextPage"]:
            break
        after = page["orders"]["pageInfo"]["endCursor"]
    assert seen == [f"gid://shopify/Order/{number}" for number in range(2, 7)]


def test_an_order_edited_while_paging_comes_again_at_the_end(client: Client) -> None:
    first = client.data(first=4)["orders"]
    client.shop.upsert_orders([order(2, "2026-03-05T10:00:30Z")])
    rest = client.data(first=10, after=first["pageInfo"]["endCursor"])["orders"]["nodes"]
    assert [node["id"].rsplit("/", 1)[1] for node in rest] == ["5", "6", "7", "2"]


def test_totals_are_exact(client: Client) -> None:
    node = client.data(first=1)["orders"]["nodes"][0]
    assert node["totalPriceSet"]["shopMoney"]["amount"] == "29.2412"  # 2 x 12.3456 - 1.00 + 0.55 + 5.00


def test_points_are_charged_and_told(client: Client) -> None:
    client.shop.set_fault("slow_bucket", {"maximum": 100, "restore_rate": 1})
    cost = client.post(first=1).json()["extensions"]["cost"]
    assert cost["requestedQueryCost"] >= cost["actualQueryCost"] > 0
    assert cost["throttleStatus"]["maximumAvailable"] == 100
    codes = {client.post(first=3).json().get("errors", [{}])[0].get("extensions", {}).get("code") for _ in range(12)}
    assert "THROTTLED" in codes


def test_points_that_an_answer_did_not_need_are_given_back(client: Client) -> None:
    client.shop.set_fault("slow_bucket", {"maximum": 900, "restore_rate": 0})
    cost = client.post(first=250).json()["extensions"]["cost"]
    assert cost["requestedQueryCost"] > cost["actualQueryCost"]
    assert cost["throttleStatus"]["currentlyAvailable"] == 900 - cost["actualQueryCost"]


def test_a_page_of_250_orders_with_lines_and_refunds_fits_one_query(client: Client) -> None:
    client.shop.set_fault("slow_bucket", {"maximum": 1000, "restore_rate": 0})
    whole = """{ orders(first: 250) { nodes {
        id customer { id } totalPriceSet { shopMoney { amount } }
        lineItems(first: 50) { nodes {
          sku variant { id } discountAllocations { allocatedAmountSet { shopMoney { amount } } }
          taxLines { priceSet { shopMoney { amount } } } } }
        refunds(first: 7) {
          refundLineItems(first: 20) { nodes { quantity lineItem { id } subtotalSet { shopMoney { amount } } } }
          refundShippingLines(first: 1) { nodes { subtotalAmountSet { shopMoney { amount } } } } }
    } pageInfo { endCursor } } }"""
    answer = client.post(whole).json()
    assert len(answer["data"]["orders"]["nodes"]) == 7
    assert 900 < answer["extensions"]["cost"]["requestedQueryCost"] <= 1000


def test_what_shopify_refuses_is_refused(client: Client) -> None:
    assert client.code(first=251) == "BAD_USER_INPUT"
    assert client.code(first=1, query="colour:red") == "BAD_USER_INPUT"
    assert client.code(first=1, query="id:abc") == "BAD_USER_INPUT"
    assert client.code(first=1, after="nonsense") == "BAD_USER_INPUT"
    by_id = "query Other($after: String) { orders(first: 1, after: $after, sortKey: ID) { nodes { id } } }"
    assert client.code(by_id, after=client.data(first=1)["orders"]["pageInfo"]["endCursor"]) == "BAD_USER_INPUT"
    nested = "{ orders(first: 250) { nodes { refunds(first: 250) { refundLineItems(first: 250) { nodes { id } } } } } }"
    assert client.code(nested) == "MAX_COST_EXCEEDED"
    assert (
        "Cannot query field" in client.post("{ orders(first: 1) { nodes { colour } } }").json()["errors"][0]["message"]
    )


def test_counts_are_capped_unless_told_otherwise(client: Client) -> None:
    count = "query Count($limit: Int) { ordersCount(limit: $limit) { count precision } }"
    assert client.data(count, limit=5) == {"ordersCount": {"count": 5, "precision": "AT_LEAST"}}
    assert client.data(count, limit=None) == {"ordersCount": {"count": 7, "precision": "EXACT"}}


@pytest.mark.parametrize(
    ("fault", "value", "status", "code"),
    [
        ("throttle_every", {"n": 1}, 200, "THROTTLED"),
        ("internal_error_every", {"n": 1}, 200, "INTERNAL_SERVER_ERROR"),
        ("http_429_every", {"n": 1, "retry_after": 2}, 429, None),
        ("down", {"mode": "503"}, 503, None),
        ("revoked_token", {}, 401, None),
    ],
)
def test_faults_answer_as_shopify_does(
    client: Client, fault: str, value: dict[str, Any], status: int, code: str | None
) -> None:
    client.shop.set_fault(fault, value)
    answer = client.post(first=1)
    assert answer.status_code == status
    if code:
        assert answer.json()["errors"][0]["extensions"]["code"] == code
        assert "data" not in answer.json()
    if status == 429:
        assert answer.headers["Retry-After"] == "2"
    client.shop.set_fault(fault, None)
    assert client.post(first=1).status_code == 200


def test_a_truncated_body_a_refused_connection_and_another_version(client: Client) -> None:
    client.shop.set_fault("truncate_every", {"n": 1})
    with pytest.raises(json.JSONDecodeError):
        client.post(first=1).json()
    client.shop.set_fault("truncate_every", None)
    client.shop.set_fault("down", {"mode": "refuse"})
    with pytest.raises(httpx.TransportError):
        client.post(first=1)
    client.shop.set_fault("down", None)
    client.shop.set_fault("wrong_version", {"version": "2027-01"})
    assert client.post(first=1).headers["X-Shopify-API-Version"] == "2027-01"


def test_without_its_scope_old_orders_are_silently_missing(client: Client) -> None:
    client.shop.upsert_orders([order(9, "2025-11-01T00:00:00Z")])
    everything = {node["id"] for node in client.data(first=50)["orders"]["nodes"]}
    client.shop.set_fault("missing_scope", {})
    visible = {node["id"] for node in client.data(first=50)["orders"]["nodes"]}
    assert everything - visible == {"gid://shopify/Order/9"}


def test_a_wrong_token_is_refused(client: Client) -> None:
    client.http.headers["X-Shopify-Access-Token"] = "another"
    assert client.post(first=1).status_code == 401


def test_fragments_repeated_fields_and_conditions_are_resolved(client: Client) -> None:
    data = client.data(
        """query Page($named: Boolean!) {
          orders(first: 1, sortKey: ID) { ...Nodes nodes { name @include(if: $named) __typename } }
        }
        fragment Nodes on OrderConnection { nodes { id ... on Order { number: name @skip(if: true) } } }""",
        named=True,
    )
    assert data["orders"]["nodes"] == [{"id": "gid://shopify/Order/1", "name": "#1", "__typename": "Order"}]


def test_the_schema_can_be_asked_for(client: Client) -> None:
    assert client.data("{ __schema { queryType { name } } }") == {"__schema": {"queryType": {"name": "QueryRoot"}}}


def test_another_version_falls_forward_and_the_header_says_so(client: Client) -> None:
    answer = client.http.post("/admin/api/2024-01/graphql.json", json={"query": "{ shop { name } }"})
    assert answer.json()["data"] == {"shop": {"name": "InsightMart Online"}}
    assert answer.headers["X-Shopify-API-Version"] == "2026-10"
    assert client.http.post("/admin/graphql.json", json={"query": "{ shop { name } }"}).status_code == 404


def test_current_totals_take_returned_pieces_off(client: Client) -> None:
    back = {"id": 5, "lineItemId": 80, "quantity": 1, "subtotal": "11.8456", "tax": "0.25"}
    refund = {"id": 4, "createdAt": "2026-03-05T11:00:00Z", "note": None, "lines": [back], "shipping": "2.00"}
    client.shop.upsert_orders([order(8, "2026-03-05T11:00:00Z") | {"refunds": [refund]}])
    names = ("Subtotal", "TotalDiscounts", "TotalTax", "Total")
    sets = [f"current{name}PriceSet" if name in ("Subtotal", "Total") else f"current{name}Set" for name in names]
    fields = " ".join(f"{name} {{ shopMoney {{ amount }} }}" for name in [*sets, "currentShippingPriceSet"])
    found = client.data(f'{{ order(id: "gid://shopify/Order/8") {{ {fields} }} }}')["order"]
    amounts = [found[name]["shopMoney"]["amount"] for name in [*sets, "currentShippingPriceSet"]]
    assert amounts == ["11.8456", "0.5000", "0.30", "15.1456", "3.00"]


def test_products_variants_and_stock_are_read_from_every_side(client: Client) -> None:
    client.shop.upsert_products([product(1), product(2)])
    at = "2026-03-05T10:30:00Z"
    stock = {"available": 3, "onHand": 5, "incoming": 24, "updatedAt": at}
    client.shop.upsert_levels([{"inventoryItemId": 101, "locationId": 1, "sku": "A-1-1", **stock}])
    data = client.data(
        """{
          order(id: "gid://shopify/Order/1") { lineItems(first: 1) { nodes { product { title } variant { sku } } } }
          productVariants(first: 3, query: "id:>10") { nodes { sku product { id } inventoryItem { id } } }
          inventoryItems(first: 1, reverse: true) { nodes { id unitCost { amount } updatedAt } }
          location { inventoryLevels(first: 5, query: "updated_at:>='2026-03-05T10:00:00Z'") { nodes {
            item { sku unitCost { amount } } location { name } quantities(names: ["incoming"]) { quantity } } } }
        }"""
    )
    assert data["order"]["lineItems"]["nodes"] == [{"product": {"title": "Tea"}, "variant": {"sku": None}}]
    assert [node["sku"] for node in data["productVariants"]["nodes"]] == ["A-1-1", "A-2-0", "A-2-1"]
    assert data["productVariants"]["nodes"][0]["product"] == {"id": "gid://shopify/Product/1"}
    newest = {"id": "gid://shopify/InventoryItem/201", "unitCost": {"amount": "6.10"}}
    assert data["inventoryItems"]["nodes"] == [newest | {"updatedAt": "2026-03-01T00:00:02Z"}]
    item = {"sku": "A-1-1", "unitCost": {"amount": "6.10"}}
    assert data["location"]["inventoryLevels"]["nodes"] == [
        {"item": item, "location": {"name": "Online"}, "quantities": [{"quantity": 24}]}
    ]


def test_items_are_found_by_the_words_of_their_skus_and_say_how_many_others_have_them(client: Client) -> None:
    first, second = product(1), product(2)
    for variant, sku in zip(first["variants"] + second["variants"], ("A-1", "A-1", "a 1 b", 'B "2"'), strict=True):
        variant["sku"] = sku
    client.shop.upsert_products([first, second])
    stock = {"available": 3, "onHand": 5, "incoming": 24, "updatedAt": "2026-03-05T10:30:00Z"}
    client.shop.upsert_levels([{"inventoryItemId": 100, "locationId": 1, "sku": "A-1", **stock}])
    found = """query Items($query: String) { inventoryItems(first: 9, query: $query) { nodes {
        sku duplicateSkuCount
        inventoryLevel(locationId: "gid://shopify/Location/1") { quantities(names: ["on_hand"]) { quantity } }
        elsewhere: inventoryLevel(locationId: "gid://shopify/Location/2") { id }
    } } }"""

    def skus(query: str) -> list[str]:
        return [node["sku"] for node in client.data(found, query=query)["inventoryItems"]["nodes"]]

    nodes = client.data(found, query='sku:"A-1"')["inventoryItems"]["nodes"]
    assert [(node["sku"], node["duplicateSkuCount"]) for node in nodes] == [("A-1", 1), ("A-1", 1), ("a 1 b", 0)]
    assert [node["inventoryLevel"] for node in nodes] == [{"quantities": [{"quantity": 5}]}, None, None]
    assert [node["elsewhere"] for node in nodes] == [None, None, None]
    assert skus('sku:"A-1" OR sku:"B \\"2\\""') == ["A-1", "A-1", "a 1 b", 'B "2"']
    assert skus('sku:"B \\"2\\""') == ['B "2"']
    assert skus('sku:"*"') == []
    assert client.code(found, query='sku:"A-1" sku:"B"') == "BAD_USER_INPUT"
    assert client.code(found, query='sku:"A-1') == "BAD_USER_INPUT"
