"""What the plans that restate the queue of corrections close, and what stays in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any

import pytest

from insightmart.settings import load_settings
from insightmart.transform.restatement import apply_corrections
from insightmart.transform.transformer import Transformer, open_transformer

if TYPE_CHECKING:
    from conftest import CommandLine, Workshop

    from ingestion.warehouse import Warehouse

SALES, INVENTORY = ("oltp", "sales"), ("stores", "inventory")
HOUR = timedelta(hours=1)


NOW = datetime(2026, 3, 6, 11, 5)
WINDOW = ("--from", "2026-03-05T03:00", "--to", "2026-03-05T05:00", "--as-of", "2026-03-06T11:05")


@pytest.fixture
def shop(built_home: Path, workshop: Callable[..., Workshop]) -> Workshop:
    return workshop(built_home)


@contextmanager
def opened(shop: Workshop) -> Iterator[tuple[Warehouse, Transformer]]:
    with shop.warehouse() as warehouse, open_transformer(load_settings(), warehouse) as transformer:
        yield warehouse, transformer


def entry(name: str, source: str, entity: str, start: datetime, end: datetime) -> dict[str, Any]:
    row = {"window_id": name, "source": source, "entity": entity, "window_start": start, "window_end": end}
    return row | {"reason": "late", "rows": 1, "queued_at": NOW, "status": "open", "attempts": 0}


@pytest.mark.slow
def test_whatever_stands_in_the_queue_the_rest_is_restated(shop: Workshop) -> None:
    with opened(shop) as (warehouse, transformer):
        warehouse.insert(
            "ops.correction_windows",
            [
                entry("overlap-1", *SALES, datetime(2026, 3, 5, 3), datetime(2026, 3, 5, 6)),
                entry("overlap-2", *SALES, datetime(2026, 3, 5, 4), datetime(2026, 3, 5, 8)),
                entry("before history", *INVENTORY, datetime(2026, 2, 1), datetime(2026, 2, 2)),
                entry("not released", "shopify", "sales", datetime(2026, 3, 6, 10), datetime(2026, 3, 6, 11)),
                entry("past now", "shopify", "inventory", datetime(2026, 3, 6, 9), datetime(2026, 3, 9)),
                entry("future", *SALES, datetime(2026, 3, 8), datetime(2026, 3, 9)),
                entry("removed", "manual", "core.gone", datetime(2026, 3, 5, 3), datetime(2026, 3, 5, 4)),
                entry("unknown", "fax", "sales", datetime(2026, 3, 5, 3), datetime(2026, 3, 5, 4)),
            ],
        )
        closed, failures = apply_corrections(warehouse, transformer, NOW)
        found = {
            name: (status, attempts, bool(plan), why)
            for name, status, attempts, plan, why in warehouse.rows(
                "SELECT window_id, status, attempts, plan_id, last_error FROM ops.correction_windows"
            )
        }
        restated = warehouse.rows(
            "SELECT DISTINCT interval_start, interval_end FROM ops.run_intervals"
            " WHERE model = 'staging._shopify_inventory' AND run_id LIKE 'sqlmesh%' ORDER BY 1 DESC LIMIT 1"
        )
    assert closed == 5
    assert set(failures) == {"core.gone", "fax sales"}
    for name in ("overlap-1", "overlap-2", "before history", "not released", "past now"):
        assert found[name][:2] == ("closed", 1), name
        assert found[name][3] is None
    assert found["overlap-1"][2]  # by which plan
    assert found["future"] == ("open", 0, False, None)
    assert found["removed"][:2] == ("open", 1)
    assert "the model core.gone, which is not in the project" in found["removed"][3]
    assert "sales of fax" in found["unknown"][3]
    assert restated[0][1] <= NOW


@pytest.mark.slow
def test_a_correction_leaves_views_as_they_are_and_makes_one_that_is_lost(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlmesh.core.engine_adapter.base import EngineAdapter

    made: list[str] = []
    create = EngineAdapter.create_view

    def counted(self: Any, view_name: Any, *args: Any, **kwargs: Any) -> Any:
        made.append(str(view_name).replace('"', "").rpartition(".")[2])
        return create(self, view_name, *args, **kwargs)

    with opened(shop) as (warehouse, transformer):
        physical = "SELECT view_name FROM duckdb_views() WHERE view_name LIKE 'QUARANTINE__OLTP_ORDERS__%'"
        [(lost,)] = warehouse.rows(physical)
        before = warehouse.rows("SELECT COUNT(*) FROM quarantine.oltp_orders")
        warehouse.execute(f'DROP VIEW "sqlmesh__QUARANTINE"."{lost}"')
        warehouse.insert(
            "ops.correction_windows", [entry("a", *SALES, datetime(2026, 3, 5, 3), datetime(2026, 3, 5, 4))]
        )
        monkeypatch.setattr(EngineAdapter, "create_view", counted)
        closed, failures = apply_corrections(warehouse, transformer, NOW)
        assert (closed, failures) == (1, {})
        assert made == [lost]
        assert warehouse.rows("SELECT COUNT(*) FROM quarantine.oltp_orders") == before
        evaluated = "SELECT COUNT(*) FROM ops.run_intervals WHERE model = 'certified.agg_sales_hourly__oltp'"
        assert warehouse.value(evaluated) > 0


@pytest.mark.slow
def test_while_a_gate_fails_only_its_area_waits(shop: Workshop) -> None:
    with opened(shop) as (warehouse, transformer):
        hour = (datetime(2026, 3, 5, 3), datetime(2026, 3, 5, 4))
        warehouse.insert("ops.correction_windows", [entry("s", *SALES, *hour), entry("i", *INVENTORY, *hour)])
        # thirty lines without a product: more than the gate lets pass
        lines = "order_id IN (SELECT order_id FROM raw.oltp_orders WHERE ordered_at >= ? AND ordered_at < ?)"
        warehouse.execute(
            "INSERT INTO raw.oltp_order_lines SELECT lines.* REPLACE (100 + i AS line_number, NULL AS sku)"
            f" FROM raw.oltp_order_lines AS lines, RANGE(10) AS numbers (i) WHERE line_number = 1 AND {lines}",
            hour,
        )
        before = warehouse.rows("SELECT * FROM certified.fct_order_lines ORDER BY ALL")
        closed, failures = apply_corrections(warehouse, transformer, NOW)
        assert (closed, list(failures)) == (1, ["gate.sales__oltp"])
        queue = "SELECT window_id, status, attempts, plan_id IS NOT NULL FROM ops.correction_windows ORDER BY 1"
        assert warehouse.rows(queue) == [("i", "closed", 1, True), ("s", "open", 1, True)]
        assert warehouse.rows("SELECT * FROM certified.fct_order_lines ORDER BY ALL") == before

        warehouse.execute("DELETE FROM raw.oltp_order_lines WHERE line_number >= 100")
        warehouse.execute(f"UPDATE raw.oltp_order_lines SET sku = 'SKU9' WHERE {lines}", hour)
        assert apply_corrections(warehouse, transformer, NOW + HOUR) == (1, {})
        assert warehouse.rows(queue)[1] == ("s", "closed", 2, True)
        late = "SELECT COUNT(*) FROM certified.fct_order_lines WHERE source_system = 'oltp' AND sku = 'SKU9'"
        assert warehouse.value(late) == 2  # of the three orders of the hour one is cancelled


ORDERS_OF = "order_id IN (SELECT order_id FROM raw.oltp_orders WHERE ordered_at >= ? AND ordered_at < ?)"


def spoil(warehouse: Warehouse, hour: datetime) -> None:
    """Twenty lines without a product for each order of an hour: more than the gate lets pass."""
    warehouse.execute(
        "INSERT INTO raw.oltp_order_lines SELECT lines.* REPLACE (100 + i AS line_number, NULL AS sku)"
        f" FROM raw.oltp_order_lines AS lines, RANGE(20) AS numbers (i) WHERE line_number = 1 AND {ORDERS_OF}",
        [hour, hour + HOUR],
    )


def change(warehouse: Warehouse, hour: datetime) -> None:
    """The lines of an hour are of another product."""
    warehouse.execute(f"UPDATE raw.oltp_order_lines SET sku = 'SKU9' WHERE {ORDERS_OF}", [hour, hour + HOUR])


def changed_hours(warehouse: Warehouse) -> list[datetime]:
    """Of which hours certified knows that."""
    lines = "SELECT DISTINCT DATE_TRUNC('hour', sold_at) FROM certified.fct_order_lines WHERE sku = 'SKU9' ORDER BY 1"
    return [hour for (hour,) in warehouse.rows(lines)]


def queue(warehouse: Warehouse) -> dict[str, tuple[str, int]]:
    """Of each entry how it stands, and how often it was tried."""
    rows = warehouse.rows("SELECT window_id, status, attempts FROM ops.correction_windows")
    return {name: (status, attempts) for name, status, attempts in rows}


@pytest.mark.slow
def test_late_corrections_are_certified_beside_an_hour_that_a_gate_holds_back(shop: Workshop) -> None:
    late, held, after = datetime(2026, 3, 5, 3), datetime(2026, 3, 6, 10), datetime(2026, 3, 6, 11)
    online, now = datetime(2026, 3, 6, 11), datetime(2026, 3, 6, 12, 5)
    with opened(shop) as (warehouse, transformer):
        for hours in (1, 2):  # two more hours of sales: the first one bad
            for table in ("oltp_orders", "oltp_order_lines"):
                instants = ["updated_at", *(["ordered_at"] if table == "oltp_orders" else [])]
                later = ", ".join(f"{name} + INTERVAL {hours} HOUR AS {name}" for name in instants)
                warehouse.execute(
                    f"INSERT INTO raw.{table} SELECT * REPLACE (order_id + {hours * 1000} AS order_id, {later})"
                    f" FROM raw.{table} WHERE order_id < 1000 AND updated_at >= '2026-03-06 09:00'"
                )
        spoil(warehouse, held)
        warehouse.execute("UPDATE ops.source_watermarks SET covered_through = '2026-03-06 12:00'")
        assert "gate.sales__oltp" in transformer.run(now).failures
        for hour in (late, after):
            change(warehouse, hour)
        warehouse.insert(
            "ops.correction_windows",
            [
                entry("late", *SALES, late, late + HOUR),
                entry("after", *SALES, after, after + HOUR),
                entry("online", "shopify", "sales", online, online + HOUR),
            ],
        )
        closed, failures = apply_corrections(warehouse, transformer, now)
        assert (closed, list(failures)) == (2, ["gate.sales__oltp"])
        assert queue(warehouse) == {"late": ("closed", 1), "after": ("open", 1), "online": ("closed", 1)}
        assert changed_hours(warehouse) == [late]  # not the hour after: it would hide that one before it is missing
        through = "SELECT MAX(window_end) FROM gate.sales__oltp"
        assert warehouse.value(through) == held

        warehouse.execute("DELETE FROM raw.oltp_order_lines WHERE line_number >= 100")
        warehouse.insert("ops.correction_windows", [entry("mended", *SALES, held, held + HOUR)])
        assert apply_corrections(warehouse, transformer, now) == (2, {})
        assert transformer.run(now).failures.keys() <= {"gate.inventory__stores"}  # which lacks its counts
        assert changed_hours(warehouse) == [late, after]
        assert warehouse.value(through) == after + HOUR


@pytest.mark.slow
def test_a_window_that_is_refused_keeps_no_other_one_from_being_certified(shop: Workshop) -> None:
    bad, others = datetime(2026, 3, 5, 5), [datetime(2026, 3, 5, hour) for hour in (3, 6, 9)]
    moved_to = datetime(2026, 3, 5, 12)
    with opened(shop) as (warehouse, transformer):
        spoil(warehouse, bad)
        for hour in others:
            change(warehouse, hour)
        # a good order of the bad hour is of another one now
        ((order,),) = warehouse.rows(
            "SELECT order_id FROM certified.fct_orders__oltp WHERE ordered_at >= ? AND ordered_at < ? LIMIT 1",
            [bad, bad + HOUR],
        )
        warehouse.execute("DELETE FROM raw.oltp_order_lines WHERE line_number >= 100 AND order_id = ?", [int(order)])
        warehouse.execute("UPDATE raw.oltp_orders SET ordered_at = ? WHERE order_id = ?", [moved_to, int(order)])
        windows = {f"{hour:%H}": hour for hour in [*others, bad, moved_to]}
        rows = [entry(name, *SALES, hour, hour + HOUR) for name, hour in windows.items()]
        warehouse.insert("ops.correction_windows", rows)

        closed, failures = apply_corrections(warehouse, transformer, NOW)
        assert (closed, list(failures)) == (3, ["gate.sales__oltp"])
        assert {name for name, (status, _) in queue(warehouse).items() if status == "open"} == {"05", "12"}
        assert changed_hours(warehouse) == others
        placed = "SELECT DATE_TRUNC('hour', ordered_at) FROM certified.fct_orders__oltp WHERE order_id = ?"
        assert warehouse.rows(placed, [order]) == [(bad,)]  # in one place, the old one

        change(warehouse, late := datetime(2026, 3, 5, 8))
        warehouse.insert("ops.correction_windows", [entry("late", *SALES, late, late + HOUR)])
        before = queue(warehouse)["05"][1]
        closed, failures = apply_corrections(warehouse, transformer, NOW + HOUR)
        assert (closed, list(failures)) == (1, ["gate.sales__oltp"])
        assert queue(warehouse)["late"] == ("closed", 1)  # never together with what was refused
        assert queue(warehouse)["05"] == ("open", before + 1)

        warehouse.execute("DELETE FROM raw.oltp_order_lines WHERE line_number >= 100")
        assert apply_corrections(warehouse, transformer, NOW + 2 * HOUR) == (2, {})
        assert warehouse.rows(placed, [order]) == [(moved_to,)]


@pytest.mark.slow
def test_a_restatement_is_shown_with_its_rows_and_cost_and_then_applied(
    shop: Workshop, insightmart: CommandLine
) -> None:
    dry = insightmart.json("restate", "staging._oltp_orders", *WINDOW, "--dry-run")
    assert (dry["from"], dry["to"], dry["hours"]) == ("2026-03-05T03:00:00", "2026-03-05T05:00:00", 2)
    models = {model["model"]: model for model in dry["models"]}
    # three orders an hour, one of them cancelled
    for name, rows in (("staging._oltp_orders", 6), ("core.fct_orders__oltp", 5), ("certified.fct_orders__oltp", 5)):
        assert (models[name]["intervals"], models[name]["rows"]) == (2, rows), name
    assert models["staging._oltp_order_headers"]["why"] == "a step it is made of"
    assert models["certified.fct_orders"]["rows"] is None
    assert models["gate.sales__oltp"]["why"] == "scans it before it is published"
    assert float(dry["estimate"]["seconds"]) > 0
    assert dry["estimate"]["credits"] is None
    assert "evaluations in ops.run_intervals" in dry["estimate"]["basis"]
    assert dry["applied"] is False
    assert shop.rows("SELECT COUNT(*) FROM ops.correction_windows") == [(0,)]
    assert shop.rows("SELECT COUNT(*) FROM ops.runs") == [(0,)]

    before = shop.certified()
    code, out, err = insightmart("restate", "STAGING._OLTP_ORDERS", *WINDOW, "--yes")
    assert code == 0, err
    assert "certified.fct_orders__oltp" in out
    assert "estimate: " in out
    assert shop.certified() == before
    (queued,) = shop.rows("SELECT status, plan_id FROM ops.correction_windows")
    assert queued[0] == "closed"
    assert shop.rows("SELECT command, status, plan_id FROM ops.runs") == [("restate", "succeeded", queued[1])]


@pytest.mark.slow
def test_bad_input_of_restate_is_one_line_and_changes_nothing(
    shop: Workshop, insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insightmart.commands.session.PATIENCE", 0)
    before = shop.certified()

    def said(*arguments: str) -> tuple[int, str]:
        code, _, err = insightmart("restate", *arguments, "--yes")
        assert len(err.splitlines()) == 1 or err.startswith("Usage:"), err
        return code, err

    code, err = said("core.fct_orders", *WINDOW)
    assert (code, "there is no model 'core.fct_orders'. Did you mean" in err) == (2, True)
    assert "core.fct_orders__oltp" in err
    code, err = said("core.fct_orders__oltp", "--from", "2026-03-06", "--to", "2026-03-05")
    assert (code, "--to must be later than --from" in err) == (2, True)
    code, err = said("core.fct_orders__oltp", "--from", "2026-02-01", "--to", "2026-02-02")
    assert (code, "no hour of history lies between" in err) == (2, True)
    code, err = said("core.fct_orders__oltp", "--from", "2026-03-07", "--to", "2026-03-08", *WINDOW[-2:])
    assert (code, "Choose a window between 2026-03-05 and 2026-03-06 11:00" in err) == (2, True)
    code, err = said("core.dim_customers", *WINDOW)
    assert (code, "follows loads, not windows" in err) == (2, True)
    code, err = said("core.fct_orders__oltp", "--from", "soon", "--to", "2026-03-05")
    assert (code, "is not a timestamp" in err) == (2, True)

    # the database of the gate is in somebody else's hands
    holder = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    database = str(shop.home / "INSIGHTMART.duckdb")
    with Popen([sys.executable, "-c", holder, database], stdin=PIPE, stdout=PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        code, err = said("core.fct_orders__oltp", *WINDOW)
        assert other.stdin is not None
        other.stdin.close()
    assert (code, "is open in another process" in err) == (1, True)
    assert shop.certified() == before
    assert shop.rows("SELECT COUNT(*) FROM ops.correction_windows") == [(0,)]
