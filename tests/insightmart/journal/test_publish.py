"""The journal against a warehouse whose certified tables a test writes by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion.warehouse import open_duckdb
from insightmart.errors import ConfigurationError
from insightmart.journal.as_published import shown_at
from insightmart.journal.figures import as_published, changes, followed, life, surprises, unexplained
from insightmart.journal.followed import SALES
from insightmart.journal.publish import publish as write
from tests.support.journalled import Journalled, publish

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 3, 6, 12)
FIRST, SECOND = date(2026, 3, 5), date(2026, 3, 6)
CODE = "version one"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journalled]:
    with open_duckdb(tmp_path / "INSIGHTMART.duckdb") as warehouse:
        yield Journalled(warehouse)


def test_each_publication_writes_what_changed_and_why(journal: Journalled) -> None:
    publish(journal.warehouse, NOON, CODE)  # an empty prod has been set up
    journal.sold(FIRST, "10")
    journal.sold(SECOND, "5")
    journal.evaluated(NOON - DAY, NOON)
    publish(journal.warehouse, NOON, CODE)
    assert [entry[-1] for entry in journal.entries()] == ["first", "first"]

    journal.sold(SECOND, "8")
    journal.evaluated(NOON, NOON + HOUR)
    publish(journal.warehouse, NOON + HOUR, CODE)
    assert journal.entries()[2:] == [(SECOND, 1, 5, 8, "new hours")]

    window = {"window_id": "w1", "source": "oltp", "entity": "sales", "status": "open", "load_id": "17.1"}
    hours = {"window_start": NOON - DAY, "window_end": NOON - DAY + HOUR}
    journal.warehouse.insert("ops.correction_windows", [window | hours])
    journal.sold(FIRST, "9.5")
    journal.evaluated(NOON - DAY, NOON - DAY + HOUR)
    publish(journal.warehouse, NOON + HOUR, CODE)
    assert journal.entries()[3:] == [(FIRST, 1, 10, Decimal("9.5"), "late rows")]
    assert journal.warehouse.rows("SELECT loads, windows FROM ops.published_changes WHERE cause = 'late rows'") == [
        ("17.1", "w1")
    ]
    assert journal.agrees()


def test_dates_without_a_mark_are_not_read_and_nothing_is_written_twice(journal: Journalled) -> None:
    publish(journal.warehouse, NOON, CODE)
    journal.sold(FIRST, "10")
    journal.evaluated(NOON - DAY, NOON)
    assert publish(journal.warehouse, NOON, None)  # before a run: what a killed one has left
    assert not publish(journal.warehouse, NOON, CODE)
    assert len(journal.entries()) == 1
    journal.sold(date(2026, 2, 1), "7")  # by hand
    journal.evaluated(NOON, NOON + HOUR)
    publish(journal.warehouse, NOON + HOUR, CODE)
    assert len(journal.entries()) == 1


def test_a_figure_changed_by_hand_is_found_once_a_day_and_is_a_problem(journal: Journalled) -> None:
    publish(journal.warehouse, NOON, CODE)
    journal.sold(FIRST, "10")
    journal.evaluated(NOON - DAY, NOON)
    publish(journal.warehouse, NOON, CODE)
    began = journal.warehouse.value("SELECT MAX(recorded_at) FROM ops.publications") + timedelta(microseconds=1)
    journal.sold(FIRST, "11")
    publish(journal.warehouse, NOON + HOUR, CODE)
    assert unexplained(journal.warehouse, began) == []
    publish(journal.warehouse, NOON + DAY, CODE)
    assert journal.entries()[1:] == [(FIRST, 1, 10, 11, "unexplained")]
    (problem,) = unexplained(journal.warehouse, began)
    assert "1 published figure of certified.agg_sales_daily changed (2026-03-05 to 2026-03-05)" in problem.message


def test_other_models_are_a_reason_of_their_own(journal: Journalled) -> None:
    publish(journal.warehouse, NOON, CODE)
    journal.sold(FIRST, "10")
    journal.evaluated(NOON - DAY, NOON)
    publish(journal.warehouse, NOON, CODE)
    journal.sold(FIRST, "12")
    publish(journal.warehouse, NOON, "version two")
    assert journal.entries()[1:] == [(FIRST, 1, 10, 12, "changed rule or model")]
    journal.sold(FIRST, "13")
    journal.evaluated(NOON - DAY, NOON)  # what a plan builds anew because of a changed model
    publish(journal.warehouse, NOON, "version three")
    assert journal.entries()[2:] == [(FIRST, 1, 12, 13, "changed rule or model")]
    assert journal.agrees()


def test_a_cell_is_explained_by_the_sources_that_can_fill_it(journal: Journalled) -> None:
    """Late rows of the shop's are not why a store's figure changed, unless the shop's till stands there."""
    publish(journal.warehouse, NOON, CODE)
    stores = (-1, 0, 1, 3)
    for net_sales in ("10", "12"):
        for store in stores:
            journal.sold(FIRST, net_sales, store)
        for source in ("oltp", "shopify"):
            journal.evaluated(NOON - DAY, NOON, f"agg_sales_hourly__{source}")
            window = {"window_id": f"w {source}", "source": source, "entity": "sales", "status": "open"}
            hours = {"load_id": f"load of {source}", "window_start": NOON - DAY, "window_end": NOON - DAY + HOUR}
            journal.warehouse.insert("ops.correction_windows", [window | hours] if net_sales == "12" else [])
        publish(journal.warehouse, NOON, CODE, pos_stores=[3])
    told = dict(journal.warehouse.rows("SELECT store_id, loads FROM ops.published_changes WHERE cause = 'late rows'"))
    both = "load of oltp, load of shopify"
    assert told == {-1: both, 0: "load of shopify", 1: "load of oltp", 3: both}


def test_what_only_another_source_explains_is_explained(journal: Journalled) -> None:
    publish(journal.warehouse, NOON, CODE)
    for net_sales in ("10", "12"):
        journal.sold(FIRST, net_sales, store=0)
        journal.evaluated(NOON - DAY, NOON, "agg_sales_hourly__oltp")
        publish(journal.warehouse, NOON, CODE)
    assert journal.entries()[1:] == [(FIRST, 0, 10, 12, "restated")]


def test_a_prod_of_some_models_is_followed_as_far_as_it_goes(journal: Journalled) -> None:
    """Marks of a table that prod does not have yet wait, and neither it nor its gates are read."""
    for gate in ("inventory__stores", "inventory__shopify"):
        journal.warehouse.execute(f"DROP TABLE gate.{gate}")
    journal.warehouse.execute("DROP TABLE certified.agg_inventory_daily")
    write(journal.warehouse, NOON, CODE, tables=["agg_sales_daily"])
    journal.sold(FIRST, "10")
    for part in ("agg_sales_hourly__oltp", "agg_inventory_daily__stores"):
        journal.evaluated(NOON - DAY, NOON, part)
    for version, tables in ((None, None), (CODE, ["agg_sales_daily"]), (CODE, [])):
        for statement in write(journal.warehouse, NOON, version, tables=tables):
            journal.warehouse.execute(statement)
    assert journal.entries() == [(FIRST, 1, None, 10, "first")]
    assert journal.warehouse.rows("SELECT model FROM ops.unpublished_windows") == [("agg_inventory_daily__stores",)]


def test_a_cell_that_is_gone_and_comes_back(journal: Journalled) -> None:
    publish(journal.warehouse, NOON, CODE)
    for number, net_sales in enumerate(("10", None, "4")):
        journal.sold(FIRST, net_sales)
        journal.evaluated(NOON - DAY, NOON)
        publish(journal.warehouse, NOON + number * timedelta(minutes=1), CODE)
    assert [entry[2:4] for entry in journal.entries()] == [(None, 10), (10, None), (None, 4)]
    gone = as_published(SALES, NOON + timedelta(minutes=1))
    assert journal.warehouse.rows(gone) == []
    assert journal.agrees()


def test_a_kill_between_writing_and_settling_repeats_nothing(journal: Journalled) -> None:
    publish(journal.warehouse, NOON, CODE)
    journal.sold(FIRST, "10")
    journal.evaluated(NOON - DAY, NOON)
    publish(journal.warehouse, NOON, CODE)
    journal.evaluated(NOON - DAY, NOON)  # the mark is still there, as the entries are
    publish(journal.warehouse, NOON, None)
    assert len(journal.entries()) == 1


def test_stock_is_followed_by_date_and_store(journal: Journalled) -> None:
    publish(journal.warehouse, NOON, CODE)
    counts = [{"business_date": FIRST, "store_id": 3, "sku": sku, "closing_on_hand": 4} for sku in ("A", "B", None)]
    journal.warehouse.insert("certified.agg_inventory_daily", counts)
    journal.evaluated(NOON - HOUR, NOON, "agg_inventory_daily__stores")
    publish(journal.warehouse, NOON, CODE)
    assert journal.warehouse.rows(
        "SELECT table_name, store_id, channel, products_after, closing_on_hand_after FROM ops.published_changes"
    ) == [("agg_inventory_daily", 3, None, 3, 12)]


def test_the_past_is_asked_with_the_same_query(journal: Journalled) -> None:
    publish(journal.warehouse, NOON, CODE)
    for hour, net_sales in enumerate(("10", "12", "15")):
        journal.sold(FIRST, net_sales)
        journal.evaluated(NOON - DAY, NOON)
        publish(journal.warehouse, NOON + hour * HOUR, CODE)
    query = "SELECT SUM(s.net_sales) FROM certified.agg_sales_daily AS s WHERE s.store_id = 1"
    said = [
        journal.warehouse.value(shown_at(query, NOON + minutes * timedelta(minutes=1), "duckdb"))
        for minutes in (-1, 0, 59, 60, 600)
    ]
    assert said == [None, 10, 10, 12, 15]
    assert journal.warehouse.value(query) == 15


@pytest.mark.parametrize("query", ["SELECT 1", "SELECT * FROM certified.fct_orders", "SELECT * FROM raw.x", "SELEC"])
def test_a_past_that_is_not_kept_is_refused(query: str) -> None:
    with pytest.raises(ConfigurationError):
        shown_at(query, NOON, "duckdb")


def test_the_life_of_a_figure_and_what_surprises(journal: Journalled) -> None:
    publish(journal.warehouse, NOON, CODE)
    for code, net_sales in ((CODE, "10"), (CODE, "12"), ("version two", "15")):
        journal.sold(FIRST, net_sales, orders=1)
        if code == CODE:
            journal.evaluated(NOON - DAY, NOON)
        publish(journal.warehouse, NOON, code)
    one = followed("certified.agg_sales_daily")
    entries = journal.warehouse.records(life(one, "store_id = 1 OR store_id = 2"))
    found = changes(one, entries, ["net_sales", "orders"])
    assert [(change.measure, change.before, change.after, change.cause) for change in found] == [
        ("orders", None, 1, "first"),
        ("net_sales", None, 10, "first"),
        ("net_sales", 10, 12, "restated"),
        ("net_sales", 12, 15, "changed rule or model"),
    ]
    assert [(one.cause, one.cells, one.change) for one in surprises(journal.warehouse, NOON)] == [
        ("changed rule or model", 1, 3),
        ("restated", 1, 2),
    ]
    assert surprises(journal.warehouse, NOON + 2 * DAY) == []
    with pytest.raises(ConfigurationError, match="does not follow"):
        followed("fct_orders")


def test_what_was_evaluated_is_kept_with_the_publication(journal: Journalled) -> None:
    publish(journal.warehouse, NOON, CODE)
    journal.evaluated(NOON - HOUR, NOON)
    publish(journal.warehouse, NOON, CODE)
    windows, through = journal.warehouse.rows(
        "SELECT windows, published_through FROM ops.publications ORDER BY publication DESC"
    )[0]
    assert json.loads(windows) == [["agg_sales_hourly__oltp", f"{NOON - HOUR}", f"{NOON}"]]
    assert json.loads(through) == {"agg_sales_hourly__oltp": f"{NOON}"}
    assert journal.warehouse.rows("SELECT * FROM ops.unpublished_windows") == []
