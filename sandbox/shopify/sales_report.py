"""The shop's sales report by day, as ShopifyQL answers it out of the ledgers of its orders.

It speaks one query: FROM sales SHOW ... SINCE ... UNTIL ... TIMESERIES day, whole days of the shop's zone, both ends
included. Cancelled orders are in it on the day they were placed; on the day they were cancelled whatever was not given
back before is reversed. Test orders and deleted ones are not; gift cards and tips are no sales. Discounts and reversals
are negative.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.shopify.agreements import ZERO, agreements
from sandbox.shopify.shop import Document, Shop

QUERY = re.compile(r"FROM sales SHOW ([a-z_, ]+) SINCE (\d{4}-\d\d-\d\d) UNTIL (\d{4}-\d\d-\d\d) TIMESERIES day")
GOODS_PARTS = ("gross_sales", "discounts", "sales_reversals")  # net sales together
OTHER_PARTS = ("shipping_charges", "return_fees", "taxes", "duties", "additional_fees")
MEASURES = (*GOODS_PARTS, *OTHER_PARTS, "net_sales", "total_sales")
PART_OF = {"SHIPPING": "shipping_charges", "FEE": "return_fees", "DUTY": "duties", "ADDITIONAL_FEE": "additional_fees"}


def answer(shop: Shop, query: str, zone: str) -> dict[str, Any]:
    """What the shop answers to a ShopifyQL query: a table, or what is wrong with the query."""
    asked = QUERY.fullmatch(" ".join(query.split()))
    if asked is None:
        return {"parseErrors": [f"Syntax error in {query!r}"], "tableData": None}
    names = [name.strip() for name in asked[1].split(",")]
    if unknown := [name for name in names if name not in MEASURES]:
        return {"parseErrors": [f"Column not found: {name}" for name in unknown], "tableData": None}
    first, last = (date.fromisoformat(text) for text in asked.groups()[1:])
    figures = days(shop, first, last, ZoneInfo(zone))
    columns = [{"name": "day", "dataType": "DAY_TIMESTAMP"}] + [{"name": name, "dataType": "MONEY"} for name in names]
    rows = [{"day": f"{day}"} | {name: f"{of_day[name]:f}" for name in names} for day, of_day in figures.items()]
    return {"parseErrors": [], "tableData": {"columns": columns, "rows": rows}}


def days(shop: Shop, first: date, last: date, zone: ZoneInfo) -> dict[date, dict[str, Decimal]]:
    """The measures of every day, of those without sales as well."""
    wanted = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    found = {day: dict.fromkeys((*GOODS_PARTS, *OTHER_PARTS), ZERO) for day in wanted}
    since = datetime.combine(first, time(), zone).astimezone(UTC)
    for order in shop.orders_changed_since(since.isoformat().replace("+00:00", "Z")):
        for at, name, amount in () if order["test"] else _movements(order):
            day = datetime.fromisoformat(at).astimezone(zone).date()
            if day in found:
                found[day][name] += amount
    return {day: of_day | _totals(of_day) for day, of_day in found.items()}


def _movements(order: Document) -> Iterator[tuple[str, str, Decimal]]:
    """Instant, measure and amount of everything in an order's ledger, and of its cancellation."""
    left: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for agreement in agreements(order):
        for sale in agreement["sales"]:
            for name, amount in _parts(sale):
                left["sales_reversals" if name in GOODS_PARTS else name] += amount
                yield agreement["happenedAt"], name, amount
    if order["cancelledAt"]:
        for name, amount in left.items():
            yield order["cancelledAt"], name, -amount


def _parts(sale: dict[str, Any]) -> Iterator[tuple[str, Decimal]]:
    net = sale["total"] - sale["tax"]
    yield "taxes", sale["tax"]
    if sale["lineType"] == "PRODUCT" and sale["actionType"] == "ORDER":
        yield "gross_sales", net + sale["discountBefore"]
        yield "discounts", -sale["discountBefore"]
    elif sale["lineType"] in ("PRODUCT", "ADJUSTMENT"):
        yield "sales_reversals", net
    elif sale["lineType"] in PART_OF:
        yield PART_OF[sale["lineType"]], net


def _totals(of_day: dict[str, Decimal]) -> dict[str, Decimal]:
    net = sum((of_day[name] for name in GOODS_PARTS), ZERO)
    return {"net_sales": net, "total_sales": net + sum((of_day[name] for name in OTHER_PARTS), ZERO)}
