"""Whether several warehouses hold the same certified tables, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb


def differences(warehouses: Mapping[str, Path], tables: Sequence[str]) -> list[tuple[str, str, int]]:
    """Compare each warehouse with the first one.

    Args:
        warehouses: who built it -> its DuckDB file.
        tables: names with their schemas; columns are compared by name, rows as often as they stand there.

    Returns:
        (table, who, rows that only one of the two has), where there are any.
    """
    (_, first), *others = warehouses.items()
    expected = _contents(first, tables)
    found = []
    for who, path in others:
        for table, content in _contents(path, tables).items():
            if rows := _rows_of_one(expected[table], content):
                found.append((table, who, rows))
    return found


def _contents(path: Path, tables: Sequence[str]) -> dict[str, Any]:
    with duckdb.connect(str(path), read_only=True) as connection:  # views name the database: one file at a time
        return {table: connection.execute(f"SELECT * FROM {table}").to_arrow_table() for table in tables}


def _rows_of_one(ours: Any, theirs: Any) -> int:
    columns = ", ".join(f'"{name}"' for name in ours.column_names)
    with duckdb.connect() as connection:
        connection.register("ours", ours)
        connection.register("theirs", theirs)
        ours_only, theirs_only = (f"SELECT {columns} FROM {name}" for name in ("ours", "theirs"))
        row = connection.execute(
            f"SELECT COUNT(*) FROM (({ours_only} EXCEPT ALL {theirs_only})"
            f" UNION ALL ({theirs_only} EXCEPT ALL {ours_only}))"
        ).fetchone()
    return int(row[0]) if row else 0
