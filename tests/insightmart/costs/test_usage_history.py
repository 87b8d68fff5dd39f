"""What Snowflake metered: shared out by model, forecast for the month, and a problem before the budget is spent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from insightmart import runs
from insightmart.alerts.incidents import Incident, what_to_tell
from insightmart.cli import cli
from insightmart.costs.budget_watch import forecast, watch_budget
from insightmart.costs.usage_history import MeteredDay, usage_history
from insightmart.errors import InsightMartError
from insightmart.gateway import open_warehouse
from insightmart.runs import ProblemKind, recorded_run
from insightmart.settings import Settings, load_settings
from insightmart.status.problems import needs_attention
from insightmart.status.recent_runs import recent_notices
from tests.support.snowflake_account import ACCOUNT
from tests.support.status_facts import certified

NOW = datetime(2026, 3, 16, 0, 5)
USAGE = "snowflake.account_usage"


@pytest.fixture(scope="module")
def place(fake_account: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Warehouse]]:
    """An account that was metered for a while: 100 credits a day of the warehouses, 20 of clustering."""
    home = tmp_path_factory.mktemp("costs")
    with pytest.MonkeyPatch.context() as patch, fake_account(home / "stages"):
        patch.setattr(runs, "_current", None)
        for name, value in {**ACCOUNT, "INSIGHTMART_HOME": str(home)}.items():
            patch.setenv(name, value)
        settings = load_settings()
        with open_warehouse(settings) as warehouse:
            _meter(warehouse)
            yield settings, warehouse


def _meter(warehouse: Warehouse) -> None:
    days = [date(2026, 2, day) for day in (26, 27, 28)] + [date(2026, 3, day) for day in range(1, 16)]
    warehouse.insert(
        f"{USAGE}.metering_daily_history",
        [
            {"service_type": service, "usage_date": day, "credits_billed": credits}
            for day in days
            for service, credits in (("WAREHOUSE_METERING", 100), ("AUTO_CLUSTERING", 20))
        ],
    )
    warehouse.insert(
        f"{USAGE}.storage_usage",
        [
            {"usage_date": day, "storage_bytes": 9 * 10**12, "stage_bytes": 10**12, "failsafe_bytes": 2 * 10**12}
            for day in days
        ],
    )
    warehouse.insert(
        f"{USAGE}.warehouse_metering_history",
        [
            {
                "start_time": datetime(day.year, day.month, day.day, 7),
                "warehouse_name": name,
                "credits_used_compute": amount,
            }
            for day in days
            for name, amount in (("INSIGHTMART_TRANSFORM", 60), ("INSIGHTMART_REPORT", 40))
        ],
    )
    own = {"app": "insightmart", "run": "cycle-20260315T0705-0a1b2c3d"}
    tags = [
        ("INSIGHTMART_TRANSFORM", 30_000, json.dumps({**own, "model": "core.fct_orders__oltp"}, separators=(",", ":"))),
        ("INSIGHTMART_TRANSFORM", 10_000, json.dumps({**own, "model": "gate.sales__oltp"}, separators=(",", ":"))),
        ("INSIGHTMART_TRANSFORM", 20_000, json.dumps(own, separators=(",", ":"))),
        ("INSIGHTMART_REPORT", 5_000, "{not json"),
        ("INSIGHTMART_REPORT", 5_000, None),
    ]
    warehouse.insert(
        f"{USAGE}.query_history",
        [
            {"start_time": datetime(2026, 3, 15, 7), "warehouse_name": name, "execution_time": took, "query_tag": tag}
            for name, took, tag in tags
        ],
    )
    stored = {
        "active_bytes": 4 * 10**12,
        "time_travel_bytes": 10**11,
        "failsafe_bytes": 10**11,
        "retained_for_clone_bytes": 0,
    }
    warehouse.insert(
        f"{USAGE}.table_storage_metrics",
        [{"table_catalog": name, "table_schema": "RAW", **stored} for name in ("INSIGHTMART", "SOMEBODYS")],
    )


def test_credits_are_shared_out_to_models_and_add_up_to_what_was_metered(place: tuple[Settings, Warehouse]) -> None:
    settings, warehouse = place
    history = usage_history(warehouse, settings, NOW, 10)
    assert len(history.by_warehouse) == 2 * 10
    assert history.by_service == [("WAREHOUSE_METERING", 1000.0), ("AUTO_CLUSTERING", 200.0)]
    assert [(part.part, part.model, part.command, part.credits) for part in history.parts] == [
        ("others", None, None, 400.0),
        ("core", "core.fct_orders__oltp", "cycle", 300.0),
        ("cycle", None, "cycle", 200.0),
        ("gate", "gate.sales__oltp", "cycle", 100.0),
    ]
    assert sum(part.credits for part in history.parts) == sum(credits for *_, credits in history.by_warehouse)
    assert [(one.schema, one.active) for one in history.stored] == [("RAW", 4e12)]


def test_the_month_goes_on_as_in_the_last_days() -> None:
    days = [MeteredDay(date(2026, 3, day), 100.0 if day < 9 else 200.0, 2e12) for day in range(1, 16)]
    # 8 days of 100 and 7 of 200 are behind, 16 of 200 are to come
    found = forecast([*days, MeteredDay(date(2026, 3, 16), 3.0)], date(2026, 3, 16), 3.0, 23.0)
    assert found is not None
    assert (found.spent, found.pace) == (2200.0, 200.0)
    assert found.usd == (2200 + 16 * 200) * 3 + 2 * 23
    # on the first of a month the days before tell the pace, a day without a credit among them
    found = forecast(
        [MeteredDay(date(2026, 2, 25), 70.0), MeteredDay(date(2026, 2, 28), 70.0)], date(2026, 3, 1), 1.0, 1.0
    )
    assert found is not None
    assert (found.spent, found.pace, found.usd) == (0, 35.0, 35.0 * 31)
    assert forecast([MeteredDay(date(2026, 3, 1), 5.0)], date(2026, 3, 1), 3.0, 23.0) is None


def test_a_problem_is_told_once_a_day_before_the_budget_is_spent_and_the_run_goes_on(
    place: tuple[Settings, Warehouse],
) -> None:
    settings, warehouse = place
    # 31 days of 120 credits at 3 dollars, and 12 TB at 23
    assert watch_budget(warehouse, settings.model_copy(update={"budget_usd": 14_400}), NOW) == []
    tight = settings.model_copy(update={"budget_usd": 14_000})
    [found] = watch_budget(warehouse, tight, NOW)
    assert found.message == (
        "Snowflake will cost about 11,436 USD in March 2026, 82% of the budget of 14,000 USD:"
        " 1,800 credits so far, 120 a day"
    )
    dear = settings.model_copy(update={"snowflake_credit_usd": 5.0})
    [over] = watch_budget(warehouse, dear, NOW)
    assert "18,876 USD in March 2026, 105%" in over.message

    warehouse.execute("CREATE SCHEMA ops")
    create_tables(warehouse)
    with recorded_run(warehouse, settings, "cycle", NOW) as run:
        run.note([found])
    assert run.status == "succeeded"
    tables = {"ops.runs", "ops.run_problems"}
    later = datetime(2026, 3, 16, 23, 5)
    assert recent_notices(warehouse, tables, later) == [found]
    assert recent_notices(warehouse, tables, datetime(2026, 3, 17, 0, 5)) == []
    [problem] = needs_attention(certified(notices=[found]))
    assert (problem.kind, problem.level, problem.key) == ("cost", "warning", "cost")
    assert "11,436 USD" in problem.what
    [worse] = needs_attention(certified(notices=[over, found]))
    assert (worse.kind, worse.level, worse.key) == ("over budget", "bad", "cost")

    told: list[str] = []
    known: dict[str, Incident] = {}
    for hour in range(49):
        now = NOW + timedelta(hours=hour)
        for one in what_to_tell(known, [worse if hour > 24 else problem], now, "here"):
            known[one.incident.key] = one.incident
            told.append(f"{hour}: {one.change}")
    assert told == ["0: opened", "24: reminder", "25: worse"]


def test_an_account_that_does_not_say_what_it_costs_is_told_in_a_line(
    place: tuple[Settings, Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, warehouse = place
    warehouse.execute(f"ALTER TABLE {USAGE}.storage_usage RENAME TO {USAGE}.hidden")
    try:
        [found] = watch_budget(warehouse, settings, NOW)
    finally:
        warehouse.execute(f"ALTER TABLE {USAGE}.hidden RENAME TO {USAGE}.storage_usage")
    assert found.kind is ProblemKind.COST
    assert found.message.startswith("role INSIGHTMART_PIPELINE cannot read SNOWFLAKE.ACCOUNT_USAGE: ")
    assert "GRANT DATABASE ROLE SNOWFLAKE.USAGE_VIEWER TO ROLE INSIGHTMART_PIPELINE" in found.cure


def test_the_command_tells_what_was_metered(place: tuple[Settings, Warehouse], tmp_path: Path) -> None:
    file = tmp_path / "cost.json"
    done = CliRunner().invoke(
        cli, ["cost", "--from-history", "--days", "10", "--as-of", f"{NOW:%Y-%m-%dT%H:%M}", "--json", str(file)]
    )
    assert done.exit_code == 0, done.output
    assert "core.fct_orders__oltp  cycle" in done.output
    assert "March 2026 will come to about 11,436 USD, 64% of the budget of 18,000" in done.output
    assert json.loads(file.read_text())["forecast"]["usd"] == pytest.approx(11_436)


def test_there_is_nothing_to_watch_on_duckdb(settings_of_duckdb: Settings) -> None:
    with open_warehouse(settings_of_duckdb) as warehouse:
        assert watch_budget(warehouse, settings_of_duckdb, NOW) == []
        with pytest.raises(InsightMartError, match="only Snowflake meters what it does"):
            usage_history(warehouse, settings_of_duckdb, NOW, 30)


@pytest.fixture
def settings_of_duckdb(tmp_path: Path) -> Settings:
    return load_settings().model_copy(update={"home": tmp_path, "gateway": "local"})
