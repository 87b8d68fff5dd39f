"""A shop that a test fills, and a client that asks its Admin API over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from sandbox.shopify.server import PATH
from sandbox.shopify.shop import Shop

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
