"""A small trade in all three sources at once."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import boto3
import psycopg

from sandbox.shopify.shop import Shop

HISTORY_START = datetime(2026, 3, 1)


FIRST_DAY, NEXT_DAY = "2026-03-05T10:00", "2026-03-06T10:00"  # what is "now" when the one and the other are loaded


class Trade:
    """A small business at all three sources, with faults: what ``first_day`` and ``next_day`` put there.

    ``where`` are, by source, the arguments of the source's class; ``settings`` the same as the pipeline's settings;
    ``environment`` what boto3 needs.
    """

    def __init__(self, admin: psycopg.Connection, reader_dsn: str, shop: Shop, shop_url: str, token: str) -> None:
        self.admin = admin
        self.shop = shop
        self.bucket = f"trade-{secrets.token_hex(6)}"
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(Bucket=self.bucket)
        self.admin.execute("TRUNCATE orders, order_lines, refunds, customers, products")
        self.where: dict[str, dict[str, Any]] = {
            "oltp": {"dsn": reader_dsn, "attempts": 1},
            "shopify": {"url": shop_url, "token": token, "attempts": 3, "retry_wait": 0.01},
            "stores": {"url": f"s3://{self.bucket}/in"},
        }
        self.settings = {
            "OLTP_DSN": reader_dsn,
            "SHOPIFY_URL": shop_url,
            "SHOPIFY_TOKEN": token,
            "STORES_URL": f"s3://{self.bucket}/in",
            "INSIGHTMART_START": f"{HISTORY_START:%Y-%m-%d}",
        }

    def first_day(self) -> None:
        """Business until ``FIRST_DAY``."""
        self._orders(1, 300, "2026-03-05 00:00")
        self.admin.execute("UPDATE orders SET total_amount = 'NaN' WHERE order_id IN (7, 8)")
        self.admin.execute("INSERT INTO orders (order_id, store_id, total_amount) VALUES (900, 1, 5)")  # never dated
        self._people("2026-03-05 08:00")
        self.shop.upsert_orders(self._online(number, "2026-03-05T08:10:00Z") for number in range(1, 21))
        self.shop.upsert_levels(self._level(number, "2026-03-05T08:20:00Z") for number in range(1, 11))
        self.shop.upsert_products([self._product("2026-03-05T07:00:00Z")])
        for store in (1, 2, 3):
            self._reference("2026/03/05", store, "Africa/Abidjan")
            self._put(f"tills/2026/03/04/store_{store:03}.csv", f"{TILLS}{store},2026-03-04,3,30.5,0,0,30.5\n")
            for hour in range(10):
                self._counts(f"2026-03-05T{hour:02}", store, 5)

    def next_day(self) -> None:
        """Business until ``NEXT_DAY``, with late changes of the first day."""
        self._orders(301, 500, "2026-03-05 12:00")
        self.admin.execute(
            "UPDATE orders SET status = 'completed', updated_at = '2026-03-06 08:00+00' WHERE order_id <= 20"
        )
        self.admin.execute("UPDATE orders SET total_amount = 'NaN' WHERE order_id = 310")
        self._people("2026-03-06 08:00")
        self.shop.upsert_orders(self._online(number, "2026-03-06T08:10:00Z") for number in range(15, 31))
        self.shop.upsert_levels(self._level(number, "2026-03-06T08:20:00Z") for number in range(5, 15))
        self.shop.upsert_levels([self._level(20, "2026-03-05T09:50:00Z")])  # was not seen by then
        self.shop.upsert_products([self._product("2026-03-06T07:00:00Z")])
        for store in (1, 2, 3):
            self._reference("2026/03/06", store, "Europe/Berlin" if store == 2 else "Africa/Abidjan")
            self._put(f"tills/2026/03/05/store_{store:03}.csv", f"{TILLS}{store},2026-03-05,4,41,0,x,41\n")
            for hour in range(10):
                self._counts(f"2026-03-06T{hour:02}", store, 6)
        self._counts("2026-03-05T08", 1, 99)  # rewritten
        self._put("inventory/2026/03/06/09/store_004.csv", f"{COUNTS}4,A,1,0,2026-03-06T09:1")  # cut off

    def _orders(self, first: int, last: int, since: str) -> None:
        numbers = {"first": first, "last": last, "since": f"{since}+00"}
        at = "%(since)s::timestamptz + (n - %(first)s::int) * interval '100 seconds'"
        for statement in (
            "INSERT INTO orders SELECT n, n %% 50, 1 + n %% 3, 'store', 'paid', false, 'USD',"
            f" {at}, 1.25, 0.75, 0, n + 0.99, {at} FROM generate_series(%(first)s::int, %(last)s::int) AS n",
            f"INSERT INTO order_lines SELECT n, k, 'SKU-' || k, k, 9.1234 + n, 0, 0.5, {at}"
            " FROM generate_series(%(first)s::int, %(last)s::int) AS n, generate_series(1, 2) AS k",
            f"INSERT INTO refunds SELECT n, n, 1, 1, 0.1234, 'worn', {at}, {at}"
            " FROM generate_series(%(first)s::int, %(last)s::int) AS n WHERE n %% 10 = 0",
        ):
            self.admin.execute(statement, numbers)

    def _people(self, at: str) -> None:
        self.admin.execute(
            "INSERT INTO customers (customer_id, email, country, updated_at)"
            " SELECT n, 'c' || n || '@example.com', 'US', %(at)s FROM generate_series(1, 50) AS n",
            {"at": f"{at}+00"},
        )
        self.admin.execute(
            "INSERT INTO products (sku, name, list_price, updated_at)"
            " SELECT 'SKU-' || n, 'Mug', n + 0.5, %(at)s FROM generate_series(1, 9) AS n",
            {"at": f"{at}+00"},
        )

    def _online(self, number: int, updated: str) -> dict[str, Any]:
        line = {"productId": 1, "variantId": 1, "sku": "SKU-1", "title": "Mug", "quantity": 2, "currentQuantity": 2}
        line |= {"id": number * 10, "unitPrice": "12.34", "discount": "1.00", "tax": "0.55"}
        returned = {"id": number, "lineItemId": number * 10, "quantity": 1, "subtotal": "11.34", "tax": "0.27"}
        refund = {"id": number, "createdAt": updated, "note": None, "lines": [returned], "shipping": "0.00"}
        return {
            "id": number,
            "name": f"#{number}",
            "createdAt": f"2026-03-05T0{number % 8}:00:00Z",
            "processedAt": f"2026-03-05T0{number % 8}:00:01Z",
            "updatedAt": updated,
            "cancelledAt": None,
            "cancelReason": None,
            "test": False,
            "currencyCode": "USD",
            "customerId": 77,
            "displayFinancialStatus": "PAID",
            "displayFulfillmentStatus": "UNFULFILLED",
            "shipping": "5.00",
            "lineItems": [line],
            "refunds": [refund] if number % 5 == 0 else [],
        }

    def _level(self, item: int, updated: str) -> dict[str, Any]:
        level = {"inventoryItemId": item, "locationId": 1, "sku": f"SKU-{item}", "available": 3, "onHand": 4}
        return level | {"incoming": 10, "updatedAt": updated}

    def _product(self, updated: str) -> dict[str, Any]:
        variant = {"id": 1, "sku": "SKU-1", "title": "blue", "price": "12.34", "cost": "6.10", "inventoryItemId": 1}
        product = {"id": 1, "title": "Mug", "vendor": "Clay", "productType": "Kitchen", "status": "ACTIVE"}
        product |= {"createdAt": "2026-01-01T00:00:00Z", "updatedAt": updated}
        return product | {"variants": [variant | {"updatedAt": updated}]}

    def _counts(self, hour: str, store: int, on_hand: int) -> None:
        start = datetime.fromisoformat(f"{hour}:00")
        rows = [f"{store},SKU-{n},{on_hand if n else 'many'},0,{hour}:15:00Z\n" for n in range(3)]
        self._put(f"inventory/{start:%Y/%m/%d/%H}/store_{store:03}.csv", COUNTS + "".join(rows))

    def _reference(self, day: str, store: int, zone: str) -> None:
        row = f"{store},Store {store},city,EU,Ulm,,DE,{zone},2020-01-01,,100,Jo\n"
        self._put(f"reference/{day}/store_{store:03}.csv", REFERENCE + row)

    def _put(self, name: str, content: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=f"in/{name}", Body=content.encode())


COUNTS = "store_id,sku,on_hand,on_order,counted_at\n"
REFERENCE = "store_id,name,format,region,city,state,country,timezone,opened_on,closed_on,square_feet,manager\n"
TILLS = "store_id,business_date,transactions,gross_sales,discounts,returns,net_sales\n"
