"""The first history in parts: cut by rows, killed half way and gone on with, written in the order of time."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlglot import exp
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter

import insightmart.transform.sqlmesh_patches  # noqa: F401
from ingestion.loading.context import Window
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from insightmart.transform import history
from tests.support.built_homes import SHAPE, copy_home, project_in
from tests.support.built_warehouse import fill
from tests.support.forked import commands

START, NOON, MIDNIGHT = datetime(2026, 3, 5), datetime(2026, 3, 5, 12), datetime(2026, 3, 6)
NOW = datetime(2026, 3, 6, 10, 5)
# builds the parts of a home, and is killed when the tenth model of the second part is done
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.insightmart.transform.test_history import NOW, PARTS
from insightmart.transform import history
from insightmart.transform.recorder import Recorder
from tests.support.built_homes import SHAPE, project_in

heard, evaluated = Recorder.update_snapshot_evaluation_progress, []

def hear(self, snapshot, interval, *rest, **named):
    heard(self, snapshot, interval, *rest, **named)
    evaluated.append(snapshot.name)
    if evaluated.count(snapshot.name) == 2 and len(evaluated) - len(set(evaluated)) == 10:
        os.kill(os.getpid(), signal.SIGKILL)

Recorder.update_snapshot_evaluation_progress = hear
with project_in(Path(sys.argv[1]), SHAPE) as (_, transformer):
    history.build(transformer, PARTS, NOW, print)
"""


PARTS = [Window(START, NOON), Window(NOON, MIDNIGHT), Window(MIDNIGHT, NOW)]


@pytest.fixture
def loads(tmp_path: Path) -> Callable[[int], Warehouse]:
    """``loads(rows)``: a warehouse into which one load brought so many rows."""

    def brought(rows: int) -> Warehouse:
        warehouse = Warehouse(duckdb.connect(), "duckdb")
        create_tables(warehouse)
        warehouse.insert("ops.loads", [{"rows": rows, "status": "loaded", "loaded_at": datetime(2026, 3, 13, 1)}])
        return warehouse

    return brought


@pytest.mark.parametrize(
    ("rows", "firsts"),
    [
        (0, [1]),
        (10, [1]),
        (20, [1, 8]),  # twelve days and an hour
        (30, [1, 6, 11]),
        (1000, list(range(1, 14))),  # never less than a day
    ],
)
def test_history_is_cut_into_days_by_its_rows(
    loads: Callable[[int], Warehouse], monkeypatch: pytest.MonkeyPatch, rows: int, firsts: list[int]
) -> None:
    monkeypatch.setattr(history, "PART_ROWS", 10)
    now = datetime(2026, 3, 13, 1)
    found = history.parts(loads(rows), datetime(2026, 3, 1), now)
    assert [part.start for part in found] == [datetime(2026, 3, day) for day in firsts]
    assert [part.end for part in found] == [*(part.start for part in found[1:]), now]


def test_what_a_day_brought_is_never_cut(loads: Callable[[int], Warehouse], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PART_ROWS", 10)
    warehouse = loads(1000)
    warehouse.execute("DROP TABLE ops.loads")  # and nothing is asked for it
    since, now = datetime(2026, 3, 12, 1), datetime(2026, 3, 13, 1)
    assert history.parts(warehouse, since, now) == [Window(since, now)]


@pytest.mark.slow
def test_a_first_build_that_is_killed_half_way_goes_on_and_ends_in_the_same_tables(
    set_up_home: Path, built_home: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    copy_home(set_up_home, home)
    with project_in(home, SHAPE) as (warehouse, transformer):
        fill(warehouse)
        dimensions, others = transformer.filled_whole_and_by_time()
    assert {"core.dim_dates", "core.dim_stores__reference", "core.dim_products", "gate.products"} <= set(dimensions)
    assert {"staging._oltp_orders", "gate.sales__oltp", "certified.fct_inventory__stores"} <= set(others)
    assert {"core.dim_stores", "core.dim_customers", "gate.customers"} <= set(
        others
    )  # orders name those not loaded yet
    killed = commands().call("python", "-c", KILLED, str(home), environment=os.environ)
    assert killed.returncode < 0, killed.stderr
    said = ["2026-03-05 to 2026-03-05, part 1 of 3", "2026-03-05 to 2026-03-06, part 2 of 3"]
    assert [line.partition(", about")[0] for line in killed.stdout.splitlines()] == said
    count = "SELECT model, COUNT(*) FROM ops.run_intervals GROUP BY 1"
    with project_in(home, SHAPE) as (warehouse, transformer):
        told = dict(warehouse.rows(count))  # the second part did not come to tell what it had done
        assert {*dimensions, *others} <= set(told)
        assert set(told.values()) == {1}
        said.clear()
        history.build(transformer, PARTS, NOW, said.append)
        assert len(said) == 2
        assert dict(warehouse.rows(count)) == {name: 2 if name in others else 1 for name in told}
        through = "SELECT MAX(interval_end) FROM ops.run_intervals WHERE model = 'certified.fct_orders__oltp'"
        assert warehouse.value(through) == MIDNIGHT
        assert transformer.run(NOW).failures == {}
        found = published(warehouse)
    with Warehouse(duckdb.connect(str(built_home / "INSIGHTMART.duckdb"), read_only=True), "duckdb") as warehouse:
        assert found == published(warehouse)


def published(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """Every table and view of certified and quarantine, its rows in order, without the record of when what came."""
    tables = warehouse.rows(
        "SELECT table_schema || '.' || table_name FROM information_schema.tables"
        " WHERE UPPER(table_schema) IN ('CERTIFIED', 'QUARANTINE') AND UPPER(table_name) <> 'PUBLISHED_CHANGES'"
        " ORDER BY 1"
    )
    assert len(tables) > 20
    return {table: sorted(warehouse.rows(f"SELECT * FROM {table}"), key=repr) for (table,) in tables}


@pytest.mark.parametrize(("days", "is_ordered"), [(3, True), (1, False)])
def test_more_than_a_day_is_written_in_the_order_of_time(days: int, is_ordered: bool) -> None:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (i BIGINT, sold_at TIMESTAMP)")
    adapter = DuckDBEngineAdapter(lambda: connection.cursor())
    columns = {"i": exp.DataType.build("BIGINT"), "sold_at": exp.DataType.build("TIMESTAMP")}
    adapter.insert_overwrite_by_time_partition(
        "t",
        exp.maybe_parse(
            "SELECT i, TIMESTAMP '2026-03-05' + INTERVAL 1 MINUTE * (i * 7 % 1000) AS sold_at FROM range(1000) AS r(i)",
            dialect="duckdb",
        ),
        start=START,
        end=datetime(2026, 3, 5 + days),
        time_formatter=lambda at, _: exp.cast(exp.Literal.string(str(at)), "timestamp"),
        time_column="sold_at",
        target_columns_to_types=columns,
    )
    written = [at for (at,) in connection.execute("SELECT sold_at FROM t ORDER BY rowid").fetchall()]
    assert len(written) == 1000
    assert (written == sorted(written)) == is_ordered
