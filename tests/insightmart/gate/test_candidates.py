"""What a scan sees: which rows of a model lie in the window, before it, or since it began."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion.loading.context import Window
from ingestion.warehouse import open_duckdb
from insightmart.gate.candidates import Candidates, Hourly, whole_days

HOUR = Window(datetime(2026, 3, 30, 10), datetime(2026, 3, 30, 11))
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
        with candidates.seen(warehouse, "SCRATCH", {"core.counts": "counts"}, HOUR, HOUR):
            rows = warehouse.rows("SELECT CAST(counted_at AS VARCHAR) FROM SCRATCH.SEEN ORDER BY 1")
    assert [instant for (instant,) in rows] == seen


def count(hour: int, store: int, sku: str, on_hand: int) -> str:
    return f"({store}, '{sku}', {on_hand}, TIMESTAMP '2026-03-30 {hour:02}:00:00')"


PUBLISHED = [count(8, 1, "A", 5), count(8, 1, "B", 6), count(9, 1, "A", 7)]


@pytest.mark.parametrize(
    ("changed", "seen"),
    [
        ([], {10}),
        ([count(9, 2, "A", 1)], {9, 10}),  # a count more
        ([count(8, 1, "A", 6), count(8, 1, "B", 5)], {8, 10}),  # two that changed places: the sums are the same
        ([count(7, 1, "A", 1)], {7, 10}),  # an hour that a gate refused
        ([count(11, 1, "A", 1)], {10, 11}),
    ],
    ids=["nothing", "more", "other places", "refused", "later"],
)
def test_of_a_date_the_hours_to_be_published_are_seen_and_those_that_are_not_published_as_they_are(
    changed: list[str], seen: set[int], tmp_path: Path
) -> None:
    columns = ("store_id", "sku", "on_hand")
    fact = Hourly("core.counts", "counted_hour", "counts", columns, "ALL_COUNTS")
    candidates = Candidates({}, hourly={"SEEN": fact})
    with open_duckdb(tmp_path / "x.duckdb") as warehouse:
        warehouse.execute("CREATE SCHEMA CERTIFIED")
        for table, rows in (("CERTIFIED.COUNTS", PUBLISHED), ("counts", [*PUBLISHED, count(10, 1, "A", 8)])):
            warehouse.execute(f"CREATE TABLE {table} (STORE_ID INT, SKU VARCHAR, ON_HAND INT, COUNTED_HOUR TIMESTAMP)")
            warehouse.execute(f"INSERT INTO {table} VALUES {', '.join(rows)}")
        # a row that changed its place takes the place of the one that was there
        for row in changed:
            warehouse.execute(
                "DELETE FROM counts WHERE (store_id, sku, counted_hour) IN"
                f" (SELECT s, k, h FROM (VALUES {row}) AS v (s, k, o, h))"
            )
            warehouse.execute(f"INSERT INTO counts VALUES {row}")
        other_dates = "(0, 'Z', 0, TIMESTAMP '2026-03-29 23:00:00'), (0, 'Z', 0, TIMESTAMP '2026-03-31 00:00:00')"
        warehouse.execute(f"INSERT INTO counts VALUES {other_dates}")
        with candidates.seen(warehouse, "SCRATCH", {"core.counts": "counts"}, whole_days(HOUR), HOUR):
            hours = warehouse.rows("SELECT DISTINCT HOUR(counted_hour) FROM SCRATCH.SEEN")
            (everything,) = warehouse.rows("SELECT COUNT(*), MIN(store_id) FROM SCRATCH.ALL_COUNTS")
            expected = warehouse.rows("SELECT COUNT(*), 1 FROM counts WHERE store_id > 0")
        assert {hour for (hour,) in hours} == seen
        assert [everything] == expected
        # what is not published yet, or without a column that counts, is looked at as a whole
        warehouse.execute("ALTER TABLE certified.counts DROP COLUMN on_hand")
        with candidates.seen(warehouse, "SCRATCH", {"core.counts": "counts"}, whole_days(HOUR), HOUR):
            assert warehouse.value("SELECT COUNT(*) FROM SCRATCH.SEEN") == everything[0]
