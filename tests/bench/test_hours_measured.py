"""What the measurements of hours make of their figures: ratios, verdicts, files. None is played here."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import corrections, history, volume
from bench.ingestion.costs import Cost
from bench.played_cycle import PHASE_NAMES, Played, WrongTotals
from bench.raw_rows import HOUR, Span

SPAN = Span.of_days(datetime(2026, 3, 5, 9), 30, 12)


def played(seconds: float, rows: int = 0, statements: int = 100) -> Played:
    """A cycle of so many seconds, all of them in models, that looked at so many rows of one table."""
    spent = dict.fromkeys(PHASE_NAMES, 0.0) | {"models and gates": seconds}
    sent = dict.fromkeys(PHASE_NAMES, 0) | {"corrections": statements}
    return Played(spent, sent, {("raw.oltp_orders", "SELECT 1"): rows}, elapsed=seconds, peak_bytes=1_000_000)


def histories(rows: int) -> list[history.History]:
    """1x looked at 100,000 rows, 10x at so many."""
    return [
        history.History(times, Path("none"), SPAN, times * 1000, played(9), played(5, looked_at), [played(5)])
        for times, looked_at in ((1, 100_000), (10, rows))
    ]


@pytest.mark.parametrize(("rows", "code"), [(110_000, 0), (110_001, 1)])
def test_rows_that_grow_by_more_than_a_tenth_fail_and_are_named(
    rows: int, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(history, "measure", lambda *_: histories(rows))
    files = ["--json", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.svg")]
    done = CliRunner().invoke(history.main, files)
    assert done.exit_code == code
    assert ("grew 1.10 times" in done.output) == bool(code)
    (grown,) = [line for line in done.output.splitlines() if line.startswith("raw.oltp_orders")]
    assert grown.split()[1:3] == ["100,000", f"{rows:,}"]
    assert [item["rows"] for item in json.loads((tmp_path / "a.json").read_text())["measured"]] == [100_000, rows]
    assert (tmp_path / "a.svg").read_text().startswith("<svg")


def test_a_measurement_whose_totals_are_wrong_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def differ(*_: object) -> list[history.History]:
        raise WrongTotals("certified holds less")

    for module in (history, volume, corrections):
        monkeypatch.setattr(module, "measure", differ)
        done = CliRunner().invoke(module.main, [])
        assert (done.exit_code, done.output) == (1, "bench: certified holds less\n")


def test_a_ratio_is_of_processor_seconds_against_the_one_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = volume.Profile("peak", SPAN, 2_000_000, [Cost(3, 4, 5_000_000)] * 2, [played(6), played(10)])
    monkeypatch.setattr(volume, "measure", lambda *_: [profile])
    done = CliRunner().invoke(volume.main, [])
    row = next(line for line in done.output.splitlines() if line.startswith("peak"))
    assert row.split()[:7] == ["peak", "12", "2", "2.00", "<=", "2", "yes"]


def test_a_window_costs_what_its_cycles_cost_more_than_those_without(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {0: [played(10, statements=100)], 4: [played(14, statements=180)]}
    monkeypatch.setattr(corrections, "measure", lambda *_: measured)
    done = CliRunner().invoke(corrections.main, [])
    row = next(line for line in done.output.splitlines() if line.lstrip().startswith("4"))
    assert row.split()[:2] == ["4", "0.10"]  # a second each, a tenth of the steady hour
    assert "20.0" in row.split()  # statements each


def test_corrected_hours_lie_apart_within_a_week_and_are_released() -> None:
    hours = corrections.corrected(SPAN.next(), 16)
    assert len(set(hours)) == 16
    assert max(hours) == SPAN.end - 2 * HOUR
    assert min(hours) > SPAN.end - 7 * 24 * HOUR


def test_duckdb_is_not_imported_before_its_process_is_known_to_be_no_session() -> None:
    """A measured process imports these before anything else; DuckDB would draw progress bars in it."""
    asked = "import sys, bench.history, bench.volume, bench.corrections; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
