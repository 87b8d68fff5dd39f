"""The odd cases of the business, all in one project on DuckDB: every expected row is worked out by hand.

The project is a copy with one more Soda check, added as a few lines of YAML.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import ENTITIES
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from tests.support.built_homes import new_home
from tests.support.ledger import sales_of

if TYPE_CHECKING:
    from sqlmesh import Context

REPOSITORY = Path(__file__).parents[2]
PROJECT = ("models", "macros", "signals", "audits", "linter", "soda", "config.yaml", "external_models.yaml")
SALES = ("staging._oltp_order_headers", "staging._oltp_order_lines", "staging._oltp_refunds")
ORDER_CHECKS = "checks for ${SCHEMA}.FCT_ORDERS:\n"
ADDED_CHECK = """\
  - max(TOTAL_AMOUNT) < 1000000:
      name: no order of a million
      attributes: {severity: warning, owner: finance}
"""

pytestmark = pytest.mark.slow


def at(instant: str) -> datetime:
    """An instant of March 2026, UTC: ``02T04:59`` is 2026-03-02 04:59."""
    return datetime.fromisoformat(f"2026-03-{instant}")


def order(number: int, ordered_at: str, store_id: int | None = 1, **changes: Any) -> dict[str, Any]:
    """A completed store order of customer 70."""
    stated = {
        "order_id": number,
        "customer_id": 70,
        "store_id": store_id,
        "channel": "store",
        "status": "completed",
        "is_test": False,
        "currency": "USD",
        "ordered_at": at(ordered_at),
        "shipping_amount": Decimal(0),
        "updated_at": at(ordered_at),
    }
    return stated | changes


def line(number: int, price: str = "10", quantity: int = 1, line_number: int = 1, **changes: Any) -> dict[str, Any]:
    """A line of an order: one piece of 10 unless said otherwise."""
    stated = {
        "order_id": number,
        "line_number": line_number,
        "sku": f"P-{line_number}",
        "quantity": quantity,
        "unit_price": Decimal(price),
        "updated_at": at("01T01:00"),
    }
    return stated | changes


def refund(
    number: int, order_id: int, refunded_at: str, amount: str = "4", line_number: int | None = 1
) -> dict[str, Any]:
    """A refund of a line."""
    return {
        "refund_id": number,
        "order_id": order_id,
        "line_number": line_number,
        "quantity": 1,
        "amount": Decimal(amount),
        "refunded_at": at(refunded_at),
        "updated_at": at(refunded_at),
    }


def online(number: int, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """An online order of customer 70 at 20:00 UTC of the 1st, 15:00 in New York, and its line of 2 pieces of 10.05."""
    version = {"order_id": number, "updated_at": at("02T21:00")}
    placed = {
        "customer_id": 70,
        "is_test": False,
        "currency": "USD",
        "financial_status": "PAID",
        "fulfillment_status": "FULFILLED",
        "processed_at": at("01T20:00"),
        "tax_amount": Decimal("1.61"),
        "shipping_amount": Decimal(5),
    }
    item = {
        "order_id": number,
        "order_updated_at": at("02T21:00"),
        "line_item_id": number * 10,
        "line_position": 1,
        "sku": "W-1",
        "quantity": 2,
        "unit_price": Decimal("10.05"),
        "tax_amount": Decimal("1.61"),
    }
    return version | placed | changes, item


def online_refund(order_id: int, refund_line_id: int | None, **amounts: Any) -> dict[str, Any]:
    """A refund of an online order at 04:30 UTC of the 3rd, 23:30 of the 2nd in New York."""
    return {
        "order_id": order_id,
        "order_updated_at": at("02T21:00"),
        "refund_id": order_id * 100,
        "refund_line_id": refund_line_id,
        "line_item_id": order_id * 10 if refund_line_id else None,
        "sku": "W-1" if refund_line_id else None,
        "quantity": 1 if refund_line_id else None,
        "refunded_at": at("03T04:30"),
    } | amounts


def store(store_id: int, timezone: str, day: int = 1, **changes: Any) -> dict[str, Any]:
    """What a store's file of a day says."""
    return {
        "store_id": store_id,
        "name": f"Store {store_id}",
        "timezone": timezone,
        "reference_date": date(2026, 3, day),
    } | changes


ANN = {"customer_id": 70, "email": " Ann@Example.com", "first_name": "Ann", "last_name": "Ottosen", "phone": "555-0100"}
ONLINE = {
    10: online(10),
    20: online(20, is_test=True),
    21: online(21, cancelled_at=at("02T20:00")),
    22: online(22, currency="CAD"),
}
FIRST_LOAD: dict[str, list[dict[str, Any]]] = {
    "stores_reference": [
        store(1, "America/New_York"),
        store(2, "Asia/Kolkata"),
        store(3, "Pacific/Kiritimati"),
        store(4, "Pacific/Pago_Pago"),
        store(5, "America/Los_Angeles"),
        store(5, "America/New_York", day=3),
        store(6, "America/New_York", closed_on=date(2026, 3, 2)),
    ],
    "oltp_orders": [
        order(1, "02T04:59"),
        order(2, "01T18:30", 2),
        order(3, "01T10:00", 3),
        order(4, "01T10:59", 4),
        order(5, "01T15:00", customer_id=None, channel="phone"),
        order(6, "01T15:00", status="cancelled"),
        order(7, "01T15:00", is_test=True),
        order(8, "01T15:00", currency="EUR"),
        order(9, "01T15:00", 987, customer_id=71),
        order(10, "01T20:00", channel="online"),
        order(11, "01T15:00", total_amount=Decimal(0)),
        order(12, "01T15:00", status="paid", total_amount=Decimal(13)),
        order(12, "01T15:00", status="shipped", total_amount=Decimal(18), updated_at=at("02T09:00")),
        order(13, "01T15:00", discount_amount=Decimal(1), tax_amount=Decimal("0.72")),
        order(14, "03T04:59", 5),
        order(15, "03T05:00", 5),
        order(16, "02T15:00", 6),
        order(17, "01T15:00", 6, total_amount=Decimal(10)),
        order(18, "01T15:00", 6, total_amount=Decimal(-25)),
        order(19, "01T15:00", 6, total_amount=Decimal(20)),
        order(20, "01T15:00", 6),
        order(23, "01T15:00", 6, total_amount=Decimal(30)),
    ],
    "oltp_order_lines": [
        *(line(number) for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16)),
        line(11, "-1", line_number=1),
        line(11, "0", line_number=2),
        line(17, "60"),
        line(17, "50", quantity=-1, line_number=2),
        line(18, "25", quantity=-1),
        line(19, "20", quantity=400638),
        line(20, sku=None),
        line(20, "0", quantity=-7, line_number=2),
        line(23),
        line(23, "-1", line_number=2),
        line(12, "5", quantity=2),
        line(12, "3", line_number=2),
        line(12, "5", quantity=3, updated_at=at("02T09:00")),
        line(13, "10", discount_amount=Decimal(1), tax_amount=Decimal("0.72")),
    ],
    "oltp_refunds": [
        refund(1, 1, "03T09:30"),
        refund(6, 6, "02T15:00"),
        refund(7, 7, "02T15:00"),
        refund(8, 8, "02T15:00"),
        refund(10, 10, "02T15:00"),
        refund(131, 13, "02T15:00", "3.3333"),
        refund(132, 13, "03T05:00", "0.01", line_number=None),
        refund(404, 404, "02T15:00"),
    ],
    "shopify_orders": [placed for placed, _ in ONLINE.values()],
    "shopify_order_lines": [item for _, item in ONLINE.values()],
    "shopify_refunds": [
        online_refund(10, 1001, subtotal_amount=Decimal("10.05"), tax_amount=Decimal("0.80")),
        online_refund(10, None, shipping_amount=Decimal(5)),
        online_refund(21, 2101, subtotal_amount=Decimal("10.05")),
        online_refund(22, 2201, subtotal_amount=Decimal("10.05")),
    ],
    "oltp_customers": [
        ANN | {"loyalty_tier": "gold", "updated_at": at("02T00:00")},
        ANN | {"loyalty_tier": "silver", "updated_at": at("01T00:00")},
    ],
}


class Business:
    """The project's copy, with every model built of the first load."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.warehouse = Warehouse(context.engine_adapter.connection.cursor(), "duckdb")
        create_tables(self.warehouse)

    def load(self, load_id: str, loaded_at: datetime, tables: dict[str, list[dict[str, Any]]]) -> None:
        """One load of all sources, with watermarks at its full hour. The online shop's ledger follows from the rest."""
        online = [tables.get(f"shopify_{name}", []) for name in ("orders", "order_lines", "refunds")]
        tables = tables | {"shopify_sales": sales_of(*online)}
        for table, rows in tables.items():
            for row in rows:
                self.warehouse.insert(f"raw.{table}", [row | {"_loaded_at": loaded_at, "_dlt_load_id": load_id}])
        self.warehouse.execute("DELETE FROM ops.source_watermarks")
        through = {"covered_through": loaded_at.replace(minute=0)}
        marks = [
            {"source": item.source, "entity": item.name} | through
            for item in ENTITIES
            if item.watermarked and item.source != "stores"
        ]
        self.warehouse.insert("ops.source_watermarks", marks)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a reader gets."""
        return self.warehouse.rows(sql)


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Business]:
    """Everything of the first load, built and certified through 2026-03-03 10:00 UTC."""
    from sqlmesh import Context

    directory = tmp_path_factory.mktemp("project")
    for name in PROJECT:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, directory / name)
    checks = directory / "soda" / "checks" / "sales.yml"
    checks.write_text(checks.read_text(encoding="utf-8").replace(ORDER_CHECKS, ORDER_CHECKS + ADDED_CHECK), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("INSIGHTMART_GATEWAY", "INSIGHTMART_CURRENCY", "INSIGHTMART_TIMEZONE"):
            patch.delenv(name, raising=False)
        patch.setenv("INSIGHTMART_HOME", str(new_home(tmp_path_factory, tmp_path_factory.mktemp("home"))))
        patch.setenv("INSIGHTMART_START", "2026-02-28")
        context = Context(paths=str(directory))
        business = Business(context)
        business.load("1001.5", at("03T10:05"), FIRST_LOAD)
        context.plan(auto_apply=True, no_prompts=True, skip_tests=True, execution_time=at("03T10:05"))
        yield business
        context.close()


FEB28, FIRST, SECOND, THIRD = date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)
D = Decimal


def test_each_order_counts_where_and_when_and_as_it_should(business: Business) -> None:
    """Cancelled (6, 21), test (7, 20) and foreign (8, 22) orders are not there, nor is 10, which is Shopify's."""
    columns = (
        "order_id, business_date, business_hour, store_id, channel, customer_id, line_count, gross_sales, total_amount"
    )
    assert business.rows(f"SELECT {columns} FROM certified.fct_orders__oltp ORDER BY order_id::INT") == [
        ("1", FIRST, 23, 1, "store", "70", 1, D(10), D(10)),
        ("2", SECOND, 0, 2, "store", "70", 1, D(10), D(10)),
        ("3", SECOND, 0, 3, "store", "70", 1, D(10), D(10)),
        ("4", FEB28, 23, 4, "store", "70", 1, D(10), D(10)),
        ("5", FIRST, 10, 1, "phone", None, 1, D(10), D(10)),
        ("9", FIRST, 10, 987, "store", "71", 1, D(10), D(10)),
        ("11", FIRST, 10, 1, "store", "70", 1, D(0), D(0)),  # the line at -1 is in quarantine, the free one counts
        ("12", FIRST, 10, 1, "store", "70", 2, D(18), D(18)),  # as edited after it was paid
        ("13", FIRST, 10, 1, "store", "70", 1, D(10), D("9.72")),
        ("14", SECOND, 20, 5, "store", "70", 1, D(10), D(10)),  # the store still stands in Los Angeles
        ("15", THIRD, 0, 5, "store", "70", 1, D(10), D(10)),  # and at this midnight in New York
        ("16", SECOND, 10, 6, "store", "70", 1, D(10), D(10)),  # the store has closed: counts, and a check warns
        ("17", FIRST, 10, 6, "store", "70", 1, D(60), D(10)),  # an exchange: 60 sold, 50 given back
        ("18", FIRST, 10, 6, "store", "70", 0, D(0), D(-25)),  # a slip on which goods were only given back
        ("20", FIRST, 10, 6, "store", "70", 1, D(10), D(10)),  # an item without a SKU, and a correction of stock
    ]
    assert business.rows(f"SELECT {columns} FROM certified.fct_orders__shopify") == [
        ("10", FIRST, 15, 0, "online", "shopify:70", 1, D("20.1"), D("26.71")),
    ]


def test_refunds_count_on_their_own_day_with_their_order_or_wait_with_it(business: Business) -> None:
    columns = (
        "refund_id, line_number, business_date, store_id, channel, sku, refund_amount, tax_amount, shipping_amount"
    )
    assert business.rows(
        f"SELECT {columns} FROM certified.fct_refunds ORDER BY TRY_CAST(refund_id AS INT), refund_id, line_number"
    ) == [
        ("1", 1, THIRD, 1, "store", "P-1", D(4), D(0), D(0)),
        ("131", 1, SECOND, 1, "store", "P-1", D("3.3333"), D(0), D(0)),  # two partial refunds of an order of the 1st
        ("132", None, THIRD, 1, "store", None, D("0.01"), D(0), D(0)),
        ("404", 1, SECOND, -1, "unknown", None, D(4), D(0), D(0)),
        ("1000", 100, SECOND, 0, "online", "W-1", D("10.05"), D("0.8"), D(0)),
        ("1000", None, SECOND, 0, "online", None, D(0), D(0), D(5)),
        ("order:17", 2, FIRST, 6, "store", "P-2", D(50), D(0), D(0)),  # given back on the order itself, at that moment
        ("order:18", 1, FIRST, 6, "store", "P-1", D(25), D(0), D(0)),
    ]
    waiting = "SELECT refund_id, reasons FROM quarantine.{}_refunds ORDER BY refund_id::INT"
    assert business.rows(waiting.format("oltp")) == [("8", "order_quarantined"), ("10", "order_quarantined")]
    assert business.rows(waiting.format("shopify")) == [("2200", "order_quarantined")]


def test_what_does_not_count_stands_in_quarantine_with_its_reason(business: Business) -> None:
    assert business.rows("SELECT order_id, reasons FROM quarantine.oltp_orders ORDER BY order_id::INT") == [
        ("8", "currency_foreign"),
        ("10", "online_order_of_shopify"),
        ("19", "total_contradicts_lines"),  # a barcode as the quantity: the order itself says 20
        ("23", "line_quarantined"),  # its total counts the line that cannot be right
    ]
    assert business.rows(
        "SELECT order_id, line_number, reasons FROM quarantine.oltp_order_lines ORDER BY order_id::INT, line_number"
    ) == [
        ("8", 1, "order_quarantined"),
        ("10", 1, "order_quarantined"),
        ("11", 1, "unit_price_negative"),  # the order comes to what it states without it
        ("19", 1, "order_quarantined"),
        ("20", 2, "stock_adjustment"),
        ("23", 1, "order_quarantined"),
        ("23", 2, "unit_price_negative"),
    ]
    assert business.rows("SELECT order_id, reasons FROM quarantine.shopify_orders") == [("22", "currency_foreign")]


def test_days_add_up_by_store_and_channel(business: Business) -> None:
    """returns of a day are those given back on it, whatever day the sale was."""
    columns = "business_date, store_id, channel, orders, gross_sales, discounts, returns, taxes, shipping, total_sales"
    rows = business.rows(
        f"SELECT {columns} FROM certified.agg_sales_daily WHERE store_id IN (-1, 0, 1, 6) ORDER BY ALL"
    )
    zero = D(0)
    assert rows == [
        (FIRST, 0, "online", 1, D("20.1"), zero, zero, D("1.61"), D(5), D("26.71")),
        (FIRST, 1, "phone", 1, D(10), zero, zero, zero, zero, D(10)),
        (FIRST, 1, "store", 4, D(38), D(1), zero, D("0.72"), zero, D("37.72")),
        (FIRST, 6, "store", 2, D(70), zero, D(75), zero, zero, D(-5)),  # 17 nets 10, 18 is no order, 20 is 10
        (SECOND, -1, "unknown", 0, zero, zero, D(4), zero, zero, D(-4)),
        (SECOND, 0, "online", 0, zero, zero, D("10.05"), D("-0.8"), D(-5), D("-15.85")),
        (SECOND, 1, "store", 0, zero, zero, D("3.3333"), zero, zero, D("-3.3333")),
        (SECOND, 6, "store", 1, D(10), zero, zero, zero, zero, D(10)),
        (THIRD, 1, "store", 0, zero, zero, D("4.01"), zero, zero, D("-4.01")),
    ]


def test_customers_are_known_once_inferred_or_apart(business: Business) -> None:
    low, high = datetime(1970, 1, 1), datetime(9999, 12, 31)
    hashed = "71d4f55f72fa128dfb468a1a3901507c804b74316488744d769d7f4b16696476"  # SHA-256 of ann@example.com
    assert business.rows(
        "SELECT customer_id, valid_from, valid_to, is_inferred, loyalty_tier, email_hash"
        " FROM certified.dim_customers ORDER BY ALL"
    ) == [
        ("70", low, at("02T00:00"), False, "silver", hashed),
        ("70", at("02T00:00"), high, False, "gold", hashed),
        ("71", low, high, True, None, None),
        ("shopify:70", low, high, True, None, None),
    ]


def test_no_certified_text_holds_an_address_a_phone_or_a_name(business: Business) -> None:
    texts = business.rows(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema ILIKE 'certified' AND data_type = 'VARCHAR'"
    )
    assert len(texts) > 20
    for table, column in texts:
        for secret in ("example.com", "Ottosen", "555-0100"):
            found = business.rows(f"SELECT {column} FROM certified.{table} WHERE {column} ILIKE '%{secret}%'")
            assert found == [], f"{table}.{column}"


def test_stores_change_at_local_midnight_and_are_inferred(business: Business) -> None:
    low, high = datetime(1970, 1, 1), datetime(9999, 12, 31)
    assert business.rows(
        "SELECT store_id, valid_from, valid_to, timezone, is_inferred FROM certified.dim_stores"
        " WHERE store_id IN (5, 987) ORDER BY ALL"
    ) == [
        (5, low, at("03T05:00"), "America/Los_Angeles", False),
        (5, at("03T05:00"), high, "America/New_York", False),
        (987, low, high, "America/New_York", True),
    ]


def test_a_check_added_as_lines_of_yaml_is_run_and_recorded(business: Business) -> None:
    assert business.rows(
        "SELECT DISTINCT area, dataset, severity, outcome FROM ops.check_results"
        " WHERE check_name = 'no order of a million' ORDER BY ALL"
    ) == [
        ("sales__oltp", "FCT_ORDERS", "warning", "pass"),
        ("sales__shopify", "FCT_ORDERS", "warning", "pass"),
    ]


def test_checks_find_the_odd_orders_and_nothing_else(business: Business) -> None:
    """Nothing critical fails; what warns is what was planted, and that no product and no daily load is there."""
    assert business.rows(
        "SELECT DISTINCT area, check_name, severity, value FROM ops.check_results WHERE outcome <> 'pass' ORDER BY ALL"
    ) == [
        ("sales__oltp", "no orders before a store opened or after it closed", "warning", "1.0"),
        ("stores", "every store with sales has a reference", "warning", "1.0"),
    ]


REFUND_OF_1 = "SELECT refund_id, store_id, channel, sku FROM certified.fct_refunds WHERE refund_id = '1'"
HOUR_OF_1 = "SELECT business_date, business_hour FROM certified.fct_orders__oltp WHERE order_id = '1'"


@pytest.fixture(scope="module")
def restated(business: Business) -> tuple[Business, list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The second load, restated and run: with order and refund 1 as they stood between the two.

    Order 1 turns out to be placed at 10:30 on the 3rd, an hour after its own refund and not released yet. A version of
    customer 70 comes after the ones that follow it; customer 71 and store 987, so far inferred, are described.
    """
    business.load(
        "1002.5",
        at("03T11:05"),
        {
            "oltp_orders": [order(1, "03T10:30", updated_at=at("03T10:40"))],
            "oltp_customers": [
                ANN | {"loyalty_tier": "bronze", "updated_at": at("01T12:00")},
                ANN | {"customer_id": 71, "loyalty_tier": "new", "updated_at": at("03T08:00")},
            ],
            "stores_reference": [store(987, "America/New_York", day=3)],
        },
    )
    for start, end in (("02T04:00", "02T05:00"), ("03T09:00", "03T10:00")):
        business.context.plan(
            restate_models=list(SALES),
            start=at(start),
            end=at(end),
            execution_time=at("03T11:05"),
            auto_apply=True,
            no_prompts=True,
            skip_tests=True,
        )
    between = business.rows(HOUR_OF_1), business.rows(REFUND_OF_1)
    assert business.context.run(execution_time=at("03T11:05")).is_success
    return business, *between


def test_a_refund_keeps_its_order_while_that_waits_for_a_later_hour(
    restated: tuple[Business, list[tuple[Any, ...]], list[tuple[Any, ...]]],
) -> None:
    business, order_between, refund_between = restated
    assert order_between == []
    assert refund_between == [("1", 1, "store", "P-1")]
    assert business.rows(HOUR_OF_1) == [(THIRD, 5)]
    assert business.rows(REFUND_OF_1) == [("1", 1, "store", "P-1")]


def test_a_gate_scans_its_window_alone(
    restated: tuple[Business, list[tuple[Any, ...]], list[tuple[Any, ...]]],
) -> None:
    """The largest total of all is 18; of the hour in which order 1 is the only one it is 10."""
    assert restated[0].rows(
        "SELECT window_start, window_end, value FROM ops.check_results WHERE check_name = 'no order of a million'"
        " AND area = 'sales__oltp' ORDER BY window_start"
    ) == [
        (datetime(2026, 2, 28), at("03T10:00"), "18.0"),
        (at("03T10:00"), at("03T11:00"), "10.0"),
    ]


def test_history_is_rebuilt_where_a_version_comes_late_and_inferred_members_are_completed(
    restated: tuple[Business, list[tuple[Any, ...]], list[tuple[Any, ...]]],
) -> None:
    low, high = datetime(1970, 1, 1), datetime(9999, 12, 31)
    assert restated[0].rows(
        "SELECT customer_id, valid_from, valid_to, is_current, is_inferred, loyalty_tier"
        " FROM certified.dim_customers WHERE customer_id IN ('70', '71') ORDER BY ALL"
    ) == [
        ("70", low, at("01T12:00"), False, False, "silver"),
        ("70", at("01T12:00"), at("02T00:00"), False, False, "bronze"),
        ("70", at("02T00:00"), high, True, False, "gold"),
        ("71", low, high, True, False, "new"),
    ]
    assert restated[0].rows(
        "SELECT valid_from, valid_to, is_inferred, store_name FROM certified.dim_stores WHERE store_id = 987"
    ) == [(low, high, False, "Store 987")]


def test_an_order_finds_one_customer_and_one_store_at_its_instant(
    restated: tuple[Business, list[tuple[Any, ...]], list[tuple[Any, ...]]],
) -> None:
    joined = restated[0].rows(
        "SELECT o.order_id, c.loyalty_tier, s.timezone FROM certified.fct_orders AS o"
        " LEFT JOIN certified.dim_customers AS c ON c.customer_id = o.customer_id"
        " AND o.ordered_at >= c.valid_from AND o.ordered_at < c.valid_to"
        " LEFT JOIN certified.dim_stores AS s ON s.store_id = o.store_id"
        " AND o.ordered_at >= s.valid_from AND o.ordered_at < s.valid_to"
        " ORDER BY o.order_id::INT"
    )
    assert joined == [
        ("1", "gold", "America/New_York"),
        ("2", "bronze", "Asia/Kolkata"),
        ("3", "silver", "Pacific/Kiritimati"),
        ("4", "silver", "Pacific/Pago_Pago"),
        ("5", None, "America/New_York"),  # nobody's
        ("9", "new", "America/New_York"),
        ("10", None, "America/New_York"),  # Shopify's customer 70, of whom nothing more is known
        ("11", "bronze", "America/New_York"),
        ("12", "bronze", "America/New_York"),
        ("13", "bronze", "America/New_York"),
        ("14", "gold", "America/Los_Angeles"),
        ("15", "gold", "America/New_York"),
        ("16", "gold", "America/New_York"),
        ("17", "bronze", "America/New_York"),
        ("18", "bronze", "America/New_York"),
        ("20", "bronze", "America/New_York"),
    ]
