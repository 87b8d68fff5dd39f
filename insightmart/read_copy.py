"""A copy of the local warehouse for readers, which no writer blocks and which blocks no writer.

DuckDB lets one process have a file, or many that only read it. So readers get a file of their own, `readers/` in the
home, made anew after every command that writes and swapped by one rename: all tables change at once, and whoever has
the old file open keeps it. On Snowflake readers and writers do not meet, and there is no copy.

It holds what is meant for readers: certified and ops as they are, and of quarantine and rejects what is counted, with
nothing that a source has written about a person. The names are the warehouse's own, so that a question works on both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import duckdb

from ingestion.clock import utc_now
from ingestion.loading.rejects import CURRENT_REJECTS
from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.settings import Settings

WHOLE = ("certified", "gate", "ops")  # schemas; their tables and views become tables
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


def copy_path(settings: Settings) -> Path:
    """Where the copy is: named as the warehouse, since DuckDB takes the name of the catalog from the file."""
    return settings.home / "readers" / settings.database_path.name


def has_all_of(schema: str, table: str) -> bool:
    """Whether the copy has a table as the warehouse has it. It lacks the parts of certified tables by source."""
    return schema.lower() in WHOLE and not (schema.lower() == "certified" and "__" in table)


def publish_copy(warehouse: Warehouse, settings: Settings) -> Path | None:
    """Make the copy anew and put it in the place of the old one, all at once.

    Args:
        warehouse: open connection, which nobody else writes with.
        settings: say where the home is.

    Returns:
        Path of the copy; None on Snowflake.

    Raises:
        InsightMartError: it cannot be written. Readers still have the old one.
    """
    if warehouse.dialect != "duckdb":
        return None
    target = copy_path(settings)
    unfinished = target.with_name("unfinished.duckdb")
    try:
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        _remove(unfinished)
        _write(warehouse, unfinished)
        unfinished.chmod(0o640)
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


def _remove(file: Path) -> None:
    for leftover in (file, file.with_name(f"{file.name}.wal")):
        leftover.unlink(missing_ok=True)


def _write(warehouse: Warehouse, file: Path) -> None:
    quoted = str(file).replace("'", "''")
    warehouse.execute(f"ATTACH '{quoted}' AS readers")
    try:
        with warehouse.transaction():
            for schema in (*WHOLE, "quarantine", "raw"):
                warehouse.execute(f"CREATE SCHEMA readers.{schema}")
            for name, query in _queries(warehouse):
                warehouse.execute(f"CREATE TABLE readers.{name} AS {query}")
            warehouse.execute(
                f"CREATE TABLE readers.{_PUBLISHED_AT} AS SELECT CAST(? AS TIMESTAMP) AS published_at", [utc_now()]
            )
            _comment(warehouse)
    finally:
        warehouse.execute("DETACH readers")


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
        elif schema == "quarantine":
            counted = [column for column in _COUNTED if column in columns[name]]
            yield name, f"SELECT {', '.join(counted)} FROM {_quoted(name)}"
    for name, query in _IN_PART.items():
        if name in columns and {"ops.files", "ops.replays"} <= columns.keys():
            yield name, query.format(name=name)


def _comment(warehouse: Warehouse) -> None:
    """What certified says of its tables and columns, so that whoever opens the copy can read it there."""
    said = warehouse.rows(
        "SELECT schema_name, view_name, NULL, comment FROM duckdb_views()"
        " WHERE database_name = CURRENT_DATABASE() AND comment IS NOT NULL UNION ALL"
        " SELECT schema_name, table_name, column_name, comment FROM duckdb_columns()"
        " WHERE database_name = CURRENT_DATABASE() AND comment IS NOT NULL"
    )
    for schema, table, column, comment in said:
        if schema.lower() == "certified" and has_all_of(schema, table):
            place = _quoted(f"readers.{schema}.{table}".lower())
            kind, place = ("COLUMN", f'{place}."{column}"') if column else ("TABLE", place)
            text = comment.replace("'", "''")
            warehouse.execute(f"COMMENT ON {kind} {place} IS '{text}'")


def _quoted(name: str) -> str:
    return ".".join(f'"{part}"' for part in name.split("."))
