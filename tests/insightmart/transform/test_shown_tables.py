"""What readers see of certified on Snowflake: a project of three models, planned and run on what stands in for one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmesh import Context
from sqlmesh.core.config import Config, DuckDBConnectionConfig, GatewayConfig, ModelDefaultsConfig
from sqlmesh.core.config.connection import SnowflakeConnectionConfig
from sqlmesh.core.config.linter import LinterConfig
from sqlmesh.core.engine_adapter.base import EngineAdapter
from sqlmesh.utils.errors import SQLMeshError

from ingestion.ops_tables import OPS_TABLES
from ingestion.warehouse import DATABASE
from insightmart.read_copy import CERTIFIED_COPY
from insightmart.transform import alone_on_prod, shown_tables, sqlmesh_patches
from tests.support.snowflake_account import ACCOUNT

assert sqlmesh_patches

MACRO = """
from sqlmesh import macro
@macro()
def shows(evaluator):
    from insightmart.transform.shown_tables import show
    if evaluator.this_env == 'prod':
        show(evaluator.engine_adapter, evaluator.snapshots, has_ended=evaluator.runtime_stage == 'after_all')
    return ['SELECT 1']
"""
MODELS = {
    "fct_orders__oltp": "kind FULL); SELECT hour::INT AS hour, amount::INT AS amount FROM raw.orders",
    "fct_refunds__oltp": "kind FULL); SELECT hour::INT AS hour, (amount / amount)::INT AS refunds FROM raw.orders",
    "fct_orders": "kind VIEW, description 'All orders.'); SELECT hour, amount /* What it came to */"
    " FROM certified.fct_orders__oltp",
    "agg_orders": "kind VIEW); SELECT MAX(o.hour) AS hour, SUM(o.amount) AS amount FROM certified.fct_orders AS o",
}
ASKED = "SELECT (SELECT hour FROM certified.agg_orders), (SELECT MAX(hour) FROM certified.fct_refunds__oltp)"


class Account:
    """A fake account with a project of its own."""

    def __init__(self, session: Any, folder: Path) -> None:
        self.session = session
        self.folder = folder
        (folder / "macros").mkdir(parents=True)
        (folder / "models").mkdir()
        (folder / "macros" / "__init__.py").touch()
        (folder / "macros" / "shown.py").write_text(MACRO)
        for name, text in MODELS.items():
            self.write(name, text)
        self.context = self.opened()
        adapter = self.context.engine_adapter
        for schema in ("raw", "ops"):
            adapter.execute(f"CREATE SCHEMA {schema}")
        adapter.execute(f"CREATE TABLE ops.unpublished_windows ({OPS_TABLES['unpublished_windows']})")
        adapter.execute("CREATE TABLE raw.orders AS SELECT 1 AS hour, 10 AS amount")
        self.plan()

    def write(self, name: str, text: str) -> None:
        head = f"MODEL (name certified.{name}, cron '@hourly', start '2026-03-01', owner a, "
        (self.folder / "models" / f"{name}.sql").write_text(head + text)

    def opened(self) -> Context:
        """The project as the next command has it."""
        return Context(
            paths=str(self.folder),
            config=Config(
                gateways={
                    "snowflake": GatewayConfig(
                        connection=SnowflakeConnectionConfig(
                            account="a", user="u", password="p", database=DATABASE, concurrent_tasks=2
                        ),
                        state_connection=DuckDBConnectionConfig(database=str(self.folder / "state.duckdb")),
                    )
                },
                model_defaults=ModelDefaultsConfig(dialect="snowflake"),
                before_all=["@shows()"],
                after_all=["@shows()"],
                linter=LinterConfig(enabled=False),
                disable_anonymized_analytics=True,
            ),
        )

    def another_command(self) -> None:
        self.context.close()
        self.context = self.opened()

    def plan(self, environment: str = "prod", **options: Any) -> None:
        named = {"no_prompts": True, "auto_apply": True, "skip_tests": True, "categorizer_config": None}
        self.context.plan(environment, **(named | options))

    def hour(self, number: int, amount: int = 10) -> None:
        """Another hour is in raw, and due."""
        adapter = self.context.engine_adapter
        with adapter.transaction():
            adapter.execute(f"UPDATE raw.orders SET hour = {number}, amount = {amount}")
        models = [f"certified.{name}" for name in ("fct_orders__oltp", "fct_refunds__oltp")]
        self.plan(restate_models=models)

    def run_later(self) -> None:
        """A run of another command, with hours due."""
        self.another_command()
        self.context.run(execution_time=datetime.now(UTC) + timedelta(hours=2))

    def shown(self, question: str = ASKED) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self.context.engine_adapter.fetchone(question)
        return found

    def tables(self) -> list[str]:
        """The tables that are written."""
        found = self.context.engine_adapter.fetchall(
            f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{shown_tables.WRITTEN}'"
            " AND table_type = 'BASE TABLE' ORDER BY table_name"
        )
        return [f'"{shown_tables.WRITTEN}"."{name}"' for (name,) in found]

    def copies(self) -> int:
        return sum(" CLONE " in text for text in self.session.statements)

    def views(self) -> dict[str, str]:
        """What each view of prod is made of."""
        asked = "SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = 'CERTIFIED'"
        return dict(self.context.engine_adapter.fetchall(asked))


@pytest.fixture
def account(fake_account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name, value in {**ACCOUNT, "INSIGHTMART_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(alone_on_prod, "is_held", lambda: True)  # the lock, whose database is not here
    with fake_account(tmp_path / "stages") as session:
        found = Account(session, tmp_path / "project")
        yield found
        found.context.close()


def test_tables_change_together_when_everything_is_written(account: Account) -> None:
    assert account.shown() == (1, 1)
    seen = []
    account.session.watched_by = lambda connection, _: seen.append(
        connection.cursor().execute(ASKED.replace("certified.", "INSIGHTMART.CERTIFIED.")).fetchone()
    )
    account.hour(2)
    account.session.watched_by = None
    assert dict.fromkeys(seen) == dict.fromkeys([(1, 1), (2, 2)])
    before = account.copies()
    account.context.run()  # nothing is due
    assert account.copies() == before


def test_views_of_prod_read_the_copy_and_keep_their_words_and_those_of_others_do_not(account: Account) -> None:
    views = account.views()
    assert sorted(views) == sorted(name.upper() for name in MODELS)
    assert all(CERTIFIED_COPY in text and shown_tables.WRITTEN not in text for text in views.values()), views
    made = [text for text in account.session.statements if 'VIEW "INSIGHTMART"."CERTIFIED"."FCT_ORDERS" ' in text]
    assert [" COPY GRANTS COMMENT='All orders.' AS " in text for text in made] == [True, False]
    assert "COMMENT 'What it came to'" in made[1]
    account.write("fct_refunds__oltp", MODELS["fct_refunds__oltp"].replace("amount / amount", "2 * amount / amount"))
    account.another_command()
    before = account.copies()
    account.plan("dev")
    assert account.copies() == before
    dev = account.context.engine_adapter.fetchall(
        "SELECT view_definition FROM information_schema.views WHERE table_schema = 'CERTIFIED__DEV'"
    )
    assert dev
    assert all(shown_tables.WRITTEN in text and CERTIFIED_COPY not in text for (text,) in dev)
    assert account.shown("SELECT refunds FROM certified.fct_refunds__oltp") == (1,)
    account.plan()
    assert account.shown("SELECT refunds FROM certified.fct_refunds__oltp") == (2,)
    assert CERTIFIED_COPY in account.views()["FCT_REFUNDS__OLTP"]


def test_what_belongs_together_is_shown_together_or_not_at_all(account: Account) -> None:
    with pytest.raises(SQLMeshError):
        account.hour(2, amount=0)  # no refund can be computed
    account.hour(3)
    assert account.shown() == (1, 1)
    assert shown_tables.is_unseen(account.context.engine_adapter)
    account.run_later()
    assert account.shown() == (3, 3)
    assert not shown_tables.is_unseen(account.context.engine_adapter)


def killed_after_one_table(account: Account, monkeypatch: pytest.MonkeyPatch, hour: int) -> None:
    """Somebody kills the command that writes an hour between its two tables."""
    evaluate = EngineAdapter.replace_query

    def killed(self: Any, table: Any, *args: Any, **kwargs: Any) -> None:
        if "FCT_REFUNDS" in str(table):
            raise KeyboardInterrupt
        evaluate(self, table, *args, **kwargs)

    with monkeypatch.context() as over:
        over.setattr(EngineAdapter, "replace_query", killed)
        with pytest.raises(KeyboardInterrupt):
            account.hour(hour)


def test_what_a_killed_command_has_written_is_shown_by_the_next_run_and_not_before(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after_one_table(account, monkeypatch, 2)
    written = "SELECT (SELECT MAX(hour) FROM {}), (SELECT MAX(hour) FROM {})".format(*account.tables())
    assert sorted(account.shown(written)) == [1, 2]
    assert account.shown() == (1, 1)
    account.another_command()
    account.plan(restate_models=["certified.fct_orders__oltp"])  # shows nothing of what was left half done
    assert account.shown() == (1, 1)
    account.run_later()
    assert account.shown() == (2, 2)
    before = account.copies()
    account.another_command()
    account.hour(3)
    assert account.copies() == before + 1
    assert account.shown("SELECT COUNT(*) FROM ops.unpublished_windows") == (0,)


def test_a_promotion_shows_nothing_of_what_a_killed_command_has_written(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after_one_table(account, monkeypatch, 2)
    account.write("agg_orders", MODELS["agg_orders"].replace("SUM(o.amount)", "10 * SUM(o.amount)"))
    account.write("fct_items", "kind FULL); SELECT 7 AS items")
    account.another_command()
    account.plan()
    assert account.shown() == (1, 1)
    assert account.shown("SELECT amount, (SELECT items FROM certified.fct_items) FROM certified.agg_orders") == (100, 7)
    account.run_later()
    assert account.shown() == (2, 2)
    assert account.shown("SELECT COUNT(*) FROM ops.unpublished_windows") == (0,)


def test_views_of_an_earlier_version_come_to_read_the_copy(account: Account) -> None:
    refunds = account.tables()[1]
    account.context.engine_adapter.execute(
        f"CREATE OR REPLACE VIEW certified.fct_refunds__oltp AS SELECT * FROM {refunds}"
    )
    account.run_later()
    assert CERTIFIED_COPY in account.views()["FCT_REFUNDS__OLTP"]
    account.another_command()
    made = sum('REPLACE VIEW "INSIGHTMART"."CERTIFIED"' in text for text in account.session.statements)
    account.hour(2)
    assert sum('REPLACE VIEW "INSIGHTMART"."CERTIFIED"' in text for text in account.session.statements) == made
    assert account.shown() == (2, 2)
