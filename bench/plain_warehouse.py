"""An hour in hand-written DuckDB: COPY of its rows, and plain SQL that builds the same (bench/sql/plain_hour.sql).

What it is for is to be the limit that the pipeline is held against, so it does what somebody would write who has just
these tables in mind, and nothing else. DuckDB is imported inside the functions: in a process that it takes for
somebody's session it draws progress bars (``bench.ingestion.costs.in_child``).
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.ingestion.costs import Cost, cost_of
from bench.played_cycle import warehouse_of
from bench.raw_rows import Span, copy_into_raw, fill, statements
from ingestion.contracts import raw_tables

if TYPE_CHECKING:
    from ingestion.warehouse import Warehouse

Totals = dict[str, tuple[Any, ...]]


def write_parquet(directory: Path, span: Span) -> int:
    """The raw rows of a span as parquet files, one a table that has any; how many bytes they are."""
    from ingestion.ops_tables import create_tables
    from ingestion.warehouse import open_duckdb

    directory.mkdir()
    scratch = directory / "scratch.duckdb"
    with open_duckdb(scratch) as warehouse:
        create_tables(warehouse)
        fill(warehouse, span)
        for table in raw_tables():
            if warehouse.value(f"SELECT COUNT(*) FROM raw.{table}"):
                warehouse.execute(f"COPY raw.{table} TO '{directory / table}.parquet' (FORMAT parquet)")
    for file in directory.glob("scratch.duckdb*"):
        file.unlink()
    return sum(file.stat().st_size for file in directory.iterdir())


def build(path: Path, directory: Path, loaded_from: datetime) -> Cost:
    """Copy the files of a span and build the certified tables of it, beside what the warehouse holds already."""

    from ingestion.ops_tables import create_tables
    from ingestion.warehouse import open_duckdb

    def work() -> None:
        with open_duckdb(path) as warehouse:  # a file of the format that ours has
            connection = warehouse.connection
            if not connection.execute("SELECT COUNT(*) FROM duckdb_tables()").fetchall()[0][0]:
                create_tables(warehouse)
                connection.execute("CREATE SCHEMA certified")
                for kind, name, statement in statements("plain_hour"):
                    if kind == "table":
                        connection.execute(f"CREATE TABLE certified.{name} {statement}")
            copy_into_raw(connection, directory)
            for kind, name, statement in statements("plain_hour"):
                used = {"loaded_from": loaded_from} if re.search(r"\$loaded_from", statement) else None
                if kind == "temporary":
                    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {statement}", used)
                elif kind == "run":
                    connection.execute(statement, used)

    return cost_of(work)


def totals(path: Path) -> Totals:
    """What the certified tables of a hand-written warehouse come to."""
    from ingestion.warehouse import open_duckdb

    with open_duckdb(path) as warehouse:
        return _totals(warehouse)


def totals_of_ours(home: Path, span: Span) -> Totals:
    """What our certified tables come to."""
    with warehouse_of(home, span) as warehouse:
        return _totals(warehouse)


def _totals(warehouse: Warehouse) -> Totals:
    return {name: warehouse.rows(sql)[0] for kind, name, sql in statements("plain_hour") if kind == "compared"}
