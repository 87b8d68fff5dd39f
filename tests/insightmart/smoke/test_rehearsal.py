"""`insightmart smoke` against what stands in for an account: each verdict, planted faults, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pytest
from click.testing import Result
from fakesnow.cursor import FakeSnowflakeCursor

from ingestion.contracts import raw_tables
from insightmart.gateway import open_warehouse
from insightmart.settings import PROJECT, load_settings
from insightmart.smoke.bound_values import AWKWARD
from insightmart.smoke.corpus import read_corpus
from insightmart.smoke.rehearsal import GONE
from insightmart.smoke.trial import CHECKS
from insightmart.snowflake_sessions import close_waiting

Trying = Callable[..., dict[str, dict[str, Any]]]

COMPILES = "every statement compiles on the tables that are there"
ITS_OWN = "every statement compiles on tables made as the pipeline makes them"
VALUES = "bound values of every type come back as they went"
FILE = "a Parquet file is copied as it is, and nothing stays in the stage"

# A corpus of a few statements, among them one on a table of SQLMesh's, one on a view of a scan, and some that are not
# to be explained.
FEW = [
    ("core.orders", 'SELECT "ORDER_ID" FROM "INSIGHTMART"."sqlmesh__CORE"."CORE__ORDERS__1" WHERE "ORDER_ID" = NULL'),
    ("core.orders", 'DELETE FROM "INSIGHTMART"."sqlmesh__CORE"."CORE__ORDERS__1" WHERE "ORDER_ID" BETWEEN 1 AND 2'),
    ("gate.sales", "CREATE OR REPLACE TEMPORARY VIEW OPS.ORDERS AS SELECT 1 AS order_id"),
    ("gate.sales", "SELECT COUNT(*) FROM OPS.ORDERS WHERE order_id IS NULL"),
    ("ingestion.warehouse", "BEGIN"),
    ("sqlmesh", 'CREATE TABLE IF NOT EXISTS "INSIGHTMART"."sqlmesh__CORE"."CORE__ORDERS__1" ("ORDER_ID" BIGINT)'),
    ("sqlmesh", 'CREATE VIEW core.orders AS SELECT * FROM "INSIGHTMART"."sqlmesh__CORE"."CORE__ORDERS__1"'),
]


def schemas() -> list[str]:
    with open_warehouse(load_settings()) as warehouse:
        return [name for (name,) in warehouse.rows("SELECT schema_name FROM information_schema.schemata")]


def test_it_runs_to_its_end_says_what_held_and_leaves_nothing(
    account: Any, few: Callable[..., None], tried: Trying, tmp_path: Path
) -> None:
    few(FEW)
    with open_warehouse(load_settings()) as warehouse:
        warehouse.execute("CREATE SCHEMA ops")
        warehouse.execute('CREATE SCHEMA "sqlmesh__CORE"')
        warehouse.execute('CREATE TABLE "sqlmesh__CORE"."CORE__ORDERS__1234567890" (order_id BIGINT)')
    before = sorted(schemas())
    found = tried("--write")
    assert sorted(schemas()) == before
    assert [path for path in (tmp_path / "stages").rglob("*") if path.is_file()] == []
    assert list(found) == [*CHECKS, GONE]
    untried = {name for name, one in CHECKS.items() if one.account_only}
    assert {name: one["verdict"] for name, one in found.items()} == {
        name: "could not be tried" if name in untried else "held" for name in found
    }
    assert all(found[name]["seen"].startswith("fakesnow stands in for the account: ") for name in untried)
    assert len(untried) == 9
    assert found[COMPILES]["seen"] == (
        "4 of 5 statements compile; 1 read views of a gate's session, which --write makes;"
        " 2 can only be run: 1 BEGIN, 1 CREATE TABLE"
    )
    assert found[ITS_OWN]["seen"] == (
        "3 of 3 tables and views created or altered; 3 of 3 statements compile; 1 can only be run: 1 BEGIN"
    )
    assert all(one["statement_id"] for one in found.values() if one["verdict"] == "held")


@pytest.mark.slow
def test_all_that_cycles_send_is_run_or_compiled(account: Any, tried: Trying) -> None:
    """The corpus itself, on its own tables: every DDL statement runs, everything else has a plan."""
    found = tried("--write", ITS_OWN)
    assert found[ITS_OWN]["verdict"] == "held", found[ITS_OWN]["seen"]
    corpus_now = read_corpus()
    made = sum(1 for one in corpus_now if one.creates or one.kind.startswith("ALTER "))
    compiled = sum(1 for one in corpus_now if one.explainable and not one.creates)
    assert found[ITS_OWN]["seen"].startswith(
        f"{made} of {made} tables and views created or altered; {compiled:,} of {compiled:,} statements compile; "
    )
    assert [one for one in schemas() if one.startswith("SMOKE_")] == []


def test_without_write_it_changes_nothing(account: Any, few: Callable[..., None], tried: Trying) -> None:
    few(FEW)
    before = len(account.statements)
    found = tried()
    assert list(found) == [name for name, one in CHECKS.items() if not one.writes]
    changing = ("CREATE", "DROP", "INSERT", "DELETE", "UPDATE", "MERGE", "COPY", "PUT", "ALTER", "GRANT")
    assert [one for one in account.statements[before:] if one.lstrip("/* ").startswith(changing)] == []
    assert found[COMPILES]["verdict"] == "could not be tried"
    assert found[COMPILES]["seen"].startswith(
        "1 of 5 statements compile; 1 read views of a gate's session, which --write makes;"
        " 3 name what is not there yet or may not be seen: 3 sqlmesh__CORE; 2 can only be run"
    )


def test_a_statement_of_a_refused_shape_is_named(account: Any, few: Callable[..., None], tried: Trying) -> None:
    under_or = (
        "SELECT a.n FROM (SELECT 1 AS n) AS a WHERE a.n = 1 OR NOT EXISTS"
        " (SELECT 1 FROM (SELECT 1 AS n) AS b WHERE b.n = a.n)"
    )
    few([("quarantine.oltp_orders", under_or), ("core.dates", "SELECT nothing_of_that_name FROM (SELECT 1 AS n)")])
    found = tried(COMPILES)[COMPILES]
    assert found["verdict"] == "did not hold"
    assert found["seen"].startswith("2 refused: quarantine.oltp_orders: ")
    assert "Unsupported subquery type" in found["seen"]
    assert "; core.dates: " in found["seen"]
    assert "0 of 2 statements compile" in found["seen"]


def test_a_lossy_type_is_named(account: Any, tried: Trying, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account whose money has two decimals only, in files, and whose Arrow has floats."""
    execute, arrow = FakeSnowflakeCursor.execute, FakeSnowflakeCursor.fetch_arrow_batches

    def rounding(cursor: Any, command: str, *arguments: Any, **named: Any) -> Any:
        return execute(cursor, command.replace("NUMBER(18,4)", "NUMBER(18,2)"), *arguments, **named)

    def with_floats(cursor: Any) -> list[Any]:
        parts = [
            part.to_pandas().astype(float) if "DECIMAL" in str(part.schema).upper() else part for part in arrow(cursor)
        ]

        return [part if isinstance(part, pa.Table) else pa.Table.from_pandas(part) for part in parts]

    with monkeypatch.context() as lossy:
        lossy.setattr(FakeSnowflakeCursor, "execute", rounding)
        found = tried("--write", FILE)
        assert found[FILE]["verdict"] == "did not hold"
        assert found[FILE]["seen"].startswith("DECIMAL(18, 4) by Python: Decimal('99999999999999.9999') came back as ")
        assert found[GONE]["verdict"] == "held"
    close_waiting()
    monkeypatch.setattr(FakeSnowflakeCursor, "fetch_arrow_batches", with_floats)
    name = "decimals of a SELECT are decimals as Arrow"
    assert tried(name)[name]["seen"].startswith("a decimal came as something else (column 1: double")


def test_the_schema_is_dropped_after_an_error_and_kept_when_asked(
    account: Any, tried: Trying, smoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "MERGE updates and inserts"
    assert list(tried("--write", "--keep", name)) == [name]
    [kept] = [one for one in schemas() if one.startswith("SMOKE_")]

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr("insightmart.smoke.spoken_sql._merge_tables", interrupted)
        assert isinstance(smoke("--write", name).exception, click.Abort)
    assert [one for one in schemas() if one.startswith("SMOKE_")] == [kept]
    assert tried("--write", name)[GONE]["seen"].endswith(f"drop them when nobody needs them: {kept}")


def test_each_kind_of_work_is_held_to_its_own_role(
    account: Any, tried: Trying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As deploy/aws/cycle.yaml sets them: loads have a role of their own."""
    name = "role and warehouse of each kind of work can be used"
    monkeypatch.setenv("SNOWFLAKE_ROLE", "INSIGHTMART_PIPELINE")
    monkeypatch.setenv("SNOWFLAKE_LOAD_ROLE", "INSIGHTMART_LOADER")
    one = tried(name)[name]
    assert one["verdict"] == "held", one["seen"]
    assert "load as INSIGHTMART_LOADER on " in one["seen"]
    assert "transform as INSIGHTMART_PIPELINE on " in one["seen"]


@pytest.mark.parametrize(
    ("gateway", "arguments", "told"),
    [
        ("local", [], "the gateway is local: there is no account to try. Set INSIGHTMART_GATEWAY=snowflake"),
        ("snowflake", ["nothing"], "there is no check 'nothing'; --list names them"),
        ("snowflake", [FILE], f"{FILE!r} creates something: it needs --write"),
        ("snowflake", ["--json", "/nowhere/smoke.json"], "--json: there is no folder /nowhere"),
        ("snowflake", ["--keep"], "--keep needs --write: there is nothing to keep otherwise"),
    ],
)
def test_wrong_use_is_one_line(
    account: Any,
    smoke: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    gateway: str,
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.setenv("INSIGHTMART_GATEWAY", gateway)
    error = smoke(*arguments).exception
    assert error is not None
    assert (getattr(error, "exit_code", None), str(error)) == (2, told)
    assert account.statements == []


def test_every_type_of_the_contract_is_tried() -> None:
    assert {column.type for columns in raw_tables().values() for column in columns} <= set(AWKWARD)


def test_the_page_says_what_each_check_is_for() -> None:
    page = (PROJECT / "docs" / "snowflake.md").read_text(encoding="utf-8")
    rows = page.split("| Check | What for |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    assert sorted(row.split("|")[1].strip() for row in rows) == sorted([*CHECKS, GONE])


def test_the_corpus_is_read_whole() -> None:
    kept = read_corpus()
    assert len({one.text for one in kept}) == len(kept) > 900
    assert {"SELECT", "INSERT", "DELETE", "CREATE TABLE", "COPY", "PUT", "BEGIN"} <= {one.kind for one in kept}
    assert all(one.origin for one in kept)
