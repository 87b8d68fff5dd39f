"""In whatever order the same events arrive, the same tables are certified, and they are the truth.

The events are the sandbox's: store and phone sales of one day with their later versions, junk included, and the stores'
reference files. Each example spreads them over several cycles: shuffled, split over loads, delayed by hours or days,
sent again. They enter at raw, because that is where sources of every kind meet; `HYPOTHESIS_PROFILE=deep` plays more.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ingestion.contracts import INSTANT, Entity, entity
from ingestion.loading import correction_queue
from ingestion.loading.context import IngestContext, LoadResult, Window
from ingestion.loading.package import load
from ingestion.loading.planning import released_through
from ingestion.loading.records import record
from ingestion.ops_tables import create_tables
from ingestion.postgres import touched_windows as oltp_touched
from ingestion.stores import touched_windows as stores_touched
from ingestion.stores.csv.file import Drop, read_file
from ingestion.stores.csv.typed import parse
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.settings import Settings
from insightmart.transform.restatement import apply_corrections
from insightmart.transform.transformer import Transformer, open_transformer
from sandbox.business import Business
from sandbox.events.daily_files import reference_files
from sandbox.events.instants import to_instant
from sandbox.events.versions import COLUMNS, KEYS
from sandbox.publish import as_tuples
from sandbox.truth.certified import truth
from tests.support.built_homes import SHAPE, copy_home

pytestmark = pytest.mark.slow

SEED, SIZE, START = 7, "tiny", date(2026, 3, 5)
BEGIN = datetime(2026, 3, 5)
CLOCK = BEGIN + timedelta(hours=12)  # the events become visible before it
# The first two cycles are on time; the last one brings what comes a week late.
CYCLES = [BEGIN + timedelta(hours=hours, minutes=5) for hours in (5, 13, 8 * 24)]
SALES = ("orders", "order_lines", "refunds")
CERTIFIED = ("fct_orders", "fct_order_lines", "fct_refunds", "agg_sales_hourly", "agg_sales_daily", "dim_stores")
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"

Arrivals = list[list[tuple[str, str, pa.Table]]]  # per cycle: source, entity and rows of each load's part


@pytest.fixture(scope="module")
def business() -> Business:
    return Business(SEED, SIZE, START)


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    return truth(SEED, SIZE, START, CLOCK.replace(tzinfo=UTC))


def versions(business: Business, name: str) -> tuple[pa.Table, np.ndarray]:
    """The row versions of a table before the clock as raw rows, with the instant each became visible."""
    clock = to_instant(CLOCK.replace(tzinfo=UTC))
    rows = business.sales(clock).table(name)
    rows = rows[rows["visible_at"] < clock]
    # Of changes of one record in one microsecond the later one counts: nobody could tell them apart afterwards.
    rows = rows.drop_duplicates([*KEYS[name], "updated_at"], keep="last") if name != "orders" else rows
    return as_raw(business, name, rows), rows["visible_at"].to_numpy()


def as_raw(business: Business, name: str, rows: pd.DataFrame) -> pa.Table:
    columns = list(zip(*as_tuples(business.catalogue, rows[COLUMNS[name]]), strict=True))
    contract = entity("oltp", name)
    given_by_name = dict(zip(COLUMNS[name], columns, strict=True))
    return pa.table(
        [as_column(given_by_name[column.name], column) for column in contract.columns], pa.schema(contract.columns)
    )


def as_column(values: Sequence[Any], column: pa.Field) -> pa.Array:
    if pa.types.is_decimal(column.type):
        return pa.array(values, pa.string()).cast(pa.decimal128(18, 4)).cast(column.type)
    if column.type == INSTANT:
        return pa.array(values, pa.timestamp("us", "UTC")).cast(INSTANT)
    return pa.array(values, column.type)


def references(business: Business) -> Iterator[pa.Table]:
    """The first day's reference files, typed as ingestion types them."""
    for sent in reference_files(business.catalogue, 0):
        drop = Drop("reference", sent.key, sent.store_id, START, None, BEGIN)
        yield parse("reference", [read_file(drop, sent.body())], BEGIN).rows


def arrivals(business: Business, chance: random.Random) -> Arrivals:
    """Every event at least once, no sooner than it happened."""
    cycles: Arrivals = [[] for _ in CYCLES]
    for name in SALES:
        rows, visible_at = versions(business, name)
        first = np.searchsorted([to_instant(at.replace(tzinfo=UTC)) for at in CYCLES], visible_at, side="right")
        for repeat in range(2):  # the second time round, a part of them comes again
            comes = np.array([chance.randrange(int(low), len(CYCLES)) for low in first])
            if not repeat:
                on_time = np.array([chance.random() < 0.6 for _ in first])
                comes = np.where(on_time, first, comes)
            else:
                comes = np.where([chance.random() < 0.3 for _ in first], comes, -1)
            for cycle in range(len(CYCLES)):
                places = np.flatnonzero(comes == cycle).tolist()
                chance.shuffle(places)
                middle = chance.randint(0, len(places))
                for part in (places[:middle], places[middle:]):
                    if part:
                        cycles[cycle].append(("oltp", name, rows.take(part)))
    for rows in references(business):
        cycles[chance.choice([0, 0, 1, 2])].append(("stores", "reference", rows))
    for parts in cycles:
        chance.shuffle(parts)
    return cycles


def bring_in(context: IngestContext, source: str, item: Entity, rows: pa.Table) -> None:
    """One load as ingestion makes it: rows, corrections, record; watermarks move when all of a cycle is in."""
    released = released_through(context, "oltp", SALES)
    load_id = load(context, source, {item.table: [rows]})
    found = (
        oltp_touched.sales(context, load_id, released)
        if source == "oltp"
        else stores_touched.timezones(context, load_id)
    )
    with context.warehouse.transaction():
        record(context, [LoadResult(source, item.name, load_id, None, rows.num_rows)])
        correction_queue.queue(context, found)


def cover(context: IngestContext) -> None:
    window = Window(BEGIN, context.as_of)
    marks = [LoadResult("oltp", name, None, window, 0, status="empty", covered_through=context.as_of) for name in SALES]
    with context.warehouse.transaction():
        record(context, marks)


def cycle(warehouse: Warehouse, transformer: Transformer, home: Path, as_of: datetime, parts: Any) -> None:
    destination = dlt.destinations.duckdb(str(home / "INSIGHTMART.duckdb"))
    context = IngestContext(warehouse, home, as_of, BEGIN, lambda line: None, destination)
    for source, name, rows in parts:
        bring_in(context, source, entity(source, name), rows)
    cover(context)
    _, failures = apply_corrections(warehouse, transformer, as_of)
    assert failures == {}
    assert transformer.run(as_of).failures == {}


def certified(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of the certified tables, without load ids."""
    tables = {}
    for table in CERTIFIED:
        columns = warehouse.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_schema ILIKE 'certified'"
            " AND table_name ILIKE ? AND column_name NOT ILIKE 'raw_load_id' ORDER BY ordinal_position",
            [table],
        )
        names = ", ".join(f'"{name}"' for (name,) in columns)
        tables[table] = warehouse.rows(f"SELECT {names} FROM certified.{table} ORDER BY ALL")
    return tables


def hourly(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    rows = warehouse.rows(
        "SELECT business_date, business_hour, store_id, channel, orders, units, gross_sales, discounts, returns,"
        " net_sales, taxes, shipping, total_sales FROM certified.agg_sales_hourly"
        " WHERE channel <> 'online' ORDER BY business_date, business_hour, store_id, channel"
    )
    return [(day.isoformat(), *(value if isinstance(value, int | str) else str(value) for value in rest))
            for day, *rest in rows]  # fmt: skip


def true_hours(expected: dict[str, Any]) -> list[tuple[Any, ...]]:
    names = ("business_date", "business_hour", "store_id", "channel", "orders", "units", "gross_sales", "discounts",
             "returns", "net_sales", "taxes", "shipping", "total_sales")  # fmt: skip
    rows = [tuple(row[name] for name in names) for row in expected["agg_sales_hourly"] if row["channel"] != "online"]
    return sorted(rows, key=lambda row: row[:4])


def test_any_order_of_arrival_ends_in_the_same_certified_tables(
    business: Business, expected: dict[str, Any], set_up_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first: dict[str, Any] = {}

    @settings(
        max_examples=20 if DEEP else 2,
        derandomize=not DEEP,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32))
    def play(seed: int) -> None:
        home = tmp_path_factory.mktemp("arrival")
        copy_home(set_up_home, home)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**SHAPE, "INSIGHTMART_HOME": str(home), "INSIGHTMART_GATEWAY": "local"}.items():
                patch.setenv(name, value)
            local = Settings(home=home, start=START, timezone="America/New_York", _env_file=None)  # type: ignore[call-arg]
            with open_duckdb(local.database_path) as warehouse:
                create_tables(warehouse)
                with open_transformer(local, warehouse) as transformer:
                    for as_of, parts in zip(CYCLES, arrivals(business, random.Random(seed)), strict=True):
                        cycle(warehouse, transformer, home, as_of, parts)
                assert warehouse.rows("SELECT * FROM ops.correction_windows WHERE status = 'open'") == []
                assert hourly(warehouse) == true_hours(expected), f"seed {seed}"
                for table, facts in expected["facts"].items():
                    count = warehouse.value(f"SELECT COUNT(*) FROM certified.{table} WHERE source_system = 'oltp'")
                    assert count == facts["by_source"]["oltp"]["rows"], f"{table}, seed {seed}"
                ended = certified(warehouse)
                assert first.setdefault("tables", ended) == ended, f"seed {seed} and {first['seed']} differ"
                first.setdefault("seed", seed)

    play()
