"""`insightmart deletions`: what is asked, and the answer with who gave it and why."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ingestion.ops_tables import create_tables
from ingestion.warehouse import open_duckdb
from insightmart.commands.deletions import deletions
from insightmart.settings import Settings

ASKED_AT = datetime(2026, 3, 6, 10)


@pytest.fixture
def asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A warehouse with an open question for a day of orders, and one for the customers that is closed."""
    monkeypatch.setenv("INSIGHTMART_ACTOR", "ada")
    row: dict[str, Any] = {"source": "oltp", "asked_at": ASKED_AT, "missing_keys": Decimal(17), "rows_missing": 26}
    of_a_day = {"day": date(2026, 3, 5), "window_start": datetime(2026, 3, 5), "window_end": datetime(2026, 3, 6)}
    whole = {"day": None, "window_start": datetime(1970, 1, 1), "window_end": ASKED_AT}
    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        orders = {"question_id": "3f2a9c01", "entity": "orders", "rows_known": 500, "state": "open"}
        customers = {"question_id": "77000000", "entity": "customers", "rows_known": 26, "state": "withdrawn"}
        warehouse.insert("ops.deletion_questions", [row | of_a_day | orders, row | whole | customers])
    return settings.database_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(deletions, arguments, standalone_mode=False)


def test_the_list_shows_what_waits_and_all_of_it_on_request(asked: Path) -> None:
    [waiting] = json.loads(run("list", "--json").output)
    assert (waiting["question_id"], waiting["entity"], waiting["day"]) == ("3f2a9c01", "orders", "2026-03-05")
    assert (waiting["rows_known"], waiting["rows_missing"], waiting["state"]) == (500, 26, "open")
    assert [one["question_id"] for one in json.loads(run("list", "--all", "--json").output)] == ["77000000", "3f2a9c01"]
    assert "3f2a9c01" in run("list").output
    assert "whole table" in run("list", "--all").output


def test_a_confirmation_is_kept_with_who_when_and_why(asked: Path) -> None:
    done = run("confirm", "3f2a9c01", "--reason", " archived, ticket 4711 ", "--json", "--as-of", "2026-03-06T11:00")
    assert done.exception is None
    [confirmed] = json.loads(done.output)
    assert (confirmed["state"], confirmed["confirmed_by"], confirmed["reason"]) == (
        "confirmed",
        "ada",
        "archived, ticket 4711",
    )
    with open_duckdb(asked) as warehouse:
        assert warehouse.rows("SELECT command, actor, status FROM ops.runs") == [("confirm", "ada", "succeeded")]
        assert warehouse.value(
            "SELECT confirmed_at FROM ops.deletion_questions WHERE question_id = '3f2a9c01'"
        ) == datetime(2026, 3, 6, 11)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("confirm", "nosuch", "--reason", "why"), "there is no question nosuch; `insightmart deletions list`"),
        (("confirm", "77000000", "--reason", "why"), "question 77000000 is not open any more, it is withdrawn"),
        (("confirm", "3f2a9c01", "77000000", "--reason", "why"), "question 77000000 is not open any more"),
        (("confirm", "3f2a9c01", "--reason", " "), "--reason must say why"),
        (("confirm", "3f2a9c01"), "reason"),
        (("confirm", "--reason", "why"), "question_ids"),
    ],
)
def test_an_answer_to_no_open_question_changes_nothing(asked: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments, *(["--as-of", "2026-03-06T11:00"] if len(arguments) > 3 else []))
    assert said in str(done.exception) or said in getattr(done.exception, "message", "")
    with open_duckdb(asked) as warehouse:
        assert warehouse.rows("SELECT state FROM ops.deletion_questions ORDER BY 1") == [("open",), ("withdrawn",)]


def test_a_warehouse_that_nobody_loaded_into_asks_nothing(settings: Settings) -> None:
    assert run("list").output == "No question waits.\n"
