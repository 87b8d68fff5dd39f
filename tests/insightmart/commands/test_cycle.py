"""Whole cycles through the public doors, on the sandbox's real services, against the truth of the generated events."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
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
from tests.support.built_homes import SHAPE, copy_home, new_home, once_a_run
from tests.support.inbox import received
from tests.support.statements import as_the_corpus_says, counted_by_phase, sent_as_promised, unparsable
from tests.support.web_hook import web_hook

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent

FIRST_CYCLE = "2026-03-06T00:05"  # a day of history and its sources, in sandboxes that begin with a day
EVIDENCE = {
    "quarantine": "SELECT order_id, line_number, reasons, quantity, unit_price FROM quarantine.oltp_order_lines",
    "checks": "SELECT area, dataset, check_name, severity, window_start, window_end, outcome, CAST(value AS VARCHAR)"
    " FROM ops.check_results",
    "corrections": "SELECT source, entity, window_start, window_end, reason, rows, status, closed_at"
    " FROM ops.correction_windows",
    "loads": "SELECT source, entity, rows, rejected_rows, source_count, status FROM ops.loads",
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
        program, *arguments = command
        return subprocess.run(
            [str(BIN / program), *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

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
        done = subprocess.run(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=PROJECT,
            env={**os.environ, "INSIGHTMART_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def place(self, name: str, like: Path | None = None) -> Place:
        """A place with a home of its own: an empty one, or a copy."""
        home = self.home.parent / name
        return Place(copy_home(like, home) if like else new_home(self.factory, home), self.settings)

    def add_database(self, name: str) -> dict[str, str]:
        """Another database on the sandbox's PostgreSQL server: how to reach it."""
        dsn = SandboxState.load(self.home).admin_dsn
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return {key: str(value) for key, value in conninfo_to_dict(dsn).items()} | {"dbname": name}


@pytest.fixture
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = Sandbox(tmp_path_factory, "sandbox")
    yield running
    running.call("down")


@pytest.fixture(scope="module")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox in which no time passes: for tests that only read what is there."""
    running = Sandbox(tmp_path_factory, "first-day")
    yield running
    running.call("down")


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


@pytest.fixture(scope="session")
def first_cycle(tmp_path_factory: pytest.TempPathFactory, set_up_home: Path) -> Callable[[Sandbox], Path]:
    """``first_cycle(sandbox)``: a folder with the ``home`` that the first cycle leaves and what it ``played``.

    Every sandbox begins with the same day, so the first that asks plays it for all.
    """

    def folder(sandbox: Sandbox) -> Path:
        def build(folder: Path) -> None:
            home = copy_home(set_up_home, folder / "home")
            local = {**sandbox.settings, "INSIGHTMART_HOME": str(home), "INSIGHTMART_GATEWAY": "local"}
            (folder / "played").write_bytes(pickle.dumps(played(local, FIRST_CYCLE)))

        return once_a_run(tmp_path_factory, "first_cycle", build)

    return folder


def total(truth: dict[str, Any], table: str, measure: str) -> str:
    return str(truth["certified"][table]["sums"][measure])


def test_the_demo_ties_every_certified_total_to_the_truth(tmp_path: Path) -> None:
    done = Place(tmp_path, {}).run("insightmart", "demo", "--size", "tiny", "--home", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "every total exact" in done.stdout
    assert "DIFFERS" not in done.stdout
    # the gate held an hour back, and named the check
    assert "few order lines are rejected" in done.stderr
    # the mails were really sent
    assert list((tmp_path / "demo" / "sandbox" / "inbox").glob("*.eml"))
    assert "certified" in (tmp_path / "demo" / "status" / "index.html").read_text(encoding="utf-8").lower()


def test_plain_sqlmesh_publishes_what_the_cycle_does_and_waits_and_refuses_as_it_does(
    sandbox: Sandbox, first_cycle: Callable[[Sandbox], Path]
) -> None:
    by_cycle, by_hand = Place(first_cycle(sandbox) / "home", sandbox.settings), sandbox.place("sqlmesh")
    ingest = by_hand.run("insightmart", "ingest", "--as-of", FIRST_CYCLE)
    assert ingest.returncode == 0, ingest.stderr
    plan = by_hand.run("sqlmesh", "plan", "--auto-apply", "--no-prompts", "--skip-tests", "--skip-backfill")
    assert plan.returncode == 0, plan.stdout[-2000:]
    run = by_hand.run("sqlmesh", "run")  # today, long after the data: watermarks keep it to the hours that are in
    assert run.returncode == 0, run.stdout[-2000:]

    expected = by_cycle.certified()
    assert {
        "fct_orders",
        "fct_order_lines",
        "fct_refunds",
        "fct_inventory",
        "agg_sales_hourly",
        "agg_sales_daily",
    } <= set(expected)
    assert by_hand.certified() == expected
    truth = json.loads(sandbox.call("truth", "--json"))
    found = by_hand.query("SELECT SUM(net_sales) FROM certified.agg_sales_daily")[0][0]
    assert str(found) == total(truth, "agg_sales_daily", "net_sales")

    # with the sources behind, nothing happens, however often it runs
    assert by_hand.run("sqlmesh", "run").returncode == 0
    assert by_hand.certified() == expected

    # a bad hour: nothing of that area is published, and the exit code says so
    sandbox.call("advance", "--hours", "17")
    assert by_hand.run("insightmart", "ingest", "--as-of", "2026-03-06T17:05").returncode == 0
    refused = by_hand.run("sqlmesh", "run")
    assert refused.returncode != 0
    held = by_hand.certified()
    assert [row for row in held["fct_orders"] if row[0] == "oltp"] == [
        row for row in expected["fct_orders"] if row[0] == "oltp"
    ]
    assert len(held["fct_inventory"]) > len(expected["fct_inventory"])  # other areas go on
    outcomes = by_hand.query("SELECT DISTINCT outcome FROM ops.check_results WHERE area = 'sales__oltp'")
    assert ("fail",) in outcomes


def test_a_source_that_is_down_holds_back_only_its_own_tables(first_day: Sandbox, set_up_home: Path) -> None:
    place = first_day.place("without-shop", set_up_home)
    place.environment["SHOPIFY_URL"] = "http://127.0.0.1:9"  # nothing listens there
    with web_hook() as watch:
        place.environment["HEARTBEAT_URL"] = f"http://{watch.at}/alive"
        done = place.run("insightmart", "cycle", "--as-of", "2026-03-06T00:05")
        assert (done.returncode, watch.requests) == (1, [])
        assert done.stderr.count("shopify:") >= 1
        assert first_day.settings["SHOPIFY_TOKEN"] not in done.stderr
        rows = place.query("SELECT source_system, COUNT(*) FROM certified.fct_orders GROUP BY source_system")
        assert [source for source, _ in rows] == ["oltp"]

        place.environment["SHOPIFY_URL"] = first_day.settings["SHOPIFY_URL"]
        healed = place.run("insightmart", "cycle", "--as-of", "2026-03-06T00:10")
        assert (healed.returncode, watch.requests) == (0, [("GET", "/alive", "")]), healed.stderr
    title = "Sales (online), inventory (online) and products: late, or nothing certified yet"
    opened, over = (mail for mail in received(SandboxState.load(first_day.home).inbox) if title in mail["Subject"])
    assert over["In-Reply-To"] == opened["Message-ID"]
    truth = json.loads(first_day.call("truth", "--json"))
    assert place.query("SELECT COUNT(*) FROM certified.fct_orders")[0][0] == truth["certified"]["fct_orders"]["rows"]
    gross = place.query("SELECT SUM(gross_sales) FROM certified.fct_orders")[0][0]
    assert str(gross) == total(truth, "fct_orders", "gross_sales")

    earlier = place.run("insightmart", "cycle", "--as-of", "2026-03-05T12:05")
    assert earlier.returncode == 2
    assert "lies before the last run" in earlier.stderr


def test_empty_sources_make_an_empty_warehouse_without_failures(tmp_path: Path, set_up_home: Path) -> None:
    home = tmp_path / "sources"
    call = [sys.executable, "-m", "sandbox"]
    environment = {**os.environ, "INSIGHTMART_HOME": str(home)}
    up = [*call, "up", "--empty", "--start", "2026-03-05", "--parent", str(os.getpid())]
    subprocess.run(up, cwd=PROJECT, env=environment, check=True, capture_output=True, timeout=120)
    try:
        told = subprocess.run(
            [*call, "env", "--json"], cwd=PROJECT, env=environment, check=True, capture_output=True, timeout=60
        )
        place = Place(copy_home(set_up_home, tmp_path / "pipeline"), json.loads(told.stdout))
        done = place.run("insightmart", "cycle", "--as-of", "2026-03-06T00:05")
        assert done.returncode == 0, done.stderr
        assert place.query("SELECT COUNT(*) FROM certified.fct_orders") == [(0,)]
        assert place.query("SELECT MIN(store_id), MAX(store_id) FROM certified.dim_stores") == [(-1, 0)]
    finally:
        subprocess.run([*call, "down"], cwd=PROJECT, env=environment, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(("moment", "is_set_up"), [("PostgreSQL", False), ("Late corrections", True)])
def test_a_killed_cycle_is_finished_by_the_next_one(
    first_day: Sandbox, set_up_home: Path, moment: str, is_set_up: bool
) -> None:
    place = first_day.place(f"killed-{is_set_up}", set_up_home if is_set_up else None)
    cycle = [str(BIN / "insightmart"), "cycle", "--as-of", "2026-03-06T00:05"]
    with subprocess.Popen(cycle, cwd=PROJECT, env=place.environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(moment in line for line in process.stderr), "the cycle ended before it could be killed"
        process.kill()  # right after that step, in the middle of the next one
    healed = place.run("insightmart", "cycle", "--as-of", "2026-03-06T00:05")
    assert healed.returncode == 0, healed.stderr
    assert place.query("SELECT status FROM ops.runs ORDER BY started_at") == [("killed",), ("succeeded",)]
    truth = json.loads(first_day.call("truth", "--json"))
    assert place.query(DISAGREEING) == []
    for table, measure in (
        ("fct_orders", "gross_sales"),
        ("agg_sales_daily", "net_sales"),
        ("fct_inventory", "on_hand"),
    ):
        found = place.query(f"SELECT SUM({measure}) FROM certified.{table}")[0][0]
        assert str(found) == total(truth, table, measure), f"{table}.{measure}"


def test_both_engines_certify_the_same_and_refuse_the_same(
    sandbox: Sandbox, first_cycle: Callable[[Sandbox], Path], fake_account: Any, cache: pytest.Cache
) -> None:
    """A first cycle, an hour with late corrections, and 16 hours with a bad one among them, on DuckDB and through the
    Snowflake connector. The hour stays in its budget of statements, and Snowflake's dialect knows all that is sent.

    fakesnow stands in for the account; SQLMesh's state is in a real PostgreSQL database, as in production.
    """
    state = sandbox.add_database("sqlmesh")
    account = {
        "INSIGHTMART_GATEWAY": "snowflake",
        "SNOWFLAKE_ACCOUNT": "acme-one",
        "SNOWFLAKE_USER": "transformer",
        "SNOWFLAKE_AUTHENTICATOR": "snowflake",
        "SNOWFLAKE_PASSWORD": "open-sesame",
        "STATE_HOST": state["host"],
        "STATE_PORT": state["port"],
        "STATE_USER": state["user"],
        "STATE_PASSWORD": state["password"],
        "STATE_DATABASE": state["dbname"],
    }

    homes = {"local": sandbox.home.parent / "local", "snowflake": sandbox.home.parent / "snowflake"}
    copy_home(first_cycle(sandbox) / "home", homes["local"])
    new_home(sandbox.factory, homes["snowflake"])

    def cycle(engine: dict[str, str], as_of: str) -> tuple[CycleResult, dict[str, Any]]:
        home = homes[engine["INSIGHTMART_GATEWAY"]]
        return played({**sandbox.settings, **engine, "INSIGHTMART_HOME": str(home)}, as_of)

    def on_local(as_of: str) -> tuple[CycleResult, dict[str, Any]]:
        if as_of != FIRST_CYCLE:
            return cycle({"INSIGHTMART_GATEWAY": "local"}, as_of)
        before: tuple[CycleResult, dict[str, Any]] = pickle.loads((first_cycle(sandbox) / "played").read_bytes())
        return before

    with fake_account(sandbox.home.parent / "stages") as session:
        for as_of, hours, is_refused in (
            (FIRST_CYCLE, 0, False),
            ("2026-03-06T01:05", 1, False),
            ("2026-03-06T17:05", 16, True),
        ):
            if hours:
                sandbox.call("advance", "--hours", str(hours))
            on_duckdb, expected = on_local(as_of)
            connected = len(session.connections)
            with counted_by_phase(session.statements) as sent:
                on_snowflake, found = cycle(account, as_of)
            if hours == 1:
                sent_as_promised(sent, len(session.connections) - connected)
            for name, rows in expected.items():
                assert found[name] == rows, name
            assert on_snowflake == on_duckdb
            assert bool(on_duckdb.errors) == is_refused
            if not is_refused:
                truth = json.loads(sandbox.call("truth", "--json"))
                net_sales = str(sum(row[8] for row in found["agg_sales_daily"]))
                assert net_sales == total(truth, "agg_sales_daily", "net_sales")
    assert on_duckdb.corrections_closed > 0
    assert [one for one in session.statements if "open-sesame" in one] == []
    assert {tag["app"] for tag in session.tags} == {"insightmart"}
    assert sum("metering_daily_history" in one for one in session.statements) == 1  # what it costs, once a day
    assert unparsable(as_the_corpus_says(session.texts, session.origins), cache) == {}
