"""Opens the warehouse that the settings name."""

from __future__ import annotations

from typing import Any

import duckdb

from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.errors import InsightMartError
from insightmart.settings import Settings
from insightmart.snowflake_sessions import Workload, connect

OPTIONS = {"paramstyle": "qmark", "arrow_number_to_decimal": True}  # else amounts would come as floats


def open_warehouse(settings: Settings, workload: Workload = "transform") -> Warehouse:
    """Connect to the local DuckDB file or to Snowflake, whichever gateway is configured, for some kind of work.

    Raises:
        ConfigurationError: the Snowflake account is not configured.
        InsightMartError: the local file is in use by another process or unreadable.
    """
    if settings.gateway == "local":
        try:
            return open_duckdb(settings.database_path)
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise InsightMartError(
                    f"{settings.database_path} is open in another process",
                    "Wait for the running cycle to end, or close the program that has the file open",
                ) from None
            raise InsightMartError(f"{settings.database_path} cannot be opened: {error}") from None
    return Warehouse(connect(settings, workload, **OPTIONS), "snowflake")


def open_beside(warehouse: Warehouse, settings: Settings) -> Warehouse:
    """Another connection to the same warehouse, for a load in another thread; close it when that is done."""
    if warehouse.dialect == "duckdb":
        return Warehouse(warehouse.connection.cursor(), "duckdb", warehouse.turns)
    return Warehouse(connect(settings, "load", **OPTIONS), "snowflake", warehouse.turns)


def dlt_destination(settings: Settings) -> Any:
    """The same warehouse as dlt's destination, a new one for each thread.

    Raises:
        ConfigurationError: the file with the private key cannot be read.
    """
    if settings.gateway == "local":
        import dlt

        return dlt.destinations.duckdb(str(settings.database_path))
    from insightmart.snowflake_destination import snowflake_destination

    return snowflake_destination(settings)
