"""The Shopify simulator: the shapes of the published schema, and the faults of the real thing, over HTTP."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import GraphQLEnumType, GraphQLObjectType, build_client_schema, is_specified_scalar_type

from sandbox.shop import Shop
from sandbox.shopify import PATH, create_server, schema
from sandbox.shopify_objects import FIELDS

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "data" / "shopify" / "admin_2026-10.json.gz"
TOKEN = "a-token"
PAGE = """
query Page($first: Int!, $after: String, $query: String) {
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id updatedAt totalPriceSet { shopMoney { amount } } lineItems(first: 5) { nodes { sku } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def order(number: int, updated_at: str) -> dict[str, Any]:
    line = {"id": number * 10, "productId": 1, "variantId": 1, "sku": "A-1", "title": "Tea", "quantity": 2}
    money = {"currentQuantity": 2, "unitPrice": "12.3456", "discount": "1.00", "tax": "0.55"}
    return {
        "id": number,
        "name": f"#{number}",
        "createdAt": updated_at,
        "processedAt": updated_at,
        "updatedAt": updated_at,
        "cancelledAt": None,
        "cancelReason": None,
        "test": False,
        "currencyCode": "USD",
        "customerId": None,
        "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "UNFULFILLED",
        "shipping": "5.00",
        "lineItems": [line | money],
        "refunds": [],
    }


class Client:
    def __init__(self, shop: Shop, url: str) -> None:
        self.shop = shop
        self.http = httpx.Client(base_url=url, headers={"X-Shopify-Access-Token": TOKEN}, timeout=10)

    def post(self, document: str = PAGE, /, **variables: Any) -> httpx.Response:
        return self.http.post(PATH, json={"query": document, "variables": variables})

    def data(self, document: str = PAGE, /, **variables: Any) -> dict[str, Any]:
        answer = self.post(document, **variables).json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def code(self, document: str = PAGE, /, **variables: Any) -> str:
        return str(self.post(document, **variables).json()["errors"][0]["extensions"]["code"])


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    server = create_server(tmp_path / "shop.sqlite", TOKEN)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    shop = Shop(tmp_path / "shop.sqlite")
    shop.upsert_orders(order(number, f"2026-03-05T10:00:{number:02d}Z") for number in range(1, 8))
    running = Client(shop, f"http://127.0.0.1:{server.server_address[1]}")
    yield running
    running.http.close()
    server.shutdown()
    server.server_close()
    thread.join()


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
    assert cost["requestedQueryCost"] == cost["actualQueryCost"] > 0
    assert cost["throttleStatus"]["maximumAvailable"] == 100
    codes = {client.post(first=3).json().get("errors", [{}])[0].get("extensions", {}).get("code") for _ in range(12)}
    assert "THROTTLED" in codes


def test_what_shopify_refuses_is_refused(client: Client) -> None:
    assert client.code(first=251) == "BAD_USER_INPUT"
    assert client.code(first=1, query="colour:red") == "BAD_USER_INPUT"
    assert client.code(first=1, after="nonsense") == "BAD_USER_INPUT"
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
