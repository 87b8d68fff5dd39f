"""The one kind of clone that the pipeline asks a Snowflake account for, on fakesnow, which knows none."""

from __future__ import annotations

import re

from fakesnow.cursor import FakeSnowflakeCursor

CLONE = re.compile(r"(?:/\*.*?\*/\s*)?CREATE OR REPLACE TRANSIENT SCHEMA (?P<copy>\S+) CLONE (?P<schema>\S+)( |$)")


def clone_schema(cursor: FakeSnowflakeCursor, schema: str, copy: str) -> None:
    """A schema made anew as a clone, at once and for everybody; of what is in it, the tables."""
    connection = cursor._duck_conn
    if cursor._conn._in_transaction:  # as any statement that creates something
        connection.commit()
        cursor._conn._in_transaction = False
    connection.begin()
    connection.execute(f"DROP SCHEMA IF EXISTS {copy} CASCADE")
    connection.execute(f"CREATE SCHEMA {copy}")
    catalog, name = (part.strip('"') for part in schema.split("."))
    tables = "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ?"
    for (table,) in connection.execute(tables, [catalog, name]).fetchall():
        connection.execute(f'CREATE TABLE {copy}."{table}" AS FROM {schema}."{table}"')
    connection.commit()
