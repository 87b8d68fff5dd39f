"""A merge on DuckDB looks for what it replaces where its filter says that it may be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from sqlglot import exp, parse_one

from bench.counted_duckdb import Counts, connect_counted
from bench.raw_rows import ROWS_A_GROUP
from insightmart.transform.merges import where_it_may_be

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter

pytestmark = pytest.mark.slow

GROUPS = 6
KEY = [exp.column("customer_id"), exp.column("valid_from")]
COLUMNS = {name: exp.DataType.build(kind) for name, kind in {
    "customer_id": "varchar", "valid_from": "timestamp", "is_inferred": "boolean", "changed_at": "timestamp",
    "city": "varchar",
}.items()}  # fmt: skip
FILTER = '(NOT "__MERGE_SOURCE__".is_inferred OR "__MERGE_TARGET__".changed_at >= \'2026-03-05 10:00:00\')'


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[DuckDBEngineAdapter, Counts]:
    """Customers of six groups of rows, all of them changed before the window, and a count of what is looked at."""
    from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter

    import insightmart.transform.sqlmesh_patches  # noqa: F401  as in every process that merges

    monkeypatch.setattr(duckdb, "connect", duckdb.connect)
    path = tmp_path / "INSIGHTMART.duckdb"
    counts = connect_counted(path)
    adapter = DuckDBEngineAdapter(lambda: duckdb.connect(str(path)))
    adapter.execute("CREATE SCHEMA core")
    adapter.execute(
        "CREATE TABLE core.dim AS SELECT CAST(i AS VARCHAR) AS customer_id, TIMESTAMP '1970-01-01' AS valid_from,"
        " i % 9 = 0 AS is_inferred, TIMESTAMP '2026-03-01' + to_seconds(i) AS changed_at, 'Oslo' AS city"
        f" FROM range({GROUPS * ROWS_A_GROUP}) AS r(i)"
    )
    adapter.execute("CHECKPOINT")
    return adapter, counts


def merge(counted: tuple[DuckDBEngineAdapter, Counts], *rows: str) -> int:
    """Merge rows; how many rows of the target were looked at."""
    adapter, counts = counted
    counts.rows.clear()
    counts.counting = True
    source = parse_one(f"SELECT * FROM (VALUES {', '.join(rows)}) AS s({', '.join(COLUMNS)})", dialect="duckdb")
    adapter.merge("core.dim", source, COLUMNS, KEY, merge_filter=parse_one(FILTER, dialect="duckdb"))
    counts.counting = False
    return sum(looked for (table, _), looked in counts.rows.items() if table == "core.dim")


def of(adapter: DuckDBEngineAdapter, customer: str) -> list[tuple[str, bool]]:
    """Cities of a customer, and whether he is inferred."""
    found: list[tuple[str, bool]] = adapter.fetchall(
        f"SELECT city, is_inferred FROM core.dim WHERE customer_id = '{customer}' ORDER BY 1"
    )
    return found


def test_whoever_is_new_or_of_this_window_is_looked_for_in_this_window_alone(
    counted: tuple[DuckDBEngineAdapter, Counts],
) -> None:
    adapter, _ = counted
    new = "('shopify:17', TIMESTAMP '1970-01-01', TRUE, TIMESTAMP '2026-03-05 11:05', NULL)"
    assert merge(counted, new) < 2 * ROWS_A_GROUP
    assert merge(counted, new) < 2 * ROWS_A_GROUP  # once more, after a kill
    assert of(adapter, "shopify:17") == [(None, True)]
    assert adapter.fetchone("SELECT COUNT(*) FROM core.dim") == (GROUPS * ROWS_A_GROUP + 1,)


def test_whom_a_load_brought_is_replaced_however_old_he_is(counted: tuple[DuckDBEngineAdapter, Counts]) -> None:
    adapter, _ = counted
    loaded = [
        f"('{customer}', TIMESTAMP '1970-01-01', FALSE, TIMESTAMP '2026-03-05 10:30', 'Rome')"
        for customer in ("9", "new")
    ]
    assert merge(counted, *loaded, "('0', TIMESTAMP '2026-03-05', FALSE, TIMESTAMP '2026-03-05 10:30', 'Rome')")
    assert [of(adapter, customer) for customer in ("9", "new", "0")] == [
        [("Rome", False)],
        [("Rome", False)],
        [("Oslo", True), ("Rome", False)],  # another version
    ]
    assert adapter.fetchone("SELECT COUNT(*) FROM core.dim") == (GROUPS * ROWS_A_GROUP + 2,)


def test_a_part_of_a_filter_that_compares_both_sides_is_refused(counted: tuple[DuckDBEngineAdapter, Counts]) -> None:
    adapter, _ = counted
    both = parse_one('"__MERGE_SOURCE__".changed_at > "__MERGE_TARGET__".changed_at', dialect="duckdb")
    with pytest.raises(ValueError, match="compares both sides"):
        where_it_may_be(type(adapter).merge)(
            adapter, "core.dim", exp.select("*").from_("core.dim"), COLUMNS, KEY, None, both
        )
