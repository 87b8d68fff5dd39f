"""Whoever sends a statement, the rows that its scans look at are counted, by table."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from bench.counted_duckdb import connect_counted
from bench.raw_rows import ROWS_A_GROUP


@pytest.fixture(autouse=True)
def _plain_duckdb_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb, "connect", duckdb.connect)


def test_a_scan_counts_the_groups_of_rows_that_it_cannot_leave_out(tmp_path: Path) -> None:
    path = tmp_path / "INSIGHTMART.duckdb"
    counts = connect_counted(path)
    connection = duckdb.connect(str(path))
    connection.execute("CREATE SCHEMA raw")
    connection.execute(f"CREATE TABLE raw.numbers AS SELECT i FROM range({4 * ROWS_A_GROUP}) AS r(i)")
    connection.execute("CHECKPOINT")
    asked = counts.statements
    assert sum(counts.rows.values()) == 0
    counts.counting = True
    cursor = connection.cursor()
    assert cursor.execute("SELECT COUNT(*) FROM raw.numbers WHERE i < ?", [10]).fetchall() == [(10,)]
    cursor.execute("DELETE FROM raw.numbers WHERE i = 5")
    assert counts.statements == asked + 2
    (read, rows), (deleted, _) = counts.rows.items()
    assert read == ("raw.numbers", "SELECT COUNT(*) FROM raw.numbers WHERE i < ?")
    assert rows == ROWS_A_GROUP
    assert deleted[1].startswith("DELETE FROM")
    connection.close()


def test_other_databases_are_opened_as_ever(tmp_path: Path) -> None:
    connect_counted(tmp_path / "INSIGHTMART.duckdb")
    with duckdb.connect(str(tmp_path / "state.duckdb")) as other:
        assert isinstance(other, duckdb.DuckDBPyConnection)
