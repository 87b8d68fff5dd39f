"""Runs and what went wrong in them, as rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.errors import GateError
from insightmart.runs import ProblemKind, RunFailedError, RunProblem, problem_lines, recorded_run
from insightmart.settings import Settings
from insightmart.status.recent_runs import last_cycle, recent_runs

AS_OF = datetime(2026, 3, 6, 17, 5)
SHOPIFY = RunProblem(ProblemKind.SOURCE, "shopify", "shopify: HTTP 503; try 3", "Check it. Then wait")
GATE = RunProblem(ProblemKind.MODEL, "gate.sales__oltp", "gate.sales__oltp: few order lines")
HELD = [RunProblem(ProblemKind.HELD_BACK, f"certified.{name}", "held back") for name in ("dim_dates", "fct_orders")]


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[Warehouse]:
    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        yield warehouse


def _problems(warehouse: Warehouse) -> list[tuple[str, ...]]:
    return warehouse.rows("SELECT kind, subject, message, cure FROM ops.run_problems ORDER BY recorded_at")


def test_a_line_has_the_cause_and_the_cure() -> None:
    assert SHOPIFY.line == "shopify: HTTP 503; try 3. Check it. Then wait"
    assert GATE.line == "gate.sales__oltp: few order lines"


def test_what_several_subjects_share_is_said_once() -> None:
    twice = [RunProblem(ProblemKind.MODEL, model, "the plan was refused") for model in ("a", "b")]
    held = "held back until then: certified.dim_dates, certified.fct_orders"
    assert problem_lines([*HELD, *twice, GATE]) == ["the plan was refused", GATE.line, held]
    assert problem_lines([]) == []


def test_problems_are_rows_with_cause_and_cure_apart(warehouse: Warehouse, settings: Settings) -> None:
    with recorded_run(warehouse, settings, "cycle", AS_OF) as run:
        run.fail([SHOPIFY, *HELD])
    assert _problems(warehouse) == [
        ("source", "shopify", "shopify: HTTP 503; try 3", "Check it. Then wait"),
        ("held back", "certified.dim_dates", "held back", ""),
        ("held back", "certified.fct_orders", "held back", ""),
    ]
    error = f"{SHOPIFY.line}; held back until then: certified.dim_dates, certified.fct_orders"
    assert warehouse.rows("SELECT status, error FROM ops.runs") == [("failed", error)]
    (read,) = recent_runs(warehouse, {"ops.runs", "ops.run_problems"})
    assert read.problems == (SHOPIFY, *HELD)


def test_a_run_without_problems_has_no_row(warehouse: Warehouse, settings: Settings) -> None:
    with recorded_run(warehouse, settings, "ingest", AS_OF) as run:
        run.fail([])
    assert _problems(warehouse) == []
    assert warehouse.rows("SELECT status, error FROM ops.runs") == [("succeeded", None)]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (GateError("it was refused", "Mend it"), [("command", "promote", "it was refused", "Mend it")]),
        (ValueError("odd. Very"), [("command", "promote", "ValueError: odd. Very", "")]),
        (RunFailedError("prod stays", [GATE]), [("model", "gate.sales__oltp", GATE.message, "")]),
    ],
)
def test_what_ends_a_run_is_its_problem(
    warehouse: Warehouse, settings: Settings, error: Exception, expected: list[tuple[str, ...]]
) -> None:
    with pytest.raises(type(error)), recorded_run(warehouse, settings, "promote", AS_OF):
        raise error
    assert _problems(warehouse) == expected
    assert warehouse.value("SELECT status FROM ops.runs") == "failed"


def test_an_error_with_reasons_says_them_all() -> None:
    assert str(RunFailedError("prod stays", [GATE, SHOPIFY])) == f"prod stays: {GATE.line}; {SHOPIFY.line}"


def test_a_run_that_never_ended_was_killed(warehouse: Warehouse, settings: Settings) -> None:
    warehouse.insert("ops.runs", [{"run_id": "old", "command": "cycle", "as_of": AS_OF, "status": "running"}])
    with recorded_run(warehouse, settings, "ingest", AS_OF):
        pass
    assert _problems(warehouse) == [("command", "cycle", "killed", "")]
    found = last_cycle(warehouse, {"ops.runs", "ops.run_problems"})
    assert found is not None
    assert (found.status, found.lines) == ("killed", ["killed"])


def test_a_warehouse_from_before_problems_were_rows_quotes_the_error(warehouse: Warehouse) -> None:
    row = {"run_id": "old", "command": "cycle", "as_of": AS_OF, "status": "failed", "error": "gate.x: a; oltp: b"}
    warehouse.insert("ops.runs", [row])
    (read,) = recent_runs(warehouse, {"ops.runs"})
    assert read.lines == ["gate.x: a; oltp: b"]
