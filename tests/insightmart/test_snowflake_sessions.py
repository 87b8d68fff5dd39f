"""Sessions on Snowflake: what each is told, whose statements say what they are for, and which are used again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import snowflake.connector.errors
from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp
from sqlmesh.core.config.connection import SnowflakeConnectionConfig
from sqlmesh.core.dialect import schema_

import insightmart.transform.sqlmesh_patches  # noqa: F401  which a project that loads imports itself
from ingestion.warehouse import DATABASE
from insightmart import runs
from insightmart.errors import InsightMartError
from insightmart.gateway import dlt_destination, open_beside, open_to_read, open_warehouse
from insightmart.runs import recorded_run
from insightmart.settings import Settings, load_settings
from insightmart.snowflake_sessions import connect, query_tag, working_on
from insightmart.watchdog import TimeIsUp
from tests.support.snowflake_account import ACCOUNT

TOLD = {
    "TIMEZONE": "UTC",
    "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
    "STATEMENT_TIMEOUT_IN_SECONDS": 3600,
    "LOCK_TIMEOUT": 600,
    "ABORT_DETACHED_QUERY": True,
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(runs, "_current", None)
    for name, value in {**ACCOUNT, "INSIGHTMART_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.fixture
def account(fake_account: Any, settings: Settings, tmp_path: Path) -> Iterator[Any]:
    with fake_account(tmp_path / "stages") as session:
        yield session


def test_every_way_to_the_account_is_told_the_same(account: Any, settings: Settings) -> None:
    with open_warehouse(settings) as warehouse, open_beside(warehouse, settings) as own:
        assert warehouse.value("SELECT 1") == own.value("SELECT 1")
        with _dlt_client(settings) as client:
            client.execute_sql("SELECT 1")
            adapter = _adapter()
            assert adapter.fetchone("SELECT 1") == (1,)
    assert len(account.connections) == 4
    for opened in account.connections:
        told = dict(opened["session_parameters"])
        assert json.loads(told.pop("QUERY_TAG"))["app"] == "insightmart"
        assert told == TOLD
        assert (opened["application"], opened["role"]) == ("insightmart", "INSIGHTMART_PIPELINE")


def test_each_kind_of_work_has_its_warehouse_and_its_role(
    account: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for work in ("LOAD", "GATE", "REPORT"):
        monkeypatch.setenv(f"SNOWFLAKE_{work}_WAREHOUSE", f"INSIGHTMART_{work}")
    monkeypatch.setenv("SNOWFLAKE_LOAD_ROLE", "INSIGHTMART_LOADER")
    monkeypatch.setenv("SNOWFLAKE_REPORT_ROLE", "INSIGHTMART_AUDITOR")
    settings = load_settings()
    with (
        open_warehouse(settings) as warehouse,
        open_beside(warehouse, settings),
        open_warehouse(settings, "gate"),
        open_to_read(settings),
    ):
        _dlt_client(settings).open_connection()
    assert [(opened["warehouse"], opened["role"]) for opened in account.connections] == [
        ("INSIGHTMART_TRANSFORM", "INSIGHTMART_PIPELINE"),
        ("INSIGHTMART_LOAD", "INSIGHTMART_LOADER"),
        ("INSIGHTMART_GATE", "INSIGHTMART_PIPELINE"),
        ("INSIGHTMART_REPORT", "INSIGHTMART_AUDITOR"),
        ("INSIGHTMART_LOAD", "INSIGHTMART_LOADER"),
    ]


def test_a_statement_carries_the_run_and_the_model_it_is_for(account: Any, settings: Settings) -> None:
    assert json.loads(query_tag()) == {"app": "insightmart"}
    with open_warehouse(settings) as warehouse:
        warehouse.execute("CREATE SCHEMA ops")
        for table, columns in (
            (
                "runs",
                "run_id, command, as_of, git_sha, gateway, environment, status, started_at, actor, error, plan_id",
            ),
            ("run_problems", "run_id, kind, subject, message, cure, recorded_at"),
        ):
            listed = ", ".join(f"{column.strip()} VARCHAR" for column in columns.split(","))
            warehouse.execute(f"CREATE TABLE ops.{table} ({listed})")
        warehouse.execute("ALTER TABLE ops.runs ADD COLUMN ended_at VARCHAR")
        warehouse.execute("ALTER TABLE ops.runs ADD COLUMN summary VARCHAR")
        with recorded_run(warehouse, settings, "cycle", datetime(2026, 3, 6, 1, 5)) as run:
            warehouse.execute("SELECT 1")
            with working_on("core.fct_orders__oltp"):
                warehouse.execute("SELECT 2")
    sent = dict(zip(account.statements, account.tags, strict=True))
    assert sent["SELECT 1"] == {"app": "insightmart", "run": run.run_id}
    assert sent["SELECT 2"] == {"app": "insightmart", "run": run.run_id, "model": "core.fct_orders__oltp"}


def test_a_closed_session_is_the_next_one_of_its_kind(account: Any, settings: Settings) -> None:
    first = connect(settings, "transform")
    first.cursor().execute("SELECT 1")
    first.close()
    assert first.is_closed()
    first.close()  # once is enough
    second, third = connect(settings, "transform"), connect(settings, "transform")
    assert len(account.connections) == 2
    second.close()
    third.close()
    assert connect(settings, "transform", autocommit=False) is not None
    assert len(account.connections) == 3


def test_a_session_on_which_a_statement_failed_is_not_used_again(account: Any, settings: Settings) -> None:
    with open_warehouse(settings) as warehouse, pytest.raises(snowflake.connector.errors.ProgrammingError):
        warehouse.execute("SELECT * FROM nothing.of_that_name")
    with open_warehouse(settings) as warehouse:
        assert warehouse.value("SELECT 1") == 1
    assert len(account.connections) == 2


def test_a_session_whose_statement_was_interrupted_is_not_used_again(
    account: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise TimeIsUp

    with open_warehouse(settings) as warehouse, monkeypatch.context() as over, pytest.raises(TimeIsUp):
        over.setattr(FakeSnowflakeCursor, "execute", interrupted)
        warehouse.execute("SELECT 1")
    with open_warehouse(settings) as warehouse:
        assert warehouse.value("SELECT 1") == 1
    assert len(account.connections) == 2


def test_only_what_was_changed_is_committed(account: Any, settings: Settings) -> None:
    session = connect(settings, "transform", autocommit=False)
    cursor = session.cursor()
    cursor.execute("CREATE SCHEMA core")
    cursor.execute("CREATE TABLE core.orders (order_id BIGINT)")
    session.commit()  # DDL has committed itself
    cursor.execute("/* a plan */ INSERT INTO core.orders VALUES (1)")
    session.commit()
    cursor.execute("SELECT * FROM core.orders")
    session.commit()
    cursor.execute("DELETE FROM core.orders")
    session.rollback()
    cursor.execute("SELECT COUNT(*) FROM core.orders")
    assert [one for one in account.statements if one in ("COMMIT", "ROLLBACK")] == ["COMMIT", "ROLLBACK"]


def test_a_session_with_changes_that_are_not_committed_is_not_used_again(account: Any, settings: Settings) -> None:
    first = connect(settings, "transform", autocommit=False)
    first.cursor().execute("CREATE TABLE main.orders (order_id BIGINT)")
    first.cursor().execute("INSERT INTO main.orders VALUES (1)")
    first.close()
    connect(settings, "transform", autocommit=False)
    assert len(account.connections) == 2


def test_what_sqlmesh_has_asked_is_asked_again_after_a_change(account: Any, settings: Settings) -> None:
    adapter, columns = _adapter(), {"ORDER_ID": exp.DataType.build("bigint")}

    def asked() -> list[int]:
        sent = [one.split("*/")[-1].strip() for one in account.statements]
        return [sum(one.startswith(kind) for one in sent) for kind in ("CREATE SCHEMA", "DESCRIBE", "SELECT CURRENT")]

    for _ in range(2):
        adapter.create_schema("CORE")
        adapter.create_table("CORE.ORDERS", columns)
        assert list(adapter.columns("CORE.ORDERS")) == ["ORDER_ID"]
    assert asked() == [1, 1, 0]
    adapter.drop_table("CORE.ORDERS")
    adapter.create_table("CORE.ORDERS", columns)
    adapter.columns("CORE.ORDERS")
    assert asked() == [1, 2, 0]


def test_what_can_be_built_again_pays_for_no_history(account: Any, settings: Settings) -> None:
    adapter = _adapter()
    for schema in ("STAGING", "CORE", "GATE", "CERTIFIED"):
        adapter.create_schema(schema_(f"sqlmesh__{schema}", DATABASE))
    sent = [one.split("*/")[-1].split("SCHEMA")[0].strip() for one in account.statements if "SCHEMA IF NOT" in one]
    assert sent == ["CREATE TRANSIENT", "CREATE TRANSIENT", "CREATE", "CREATE"]


def test_a_view_that_is_replaced_keeps_who_may_read_it(account: Any, settings: Settings) -> None:
    adapter = _adapter()
    adapter.create_schema("CERTIFIED")
    for value in (1, 2):
        adapter.create_view("CERTIFIED.ORDERS", exp.select(exp.Literal.number(value).as_("ORDER_ID")))
    replaced = [one for one in account.statements if "REPLACE VIEW" in one]
    assert len(replaced) == 2
    assert all(" COPY GRANTS " in one for one in replaced)
    assert adapter.fetchall("SELECT * FROM CERTIFIED.ORDERS") == [(2,)]


def test_the_row_of_a_gate_is_one_insert(account: Any, settings: Settings) -> None:
    adapter, columns = _adapter(), {"SCAN_ID": exp.DataType.build("varchar"), "PASSED": exp.DataType.build("int")}
    adapter.create_schema("GATE")
    adapter.create_table("GATE.SALES", columns)
    before = len(account.statements)
    adapter.insert_append("GATE.SALES", pd.DataFrame([{"SCAN_ID": "a", "PASSED": 24}]), columns)
    assert [one.split()[0] for one in account.statements[before:]] == ["INSERT", "COMMIT"]
    assert adapter.fetchall("SELECT * FROM GATE.SALES") == [("a", 24)]


def test_an_account_that_stops_answering_is_one_line_and_leaves_nothing_half_done(
    account: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_warehouse(settings) as warehouse:
        warehouse.execute("CREATE TABLE main.published AS SELECT 1 AS hour")
        with pytest.raises(InsightMartError) as failure, warehouse.transaction():
            warehouse.execute("DELETE FROM main.published")
            with monkeypatch.context() as stopped:
                stopped.setattr(FakeSnowflakeCursor, "execute", _no_answer)
                warehouse.execute("INSERT INTO main.published SELECT 2")
    assert str(failure.value) == (
        "Snowflake does not answer: 250003: Failed to get the response. Hanging. Nothing that was under way is"
        " published, and the next cycle goes on from there; see the account's status page"
    )
    with open_warehouse(settings) as warehouse:
        assert warehouse.rows("SELECT hour FROM main.published") == [(1,)]


def test_an_account_that_cannot_be_reached_is_one_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snowflake.connector, "connect", _no_answer)
    with pytest.raises(InsightMartError, match=r"^Snowflake does not answer: 250003: Failed"):
        open_warehouse(settings)


def _no_answer(*_: Any, **__: Any) -> Any:
    raise snowflake.connector.errors.OperationalError(msg="Failed to get the response.\n Hanging", errno=250003)


def _adapter() -> Any:
    """SQLMesh's, as a project has it."""
    return SnowflakeConnectionConfig(account="other", user="other", password="other").create_engine_adapter()


def _dlt_client(settings: Settings) -> Any:
    """dlt's SQL client on a session, as its jobs have one."""
    from dlt.common.schema import Schema
    from dlt.destinations.impl.snowflake.configuration import SnowflakeClientConfiguration

    configuration = SnowflakeClientConfiguration()._bind_dataset_name("raw")
    return dlt_destination(settings).client(Schema("oltp"), configuration).sql_client
