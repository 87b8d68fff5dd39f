"""A copy of the local warehouse for readers, which no writer blocks and which blocks no writer.

DuckDB lets one process have a file, or many that only read it. So readers get a file of their own, `readers/` in the
home, made anew after every command that writes (``insightmart.readers``) and swapped by one rename: all tables change
at once, and whoever has the old file open keeps it. On Snowflake the views of certified read a schema that is replaced
as a whole (``insightmart.transform.shown_tables``).

It holds what is meant for readers: certified and ops as they are, and of quarantine and rejects what is counted, with
nothing that a source has written about a person. The names are the warehouse's own, so that a question works on both.
"""

from __future__ import annotations

from pathlib import Path

from ingestion.warehouse import DATABASE

WHOLE = ("certified", "gate", "ops")  # schemas; their tables and views become tables

ERASURES = "ops.erasures"
CERTIFIED_COPY = "CERTIFIED_COPY"  # on Snowflake: the schema with the tables that readers see of certified


def copy_path(home: Path) -> Path:
    """Where the copy is: named as the warehouse, since DuckDB takes the name of the catalog from the file."""
    return home / "readers" / f"{DATABASE}.duckdb"


def has_all_of(schema: str, table: str) -> bool:
    """Whether the copy has a table as the warehouse has it. It lacks the parts of certified tables by source, and whose
    data was erased."""
    if f"{schema}.{table}".lower() == ERASURES:
        return False
    return schema.lower() in WHOLE and not (schema.lower() == "certified" and "__" in table)
