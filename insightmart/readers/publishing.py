"""The copy for readers, written and put in the place of the old one.

After a cycle only what it changed is written: the old copy is copied as a file, which costs next to nothing, and the
windows that the journal says were published are replaced in its large tables. Whole it is written once a day, by and
after anything else than a cycle that succeeded, and whenever somebody has planned, erased or deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb

from ingestion.clock import utc_now
from ingestion.loading.rejects import CURRENT_REJECTS
from ingestion.warehouse import STORAGE_VERSION, Warehouse
from insightmart.errors import InsightMartError
from insightmart.read_copy import ERASURES, WHOLE, copy_path, has_all_of
from insightmart.readers.changed_rows import ORDER, Basis, changed_rows

_COUNTED = ("reasons", "event_at", "store_id", "raw_load_id")  # of a row in quarantine: why, when, where, whence
# Of the stores' reference what says whose files are due; of a reject everything but the text that was rejected.
_IN_PART = {
    "raw.stores_reference": "SELECT * FROM {name}",
    "raw.rejects": f"""
        SELECT r.* REPLACE (CAST(NULL AS VARCHAR) AS raw_text) FROM {{name}} AS r SEMI JOIN ({CURRENT_REJECTS}) AS c
        ON c.raw_load_id = r._dlt_load_id AND c.entity = r.source || '_' || r.entity
        AND c.is_whole_file = r.is_whole_file AND c.rule_id IS NOT DISTINCT FROM r.rule_id
        AND c.file_name IS NOT DISTINCT FROM r.file_name AND c.file_line IS NOT DISTINCT FROM r.file_line
        AND c.raw_text IS NOT DISTINCT FROM r.raw_text""",
}
_PUBLISHED_AT = "ops.read_copy"


def publish_copy(
    warehouse: Warehouse, home: Path, *, of_a_cycle: bool = False, is_settled: bool = False
) -> Path | None:
    """Make the copy anew and put it in the place of the old one, all at once.

    Args:
        warehouse: open connection, which nobody else writes with.
        home: the folder of the warehouse.
        of_a_cycle: nothing but a cycle has written since the last copy: what it did not change need not be written.
        is_settled: that cycle succeeded, so all that has passed its gate is in certified: the next copy may be made of
            what the next cycle changes.

    Returns:
        Path of the copy; None on Snowflake.

    Raises:
        InsightMartError: it cannot be written. Readers still have the old one.
    """
    if warehouse.dialect != "duckdb":
        return None
    target = copy_path(home)
    unfinished = target.with_name("unfinished.duckdb")
    try:
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True)
            target.parent.chmod(0o750)
        basis = replace(Basis.of(warehouse), is_settled=is_settled)
        if not (of_a_cycle and _continued(warehouse, target, unfinished, basis)):
            _remove(unfinished)
            with _attached(warehouse, unfinished):
                _write(warehouse, {}, basis)
        unfinished.chmod(0o440)  # opened for writing by somebody it would be closed to everybody else
        target.with_name(f"{target.name}.wal").unlink(missing_ok=True)
        unfinished.replace(target)
    except (OSError, duckdb.Error) as error:
        with suppress(OSError):
            _remove(unfinished)
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InsightMartError(
            f"the copy for readers, {target}, cannot be written: {first}",
            "What was published is in the warehouse; readers have the copy before until the next cycle makes a new one",
        ) from None
    return target


def published_at(copy: Warehouse) -> datetime | None:
    """When this copy was made, UTC; None: it is the warehouse itself."""
    with suppress(duckdb.CatalogException):
        found: datetime = copy.value(f"SELECT published_at FROM {_PUBLISHED_AT}")
        return found
    return None


def _continued(warehouse: Warehouse, old: Path, file: Path, basis: Basis) -> bool:
    """Write what changed since the old copy into a file that begins as that one; False: it has to be written whole."""
    if not old.exists():
        return False
    _remove(file)
    shutil.copyfile(old, file)  # without its mode
    try:
        with _attached(warehouse, file):
            last = Basis.kept(warehouse, f"readers.{_PUBLISHED_AT}")
            if last is None or (changed := changed_rows(warehouse, last, basis)) is None:
                return False
            _write(warehouse, changed, basis)
    except duckdb.Error:  # it is damaged, or of an earlier version
        return False
    return True


@contextmanager
def _attached(warehouse: Warehouse, file: Path) -> Iterator[None]:
    quoted = str(file).replace("'", "''")
    warehouse.execute(f"ATTACH '{quoted}' AS readers (STORAGE_VERSION '{STORAGE_VERSION}')")
    try:
        yield
    finally:
        warehouse.execute("DETACH readers")


def _remove(file: Path) -> None:
    for leftover in (file, file.with_name(f"{file.name}.wal")):
        leftover.unlink(missing_ok=True)


def _write(warehouse: Warehouse, changed: Mapping[str, str], basis: Basis) -> None:
    """Fill the attached file: of a table in ``changed`` the rows of that condition, any other table as a whole."""
    with warehouse.transaction():
        for schema in (*WHOLE, "quarantine", "raw"):
            warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS readers.{schema}")
        whole = set()
        for name, query in _queries(warehouse):
            if condition := changed.get(name):
                warehouse.execute(f"DELETE FROM readers.{name} WHERE {condition}")
                warehouse.execute(f"INSERT INTO readers.{name} {query} WHERE {condition}")
            else:
                whole.add(name)
                order = f" ORDER BY {ORDER[name]}" if name in ORDER else ""
                warehouse.execute(f"CREATE OR REPLACE TABLE readers.{name} AS {query}{order}")
        basis.keep(warehouse, f"readers.{_PUBLISHED_AT}", utc_now())
        _comment(warehouse, whole)


def _queries(warehouse: Warehouse) -> Iterator[tuple[str, str]]:
    """``schema.table`` and what it is filled with, of all that exists."""
    columns: dict[str, list[str]] = {}
    for schema, table, column in warehouse.rows(
        "SELECT LOWER(table_schema), LOWER(table_name), LOWER(column_name) FROM information_schema.columns"
        " WHERE table_catalog = CURRENT_DATABASE() ORDER BY 1, 2, ordinal_position"
    ):
        columns.setdefault(f"{schema}.{table}", []).append(column)
    for name in columns:
        schema, _, table = name.partition(".")
        if has_all_of(schema, table):
            yield name, f"SELECT * FROM {_quoted(name)}"
        elif name == ERASURES:  # whose data was erased, and why, is not for readers
            yield name, f"SELECT * FROM {_quoted(name)} WHERE FALSE"
        elif schema == "quarantine":
            counted = [column for column in _COUNTED if column in columns[name]]
            yield name, f"SELECT {', '.join(counted)} FROM {_quoted(name)}"
    for name, query in _IN_PART.items():
        if name in columns and {"ops.files", "ops.replays"} <= columns.keys():
            yield name, query.format(name=name)


def _comment(warehouse: Warehouse, names: set[str]) -> None:
    """What certified says of its tables and columns, so that whoever opens the copy can read it there."""
    said = warehouse.rows(
        "SELECT schema_name, view_name, NULL, comment FROM duckdb_views()"
        " WHERE database_name = CURRENT_DATABASE() AND comment IS NOT NULL UNION ALL"
        " SELECT schema_name, table_name, column_name, comment FROM duckdb_columns()"
        " WHERE database_name = CURRENT_DATABASE() AND comment IS NOT NULL"
    )
    for schema, table, column, comment in said:
        name = f"{schema}.{table}".lower()
        if schema.lower() == "certified" and name in names:
            place = _quoted(f"readers.{name}")
            kind, place = ("COLUMN", f'{place}."{column}"') if column else ("TABLE", place)
            text = comment.replace("'", "''")
            warehouse.execute(f"COMMENT ON {kind} {place} IS '{text}'")


def _quoted(name: str) -> str:
    return ".".join(f'"{part}"' for part in name.split("."))
