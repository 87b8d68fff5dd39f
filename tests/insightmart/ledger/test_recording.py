"""Entries written at the end of runs, on a warehouse made by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.commands.session import writing
from insightmart.hidden_secrets import without_secrets
from insightmart.ledger.canonical import canonical_row, digest, sha256
from insightmart.ledger.chain import Entry
from insightmart.ledger.evidence_tables import EVIDENCE, columns_of
from insightmart.ledger.kept_heads import Outside
from insightmart.ledger.recording import enter
from insightmart.ledger.verification import entries_in_order, verify
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import Settings
from tests.support.handmade_warehouse import AS_OF, Business
from tests.support.workshop import CommandLine

BEGUN = datetime(2026, 3, 1)


def nothing_outside(_: Any) -> Outside:
    return Outside()


def entries(warehouse: Warehouse) -> list[Entry]:
    return list(entries_in_order(warehouse))


def test_a_run_is_entered_with_all_that_it_left(business: Business, settings: Settings) -> None:
    business.refuse()
    business.ran("cycle-1", AS_OF, "failed", RunProblem(ProblemKind.SOURCE, "shopify", "HTTP 503", "wait"))
    head = enter(business.warehouse, settings, "cycle-1", BEGUN, "f00d")
    first, *others, run = entries(business.warehouse)
    assert (first.kind, first.told["since"]) == ("beginning", "2026-03-01T00:00:00.000000")
    assert Counter(entry.kind for entry in others) == {"gate result": 8, "set-up": 2}
    refused = next(entry for entry in others if "fail" in entry.details)
    assert refused.told["not_passed"] == {"few order lines are rejected": "fail"}
    assert refused.told["window"] == ["2026-03-06T16:00:00.000000", "2026-03-06T17:00:00.000000"]
    assert {name: kept.rows for name, kept in run.kept.items()} == {"ops.runs": 1, "ops.run_problems": 1}
    assert (run.told["status"], run.models_hash, run.actor) == ("failed", "f00d", first.actor)
    assert head == run.head


def test_what_an_entry_covers_is_not_entered_again(business: Business, settings: Settings) -> None:
    business.ran("cycle-1", AS_OF, "succeeded")
    first = enter(business.warehouse, settings, "cycle-1", BEGUN)
    assert enter(business.warehouse, settings, "cycle-1", BEGUN) == first


def test_rows_of_no_run_of_ours_are_entered_by_the_next_one(settings: Settings, insightmart: CommandLine) -> None:
    """A plain `sqlmesh` command writes check results, and a killed run leaves its loads."""
    with writing(settings, "ingest") as session, session.recorded_run(AS_OF):
        pass
    with open_duckdb(settings.database_path) as warehouse:
        now = warehouse.value("SELECT CAST(MAX(recorded_at) AS TIMESTAMP) FROM ops.ledger")
        check = {"run_id": "sqlmesh-1", "scan_id": "s1", "check_name": "c", "outcome": "pass", "scanned_at": now}
        warehouse.insert("ops.check_results", [check])
        load = {"load_id": "1772.1", "source": "oltp", "entity": "orders", "status": "loaded", "ended_at": now}
        warehouse.insert("ops.loads", [load | {"rows": 3, "rejected_rows": 0}])
        killed = {"run_id": "cycle-9", "command": "cycle", "as_of": AS_OF, "status": "running", "started_at": now}
        warehouse.insert("ops.runs", [killed])
    with writing(settings, "ingest") as session, session.recorded_run(AS_OF):
        pass
    with open_duckdb(settings.database_path) as warehouse:
        found = {entry.subject: entry for entry in entries(warehouse)}
        assert verify(warehouse, nothing_outside, str).is_sound
    assert found["scan s1"].run_id == "sqlmesh-1"
    assert found["load 1772.1"].told == {"rows": {"orders": 3}, "source": "oltp", "status": {"loaded": 1}}
    assert found["run cycle-9"].told["status"] == "killed"
    assert set(found["run cycle-9"].kept) == {"ops.runs", "ops.run_problems"}
    assert insightmart("ledger", "verify")[0] == 0


def test_a_run_that_was_killed_before_there_was_a_ledger_is_counted_and_no_row_is_taken_for_put_in(
    settings: Settings, insightmart: CommandLine
) -> None:
    """Its row is older than the ledger, and that it was killed is written by the run that begins the ledger."""
    with writing(settings, "cycle") as session:
        killed = {"run_id": "cycle-9", "command": "cycle", "as_of": AS_OF, "status": "running", "started_at": AS_OF}
        session.warehouse.insert("ops.runs", [killed])
        with session.recorded_run(AS_OF):
            pass
    with open_duckdb(settings.database_path) as warehouse:
        begun, *later = entries(warehouse)
        assert begun.told["before"]["run ops.runs"] == 1
        assert {entry.subject: set(entry.kept) for entry in later}["run cycle-9"] == {"ops.run_problems"}
        assert verify(warehouse, nothing_outside, str).is_sound
        warehouse.execute("DELETE FROM ops.runs WHERE run_id = 'cycle-9'")
        (damage,) = verify(warehouse, nothing_outside, str).damage
    assert damage.message == "0 rows are from before the ledger began; entry 1 counted 1"
    assert insightmart("ledger", "verify")[0] == 1


def test_a_run_that_fails_is_entered_too(settings: Settings) -> None:
    with (
        pytest.raises(ValueError, match="odd"),
        writing(settings, "restate") as session,
        session.recorded_run(AS_OF),
    ):
        raise ValueError("odd")
    with open_duckdb(settings.database_path) as warehouse:
        *_, run = entries(warehouse)
    assert (run.kind, run.told["status"]) == ("restatement", "failed")
    assert set(run.kept) == {"ops.runs", "ops.run_problems"}


def test_a_problem_met_after_the_entry_of_its_run_is_an_entry_of_its_own(
    business: Business, settings: Settings
) -> None:
    business.ran("cycle-1", AS_OF, "succeeded")
    enter(business.warehouse, settings, "cycle-1", BEGUN)
    late = {"run_id": "cycle-1", "kind": "report", "subject": "mail", "message": "no answer", "cure": "wait"}
    ended = business.warehouse.value("SELECT CAST(MAX(recorded_at) AS TIMESTAMP) FROM ops.ledger")
    business.warehouse.insert("ops.run_problems", [late | {"recorded_at": ended}])
    enter(business.warehouse, settings, "cycle-2", BEGUN)
    last = entries(business.warehouse)[-1]
    assert (last.kind, last.subject, last.run_id) == ("problem", "problem cycle-1 report", "cycle-1")
    assert verify(business.warehouse, nothing_outside, str).is_sound


def test_no_secret_is_entered(settings: Settings) -> None:
    known = replace_secrets(settings, OLTP_DSN="postgresql://shop:p%40ss-word@db/shop", SHOPIFY_TOKEN="shpat_1")
    said = {"error": "postgresql://shop:p%40ss-word@db/shop refused p@ss-word", "list": ["token shpat_1", 3]}
    assert without_secrets(said, known) == {"error": "*** refused ***", "list": ["token ***", 3]}


def replace_secrets(settings: Settings, **values: Any) -> Settings:
    return Settings(home=settings.home, start=settings.start, _env_file=None, **values)  # type: ignore[call-arg]


def test_a_note_is_an_entry_with_a_name(settings: Settings, insightmart: CommandLine) -> None:
    code, out, _ = insightmart("ledger", "note", "gave up correction w1, ticket 4711")
    assert (code, out.split(",")[0]) == (0, "entry 2")
    (shown, beginning) = json.loads(insightmart("ledger", "show", "--json")[1])
    assert (shown["kind"], shown["details"]) == ("manual action", {"note": "gave up correction w1, ticket 4711"})
    assert beginning["kind"] == "beginning"
    head = json.loads(insightmart("ledger", "head", "--json")[1])
    assert head == {"sequence": 2, "entry_hash": shown["entry_hash"]}


def test_an_empty_warehouse_says_so(settings: Settings, insightmart: CommandLine) -> None:
    assert insightmart("ledger", "show")[1].startswith("Nothing has been entered yet")
    code, _, err = insightmart("ledger", "verify")
    assert code == 2
    assert "there is no ledger" in err


def test_every_table_of_the_register_exists_with_its_columns() -> None:
    for evidence in EVIDENCE:
        columns = columns_of(evidence.name)
        assert {*evidence.key, *evidence.otherwise, *evidence.named_by, evidence.recorded} <= set(columns)
        assert columns[evidence.recorded] == "TIMESTAMP_NTZ"


def test_the_text_of_a_row_is_written_out() -> None:
    """By hand: names in order, NULL left out, numbers without zeros at their end, instants to the microsecond."""
    row = {"b": 5, "a": 'x"\n', "c": None, "d": datetime(2026, 3, 6), "e": True}
    text = '{"a":"x\\"\\n","b":"5","d":"2026-03-06T00:00:00.000000","e":true}'
    assert canonical_row(row) == text
    assert digest([row]).sha256 == sha256(text)
    assert sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_an_entry_says_everything_under_its_hash(business: Business, settings: Settings) -> None:
    business.ran("cycle-1", AS_OF, "succeeded")
    enter(business.warehouse, settings, "cycle-1", BEGUN)
    entry = entries(business.warehouse)[-1]
    assert entry.computed_hash == entry.entry_hash
    for name, value in entry.covered().items():
        changed = not value if isinstance(value, bool) else BEGUN if isinstance(value, datetime) else f"{value}0"
        changed = 77 if name == "sequence" else changed
        assert replace(entry, **{name: changed}).computed_hash != entry.entry_hash, name
