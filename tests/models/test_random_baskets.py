"""Random baskets of every kind of line, edit, refund and exchange: certified says what happened, order by order.

Each sale is drawn as an event with its own amounts; what certified must hold is added up from these events in plain
Python. Online orders reach raw as the shop's ledger states them, some of them twice, in any order of loads; store and
phone orders as headers and lines. Nothing is random twice: the seed is the test's.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingestion.contracts import ENTITIES
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from tests.support.built_homes import new_home
from tests.support.workshop import copy_project

ORDERS = 240  # of each of the two sources
BEGIN, BETWEEN, BUILT = datetime(2026, 3, 1, 6), datetime(2026, 3, 2, 9, 5), datetime(2026, 3, 3, 10, 5)
HOURS = 48
NEW_YORK, UTC = ZoneInfo("America/New_York"), ZoneInfo("UTC")
NONE, CENT = Decimal(0), Decimal("0.01")
PARTS = "gross_sales - discount_amount - returned_amount + tax_amount + shipping_amount + duties_amount + fees_amount"
PLACED = (
    "gross_sales", "discount_amount", "returned_amount", "tax_amount", "shipping_amount", "duties_amount",
    "fees_amount", "tips_amount", "gift_cards_amount",
)  # fmt: skip
AMOUNT_OF = {
    "SHIPPING": "shipping", "DUTY": "duties", "FEE": "fees", "ADDITIONAL_FEE": "fees", "TIP": "tips",
    "GIFT_CARD": "gift_cards",
}  # fmt: skip
MEASURES = (
    "orders", "units", "gross_sales", "discounts", "returns", "net_sales", "taxes", "shipping", "duties", "fees",
    "total_sales", "tips", "gift_cards",
)  # fmt: skip

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Sale:
    """A sale: net is without tax and after the discount; quantity is below zero where goods come back."""

    action: str
    kind: str
    net: Decimal
    tax: Decimal = NONE
    discount: Decimal = NONE
    quantity: int = 0
    item: int = 0  # number of its line
    price: Decimal = NONE
    sku: str | None = None

    @property
    def gives_back(self) -> bool:
        return self.action == "RETURN"


@dataclass
class Order:
    """An order as it was placed, and what happened to it since: (instant, reason, sales) each."""

    number: int
    placed_at: datetime
    sales: list[Sale]
    later: list[tuple[datetime, str, list[Sale]]] = field(default_factory=list)
    is_counted: bool = True
    is_cancelled: bool = False
    source: str = "shopify"
    stated_beside: Decimal = NONE  # cents by which a till's total is off


class Draws:
    """Amounts and lines by chance."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.items = 0

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def money(self, cents: int) -> Decimal:
        return CENT * self.random.randrange(1, cents)

    def instant(self, after: datetime = BEGIN) -> datetime:
        left = BEGIN + timedelta(hours=HOURS) - after
        return after + timedelta(seconds=self.random.randrange(1, max(2, int(left.total_seconds()))))

    def goods(self, back: bool = False, taxes: tuple[str, ...] = ("none", "beside", "included")) -> Sale:
        """Some pieces of a thing, with a discount and tax or without; where prices include tax it is taken out."""
        quantity, price = self.random.randrange(1, 6), self.money(9000)
        value = quantity * price
        discount = CENT * self.random.randrange(int(value / CENT) + 1) if self.chance(30) and not back else NONE
        tax, kind = NONE, self.random.choice(taxes)
        if kind == "beside":
            tax = (value * Decimal("0.0825")).quantize(CENT)
        elif kind == "included":  # the shelf says value, of which 19 in 119 are tax
            tax = (value * 19 / 119).quantize(CENT)
            value -= tax
            discount = min(discount, value)
        self.items += 1
        sku = None if self.chance(20) else f"P-{self.random.randrange(40)}"
        sign = -1 if back else 1
        return Sale(
            "RETURN" if back else "ORDER", "PRODUCT", sign * (value - discount), sign * tax, discount,
            sign * quantity, self.items, price, sku,
        )  # fmt: skip

    def other(self, kind: str, action: str = "ORDER") -> Sale:
        sign = -1 if action == "RETURN" else 1
        tax = self.money(200) if kind == "SHIPPING" and self.chance(50) else NONE
        discount = self.money(300) if kind == "SHIPPING" and self.chance(30) else NONE
        return Sale(action, kind, sign * self.money(3000), sign * tax, discount)

    def online(self, number: int) -> Order:
        sales = [self.goods() for _ in range(self.random.randrange(4))]
        sales += [self.goods(back=True)] if self.chance(15) else []
        sales += [self.other(kind) for kind in AMOUNT_OF if self.chance(25)]
        order = Order(number, self.instant(), sales or [self.goods()])
        fate = self.random.randrange(100)
        order.is_cancelled, order.is_counted = fate < 5, fate >= 8
        for _ in range(self.random.randrange(3)):
            order.later.append((self.instant(order.placed_at), *self.change(order)))
        return order

    def change(self, order: Order) -> tuple[str, list[Sale]]:
        """An edit that adds goods, takes some off or changes a price; or a refund of goods and of whatever else."""
        sold = [sale for sale in order.sales if sale.kind == "PRODUCT" and not sale.gives_back]
        some = [self.back(self.random.choice(sold))] if sold else []
        what = self.random.randrange(5)
        if what == 0:
            return "ORDER_EDIT", [self.goods()]
        if what == 1:
            return "ORDER_EDIT", [*some, self.goods()]
        if what == 2:
            return "ORDER_EDIT", [Sale("UPDATE", "PRODUCT", -self.money(100), item=sold[0].item if sold else 0)]
        others = [self.other(kind, "RETURN") for kind in ("SHIPPING", "TIP", "DUTY", "GIFT_CARD") if self.chance(20)]
        others += [Sale("RETURN", "ADJUSTMENT", -self.money(500))] if self.chance(40) else []
        others += [self.other("FEE")] if self.chance(20) else []
        return "REFUND", [*some, *others] or [Sale("RETURN", "ADJUSTMENT", -self.money(500))]

    def back(self, sale: Sale) -> Sale:
        """One piece of a line, at any value: nothing is capped."""
        return Sale("RETURN", "PRODUCT", -self.money(2000), -self.money(100), quantity=-1, item=sale.item, sku=sale.sku)

    def at_the_till(self, number: int) -> Order:
        """Lines and, in an exchange, lines the other way; the total is off by a cent or two now and then."""
        taxes = ("none", "beside")
        sales = [self.goods(taxes=taxes) for _ in range(self.random.randrange(1, 4))]
        sales += [self.goods(back=True, taxes=taxes)] if self.chance(25) else []
        beside = CENT * self.random.randrange(-2, 3) if self.chance(30) else NONE
        return Order(number, self.instant(), sales, source="oltp", stated_beside=beside)


@pytest.fixture(scope="module")
def orders() -> list[Order]:
    draws = Draws(20260301)
    drawn = [draws.online(number) for number in range(1, ORDERS + 1)]
    return drawn + [draws.at_the_till(number) for number in range(1, ORDERS + 1)]


@pytest.fixture(scope="module")
def warehouse(orders: list[Order], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """Sales built of all that was loaded, in two windows: an order and what happened to it may lie apart."""
    from sqlmesh import Context

    with pytest.MonkeyPatch.context() as patch:
        for name in ("INSIGHTMART_GATEWAY", "INSIGHTMART_CURRENCY", "INSIGHTMART_TIMEZONE"):
            patch.delenv(name, raising=False)
        patch.setenv("INSIGHTMART_HOME", str(new_home(tmp_path_factory, tmp_path_factory.mktemp("home"))))
        patch.setenv("INSIGHTMART_START", "2026-02-28")
        context = Context(paths=str(copy_project(tmp_path_factory.mktemp("baskets") / "project")))
        warehouse = Warehouse(context.engine_adapter.connection.cursor(), "duckdb")
        create_tables(warehouse)
        for table, rows in raw_rows(orders, random.Random(7)).items():
            warehouse.insert(f"raw.{table}", rows)
        known_until(warehouse, BETWEEN)
        context.plan(
            auto_apply=True,
            no_prompts=True,
            skip_tests=True,
            execution_time=BETWEEN,
            select_models=["+certified.agg_sales_daily", "+certified.fct_orders", "+certified.fct_refunds"],
        )
        known_until(warehouse, BUILT)
        assert context.run(execution_time=BUILT).is_success
        yield warehouse
        context.close()


def known_until(warehouse: Warehouse, instant: datetime) -> None:
    """Let the sources be read up to a full hour."""
    warehouse.execute("DELETE FROM ops.source_watermarks")
    through = {"covered_through": instant.replace(minute=0)}
    marks = [{"source": item.source, "entity": item.name} | through for item in ENTITIES if item.watermarked]
    warehouse.insert("ops.source_watermarks", marks)


def raw_rows(orders: list[Order], chance: random.Random) -> dict[str, list[dict[str, Any]]]:
    """What the loads of two hours brought, of some online orders an earlier version as well, in either of them."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for order in orders:
        if order.source == "oltp":
            for table, row in till_rows(order):
                rows[table].append(row | loaded(chance.randrange(2)))
            continue
        versions = [len(order.later)] if chance.randrange(2) else list(range(len(order.later) + 1))
        for known in versions:
            load = loaded(chance.randrange(2))
            for table, row in ledger_rows(order, known):
                rows[table].append(row | load)
    for found in rows.values():
        chance.shuffle(found)
    return rows


def loaded(hour: int) -> dict[str, Any]:
    return {"_loaded_at": BUILT - timedelta(hours=hour), "_dlt_load_id": f"{1002 - hour}.5"}


def till_rows(order: Order) -> Iterator[tuple[str, dict[str, Any]]]:
    total = sum((sale.net + sale.tax for sale in order.sales), NONE) + order.stated_beside
    about = {"order_id": order.number, "updated_at": order.placed_at}
    placed = {"store_id": 1, "channel": "store", "status": "completed", "is_test": False, "currency": "USD"}
    yield "oltp_orders", about | placed | {"ordered_at": order.placed_at, "total_amount": total}
    for number, sale in enumerate(order.sales, 1):
        value = sale.net + (NONE if sale.gives_back else sale.discount)
        yield (
            "oltp_order_lines",
            about
            | {"line_number": number, "sku": sale.sku, "quantity": sale.quantity, "tax_amount": sale.tax}
            | {"unit_price": value / sale.quantity, "discount_amount": sale.discount},
        )


def ledger_rows(order: Order, known: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """An online order and its agreements, as they stood when so many of its later ones were made."""
    agreements = [(order.placed_at, "ORDER", order.sales), *sorted(order.later)[:known]]
    updated_at = max(instant for instant, *_ in agreements) + timedelta(minutes=known)
    yield (
        "shopify_orders",
        {
            "order_id": order.number,
            "updated_at": updated_at,
            "is_test": not order.is_counted and not order.is_cancelled,
            "cancelled_at": order.placed_at if order.is_cancelled else None,
            "currency": "USD",
            "financial_status": "PAID",
            "processed_at": order.placed_at,
            "placed_total_amount": sum((sale.net + sale.tax for sale in order.sales), NONE),
        },
    )
    for number, (instant, reason, sales) in enumerate(agreements):
        for place, sale in enumerate(sales):
            yield (
                "shopify_sales",
                {
                    "order_id": order.number,
                    "order_updated_at": updated_at,
                    "agreement_id": 10 * order.number + number,
                    "happened_at": instant,
                    "reason": reason,
                    "refund_id": 10 * order.number + number if reason == "REFUND" else None,
                    "sale_id": 10_000_000 + 1000 * order.number + 100 * number + place,
                    "action_type": sale.action,
                    "line_type": sale.kind,
                    "line_item_id": sale.item or None,
                    "sku": sale.sku,
                    "quantity": sale.quantity if sale.kind == "PRODUCT" else None,
                    "currency": "USD",
                    "total_amount": sale.net + sale.tax,
                    "tax_amount": sale.tax,
                    "discount_before_taxes": sale.discount,
                },
            )


def placed_with(order: Order) -> dict[str, Decimal]:
    """The parts of an order as it was placed, by the columns of fct_orders."""
    parts = dict.fromkeys(PLACED, NONE)
    for sale in order.sales:
        parts["tax_amount"] += sale.tax
        if sale.kind != "PRODUCT":
            parts[f"{AMOUNT_OF[sale.kind]}_amount"] += sale.net
        elif sale.gives_back:
            parts["returned_amount"] -= sale.net
        else:
            parts["gross_sales"] += sale.net + sale.discount
            parts["discount_amount"] += sale.discount
    return parts


def days(orders: list[Order]) -> dict[date, dict[str, Decimal]]:
    """Every measure of every business date, over all that happened."""
    found: dict[date, Counter[str]] = defaultdict(Counter)
    for order in orders:
        if not order.is_counted:
            continue
        parts = placed_with(order)
        sold = [sale for sale in order.sales if sale.kind == "PRODUCT" and not sale.gives_back]
        found[business_date(order.placed_at)]["orders"] += 0 if parts["returned_amount"] and not sold else 1
        for instant, sales in [(order.placed_at, order.sales), *((when, made) for when, _, made in order.later)]:
            day = found[business_date(instant)]
            for sale in sales:
                _add(day, sale)
    for day in found.values():
        day["net_sales"] = day["gross_sales"] - day["discounts"] - day["returns"]
        day["total_sales"] = day["net_sales"] + day["taxes"] + day["shipping"] + day["duties"] + day["fees"]
    return {day: {name: Decimal(measures[name]) for name in MEASURES} for day, measures in found.items()}


def _add(day: Counter[str], sale: Sale) -> None:
    day["taxes"] += sale.tax  # type: ignore[assignment]
    if sale.kind in AMOUNT_OF:
        day[AMOUNT_OF[sale.kind]] += sale.net  # type: ignore[assignment]
    elif sale.kind == "PRODUCT" and sale.action == "ORDER":
        day["units"] += sale.quantity
        day["gross_sales"] += sale.net + sale.discount  # type: ignore[assignment]
        day["discounts"] += sale.discount  # type: ignore[assignment]
    else:
        day["returns"] -= sale.net  # type: ignore[assignment]


def business_date(instant: datetime) -> date:
    return instant.replace(tzinfo=UTC).astimezone(NEW_YORK).date()


def test_every_order_holds_what_it_was_placed_with(orders: list[Order], warehouse: Warehouse) -> None:
    found = warehouse.rows(f"SELECT source_system, order_id, {', '.join(PLACED)} FROM certified.fct_orders")
    expected = {
        (order.source, str(order.number)): tuple(placed_with(order).values()) for order in orders if order.is_counted
    }
    assert {(source, number): tuple(amounts) for source, number, *amounts in found} == expected
    assert len(found) == len(expected)


def test_the_parts_of_every_order_come_to_what_its_customer_was_charged(
    orders: list[Order], warehouse: Warehouse
) -> None:
    beside = f"total_amount - ({PARTS} + tips_amount + gift_cards_amount)"
    found = warehouse.rows(f"SELECT source_system, order_id, {beside} FROM certified.fct_orders WHERE {beside} <> 0")
    assert {(source, number): cents for source, number, cents in found} == {
        (order.source, str(order.number)): order.stated_beside for order in orders if order.stated_beside
    }


def test_every_measure_of_every_day_is_what_happened(orders: list[Order], warehouse: Warehouse) -> None:
    sums = ", ".join(f"SUM({measure})" for measure in MEASURES)
    found = warehouse.rows(f"SELECT business_date, {sums} FROM certified.agg_sales_daily GROUP BY business_date")
    assert {day: dict(zip(MEASURES, map(Decimal, values), strict=True)) for day, *values in found} == days(orders)


def test_nothing_waits_and_no_gate_is_shut(warehouse: Warehouse) -> None:
    assert warehouse.rows("SELECT order_id, rule_ids FROM staging._shopify_orders WHERE rule_ids IS NOT NULL") == []
    assert warehouse.rows("SELECT order_id, rule_ids FROM staging._oltp_orders WHERE rule_ids IS NOT NULL") == []
    failed = "SELECT check_name FROM ops.check_results WHERE outcome <> 'pass' AND severity = 'critical'"
    assert warehouse.rows(failed) == []
