"""Bulk operations of the simulated shop: what they leave, how they end, what is refused."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from tests.support.simulated_shop import Client, order, product

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
