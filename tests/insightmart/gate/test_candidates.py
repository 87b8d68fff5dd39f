"""What a scan sees: which rows of a model lie in the window, before it, or since it began."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion.warehouse import open_duckdb
from insightmart.gate.candidates import Candidates

START, END = datetime(2026, 3, 30, 10), datetime(2026, 3, 30, 11)
INSTANTS = [
    "2026-03-02 09:59:59", "2026-03-02 10:00:00", "2026-03-23 10:30:00", "2026-03-30 09:59:59",
    "2026-03-30 10:00:00", "2026-03-30 10:59:59", "2026-03-30 11:00:00",
]  # fmt: skip


@pytest.mark.parametrize(
    ("cut", "seen"),
    [
        ({"datasets": {"SEEN": ("core.counts", "counted_at")}}, INSTANTS[4:6]),
        ({"datasets": {"SEEN": ("core.counts", None)}}, INSTANTS),
        ({"changed_since": {"SEEN": ("core.counts", "counted_at")}}, INSTANTS[4:]),
        ({"weeks_before": {"SEEN": ("core.counts", "counted_at")}}, INSTANTS[1:3]),
        ({"days_before": {"SEEN": ("core.counts", "counted_at", 28)}}, INSTANTS[1:4]),
        ({"days_before": {"SEEN": ("core.counts", "counted_at", 1)}}, INSTANTS[3:4]),
    ],
)
def test_a_view_holds_the_rows_of_its_cut(cut: dict[str, Any], seen: list[str], tmp_path: Path) -> None:
    values = ", ".join(f"(TIMESTAMP '{instant}')" for instant in INSTANTS)
    candidates = Candidates(**{"datasets": {}, **cut})
    assert candidates.models() == ["core.counts"]
    with open_duckdb(tmp_path / "x.duckdb") as warehouse:
        warehouse.execute(f"CREATE TABLE counts AS SELECT * FROM (VALUES {values}) AS v (counted_at)")
        with candidates.seen(warehouse, "SCRATCH", {"core.counts": "counts"}, START, END):
            rows = warehouse.rows("SELECT CAST(counted_at AS VARCHAR) FROM SCRATCH.SEEN ORDER BY 1")
    assert [instant for (instant,) in rows] == seen
