"""A warehouse of another version: brought up, or refused in words with what to do."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion.migrations import migrations
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.commands.session import writing
from insightmart.errors import InsightMartError
from insightmart.gateway import open_warehouse
from insightmart.schema_version import bring_up, make_ready
from insightmart.settings import Settings, load_settings
from tests.support.needed_rights import OWNERSHIP, lacking, needed_rights
from tests.support.snowflake_account import ACCOUNT
from tests.support.workshop import CommandLine

AS_OF = datetime(2026, 3, 6, 1, 5)
LATER = {"version": 99, "name": "of next year", "checksum": "0", "applied_at": AS_OF, "actor": "ann"}


def test_a_warehouse_of_a_later_version_is_refused_by_whoever_opens_it(
    settings: Settings, insightmart: CommandLine
) -> None:
    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        warehouse.insert("ops.schema_version", [LATER])
    said = (
        "insightmart: this warehouse was made by a later version: it is at 99 (of next year, applied 2026-03-06 01:05"
        f" UTC by ann), and this code knows {len(migrations())}. Update the code, or restore the warehouse as it was"
        " before\n"
    )
    for command in (["ingest", "--as-of", "2026-03-06"], ["status"], ["setup"], ["setup", "--plan"]):
        code, _, err = insightmart(*command)
        assert (code, err) == (2, said), command
    with open_duckdb(settings.database_path) as warehouse:
        assert warehouse.value("SELECT COUNT(*) FROM ops.runs") == 0


def test_a_version_that_was_changed_after_it_was_applied_is_refused(settings: Settings) -> None:
    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        warehouse.execute("UPDATE ops.schema_version SET checksum = 'c0ffee' WHERE version = 2")
    said = r"version 2 \(columns of before\) is another one than"
    with pytest.raises(InsightMartError, match=said) as refused, writing(settings, "ingest"):
        pass
    assert "a change is a file of its own, after version" in str(refused.value)


def test_an_earlier_one_is_brought_up_by_what_writes_and_not_by_what_reads(
    settings: Settings, insightmart: CommandLine
) -> None:
    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        warehouse.execute("DELETE FROM ops.schema_version WHERE version = 2")
        warehouse.execute("ALTER TABLE ops.runs DROP COLUMN actor")
    code, _, err = insightmart("status")
    assert (code, err) == (
        2,
        "insightmart: this warehouse is at version 1, and this code is made for 2: it lacks 2 (columns of before). The"
        " next command that writes brings it up to date: insightmart cycle\n",
    )
    with writing(settings, "ingest") as session:
        assert session.warehouse.value("SELECT COUNT(actor) FROM ops.runs") == 0
        assert session.warehouse.value("SELECT MAX(version) FROM ops.schema_version") == 2


def test_setup_says_what_it_would_do_does_it_and_then_nothing(settings: Settings, insightmart: CommandLine) -> None:
    code, planned, _ = insightmart("setup", "--plan")
    assert (code, planned.count("would be applied"), settings.database_path.exists()) == (0, 2, False)
    found = insightmart.json("setup", "--as-of", "2026-03-06T01:05")
    assert (found["done"], found["from_version"], found["to_version"]) == (True, 0, len(migrations()))
    assert found["state"]["standing"] == "missing"
    code, again, _ = insightmart("setup", "--as-of", "2026-03-06T01:05")
    assert (code, "Nothing to do." in again) == (0, True)
    with open_duckdb(settings.database_path) as warehouse:
        assert warehouse.rows("SELECT command, status, as_of FROM ops.runs") == [("setup", "succeeded", AS_OF)] * 2
        kinds = warehouse.rows("SELECT kind, subject FROM ops.ledger ORDER BY sequence")
    assert [subject for _, subject in kinds[1:3]] == ["version 1", "version 2"]
    assert [kind for kind, _ in kinds] == ["beginning", *["set-up"] * 4]
    assert insightmart("ledger", "verify")[0] == 0


def test_a_statement_that_is_refused_is_one_line_and_the_next_set_up_goes_on(
    settings: Settings, insightmart: CommandLine
) -> None:
    with open_duckdb(settings.database_path) as warehouse:
        warehouse.execute("CREATE SCHEMA raw")
        warehouse.execute("CREATE VIEW raw.oltp_orders AS SELECT 1 AS one")
    code, _, err = insightmart("setup")
    assert code == 1
    assert err.splitlines()[-1].startswith("insightmart: the tables could not be brought to version 2 (columns of")
    assert "run `insightmart setup` again" in err.splitlines()[-1]
    with open_duckdb(settings.database_path) as warehouse:
        assert warehouse.rows("SELECT version FROM ops.schema_version") == [(1,)]
        warehouse.execute("DROP VIEW raw.oltp_orders")
        warehouse.execute("CREATE TABLE raw.oltp_orders (order_id BIGINT)")
    assert insightmart("setup")[0] == 0


def test_a_version_of_before_the_ledger_leaves_it_sound(settings: Settings, insightmart: CommandLine) -> None:
    """As plain `sqlmesh plan` leaves it, where it is the first command."""
    with open_duckdb(settings.database_path) as warehouse:
        make_ready(warehouse, settings)
    for _ in range(2):
        with writing(settings, "ingest") as session, session.recorded_run(AS_OF):
            pass
    assert insightmart("ledger", "verify")[0] == 0


@pytest.fixture
def account(fake_account: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    with fake_account(tmp_path / "stages") as session:
        yield session


def test_on_snowflake_a_command_looks_at_the_version_and_creates_nothing(account: Any) -> None:
    settings = load_settings()
    with open_warehouse(settings) as warehouse, pytest.raises(InsightMartError) as refused:
        make_ready(warehouse, settings)
    assert str(refused.value) == (
        "this warehouse is not set up by a version that kept count, or not at all, and this code is made for 2: it"
        " lacks 1 (tables) and later ones. Run `insightmart setup`; with --plan it only shows what it would do"
    )
    assert len(account.statements) == 1
    with open_warehouse(settings) as warehouse:
        bring_up(warehouse, settings)
        before = len(account.statements)
        make_ready(warehouse, settings)
    [asked] = account.statements[before:]
    assert asked.startswith("SELECT version, name, checksum")


@pytest.mark.parametrize("load_role", ["PIPELINE", "LOADER"])
def test_whoever_loads_owns_raw_and_each_role_may_do_what_it_does(
    account: Any, load_role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNOWFLAKE_LOAD_ROLE", f"INSIGHTMART_{load_role}")
    settings = load_settings()
    with open_warehouse(settings) as warehouse:
        bring_up(warehouse, settings)
    by_role: dict[str, list[str]] = {}
    for role, text in zip(account.roles, account.texts, strict=True):
        by_role.setdefault(role.removeprefix("INSIGHTMART_"), []).append(text)
    assert set(by_role) == {"PIPELINE", load_role}
    for role, texts in by_role.items():
        assert lacking(role, needed_rights(texts)) == set(), role
    assert ("schema RAW", "CREATE TABLE") in needed_rights(by_role[load_role])
    assert ("tables in RAW", OWNERSHIP) in needed_rights(by_role[load_role])
    if load_role == "LOADER":
        assert not [on for on, _ in needed_rights(by_role["PIPELINE"]) if "RAW" in on]


def test_the_warehouse_is_asked_once_where_nothing_is_to_do(settings: Settings) -> None:
    asked: list[str] = []

    class Counted(Warehouse):
        def _run(self, sql: str, params: Any) -> Any:
            asked.append(sql)
            return super()._run(sql, params)

    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        make_ready(Counted(warehouse.connection, "duckdb"), settings)
    assert len(asked) == 1
