"""Two hours in the life of the whole project: every model, audit and gate on DuckDB, all figures worked out by hand.

At 03:05 the first load is published. At 04:05 a second load brings late corrections: order 1 was placed at 03:30, not
at 00:30, order 2 is cancelled, the store sends the counts of 01:00 again, and the customers arrive.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import ENTITIES
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from insightmart.definitions.columns import read_meanings
from tests.support.built_homes import new_home
from tests.support.ledger import sales_of

if TYPE_CHECKING:
    from sqlmesh import Context

REPOSITORY = Path(__file__).parents[2]
SALES = ("staging._oltp_order_headers", "staging._oltp_order_lines", "staging._oltp_refunds")
HIGH = datetime(9999, 12, 31)
LOW = datetime(1970, 1, 1)

pytestmark = pytest.mark.slow


def at(time: str) -> datetime:
    """An instant of 2026-03-01, UTC."""
    return datetime.fromisoformat(f"2026-03-01T{time}")


@dataclass
class Project:
    """The repository's project in a home of its own."""

    context: Context
    warehouse: Warehouse

    def load(self, load_id: str, loaded_at: str, **tables: list[dict[str, Any]]) -> None:
        """Append rows to raw tables as one load, with the shop's ledger, and move every watermark to its instant."""
        online = [tables.get(f"shopify_{name}", []) for name in ("orders", "order_lines", "refunds")]
        tables["shopify_sales"] = sales_of(*online)
        for table, rows in tables.items():
            for row in rows:
                load = {"_loaded_at": at(loaded_at), "_dlt_load_id": load_id}
                self.warehouse.insert(f"raw.{table}", [{**row, **load}])
        self.warehouse.execute("DELETE FROM ops.source_watermarks")
        self.warehouse.insert(
            "ops.source_watermarks",
            [
                {"source": item.source, "entity": item.name, "covered_through": at(loaded_at)}
                for item in ENTITIES
                if item.watermarked
            ],
        )

    def restate(self, models: tuple[str, ...], start: str, end: str, now: str) -> None:
        """Rebuild a window in prod."""
        self.context.plan(
            restate_models=list(models),
            start=at(start),
            end=at(end),
            execution_time=at(now),
            auto_apply=True,
            no_prompts=True,
            skip_tests=True,
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a reader gets."""
        return self.warehouse.rows(sql)


def order(number: int, ordered_at: str, **changes: Any) -> dict[str, Any]:
    """A paid order of customer 70 in store 12."""
    stated = {
        "order_id": number,
        "customer_id": 70,
        "store_id": 12,
        "channel": "store",
        "status": "paid",
        "is_test": False,
        "currency": "USD",
        "ordered_at": at(ordered_at),
        "shipping_amount": Decimal("2.00"),
        "updated_at": at(ordered_at),
    }
    return {**stated, **changes}


def line(number: int, quantity: int, unit_price: str, updated_at: str, **changes: Any) -> dict[str, Any]:
    """The only line of an order."""
    stated = {
        "order_id": number,
        "line_number": 1,
        "sku": "A-1",
        "quantity": quantity,
        "unit_price": Decimal(unit_price),
        "discount_amount": Decimal("0.50"),
        "tax_amount": Decimal("0.25"),
        "updated_at": at(updated_at),
    }
    return {**stated, **changes}


def refund(number: int, order_id: int, amount: str) -> dict[str, Any]:
    """A refund at 02:20."""
    return {
        "refund_id": number,
        "order_id": order_id,
        "line_number": 1,
        "amount": Decimal(amount),
        "refunded_at": at("02:20"),
        "updated_at": at("02:20"),
    }


def count(hour: int, on_hand: int) -> dict[str, Any]:
    """Store 12's count of A-1 in one hour."""
    return {
        "store_id": 12,
        "sku": "A-1",
        "on_hand": on_hand,
        "counted_at": at(f"{hour:02}:30"),
        "file_name": f"inventory/2026/03/01/{hour:02}/store_012.csv",
        "file_line": 2,
    }


STORE = {"store_id": 12, "name": "Pier 9", "timezone": "America/Los_Angeles", "reference_date": date(2026, 3, 1)}
CUSTOMER = {"customer_id": 70, "email": "Ann@example.com", "first_name": "Ann", "phone": "555", "loyalty_tier": "gold"}
ONLINE = {
    "order_id": 1,
    "customer_id": 70,
    "currency": "USD",
    "financial_status": "PAID",
    "processed_at": at("01:40"),
    "updated_at": at("01:40"),
}
ONLINE_LINE = {
    "order_id": 1,
    "order_updated_at": at("01:40"),
    "line_item_id": 11,
    "sku": "W-1",
    "quantity": 1,
    "unit_price": Decimal("20.0001"),
}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The state after the first load."""
    from sqlmesh import Context

    with pytest.MonkeyPatch.context() as patch:
        for name in ("INSIGHTMART_GATEWAY", "INSIGHTMART_CURRENCY", "INSIGHTMART_TIMEZONE"):
            patch.delenv(name, raising=False)
        patch.setenv("INSIGHTMART_HOME", str(new_home(tmp_path_factory, tmp_path_factory.mktemp("home"))))
        patch.setenv("INSIGHTMART_START", "2026-03-01")
        context = Context(paths=str(REPOSITORY))
        project = Project(context, Warehouse(context.engine_adapter.connection.cursor(), "duckdb"))
        create_tables(project.warehouse)
        project.load(
            "1001.5",
            "03:05",
            stores_reference=[STORE],
            oltp_orders=[
                order(1, "00:30"),
                order(2, "01:10", customer_id=71),
                order(3, "01:20", store_id=99, customer_id=None),
                order(4, "01:30", status="cancelled"),
                order(5, "01:40", store_id=None),
            ],
            oltp_order_lines=[
                line(1, 3, "1.3333", "00:30"),
                line(2, 80995, "1234.5679", "01:10"),
                line(3, 1, "5.0000", "01:20"),
                line(4, 1, "6.0000", "01:30"),
                line(5, 1, "7.0000", "01:40"),
            ],
            oltp_refunds=[refund(9, 3, "1.1111"), refund(10, 404, "2.2222"), refund(11, 4, "3.3333")],
            shopify_orders=[ONLINE],
            shopify_order_lines=[ONLINE_LINE],
            stores_inventory=[count(0, 5), count(1, 0), count(2, 3)],
        )
        context.plan(auto_apply=True, no_prompts=True, skip_tests=True, execution_time=at("03:05"))
        yield project
        context.close()


@pytest.fixture(scope="module")
def before(first: Project) -> dict[str, list[tuple[Any, ...]]]:
    """What readers get after the first load."""
    return published(first)


@pytest.fixture(scope="module")
def second(first: Project, before: dict[str, list[tuple[Any, ...]]]) -> Project:
    """The state after the second load, its corrections and the next run."""
    first.load(
        "1002.5",
        "04:05",
        oltp_orders=[
            order(1, "03:30", updated_at=at("03:40")),
            order(2, "01:10", customer_id=71, status="cancelled", updated_at=at("03:45")),
        ],
        oltp_customers=[
            {**CUSTOMER, "updated_at": at("02:00")},
            {**CUSTOMER, "loyalty_tier": "silver", "updated_at": at("01:00")},
        ],
        stores_inventory=[{**count(1, 7), "file_hash": "new"}, count(3, 4)],
    )
    first.restate(SALES, "00:00", "03:00", now="04:05")
    first.restate(("staging._stores_inventory",), "01:00", "02:00", now="04:05")
    assert first.context.run(execution_time=at("04:05")).is_success
    return first


@pytest.fixture(scope="module")
def after(second: Project) -> dict[str, list[tuple[Any, ...]]]:
    """What readers get after the second load."""
    return published(second)


def published(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    """Every certified figure this story is about."""
    questions = {
        "orders": "source_system, order_id, ordered_at, gross_sales, discount_amount, tax_amount"
        " FROM certified.fct_orders",
        "lines": "source_system, order_id, ordered_at, net_sales_before_returns FROM certified.fct_order_lines",
        "refunds": "refund_id, store_id, business_date, refund_amount, sku FROM certified.fct_refunds",
        "hours": "business_date, business_hour, store_id, orders, total_sales FROM certified.agg_sales_hourly",
        "days": "business_date, store_id, channel, gross_sales, net_sales, total_sales FROM certified.agg_sales_daily",
        "stock": "business_date, store_id, closing_on_hand, counted_hours, stockout_hours"
        " FROM certified.agg_inventory_daily",
        "customers": "customer_id, valid_from, valid_to, is_inferred, loyalty_tier FROM certified.dim_customers",
        "stores": "store_id, is_inferred, timezone FROM certified.dim_stores",
        "coverage": "counted_hour, open_stores, reporting_stores FROM certified.inventory_coverage",
        "rejected": "order_id, reasons FROM quarantine.oltp_order_lines",
    }
    return {name: project.rows(f"SELECT {question} ORDER BY ALL") for name, question in questions.items()}


BIG = Decimal("99993827.0605")  # 80995 x 1234.5679 = 81000 x 1234.5679 - 5 x 1234.5679
FIRST_OF_MARCH, LAST_OF_FEBRUARY = date(2026, 3, 1), date(2026, 2, 28)


def test_orders_are_published_exactly(before: dict[str, list[tuple[Any, ...]]]) -> None:
    half, quarter, nothing = Decimal("0.5"), Decimal("0.25"), Decimal(0)
    assert before["orders"] == [
        ("oltp", "1", at("00:30"), Decimal("3.9999"), half, quarter),
        ("oltp", "2", at("01:10"), BIG, half, quarter),
        ("oltp", "3", at("01:20"), Decimal(5), half, quarter),
        ("shopify", "1", at("01:40"), Decimal("20.0001"), nothing, nothing),
    ]
    assert before["lines"] == [
        ("oltp", "1", at("00:30"), Decimal("3.4999")),
        ("oltp", "2", at("01:10"), BIG - half),
        ("oltp", "3", at("01:20"), Decimal("4.5")),
        ("shopify", "1", at("01:40"), Decimal("20.0001")),
    ]
    assert before["rejected"] == [("5", "order_quarantined")]


def test_refunds_stand_with_their_order_or_at_store_minus_one(before: dict[str, list[tuple[Any, ...]]]) -> None:
    assert before["refunds"] == [
        ("10", -1, LAST_OF_FEBRUARY, Decimal("2.2222"), None),
        ("9", 99, LAST_OF_FEBRUARY, Decimal("1.1111"), "A-1"),
    ]


def test_figures_stand_on_the_business_day_of_the_store(before: dict[str, list[tuple[Any, ...]]]) -> None:
    """All of it is still the 28th: Los Angeles is at UTC-8, New York (online, unknown and inferred stores) at UTC-5."""
    assert before["hours"] == [
        (LAST_OF_FEBRUARY, 16, 12, 1, Decimal("5.7499")),
        (LAST_OF_FEBRUARY, 17, 12, 1, BIG + Decimal("1.75")),
        (LAST_OF_FEBRUARY, 20, 0, 1, Decimal("20.0001")),
        (LAST_OF_FEBRUARY, 20, 99, 1, Decimal("6.75")),
        (LAST_OF_FEBRUARY, 21, -1, 0, Decimal("-2.2222")),
        (LAST_OF_FEBRUARY, 21, 99, 0, Decimal("-1.1111")),
    ]
    assert before["days"] == [
        (LAST_OF_FEBRUARY, -1, "unknown", Decimal(0), Decimal("-2.2222"), Decimal("-2.2222")),
        (LAST_OF_FEBRUARY, 0, "online", Decimal("20.0001"), Decimal("20.0001"), Decimal("20.0001")),
        (LAST_OF_FEBRUARY, 12, "store", BIG + Decimal("3.9999"), BIG + Decimal("2.9999"), BIG + Decimal("7.4999")),
        (LAST_OF_FEBRUARY, 99, "store", Decimal(5), Decimal("3.3889"), Decimal("5.6389")),
    ]


def test_stock_is_published_with_its_coverage(before: dict[str, list[tuple[Any, ...]]]) -> None:
    assert before["stock"] == [(LAST_OF_FEBRUARY, 12, 3, 3, 1)]
    assert before["coverage"] == [(at("00:00"), 1, 1), (at("01:00"), 1, 1), (at("02:00"), 1, 1)]


def test_what_only_sales_name_is_inferred(before: dict[str, list[tuple[Any, ...]]]) -> None:
    assert before["customers"] == [
        ("70", LOW, HIGH, True, None),
        ("71", LOW, HIGH, True, None),
        ("shopify:70", LOW, HIGH, True, None),
    ]
    assert before["stores"] == [
        (-1, False, "America/New_York"),
        (0, False, "America/New_York"),
        (12, False, "America/Los_Angeles"),
        (99, True, "America/New_York"),
    ]


def test_calendar_is_whole_and_knows_its_weekdays(first: Project) -> None:
    assert first.rows("SELECT COUNT(*), MIN(calendar_date), MAX(calendar_date) FROM certified.dim_dates") == [
        (10957, date(2010, 1, 1), date(2039, 12, 31))
    ]
    assert first.rows(
        "SELECT calendar_quarter, calendar_month, day_of_month, day_of_week, is_weekend FROM certified.dim_dates"
        " WHERE calendar_date BETWEEN DATE '2026-03-01' AND DATE '2026-03-02' ORDER BY calendar_date"
    ) == [(1, 3, 1, 7, True), (1, 3, 2, 1, False)]  # a Sunday and a Monday


def test_readers_of_the_database_find_the_definitions_as_comments(first: Project) -> None:
    meanings = read_meanings(REPOSITORY)
    found = first.rows(
        "SELECT lower(table_name), lower(column_name), comment FROM duckdb_columns()"
        " WHERE lower(schema_name) = 'certified'"
    )
    assert (
        "agg_sales_daily",
        "net_sales",
        "Gross sales less discounts less returns; unit: company's currency",
    ) in found
    assert [row for row in found if row[2] != meanings.of(row[0], row[1])] == []


def test_queries_of_the_guides_answer_why_an_order_is_not_there(first: Project) -> None:
    guides = {path.name: path.read_text(encoding="utf-8") for path in (REPOSITORY / "docs").glob("*.md")}
    queries = {name: re.findall(r'insightmart sql "\s*(SELECT [^"]+)"', text) for name, text in guides.items()}
    for query in itertools.chain.from_iterable(queries.values()):
        first.rows(query)

    def asked(part: str, number: str) -> list[tuple[Any, ...]]:
        (query,) = [query for query in queries["models.md"] if part in query]
        return first.rows(re.sub(r"\b10\d{8}\b", number, query))

    certified, cancelled, rejected, unknown = (asked("staging._oltp_orders", number) for number in "1456")
    meaning = ("store_id_missing", "The order names no store", "operations")
    assert [row[2:] for row in certified] == [(True, None, None, None, date(2026, 2, 28), 1)]
    assert [row[1:3] for row in cancelled] == [("cancelled", False)]
    assert [row[2:] for row in rejected] == [(True, *meaning, None, None)]
    assert unknown == []
    assert [row[1] for row in asked("raw.oltp_orders", "5")] == ["paid"]
    assert [row[3] for row in asked("quarantine.oltp_order_lines", "5")] == ["order_quarantined"]


def test_no_table_of_the_warehouse_holds_a_binary_float(first: Project) -> None:
    layers = "'staging', 'quarantine', 'core', 'certified'"
    found = first.rows(
        "SELECT DISTINCT data_type FROM duckdb_columns() WHERE NOT internal"
        f" AND (lower(schema_name) IN ({layers}) OR lower(schema_name) LIKE 'sqlmesh__%')"
    )
    assert {"DECIMAL(18,4)", "TIMESTAMP"} <= {kind for (kind,) in found}
    assert not {"DOUBLE", "FLOAT"} & {kind for (kind,) in found}


def test_a_moved_order_stands_once_with_its_lines(after: dict[str, list[tuple[Any, ...]]]) -> None:
    half, quarter, nothing = Decimal("0.5"), Decimal("0.25"), Decimal(0)
    assert after["orders"] == [
        ("oltp", "1", at("03:30"), Decimal("3.9999"), half, quarter),
        ("oltp", "3", at("01:20"), Decimal(5), half, quarter),
        ("shopify", "1", at("01:40"), Decimal("20.0001"), nothing, nothing),
    ]
    assert after["lines"] == [
        ("oltp", "1", at("03:30"), Decimal("3.4999")),
        ("oltp", "3", at("01:20"), Decimal("4.5")),
        ("shopify", "1", at("01:40"), Decimal("20.0001")),
    ]


def test_a_cancelled_order_leaves_every_figure(after: dict[str, list[tuple[Any, ...]]]) -> None:
    assert after["days"] == [
        (LAST_OF_FEBRUARY, -1, "unknown", Decimal(0), Decimal("-2.2222"), Decimal("-2.2222")),
        (LAST_OF_FEBRUARY, 0, "online", Decimal("20.0001"), Decimal("20.0001"), Decimal("20.0001")),
        (LAST_OF_FEBRUARY, 12, "store", Decimal("3.9999"), Decimal("3.4999"), Decimal("5.7499")),
        (LAST_OF_FEBRUARY, 99, "store", Decimal(5), Decimal("3.3889"), Decimal("5.6389")),
    ]
    assert [row for row in after["hours"] if row[2] == 12] == [(LAST_OF_FEBRUARY, 19, 12, 1, Decimal("5.7499"))]


def test_counts_sent_again_replace_the_earlier_ones(after: dict[str, list[tuple[Any, ...]]]) -> None:
    assert after["stock"] == [(LAST_OF_FEBRUARY, 12, 4, 4, 0)]


def test_customers_that_arrive_complete_the_inferred_ones(after: dict[str, list[tuple[Any, ...]]]) -> None:
    """Those that no load touched keep what they had: a merge, not a replacement."""
    assert after["customers"] == [
        ("70", LOW, at("02:00"), False, "silver"),
        ("70", at("02:00"), HIGH, False, "gold"),
        ("71", LOW, HIGH, True, None),
        ("shopify:70", LOW, HIGH, True, None),
    ]
    assert after["stores"] == [
        (-1, False, "America/New_York"),
        (0, False, "America/New_York"),
        (12, False, "America/Los_Angeles"),
        (99, True, "America/New_York"),
    ]


def test_plain_plans_and_runs_write_the_journal(second: Project) -> None:
    for measure in ("orders", "net_sales", "tips"):
        difference = f"COALESCE({measure}_after, 0) - COALESCE({measure}_before, 0)"
        journal = second.rows(
            f"SELECT business_date, store_id, channel, SUM({difference}) FROM certified.published_changes"
            " WHERE table_name = 'agg_sales_daily' GROUP BY ALL HAVING MAX_BY(orders_after, publication) IS NOT NULL"
            " ORDER BY ALL"
        )
        certified = second.rows(
            f"SELECT business_date, store_id, channel, {measure} FROM certified.agg_sales_daily ORDER BY ALL"
        )
        assert journal == certified
    told = second.rows("SELECT published_at, table_name, cause, plan_id IS NULL FROM certified.published_changes")
    assert set(told) == {
        (at("03:05"), "agg_sales_daily", "first", False),  # a plan that fills what it sets up
        (at("03:05"), "agg_inventory_daily", "first", False),
        (at("04:05"), "agg_sales_daily", "restated", False),
        (at("04:05"), "agg_sales_daily", "new hours", True),  # the order that was placed at 03:30 after all
        (at("04:05"), "agg_inventory_daily", "restated", False),
        (at("04:05"), "agg_inventory_daily", "new hours", True),
    }
