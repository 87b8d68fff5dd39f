"""The last days and weeks as the pages have them: promises kept, files of the stores, checks, rejects, sales, runs."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from insightmart.certification.observations import existing_tables
from insightmart.pages.check_history import check_histories
from insightmart.pages.rejected_days import rejected_days
from insightmart.pages.run_record import run_records
from insightmart.pages.service_levels import service_levels
from insightmart.pages.site import write_page
from insightmart.pages.store_sales import weeks
from insightmart.quarantine.tables import TABLES, WITH_STORE
from insightmart.settings import Settings
from insightmart.status.recent_runs import recent_runs
from insightmart.status.store_hours import FileState, store_hours
from tests.support import many_stores
from tests.support.handmade_warehouse import START

if TYPE_CHECKING:
    from conftest import Business

    from ingestion.warehouse import Warehouse

NOW = datetime(2026, 3, 6, 17, 5)
HISTORY = datetime(START.year, START.month, START.day)


def test_promises_are_counted_over_the_month_and_what_is_left_of_them(business: Business) -> None:
    for number in range(10):
        business.ran(f"cycle-{number}", datetime(2026, 3, 6, number), "succeeded" if number else "failed")
    business.ran("before", datetime(2026, 2, 28, 23), "failed")
    business.ran("killed", datetime(2026, 3, 6, 12), "killed")
    found = service_levels(business.warehouse, existing_tables(business.warehouse), NOW)
    assert (found.month, found.cycles, found.succeeded, found.rate) == (date(2026, 3, 1), 11, 9, Decimal("81.81"))
    assert (found.expected, found.allowed, found.left) == (744, 0, -2)


def test_an_hour_is_in_time_when_it_can_be_read_within_90_minutes_of_its_end(business: Business) -> None:
    """Hours come one by one, then two at once, because a cycle was left out; then that one is later than promised."""
    through = {6: 6, 7: 7, 8: 8, 10: 10}  # a cycle at this hour publishes through that one
    for number, (hour, end) in enumerate(through.items()):
        at = datetime(2026, 3, 6, hour, 5)
        business.ran(f"run-{hour}", at, "succeeded")
        business.warehouse.insert(
            "ops.publications",
            [
                {
                    "publication": number,
                    "published_at": at,
                    "run_id": f"run-{hour}",
                    "published_through": json.dumps({"agg_sales_hourly__oltp": f"2026-03-06 {end:02}:00:00"}),
                }
            ],
        )
    found = service_levels(business.warehouse, existing_tables(business.warehouse), NOW)
    # 6-7 and 7-8 within five minutes; 8-9 was read at 10:05, 65 minutes after its end; what came first is history
    assert (found.hours, found.in_time, found.slowest) == (4, 4, 65)
    business.warehouse.execute("UPDATE ops.publications SET published_at = '2026-03-06 10:31' WHERE publication = 3")
    found = service_levels(business.warehouse, existing_tables(business.warehouse), NOW)
    assert (found.hours, found.in_time, found.slowest, found.in_time_rate) == (4, 3, 91, Decimal("75.00"))
    assert found.slowest_part == "sales (store and phone)"


def test_an_outage_over_the_turn_of_the_month_is_in_the_figures_of_the_new_one(business: Business) -> None:
    told = {"agg_sales_hourly__oltp": "2026-02-27 12:00:00"}, {"agg_sales_hourly__oltp": "2026-03-03 10:00:00"}
    for number, (through, at) in enumerate(
        zip(told, (datetime(2026, 2, 27, 12, 5), datetime(2026, 3, 3, 10, 5)), strict=True)
    ):
        entry = {"publication": number + 1, "published_at": at, "published_through": json.dumps(through)}
        business.warehouse.insert("ops.publications", [entry])
    found = service_levels(business.warehouse, existing_tables(business.warehouse), datetime(2026, 3, 3, 10, 5))
    assert (found.hours, found.in_time) == (58, 2)
    assert found.slowest == 57 * 60 + 5


def test_a_killed_run_claims_no_load_of_those_after_it(business: Business) -> None:
    for number, status in enumerate(("killed", "succeeded")):
        at = datetime(2026, 3, 6, 10 + number)
        ended = at + timedelta(minutes=1) if number else None
        run = {"run_id": f"r{number}", "command": "cycle", "as_of": at, "status": status}
        business.warehouse.insert("ops.runs", [run | {"started_at": at, "ended_at": ended}])
        load = {"source": "oltp", "entity": "orders", "status": "loaded", "rows": 1}
        load["started_at"] = at + timedelta(seconds=9)
        business.warehouse.insert("ops.loads", [load])
    existing = existing_tables(business.warehouse)
    records = run_records(business.warehouse, existing, recent_runs(business.warehouse, existing))
    assert {run_id: [line.count for line in record.of("load")] for run_id, record in records.items()} == {
        "r0": [1],
        "r1": [1],
    }


def test_the_map_knows_what_is_missing_late_in_quarantine_and_not_due_yet(business: Business) -> None:
    many_stores.fill(business)
    business.covered("stores", "inventory", datetime(2026, 3, 12, 22))  # two hours are awaited still
    business.warehouse.execute("DELETE FROM ops.files WHERE store_id = 5 AND file_hour >= '2026-03-12 22:00'")
    business.warehouse.execute("DELETE FROM ops.files WHERE store_id = 6 AND file_hour >= '2026-03-10 04:00'")
    business.warehouse.execute("UPDATE raw.stores_reference SET closed_on = '2026-03-10' WHERE store_id = 6")
    found = store_hours(business.warehouse, existing_tables(business.warehouse), many_stores.NOW, HISTORY)
    assert found is not None
    assert (found.start, found.count, len(found.stores)) == (many_stores.START, many_stores.HOURS, many_stores.STORES)
    stores = {store.store_id: store for store in found.stores}
    assert [(one.state, one.first, one.hours) for one in stores[17].stretches] == [
        (FileState.IN, 0, 140),
        (FileState.MISSING, 140, 5),
        (FileState.IN, 145, 23),
    ]
    assert stores[44].stretches[0].state is FileState.MISSING
    assert [(one.state, one.first) for one in stores[23].stretches][1] == (FileState.LATE, 50)
    assert [(one.state, one.first) for one in stores[71].stretches][1] == (FileState.QUARANTINED, 100)
    assert stores[71].files[0].reason.startswith("no header")
    assert (stores[5].hours(FileState.AWAITED), stores[5].is_complete) == (2, True)
    assert stores[6].hours(FileState.CLOSED) == 72 - 4  # from New York's midnight of March 10, in summer time
    assert [store.store_id for store in found.incomplete] == [17, 44, 23, 71]
    assert (stores[17].manager, stores[17].place) == ("Manager 17", "Town, North")


def test_a_check_has_its_results_in_order_and_those_that_failed_come_first(business: Business) -> None:
    for hour in range(3):
        outcome = "fail" if hour == 1 else "pass"
        start = datetime(2026, 3, 6, 12 + hour)
        business.scanned("stores", start, start + timedelta(hours=1), {"of three": (outcome, str(hour), "")})
    first, *others = check_histories(business.warehouse, existing_tables(business.warehouse), NOW)
    assert (first.check, first.failed, first.results) == ("of three", 1, 3)
    assert [(point.outcome, point.value) for point in first.points] == [("pass", "0"), ("fail", "1"), ("pass", "2")]
    assert {one.failed for one in others} == {0}
    assert check_histories(business.warehouse, existing_tables(business.warehouse), datetime(2026, 4, 1)) == []


def test_rejected_rows_are_counted_by_day_rule_and_store(business: Business) -> None:
    business.warehouse.execute(
        "CREATE TABLE quarantine.oltp_orders AS SELECT * FROM (VALUES"
        " (3, 'currency_foreign', TIMESTAMP '2026-03-06 17:05'),"
        " (3, 'currency_foreign, amount_negative', TIMESTAMP '2026-03-05 17:05'),"
        " (3, 'currency_foreign', TIMESTAMP '2026-01-20 17:05')) AS v(store_id, reasons, event_at)"
    )
    found = rejected_days(business.warehouse, existing_tables(business.warehouse), NOW)
    assert [(one.day.day, one.rule, one.store_id, one.rows) for one in found] == [
        (6, "currency_foreign", 3, 1),
        (5, "amount_negative", 3, 1),
        (5, "currency_foreign", 3, 1),
    ]


def test_tables_said_to_name_a_store_are_those_that_do(built: Warehouse) -> None:
    named = built.rows(
        "SELECT LOWER(table_name) FROM information_schema.columns"
        " WHERE LOWER(table_schema) = 'quarantine' AND LOWER(column_name) = 'store_id'"
    )
    assert {name for (name,) in named} & set(TABLES) == WITH_STORE


def test_a_day_stands_beside_the_same_weekday_of_the_week_before(business: Business) -> None:
    many_stores.fill(business)
    found = weeks(business.warehouse, existing_tables(business.warehouse), many_stores.NOW)
    assert found is not None
    last = found.by_store[17][-2]
    assert (last.business_date, last.net_sales, last.week_before) == (date(2026, 3, 12), Decimal(130), Decimal(123))
    assert last.change == Decimal("5.7")
    assert found.all[-2].net_sales == sum(100 + store + 13 for store in range(1, 121))
    assert found.all[-1].net_sales is None


def test_every_page_says_the_same_as_json_and_a_page_that_says_the_same_is_left_alone(
    business: Business, settings: Settings
) -> None:
    many_stores.fill(business)
    business.ran("cycle-9", many_stores.NOW, "succeeded")
    loaded = {"source": "oltp", "entity": "orders", "status": "loaded", "rows": 7, "started_at": many_stores.NOW}
    business.warehouse.insert("ops.loads", [loaded])
    folder = write_page(business.warehouse, settings, many_stores.NOW).parent
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*.html")}
    assert {"index.html", "stores/17.html", "datasets/fct_orders.html", "runs/cycle-9.html"} <= names
    assert {name.replace(".html", ".json") for name in names} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.json")
    }
    store = json.loads((folder / "stores/17.json").read_text())
    assert store["store"]["manager"] == "Manager 17"
    assert store["days"][-2]["net_sales"] == "130.0000"
    run = json.loads((folder / "runs/cycle-9.json").read_text())
    [line] = run["record"]["lines"]
    assert (line["what"], line["name"], line["count"]) == ("load", "oltp orders", 7)
    start = json.loads((folder / "index.json").read_text())
    assert [one["store_id"] for one in start["stores"]] == [17, 44, 23, 71]
    assert start["service"]["cycles"] == 1

    kept = (folder / "runs/cycle-9.html").stat().st_mtime_ns
    write_page(business.warehouse, settings, many_stores.NOW + timedelta(minutes=1))
    assert (folder / "runs/cycle-9.html").stat().st_mtime_ns == kept
    _links_lead_somewhere(folder)


def _links_lead_somewhere(folder: Path) -> None:
    import re

    for path in folder.rglob("*.html"):
        for link in re.findall(r'href="([^"#]+)', path.read_text(encoding="utf-8")):
            assert (path.parent / link).exists(), f"{path}: {link}"
