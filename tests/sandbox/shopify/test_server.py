"""The Shopify simulator: the shapes of the published schema, and the faults of the real thing, over HTTP."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import GraphQLEnumType, GraphQLObjectType, build_client_schema, is_specified_scalar_type
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from sandbox.shopify.objects import FIELDS
from sandbox.shopify.selection import schema
from sandbox.shopify.server import PATH, create_server
from sandbox.shopify.shop import Shop

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "shopify" / "admin_2026-10.json.gz"
PUBLISHED = Path(os.environ.get("SHOPIFY_SCHEMA", SHARED))
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


def product(number: int) -> dict[str, Any]:
    at = f"2026-03-01T00:00:{number:02d}Z"
    variants = [
        {
            "id": number * 10 + place,
            "sku": f"A-{number}-{place}",
            "title": "Default Title",
            "price": "12.34",
            "cost": "6.10",
            "inventoryItemId": number * 100 + place,
            "updatedAt": at,
        }
        for place in (0, 1)
    ]
    text = {"title": "Tea", "vendor": "Leaf", "productType": "Drinks", "status": "ACTIVE"}
    return {"id": number, **text, "createdAt": at, "updatedAt": at, "variants": variants}


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
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
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


# --- bulk operations ---------------------------------------------------------------------------------------------

RUN = """
mutation Run($query: String!, $grouped: Boolean! = false) {
  bulkOperationRunQuery(query: $query, groupObjects: $grouped) {
    bulkOperation { id status } userErrors { code field message }
  }
}
"""
CANCEL = (
    "mutation Cancel($id: ID!) { bulkOperationCancel(id: $id) { bulkOperation { status } userErrors { message } } }"
)
STATUS = """
query Status($id: ID!) {
  bulkOperation(id: $id) { id status errorCode completedAt objectCount rootObjectCount fileSize url partialDataUrl }
}
"""
ORDERS = """
{ orders(query: "updated_at:>='2026-03-05T10:00:02Z' updated_at:<'2026-03-05T10:00:05Z'") {
    edges { node { id name lineItems { edges { node { id sku } } } } } } }
"""


def run_bulk(client: Client, query: str, grouped: bool = False) -> str:
    started = client.data(RUN, query=query, grouped=grouped)["bulkOperationRunQuery"]
    assert started["userErrors"] == []
    assert started["bulkOperation"]["status"] == "CREATED"
    return str(started["bulkOperation"]["id"])


def ended(client: Client, identity: str) -> dict[str, Any]:
    """The operation as soon as it is neither waiting nor running."""
    polling = Retrying(
        retry=retry_if_result(lambda found: found["status"] in ("CREATED", "RUNNING", "CANCELING")),
        stop=stop_after_delay(20),
        wait=wait_fixed(0.01),
    )
    found: dict[str, Any] = polling(lambda: client.data(STATUS, id=identity)["bulkOperation"])
    return found


def lines(url: str) -> list[dict[str, Any]]:
    """The file of an operation; it needs no token."""
    return [json.loads(line) for line in httpx.get(url).text.splitlines()]


def test_a_bulk_operation_leaves_children_after_their_parents_and_not_below_them(client: Client) -> None:
    done = ended(client, run_bulk(client, ORDERS))
    assert (done["status"], done["objectCount"], done["rootObjectCount"]) == ("COMPLETED", "6", "3")
    assert done["fileSize"] == str(len(httpx.get(done["url"]).content))
    parents = [{"id": f"gid://shopify/Order/{number}", "name": f"#{number}"} for number in (2, 3, 4)]
    children = [
        {"id": f"gid://shopify/LineItem/{number}0", "sku": "A-1", "__parentId": f"gid://shopify/Order/{number}"}
        for number in (2, 3, 4)
    ]
    assert lines(done["url"]) == parents + children


def test_grouped_objects_stand_below_their_parents(client: Client) -> None:
    found = lines(ended(client, run_bulk(client, ORDERS, grouped=True))["url"])
    assert [line.get("__parentId") for line in found] == [
        *(None, "gid://shopify/Order/2"),
        *(None, "gid://shopify/Order/3"),
        *(None, "gid://shopify/Order/4"),
    ]


def test_a_bulk_operation_reads_more_than_a_page_of_every_kind(client: Client) -> None:
    many = order(1, "2026-03-05T12:00:00Z")
    many["lineItems"] = [many["lineItems"][0] | {"id": 10_000 + place} for place in range(300)]
    client.shop.upsert_orders([many, *(order(number, "2026-03-05T12:00:00Z") for number in range(100, 400))])
    done = ended(client, run_bulk(client, "{ orders { edges { node { id lineItems { edges { node { id } } } } } } }"))
    found = lines(done["url"])
    assert len({line["id"] for line in found}) == len(found) == int(done["objectCount"]) == 307 + 300 + 306
    client.shop.upsert_products([product(1)])
    items = ended(client, run_bulk(client, "{ inventoryItems { edges { node { id sku } } } }"))
    assert [line["sku"] for line in lines(items["url"])] == ["A-1-0", "A-1-1"]


def test_a_bulk_operation_without_objects_has_no_file(client: Client) -> None:
    done = ended(client, run_bulk(client, "{ products { edges { node { id } } } }"))
    assert (done["status"], done["objectCount"], done["url"]) == ("COMPLETED", "0", None)


def test_a_failed_bulk_operation_leaves_what_it_had(client: Client) -> None:
    client.shop.set_fault("bulk_fails", {"after": 2})
    failed = ended(client, run_bulk(client, ORDERS))
    assert (failed["status"], failed["errorCode"]) == ("FAILED", "INTERNAL_SERVER_ERROR")
    assert (failed["url"], failed["completedAt"]) == (None, None)
    assert [line["id"] for line in lines(failed["partialDataUrl"])][:2] == [
        "gid://shopify/Order/2",
        "gid://shopify/Order/3",
    ]


def test_five_bulk_operations_run_at_once_and_can_be_cancelled(client: Client) -> None:
    client.shop.set_fault("bulk_hold", {})
    running = [run_bulk(client, ORDERS) for _ in range(5)]
    sixth = client.data(RUN, query=ORDERS)["bulkOperationRunQuery"]
    assert (sixth["bulkOperation"], sixth["userErrors"][0]["code"]) == (None, "LIMIT_REACHED")
    cancelled = client.data(CANCEL, id=running[0])["bulkOperationCancel"]
    assert cancelled == {"bulkOperation": {"status": "CANCELING"}, "userErrors": []}
    assert ended(client, running[0])["status"] == "CANCELED"
    client.shop.set_fault("bulk_hold", None)
    assert {ended(client, identity)["status"] for identity in running[1:]} == {"COMPLETED"}
    late = client.data(CANCEL, id=running[1])["bulkOperationCancel"]
    assert late["userErrors"] == [{"message": "A bulk operation cannot be canceled when it is completed"}]
    assert client.data("{ currentBulkOperation { id } }") == {"currentBulkOperation": {"id": running[4]}}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{ orders { nodes { id } } }", "must select their contents using 'edges' > 'node'"),
        ("{ orders { edges { node { name lineItems { edges { node { id } } } } } } }", "must select the 'id' field"),
        (
            "{ orders { edges { node { id refunds { refundLineItems { edges { node { id } } } } } } } }",
            "a connection field within a list field",
        ),
        ("{ shop { name } }", "at least one connection"),
        ("{ orders { edges { node { colour } } } }", "Cannot query field 'colour'"),
        ('{ orders(query: "colour:red") { edges { node { id } } } }', "no search field 'colour'"),
        ("mutation { bulkOperationCancel(id: 1) { userErrors { message } } }", "Only `query` operations"),
        ("{ orders {", "Syntax Error"),
    ],
)
def test_bulk_queries_that_shopify_refuses_are_refused(client: Client, query: str, message: str) -> None:
    refused = client.data(RUN, query=query)["bulkOperationRunQuery"]
    assert refused["bulkOperation"] is None
    assert refused["userErrors"][0]["code"] == "INVALID"
    assert message in refused["userErrors"][0]["message"]
