"""Files for Tableau, written by Tableau's own engine, which its package brings along."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from insightmart.errors import InsightMartError

if TYPE_CHECKING:
    from tableauhyperapi import HyperProcess

# The oldest format whose decimals have 38 digits, which sums of money are declared with; those before it have 18.
# Tableau reads it since 2022.4.
FORMAT = "3"
TABLE = ("Extract", "Extract")  # the schema and table that Tableau looks for


@contextmanager
def hyper_engine(folder: Path) -> Iterator[HyperProcess]:
    """Tableau's engine on this machine, which tells nobody of it; its log goes to the folder.

    Raises:
        InsightMartError: the package is not installed, or the engine does not start.
    """
    try:
        from tableauhyperapi import HyperException, HyperProcess, Telemetry
    except ImportError:
        raise InsightMartError(
            "tableauhyperapi is not installed: Tableau's engine is there for Linux (x86-64), macOS and Windows",
            "Run `make setup` on one of them",
        ) from None
    parameters = {"log_dir": str(folder), "default_database_version": FORMAT}
    try:
        engine = HyperProcess(Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters=parameters)
    except HyperException as error:
        raise InsightMartError(f"Tableau's engine does not start: {str(error).splitlines()[0]}") from None
    with engine:
        yield engine


def write_hyper(engine: HyperProcess, parquet: Path, path: Path) -> int:
    """Make a file of Tableau out of one of Parquet, and return how many rows it has.

    Raises:
        InsightMartError: the engine refuses it.
    """
    from tableauhyperapi import Connection, CreateMode, HyperException, TableName, escape_string_literal

    try:
        with Connection(engine.endpoint, path, CreateMode.CREATE_AND_REPLACE) as connection:
            connection.catalog.create_schema(TABLE[0])
            source = f"external({escape_string_literal(str(parquet))}, FORMAT => 'parquet')"
            connection.execute_command(f"CREATE TABLE {TableName(*TABLE)} AS (SELECT * FROM {source})")
            return int(connection.execute_scalar_query(f"SELECT COUNT(*) FROM {TableName(*TABLE)}"))
    except HyperException as error:
        raise InsightMartError(f"{path.name} cannot be written: {str(error).splitlines()[0]}") from None
