"""Whole cycles on the sandbox's real services: a home and its command line, a sandbox, and what certified holds."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from insightmart.commands.cycle import CycleResult, open_cycles
from insightmart.gateway import open_to_read, open_warehouse
from insightmart.settings import load_settings
from sandbox.state import SandboxState
from tests.support.built_homes import SHAPE, copy_home, new_home
from tests.support.forked import commands

FIRST_CYCLE = "2026-03-06T00:05"  # a day of history and its sources, in sandboxes that begin with a day
EVIDENCE = {
    "quarantine": "SELECT order_id, line_number, reasons, quantity, unit_price FROM quarantine.oltp_order_lines",
    "checks": "SELECT area, dataset, check_name, severity, window_start, window_end, outcome, CAST(value AS VARCHAR)"
    " FROM ops.check_results",
    "corrections": 'SELECT source, entity, window_start, window_end, reason, "ROWS", status, closed_at'
    " FROM ops.correction_windows",
    "loads": 'SELECT source, entity, "ROWS", rejected_rows, source_count, status FROM ops.loads',
}

# Differ between two runs of the same history by nature: ids, and what the clock says.
BY_RUN = {"raw_load_id", "publication", "recorded_at", "loads", "windows", "scan_ids", "run_id", "plan_id", "git_sha"}
JOURNAL = "published_changes"


class Place:
    """A home of the pipeline with the settings of a running sandbox."""

    def __init__(self, home: Path, settings: dict[str, str]) -> None:
        self.home = home
        self.environment = {**os.environ, **settings, "INSIGHTMART_HOME": str(home), "PYTHON_DOTENV_DISABLED": "1"}
        self.environment.pop("INSIGHTMART_AS_OF", None)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return commands().call(*command, environment=self.environment)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.home / "INSIGHTMART.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def certified(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every certified table of the contract, its rows in order, without what differs by run.

        The journal, which tells how they came to be, must agree with them.
        """
        tables = certified_tables(self.query)
        del tables[JOURNAL]
        assert self.query(DISAGREEING) == []
        return tables


# Cells of which the entries of the journal do not add up to what certified says.
DISAGREEING = """
    SELECT *
    FROM (
        SELECT business_date, store_id, channel, orders, net_sales, total_sales FROM certified.agg_sales_daily
    ) AS c
    FULL OUTER JOIN (
        SELECT business_date, store_id, channel, SUM(COALESCE(orders_after, 0) - COALESCE(orders_before, 0)) AS orders,
            SUM(COALESCE(net_sales_after, 0) - COALESCE(net_sales_before, 0)) AS net_sales,
            SUM(COALESCE(total_sales_after, 0) - COALESCE(total_sales_before, 0)) AS total_sales
        FROM certified.published_changes
        WHERE table_name = 'agg_sales_daily'
        GROUP BY business_date, store_id, channel
    ) AS j USING (business_date, store_id, channel)
    WHERE COALESCE(c.orders, 0) <> j.orders OR COALESCE(c.net_sales, 0) <> j.net_sales
        OR COALESCE(c.total_sales, 0) <> j.total_sales OR j.orders IS NULL
"""


def certified_tables(query: Callable[[str], list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Every certified table that a query finds, its rows in order, without what differs by run."""
    columns = query(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE UPPER(table_schema) = 'CERTIFIED' ORDER BY table_name, ordinal_position"
    )
    tables = {}
    for table in dict.fromkeys(name for name, _ in columns if "__" not in name):
        kept = [column for name, column in columns if name == table and column.lower() not in BY_RUN]
        tables[table.lower()] = sorted(query(f"SELECT {', '.join(kept)} FROM certified.{table}"), key=repr)
    return tables


class Sandbox:
    """A tiny sandbox with a home of its own; the pipeline's homes are beside it."""

    def __init__(self, factory: pytest.TempPathFactory, name: str) -> None:
        self.factory = factory
        self.home = factory.mktemp(name) / "sources"
        self.call("up", "--size", "tiny", "--preload-hours", "24", "--parent", str(os.getpid()))
        self.settings: dict[str, str] = json.loads(self.call("env", "--json"))
        assert SHAPE.items() <= self.settings.items()  # what the homes that are copied were set up with

    def call(self, *arguments: str) -> str:
        environment = {**os.environ, "INSIGHTMART_HOME": str(self.home)}
        done = commands().call("sandbox", *arguments, environment=environment, seconds=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def place(self, name: str, like: Path | None = None) -> Place:
        """A place with a home of its own: an empty one, or a copy."""
        home = self.home.parent / name
        return Place(copy_home(like, home) if like else new_home(self.factory, home), self.settings)

    def add_state(self, name: str) -> dict[str, str]:
        """A database for SQLMesh's state on the sandbox's PostgreSQL server: the settings that lead there."""
        dsn = SandboxState.load(self.home).admin_dsn
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        found = {key: str(value) for key, value in conninfo_to_dict(dsn).items()} | {"dbname": name}
        settings = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "DATABASE": "dbname"}
        return {f"STATE_{setting}": found[key] for setting, key in settings.items()}


def played(settings: Mapping[str, str], as_of: str) -> tuple[CycleResult, dict[str, Any]]:
    """A cycle in this process: what it came to, and what certified tables and the evidence hold then."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        loaded = load_settings()
        with open_cycles(loaded) as run:
            result = run(datetime.fromisoformat(as_of))
        with open_warehouse(loaded) as warehouse:
            found = certified_tables(warehouse.rows)
            if warehouse.dialect == "duckdb":  # readers see the same, though only what changed was written
                with open_to_read(loaded) as copy:
                    assert certified_tables(copy.rows) == found
            found |= {name: sorted(warehouse.rows(query), key=repr) for name, query in EVIDENCE.items()}
    result.page = None  # its path is the home's
    return result, found


def total(truth: dict[str, Any], table: str, measure: str) -> str:
    return str(truth["certified"][table]["sums"][measure])


def tied_to_the_truth(place: Place, sandbox: Sandbox) -> None:
    """Whether what a place certifies is what happened, and what its journal says."""
    truth = json.loads(sandbox.call("truth", "--json"))
    assert place.query(DISAGREEING) == []
    for table, measure in (
        ("fct_orders", "gross_sales"),
        ("agg_sales_daily", "net_sales"),
        ("fct_inventory", "on_hand"),
    ):
        found = place.query(f"SELECT SUM({measure}) FROM certified.{table}")[0][0]
        assert str(found) == total(truth, table, measure), f"{table}.{measure}"
