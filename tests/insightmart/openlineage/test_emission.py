"""Events of real runs at a real end, and ends that are none."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.clock import utc_now
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.commands.session import Session
from insightmart.gateway import open_warehouse
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import Settings, load_settings
from tests.support.built_homes import copy_home
from tests.support.openlineage_events import Collector, checked, collecting
from tests.support.snowflake_account import ACCOUNT
from tests.support.workshop import CommandLine

AS_OF = datetime(2026, 3, 6, 10, 5)
SECRET = "hunter2"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[Warehouse]:
    """An empty warehouse with the tables of ops."""
    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        yield warehouse


def session(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, url: str, command: str = "ingest") -> Session:
    monkeypatch.setenv("OPENLINEAGE_URL", url)
    monkeypatch.setenv("OLTP_DSN", f"postgresql://me:{SECRET}@db.example:5433/shop")
    monkeypatch.setenv("STORES_URL", "s3://drops/stores/")
    monkeypatch.setenv("SHOPIFY_URL", f"https://me:{SECRET}@shop.example")
    return Session(command, load_settings(), warehouse, utc_now())


def load(warehouse: Warehouse, source: str, entity: str, rows: int) -> None:
    now = utc_now()
    row = {"load_id": "1772700000.5", "source": source, "entity": entity, "rows": rows, "status": "loaded"}
    hours = {"window_start": AS_OF - timedelta(hours=1), "window_end": AS_OF, "started_at": now, "ended_at": now}
    warehouse.insert("ops.loads", [row | hours])


def problems(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows("SELECT kind, message FROM ops.run_problems ORDER BY recorded_at")


@pytest.mark.slow
def test_a_restatement_tells_every_model_that_was_evaluated(
    built_home: Path,
    settings: Settings,
    collector: Collector,
    insightmart: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy_home(built_home, settings.home)
    monkeypatch.setenv("OPENLINEAGE_URL", collector.url)
    monkeypatch.setenv("INSIGHTMART_AS_OF", AS_OF.isoformat())
    hours = ("--from", "2026-03-05T12:00", "--to", "2026-03-05T13:00")
    code, _, err = insightmart("restate", "staging._oltp_orders", *hours, "--yes")
    assert (code, "lineage" in err) == (0, False)
    events = [checked(event) for event in collector.received]
    assert [events[0]["eventType"], events[-1]["eventType"]] == ["START", "COMPLETE"]
    assert {events[0]["job"]["name"], events[-1]["job"]["name"]} == {"restate"}
    parent = events[0]["run"]["runId"]
    with open_duckdb(settings.database_path) as warehouse:
        (run,) = warehouse.rows("SELECT run_id, started_at FROM ops.runs WHERE command = 'restate'")
        evaluated = dict(
            warehouse.rows("SELECT model, COUNT(*) FROM ops.run_intervals WHERE run_id = ? GROUP BY model", [run[0]])
        )
    runs = [event for event in events[1:-1] if event["schemaURL"].endswith("RunEvent")]
    assert {event["job"]["name"] for event in runs} == set(evaluated)
    assert {event["run"]["facets"]["parent"]["run"]["runId"] for event in runs} == {parent}
    assert {"value": run[0], "key": "run_id", "source": "INSIGHTMART"} in events[0]["run"]["facets"]["tags"]["tags"]
    for model in evaluated:
        assert sorted(event["eventType"] for event in collector.of(model)) == ["COMPLETE", "START"]
    _, done = collector.of("core.fct_orders__oltp")
    assert done["run"]["facets"]["nominalTime"]["nominalStartTime"] == "2026-03-05T12:00:00.000000Z"
    assert {test["name"] for test in done["run"]["facets"]["test"]["tests"]} >= {"not_null", "sums_agree"}
    (orders,) = done["outputs"]
    assert orders["name"] == "INSIGHTMART.CORE.FCT_ORDERS__OLTP"
    assert orders["namespace"] == f"duckdb://{settings.database_path}"
    lineage = orders["facets"]["columnLineage"]
    (amount,) = [one for one in lineage["fields"]["TOTAL_AMOUNT"]["inputFields"] if one["field"] == "TOTAL_AMOUNT"]
    assert (amount["name"], amount["transformations"][0]["type"]) == ("INSIGHTMART.STAGING._OLTP_ORDERS", "DIRECT")
    assert {"FILTER"} == {
        use["subtype"] for one in lineage["dataset"] if one["field"] == "IS_COUNTED" for use in one["transformations"]
    }
    _, gate = collector.of("gate.sales__oltp")
    asserted = {
        one["name"]: one["inputFacets"]["dataQualityAssertions"]["assertions"]
        for one in gate["inputs"]
        if one["inputFacets"]
    }
    assert any(
        one["name"] == "a line counts once" and one["success"]
        for one in asserted["INSIGHTMART.CORE.FCT_ORDER_LINES__OLTP"]
    )
    (daily,) = [event for event in events if event["job"]["name"] == "certified.agg_sales_daily"][-1:]
    assert "NET_SALES" in daily["outputs"][0]["facets"]["columnLineage"]["fields"]
    # the next run reads what the columns are made of out of a file
    kept = list((settings.home / "cache" / "lineage").glob("*.json"))
    assert len(kept) == 1


def test_a_load_is_told_with_its_source_and_nobodys_password(
    warehouse: Warehouse, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest = session(warehouse, monkeypatch, collector.url)
    with ingest.recorded_run(AS_OF):
        load(warehouse, "oltp", "orders", 41)
        load(warehouse, "shopify", "sales", 7)
        load(warehouse, "stores", "inventory", 3)
    for event in collector.received:
        checked(event)
    assert SECRET not in json.dumps(collector.received)
    (orders,) = [event for event in collector.of("load.oltp.orders") if event["eventType"] == "COMPLETE"]
    assert [(one["namespace"], one["name"]) for one in orders["inputs"]] == [
        ("postgres://db.example:5433", "shop.public.orders")
    ]
    (raw,) = orders["outputs"]
    assert raw["outputFacets"]["outputStatistics"]["rowCount"] == 41
    assert raw["facets"]["columnLineage"]["fields"]["TOTAL_AMOUNT"]["inputFields"][0]["field"] == "total_amount"
    (sales,) = [event for event in collector.of("load.shopify.sales") if event["eventType"] == "COMPLETE"]
    assert {one["namespace"] for one in sales["inputs"]} == {"shopify://shop.example"}
    assert {"Order", "Sale", "SalesAgreement"} <= {one["name"] for one in sales["inputs"]}
    (counts,) = [event for event in collector.of("load.stores.inventory") if event["eventType"] == "COMPLETE"]
    assert [(one["namespace"], one["name"]) for one in counts["inputs"]] == [("s3://drops", "stores/inventory")]
    assert problems(warehouse) == []


def test_a_run_that_fails_says_why_and_hides_secrets(
    warehouse: Warehouse, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPIFY_TOKEN", SECRET)
    cycle = session(warehouse, monkeypatch, collector.url, "cycle")
    with cycle.recorded_run(AS_OF) as run:
        run.fail(
            [
                RunProblem(ProblemKind.SOURCE, "shopify", f"shopify: {SECRET} was refused"),
                RunProblem(ProblemKind.MODEL, "gate.nobody__knows", "gate.nobody__knows: no such table"),
            ]
        )
    events = [checked(event) for event in collector.received]
    failed = {event["job"]["name"]: event for event in events if event.get("eventType") == "FAIL"}
    assert set(failed) == {"cycle", "load.shopify", "gate.nobody__knows"}
    assert failed["load.shopify"]["run"]["facets"]["errorMessage"]["message"] == "shopify: *** was refused"
    assert SECRET not in json.dumps(events)


def test_a_command_that_ends_in_an_error_is_told_and_a_killed_one_is_a_run_without_an_end(
    warehouse: Warehouse, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest = session(warehouse, monkeypatch, collector.url)
    with pytest.raises(KeyError), ingest.recorded_run(AS_OF):
        raise KeyError("x")
    assert [event["eventType"] for event in collector.received] == ["START", "FAIL"]
    assert collector.received[1]["run"]["facets"]["errorMessage"]["message"] == "KeyError: 'x'"


def test_events_go_to_a_file_line_by_line_and_behind_those_that_are_there(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    for url in (str(path), f"file://{path}"):
        with session(warehouse, monkeypatch, url).recorded_run(AS_OF):
            load(warehouse, "oltp", "orders", 1)
    events = [checked(json.loads(line)) for line in path.read_text().splitlines()]
    assert [event["eventType"] for event in events if event["job"]["name"] == "ingest"] == ["START", "COMPLETE"] * 2


def test_without_the_setting_nothing_is_computed(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest = session(warehouse, monkeypatch, "")
    with ingest.recorded_run(AS_OF) as run:
        run.column_graph = lambda: pytest.fail("asked for")
    assert problems(warehouse) == []


def test_a_key_is_sent_and_an_end_that_refuses_is_given_up_for_this_run(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting(status=403) as refusing:
        monkeypatch.setenv("OPENLINEAGE_API_KEY", SECRET)
        with session(warehouse, monkeypatch, refusing.url).recorded_run(AS_OF) as run:
            load(warehouse, "oltp", "orders", 1)
        assert len(refusing.received) == 1
        assert refusing.headers[0]["Authorization"] == f"Bearer {SECRET}"
    assert run.status == "succeeded"
    assert problems(warehouse) == [("lineage", "events of the run were not sent: 127.0.0.1: HTTP 403")]


def test_an_end_that_is_not_there_or_never_answers_fails_nothing(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        monkeypatch.setattr("insightmart.openlineage.delivery.TIMEOUT", 0.2)
        silent_url = f"http://me:{SECRET}@127.0.0.1:{silent.getsockname()[1]}"
        for url in (silent_url, str(tmp_path / "no" / "such" / "folder" / "events.jsonl")):
            with session(warehouse, monkeypatch, url).recorded_run(AS_OF) as run:
                load(warehouse, "oltp", "orders", 1)
            assert run.status == "succeeded"
        with session(warehouse, monkeypatch, "http://127.0.0.1:1").recorded_run(AS_OF):
            load(warehouse, "oltp", "orders", 1)
        monkeypatch.setattr("insightmart.openlineage.delivery.TIMEOUT", 2.0)
        monkeypatch.setattr("insightmart.openlineage.delivery.PATIENCE", 0.01)
        with session(warehouse, monkeypatch, silent_url).recorded_run(AS_OF):
            load(warehouse, "oltp", "orders", 1)
    said = problems(warehouse)
    assert [kind for kind, _ in said] == ["lineage"] * 4
    for reason, (_, message) in zip(
        ("127.0.0.1: ReadTimeoutError", "No such file or directory", "127.0.0.1: NewConnectionError", "took too long"),
        said,
        strict=True,
    ):
        assert reason in message
    assert SECRET not in str(said)


@pytest.mark.parametrize("url", ["s3://bucket/x", "ftp://host", "http://", "kafka://host:9092"])
def test_an_address_that_nothing_can_be_sent_to_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, insightmart: CommandLine, url: str
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", url)
    code, _, err = insightmart("history", "agg_sales_daily")
    assert code == 2
    assert err.startswith("insightmart: OPENLINEAGE_URL cannot be used:")


def evaluated(warehouse: Warehouse, run_id: str, model: str, hour: int, status: str = "evaluated") -> None:
    start = datetime(2026, 3, 6, hour)
    row = {"run_id": run_id, "model": model, "seconds": Decimal("0.5"), "status": status, "audits_passed": 0}
    hours = {"interval_start": start, "interval_end": start + timedelta(hours=1), "recorded_at": utc_now()}
    warehouse.insert("ops.run_intervals", [row | hours])


def test_hours_that_touch_are_one_run_and_a_model_that_nobody_knows_is_told_by_its_name(
    warehouse: Warehouse, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = "seeds.\"é'; DROP TABLE x --\n"
    with session(warehouse, monkeypatch, collector.url, "cycle").recorded_run(AS_OF) as run:
        for hour in (3, 4, 8):
            evaluated(warehouse, run.run_id, odd, hour)
        evaluated(warehouse, run.run_id, odd, 9, "failed")
    done = [checked(event) for event in collector.of(odd) if event["eventType"] != "START"]
    hours = [event["run"]["facets"]["nominalTime"] for event in done]
    assert [(one["nominalStartTime"][11:13], one["nominalEndTime"][11:13]) for one in hours] == [
        ("03", "05"),
        ("08", "09"),
        ("09", "10"),
    ]
    assert [event["eventType"] for event in done] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert len({event["run"]["runId"] for event in done}) == 3
    assert done[0]["outputs"][0]["name"] == f"INSIGHTMART.{odd.upper()}"
    assert done[2]["outputs"] == []


def test_on_snowflake_tables_are_named_by_the_account(
    settings: Settings, fake_account: Any, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    with fake_account(tmp_path / "stages"), open_warehouse(load_settings()) as warehouse:
        create_tables(warehouse)
        with session(warehouse, monkeypatch, collector.url, "cycle").recorded_run(AS_OF) as run:
            load(warehouse, "oltp", "orders", 41)
            evaluated(warehouse, run.run_id, "core.fct_orders__oltp", 3)
        assert problems(warehouse) == []
    written = {(one["namespace"], one["name"]) for event in collector.received for one in checked(event)["outputs"]}
    assert written == {
        ("snowflake://acme-one", "INSIGHTMART.RAW.OLTP_ORDERS"),
        ("snowflake://acme-one", "INSIGHTMART.CORE.FCT_ORDERS__OLTP"),
    }
