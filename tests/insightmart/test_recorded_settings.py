"""A warehouse keeps the settings that shape its figures; nothing goes on with other ones."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable
from datetime import date, datetime

import pytest

from ingestion.ops_tables import create_tables
from ingestion.warehouse import open_duckdb
from insightmart.commands.session import writing
from insightmart.errors import ConfigurationError
from insightmart.runs import CI_ACTORS, actor
from insightmart.settings import Settings

Run = Callable[..., tuple[int, str, str]]


def other(settings: Settings, **values: object) -> Settings:
    return settings.model_copy(update=values)


def test_the_first_command_records_and_another_one_refuses(settings: Settings) -> None:
    with writing(settings, "ingest") as session:
        recorded = dict(session.warehouse.rows("SELECT name, value FROM ops.settings"))
    assert recorded == {
        "INSIGHTMART_START": "2026-03-05",
        "INSIGHTMART_CURRENCY": "USD",
        "INSIGHTMART_TIMEZONE": "America/New_York",
    }
    with writing(settings, "ingest") as session:
        assert session.warehouse.value("SELECT COUNT(*) FROM ops.settings") == 3
    changed = other(settings, start=date(2026, 1, 1), currency="EUR")
    with pytest.raises(ConfigurationError) as refused, writing(changed, "ingest"):
        pass
    assert str(refused.value) == (
        "INSIGHTMART_CURRENCY is EUR, not USD, INSIGHTMART_START is 2026-01-01, not 2026-03-05, with which this"
        " warehouse was set up: its figures would be others. Run `export INSIGHTMART_CURRENCY=USD"
        " INSIGHTMART_START=2026-03-05`, or name another warehouse with INSIGHTMART_HOME"
    )


def test_commands_that_read_refuse_as_well(
    settings: Settings, insightmart: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(settings, "ingest"):
        pass
    monkeypatch.setenv("INSIGHTMART_TIMEZONE", "Europe/Berlin")
    for command in (["report"], ["status"], ["quarantine", "list"], ["reconcile"], ["sql", "SELECT 1"]):
        code, _, err = insightmart(*command)
        assert code == 2 and "INSIGHTMART_TIMEZONE is Europe/Berlin, not America/New_York" in err, command


def test_the_project_does_not_load_with_other_ones(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    import runpy

    from sqlmesh.utils.errors import ConfigError

    from insightmart.settings import PROJECT

    module = str(PROJECT / "macros" / "recorded_settings.py")
    with writing(settings, "ingest"):
        monkeypatch.setenv("INSIGHTMART_START", "2026-01-01")
        runpy.run_path(module)  # the file is open in this process, whose command has looked
    with pytest.raises(ConfigError, match="INSIGHTMART_START is 2026-01-01, not 2026-03-05"):
        runpy.run_path(module)


def test_an_instant_before_history_is_one_line(settings: Settings, insightmart: Run) -> None:
    for command in ("cycle", "ingest", "report", "status", "reconcile"):
        code, _, err = insightmart(command, "--as-of", "2026-03-04T23:59")
        assert code == 2 and "before the first day of history, 2026-03-05" in err, command
    assert not settings.database_path.exists()


def test_a_run_says_who_acted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CI_ACTORS:
        monkeypatch.delenv(name, raising=False)
    assert actor(settings) == f"{getpass.getuser()}@{socket.gethostname()}"
    monkeypatch.setenv("GITHUB_ACTOR", "octocat")
    assert actor(settings) == "octocat"
    named = other(settings, actor="nightly job")
    with writing(named, "ingest") as session, session.recorded_run(datetime(2026, 3, 6)):
        pass
    with open_duckdb(settings.database_path) as warehouse:
        assert warehouse.rows("SELECT actor FROM ops.runs") == [("nightly job",)]


def test_a_warehouse_from_before_gets_the_column(settings: Settings) -> None:
    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        warehouse.execute("ALTER TABLE ops.runs DROP COLUMN actor")
        warehouse.execute("DROP TABLE ops.schema_version")
        create_tables(warehouse)
        assert warehouse.rows("SELECT actor FROM ops.runs") == []
