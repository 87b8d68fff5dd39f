"""One package a load, exact recovery, watermarks."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from ingestion.contracts import entity
from ingestion.loading.context import EPOCH, IngestContext, LoadResult, SourceError, Window
from ingestion.loading.package import Batches, load
from ingestion.loading.planning import Reading, plan_reading
from ingestion.loading.records import landed_sum, record
from ingestion.warehouse import Warehouse, open_duckdb
from tests.support.forked import commands

At = Callable[[str], IngestContext]

ORDERS = entity("oltp", "orders")
LINES = entity("oltp", "order_lines")
CUSTOMERS = entity("oltp", "customers")


def batch(rows: int, item: object = ORDERS) -> pa.Table:
    columns = item.columns  # type: ignore[attr-defined]
    values = [pa.array(range(rows)) if column.name == "order_id" else pa.nulls(rows, column.type) for column in columns]
    return pa.table(values, schema=pa.schema(columns))


def loaded(context: IngestContext, tables: Batches) -> str:
    """A load with its record."""
    load_id = load(context, "oltp", tables)
    with context.warehouse.transaction():
        record(context, [LoadResult("oltp", "orders", load_id, None, 0)])
    return load_id


def counts(warehouse: Warehouse, table: str = "oltp_orders") -> dict[str, int]:
    return dict(warehouse.rows(f"SELECT _dlt_load_id, COUNT(*) FROM raw.{table} GROUP BY 1"))


def test_one_load_id_for_all_tables_and_as_of_on_every_row(at: At) -> None:
    context = at("2026-03-05T10:00")
    load_id = load(context, "oltp", {"oltp_orders": [batch(3), batch(2)], "oltp_order_lines": iter([batch(1, LINES)])})
    assert counts(context.warehouse) == {load_id: 5}
    assert counts(context.warehouse, "oltp_order_lines") == {load_id: 1}
    assert context.warehouse.rows("SELECT DISTINCT _loaded_at FROM raw.oltp_orders") == [(context.as_of,)]
    # record() has not been called
    assert context.warehouse.rows("SELECT load_id, status FROM ops.loads") == [(load_id, "started")]


def test_tables_may_come_in_turns(at: At) -> None:
    context = at("2026-03-05T10:00")
    pairs = [("oltp_orders", batch(1)), ("oltp_order_lines", batch(2, LINES)), ("oltp_orders", batch(4))]
    load_id = load(context, "oltp", iter(pairs))
    assert (counts(context.warehouse), counts(context.warehouse, "oltp_order_lines")) == ({load_id: 5}, {load_id: 2})


def test_a_load_without_rows(at: At) -> None:
    context = at("2026-03-05T10:00")
    first = loaded(context, {"oltp_orders": [batch(0)]})
    second = loaded(context, {})
    assert counts(context.warehouse) == {}
    assert first and second and first != second


def test_columns_beyond_the_contract_are_added(at: At) -> None:
    context = at("2026-03-05T10:00")
    loaded(context, {"oltp_orders": [batch(1)]})
    more = batch(2).append_column("gift_note", pa.array(["for you", None]))
    second = load(context, "oltp", {"oltp_orders": [more]}, {"oltp_orders": [pa.field("gift_note", pa.string())]})
    found = context.warehouse.rows("SELECT order_id, gift_note, _dlt_load_id = ? FROM raw.oltp_orders", [second])
    assert sorted(found, key=str) == [(0, "for you", True), (0, None, False), (1, None, True)]


def test_the_landed_sum_is_exact_and_of_one_load(at: At) -> None:
    context = at("2026-03-05T10:00")
    amounts = pa.array([Decimal("0.10"), Decimal("9999999999.99"), None], pa.decimal128(12, 2))
    orders = batch(3).set_column(ORDERS.schema.get_field_index("total_amount"), "total_amount", amounts)
    first, second = loaded(context, {"oltp_orders": [orders]}), loaded(context, {"oltp_orders": [batch(1)]})
    assert landed_sum(context, ORDERS, first) == Decimal("10000000000.09")
    assert landed_sum(context, ORDERS, second) is None
    assert landed_sum(context, CUSTOMERS, first) is None


@pytest.mark.parametrize("wrong", [batch(1, LINES), batch(1).drop_columns(["status"])])
def test_only_the_contract_lands(at: At, wrong: pa.Table) -> None:
    context = at("2026-03-05T10:00")
    with pytest.raises(ValueError, match=r"raw\.oltp_orders"):
        load(context, "oltp", {"oltp_orders": [batch(1), wrong]})
    assert counts(context.warehouse) == {}


def test_a_failing_source_leaves_nothing_and_keeps_its_own_error(at: At) -> None:
    context = at("2026-03-05T10:00")
    kept = loaded(context, {"oltp_orders": [batch(2)]})

    def breaks() -> Iterator[pa.Table]:
        yield batch(3)
        raise ZeroDivisionError("the wire was cut")

    with pytest.raises(ZeroDivisionError, match="the wire was cut"):
        load(context, "oltp", {"oltp_orders": breaks()})
    assert counts(context.warehouse) == {kept: 2}
    assert context.warehouse.rows("SELECT status, error FROM ops.loads WHERE status <> 'loaded'") == [
        ("failed", "the wire was cut")
    ]
    again = load(context, "oltp", {"oltp_orders": [batch(3)]})
    assert counts(context.warehouse) == {kept: 2, again: 3}


def test_a_warehouse_that_refuses_is_named(at: At) -> None:
    context = at("2026-03-05T10:00")
    context.warehouse.execute("ALTER TABLE raw.oltp_orders ALTER order_id TYPE UTINYINT")
    with pytest.raises(SourceError, match=r"^oltp: the warehouse did not take the load .* the next run repeats it$"):
        load(context, "oltp", {"oltp_order_lines": [batch(2, LINES)], "oltp_orders": [batch(1000)]})
    assert counts(context.warehouse, "oltp_order_lines") == {}


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
import dlt
from dlt.destinations.impl.duckdb.duck import DuckDbCopyJob
sys.path.insert(0, {tests!r})
from ingestion.loading.context import IngestContext
from ingestion.loading.package import load
from ingestion.ops_tables import create_tables
from ingestion.warehouse import open_duckdb
from test_package import LINES, batch, loaded

def die():
    os.kill(os.getpid(), signal.SIGKILL)

home = Path({home!r})
warehouse = open_duckdb(home / "INSIGHTMART.duckdb")
create_tables(warehouse)
now = datetime(2026, 3, 5, 10)
context = IngestContext(warehouse, home, now, now, print, dlt.destinations.duckdb(str(home / "INSIGHTMART.duckdb")))
loaded(context, {{"oltp_orders": [batch(2)]}})

def stream():
    yield batch(3)
    if {moment!r} == "reading":
        die()

run = DuckDbCopyJob.run
def run_and_die(job):
    run(job)
    if {moment!r} == "loading" and "oltp_orders" in job._file_path:
        die()
DuckDbCopyJob.run = run_and_die
if {moment!r} == "after":
    load(context, "oltp", {{"oltp_orders": stream(), "oltp_order_lines": [batch(1, LINES)]}})
    die()
load(context, "oltp", {{"oltp_orders": stream(), "oltp_order_lines": [batch(1, LINES)]}})
"""


@pytest.fixture(scope="module")
def left_by_a_kill(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], None]:
    """``left_by_a_kill(moment, home)``: the home of a load that is killed at this moment, which is played once."""
    homes: dict[str, Path] = {}

    def left(moment: str, home: Path) -> None:
        if moment not in homes:
            played = tmp_path_factory.mktemp(moment) / "home"
            script = KILLED.format(home=str(played), moment=moment, tests=str(Path(__file__).parent))
            killed = commands().call("python", "-c", script, environment=os.environ)
            assert killed.returncode == -signal.SIGKILL
            homes[moment] = played
        shutil.copytree(homes[moment], home)

    return left


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["reading", "loading", "after"])
@pytest.mark.parametrize("directory", ["kept", "lost", "broken"])
def test_a_kill_leaves_nothing_after_the_next_load(
    home: Path,
    at_home: Callable[[Warehouse], IngestContext],
    left_by_a_kill: Callable[[str, Path], None],
    moment: str,
    directory: str,
) -> None:
    left_by_a_kill(moment, home)
    if directory == "lost":
        shutil.rmtree(home / "dlt")
    if directory == "broken":
        (home / "dlt" / "oltp" / "state.json").write_text("{")
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        assert len(counts(warehouse)) == (1 if moment == "reading" else 2)
        load_id = load(at_home(warehouse), "oltp", {"oltp_order_lines": [batch(1, LINES)]})
        assert list(counts(warehouse).values()) == [2]
        assert counts(warehouse, "oltp_order_lines") == {load_id: 1}
        assert warehouse.rows("SELECT status, error FROM ops.loads WHERE status NOT IN ('loaded', 'started')") == [
            ("failed", "it ended before its package was in; its rows were deleted")
        ]


@pytest.mark.slow
def test_a_package_of_another_time_is_given_up(
    home: Path, at_home: Callable[[Warehouse], IngestContext], left_by_a_kill: Callable[[str, Path], None]
) -> None:
    left_by_a_kill("loading", home)
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        warehouse.execute("DELETE FROM ops.loads")  # as in a warehouse that was restored
        load(at_home(warehouse), "oltp", {"oltp_order_lines": [batch(1, LINES)]})
        assert list(counts(warehouse).values()) == [2]


@pytest.fixture
def at_home(home: Path) -> Callable[[Warehouse], IngestContext]:
    """A run on a warehouse that the test opened itself."""
    import dlt

    now = datetime(2026, 3, 5, 10)

    def context(warehouse: Warehouse) -> IngestContext:
        destination = dlt.destinations.duckdb(str(home / "INSIGHTMART.duckdb"))
        return IngestContext(warehouse, home, now, now, lambda line: None, destination)

    return context


def instant(hour: int, minute: int = 0, day: int = 5) -> datetime:
    return datetime(2026, 3, day, hour, minute)


def test_what_to_read(at: At) -> None:
    context = at("2026-03-05T10:00")
    assert plan_reading(context, ORDERS) == Reading(Window(EPOCH, instant(10)), instant(10))
    cover(context, "orders", instant(9))
    cover(context, "customers", instant(0))
    assert plan_reading(context, ORDERS) == Reading(Window(instant(8, 30), instant(10)), instant(10))
    assert plan_reading(context, CUSTOMERS) is None
    assert plan_reading(at("2026-03-05T09:00"), ORDERS) is None
    assert plan_reading(at("2026-03-05T04:00"), ORDERS) is None
    assert plan_reading(at("2026-03-06T00:00"), CUSTOMERS) == Reading(
        Window(datetime(2026, 3, 4, 23, 30), instant(0, day=6)), instant(0, day=6)
    )


@pytest.mark.parametrize(
    ("covered", "start", "end", "expected"),
    [
        (instant(9), instant(7), instant(8), Reading(Window(instant(7), instant(8)), None)),
        (instant(9), instant(8), instant(10), Reading(Window(instant(8), instant(10)), instant(10))),
        (instant(9), instant(9), instant(23), Reading(Window(instant(9), instant(12)), instant(12))),
        (instant(9), instant(10), instant(11), Reading(Window(instant(10), instant(11)), None)),
        (instant(9), instant(12), instant(13), None),
        (None, instant(0, day=1), instant(2), Reading(Window(instant(0, day=1), instant(2)), instant(2))),
        (None, instant(1), instant(2), Reading(Window(instant(1), instant(2)), None)),
    ],
)
def test_a_requested_window_moves_the_watermark_only_where_it_joins_on(
    at: At, covered: datetime | None, start: datetime, end: datetime, expected: Reading | None
) -> None:
    context = at("2026-03-05T12:00")
    if covered:
        cover(context, "orders", covered)
    assert plan_reading(context, ORDERS, Window(start, end)) == expected


def cover(context: IngestContext, name: str, through: datetime) -> None:
    result = LoadResult("oltp", name, "x", Window(EPOCH, through), 1, covered_through=through)
    with context.warehouse.transaction():
        record(context, [result])


def test_a_watermark_never_moves_back_and_records_are_all_or_nothing(at: At) -> None:
    context = at("2026-03-05T12:00")
    cover(context, "orders", instant(9))
    cover(context, "orders", instant(8))
    with pytest.raises(ZeroDivisionError), context.warehouse.transaction():
        record(context, [LoadResult("oltp", "orders", "y", None, 1, covered_through=instant(11))])
        raise ZeroDivisionError
    marks = context.warehouse.rows("SELECT entity, covered_through, load_id FROM ops.source_watermarks")
    assert marks == [("orders", instant(9), "x")]
    assert context.warehouse.rows("SELECT COUNT(*), COUNT(DISTINCT load_id) FROM ops.loads") == [(2, 1)]


def test_what_is_skipped_leaves_no_trace(at: At) -> None:
    context = at("2026-03-05T12:00")
    with context.warehouse.transaction():
        record(context, [LoadResult("oltp", "orders", None, None, 0, status="skipped")])
    assert context.warehouse.rows("SELECT * FROM ops.loads") == []


def test_no_secret_and_one_line_in_an_error() -> None:
    error = SourceError("oltp", "first\n  second.", "do\nthis")
    assert str(error) == "oltp: first second. do this"


def test_instants_with_a_zone_are_refused(at: At) -> None:
    with pytest.raises(ValueError, match="without a zone"):
        at("2026-03-05T12:00+00:00")
