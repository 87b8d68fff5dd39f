"""The files that make raw and ops: together they are what is declared, and each is applied once, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ingestion.contracts import raw_tables
from ingestion.migrations import FOLDER, applied, apply, migrations
from ingestion.ops_tables import OPS_TABLES, create_tables
from ingestion.warehouse import Warehouse, sql_type
from tests.support.both_engines import ENGINES, opened

# What has been applied to a warehouse somewhere is never changed: whatever comes later is a file of its own.
CHECKSUMS = {
    1: "0ddd58aa0e3798416d3903c0df7b1b89eb37129c16c30ba366bb9ce2b96f720b",
    2: "7f1b769318e5f0498365cb9f5e2786bf0abf05774739c5a2ceca4fef3de1c170",
}


@pytest.fixture
def empty() -> Iterator[Warehouse]:
    with Warehouse(duckdb.connect(), "duckdb") as warehouse:
        yield warehouse


def columns(warehouse: Warehouse) -> list[tuple[str, ...]]:
    return warehouse.rows(
        "SELECT LOWER(table_schema), LOWER(table_name), LOWER(column_name), data_type FROM information_schema.columns"
        " WHERE LOWER(table_schema) IN ('raw', 'ops') ORDER BY 1, 2, ordinal_position"
    )


def test_no_file_is_changed_after_it_was_applied() -> None:
    assert {one.version: one.checksum for one in migrations()} == CHECKSUMS


def test_the_files_make_what_is_declared(empty: Warehouse) -> None:
    create_tables(empty)
    with Warehouse(duckdb.connect(), "duckdb") as declared:
        declared.execute("CREATE SCHEMA raw")
        declared.execute("CREATE SCHEMA ops")
        for table, fields in raw_tables().items():
            listed = ", ".join(f"{field.name} {sql_type(field.type)}" for field in fields)
            declared.execute(f"CREATE TABLE raw.{table} ({listed})")
        for table, declaration in OPS_TABLES.items():
            declared.execute(f"CREATE TABLE ops.{table} ({declaration})")
        assert columns(empty) == columns(declared), "what is declared and what the files of ingestion/sql make differ"


@pytest.mark.parametrize("engine", ENGINES)
def test_each_is_applied_once_and_says_so(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(engine, tmp_path, monkeypatch) as warehouse:
        assert applied(warehouse) == {}
        assert [one.version for one in create_tables(warehouse, "ann", "c0ffee")] == [1, 2]
        made = columns(warehouse)
        assert create_tables(warehouse) == []
        assert columns(warehouse) == made
        said = warehouse.rows("SELECT version, name, checksum, actor, git_sha FROM ops.schema_version ORDER BY 1")
    assert said == [(one.version, one.name, one.checksum, "ann", "c0ffee") for one in migrations()]


def test_killed_between_any_two_statements_it_is_simply_applied_again() -> None:
    steps = [(migration, number) for migration in migrations() for number in range(len(migration.statements) + 1)]
    with Warehouse(duckdb.connect(), "duckdb") as whole:
        create_tables(whole)
        made = columns(whole)
    for killed, after in steps[::16]:
        with Warehouse(duckdb.connect(), "duckdb") as warehouse:
            for before in migrations()[: killed.version - 1]:
                apply(warehouse, before)
            for statement in killed.statements[:after]:
                warehouse.execute(statement)
            create_tables(warehouse)
            assert columns(warehouse) == made, (killed.name, after)
            assert list(applied(warehouse)) == [one.version for one in migrations()]


def test_a_warehouse_from_before_there_were_versions_is_brought_up(empty: Warehouse) -> None:
    create_tables(empty)
    made = columns(empty)
    added = [
        match.groups()
        for statement in migrations()[1].statements
        if (match := re.match(r"ALTER TABLE ([\w.]+) ADD COLUMN IF NOT EXISTS (\w+)", statement))
    ]
    assert len(added) == len(migrations()[1].statements)
    for table, column in added:
        empty.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    empty.execute("DROP TABLE ops.schema_version")
    empty.execute("DROP TABLE ops.notifications")
    empty.insert("ops.runs", [{"run_id": "cycle-1"}])
    create_tables(empty)
    assert sorted(columns(empty)) == sorted(made)
    assert empty.rows("SELECT run_id, actor FROM ops.runs") == [("cycle-1", None)]


def test_a_number_that_is_left_out_is_refused(tmp_path: Path) -> None:
    for name in ("0001_tables.sql", "0003_later.sql"):
        (tmp_path / name).write_text("SELECT 1;\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"0003_later.sql: the file after version 1 is named 0002_what_it_does.sql"):
        migrations(tmp_path)


def test_comments_and_spaces_do_not_make_another_version(tmp_path: Path) -> None:
    [first, *_] = sorted(FOLDER.glob("*.sql"))
    said = first.read_text(encoding="utf-8")
    (tmp_path / first.name).write_text(f"-- another comment\n\n{said.replace('    ', '  ')}", encoding="utf-8")
    assert migrations(tmp_path)[0].checksum == migrations()[0].checksum
