"""What is kept of what SQLMesh says: the interval, and the one line that matters of a failure."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace

import pytest

from insightmart.errors import GateError
from insightmart.runs import ProblemKind, RunProblem
from insightmart.transform.model_graph import short_name
from insightmart.transform.recorder import Recorder, reason

HOUR = 3_600_000  # milliseconds, as SQLMesh counts
MODEL = '"INSIGHTMART"."GATE"."SALES__OLTP"'


@pytest.mark.parametrize("name", [MODEL, "gate.sales__oltp", "GATE.SALES__OLTP"])
def test_a_model_has_the_name_it_is_written_with(name: str) -> None:
    assert short_name(name) == "gate.sales__oltp"


@pytest.mark.parametrize(
    ("milliseconds", "failed_audits", "status"), [(1500, 0, "evaluated"), (1500, 1, "failed"), (None, 0, "failed")]
)
def test_an_evaluation_is_kept_with_its_interval_in_utc(
    milliseconds: int | None, failed_audits: int, status: str
) -> None:
    recorder = Recorder()
    fingerprint = SimpleNamespace(to_identifier=lambda: "f1")
    snapshot = SimpleNamespace(name=MODEL, version="v1", fingerprint=fingerprint)
    recorder.update_snapshot_evaluation_progress(snapshot, (0, HOUR), 0, milliseconds, 2, failed_audits)
    (kept,) = recorder.intervals
    assert (kept["model"], kept["status"]) == ("gate.sales__oltp", status)
    assert (kept["interval_start"], kept["interval_end"]) == (datetime(1970, 1, 1), datetime(1970, 1, 1, 1))
    assert kept["seconds"] == (1.5 if milliseconds else None)
    recorder.clear()
    assert recorder.intervals == []


def test_a_failure_is_told_in_our_words_if_we_had_any() -> None:
    refused = RuntimeError("SQLMesh: node failed")
    refused.__cause__ = GateError("gate.sales__oltp: no price (found 3)")
    recorder = Recorder()
    refused.node = MODEL  # type: ignore[attr-defined]
    recorder.log_failed_models([refused])
    problem = RunProblem(ProblemKind.MODEL, "gate.sales__oltp", "gate.sales__oltp: no price (found 3)", "")
    assert recorder.failures == {"gate.sales__oltp": problem}


def test_a_failure_of_a_library_is_told_by_its_innermost_error_on_one_line() -> None:
    outer = RuntimeError("outer")
    outer.__cause__ = ValueError("no number:\n\n  'none'")
    assert reason(outer) == "no number:   'none'"
    assert reason(KeyboardInterrupt()) == "KeyboardInterrupt"
