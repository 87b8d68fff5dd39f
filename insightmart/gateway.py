"""Opens the warehouse that the settings name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.damage import damaged
from insightmart.errors import InsightMartError, of_this_machine
from insightmart.read_copy import copy_path
from insightmart.settings import Settings
from insightmart.snowflake_sessions import Workload, connect

OPTIONS = {"paramstyle": "qmark", "arrow_number_to_decimal": True}  # else amounts would come as floats


def open_warehouse(settings: Settings, workload: Workload = "transform", patience: float = 0) -> Warehouse:
    """Connect to the local DuckDB file or to Snowflake, whichever gateway is configured, for some kind of work.

    Args:
        settings: name the gateway.
        workload: what the session on Snowflake is for.
        patience: seconds to wait while another process has the local file open.

    Raises:
        ConfigurationError: the Snowflake account is not configured.
        InsightMartError: the local file stays in use by another process, or is unreadable.
    """
    if settings.gateway == "local":
        return open_file(settings.database_path, patience)
    return Warehouse(connect(settings, workload, **OPTIONS), "snowflake")


def open_file(file: Path, patience: float = 0) -> Warehouse:
    """Open (or create) a local file of DuckDB to write to it.

    Args:
        file: the warehouse, or SQLMesh's state.
        patience: seconds to wait while another process has it open.

    Raises:
        InsightMartError: the file stays in use by another process, or is unreadable.
    """
    again = Retrying(
        retry=retry_if_exception_type(_InUse), stop=stop_after_delay(patience), wait=wait_fixed(1), reraise=True
    )
    try:
        return again(_opened, file, is_read=False)
    except _InUse as error:
        raise error.told from None


def open_to_read(settings: Settings, *, is_whole: bool = False) -> Warehouse:
    """The warehouse for one who only reads: on DuckDB the copy for readers, which is there at any time.

    Args:
        settings: name the gateway.
        is_whole: more is asked for than the copy holds (``insightmart.read_copy``). The local file itself is opened
            then, which cannot be while a command writes to it.

    Raises:
        ConfigurationError: the Snowflake account is not configured.
        InsightMartError: the local file itself is needed and in use, or the file is unreadable.
    """
    if settings.gateway != "local":
        return Warehouse(connect(settings, "report", **OPTIONS), "snowflake")
    copy = copy_path(settings.home)
    is_copy = copy.exists() and not is_whole
    if not is_copy and not settings.database_path.exists():
        return Warehouse(duckdb.connect(), "duckdb")  # nothing has been loaded yet
    try:
        try:
            return _opened(copy if is_copy else settings.database_path, is_read=True)
        except _DamagedError:
            if not is_copy:
                raise
            return _opened(settings.database_path, is_read=True)  # the next cycle writes the copy anew
    except _InUse as error:
        raise error.told from None


class _DamagedError(InsightMartError):
    """A local file is no database any more."""


class _InUse(Exception):
    """Another process has the local file open."""

    def __init__(self, told: InsightMartError) -> None:
        super().__init__()
        self.told = told


def _opened(file: Path, *, is_read: bool) -> Warehouse:
    try:
        return Warehouse(duckdb.connect(str(file), read_only=True), "duckdb") if is_read else open_duckdb(file)
    except duckdb.IOException as error:
        if told := damaged(file, error):
            raise _DamagedError(told.cause, told.cure) from None
        if "lock" not in str(error).lower():
            known = of_this_machine(error)
            raise InsightMartError(f"{file} cannot be opened: {error}", known.cure if known else "") from None
        holder = re.search(r"PID (\d+)", str(error))
        cure = (
            "Close the program that has it open for writing"
            if is_read and file.parent.name == "readers"
            else "Wait for the running cycle to end; certified and ops can be read meanwhile, in the copy for readers"
            if is_read
            else "Wait for the running cycle to end, or close the program that has the file open"
        )
        process = f" (process {holder[1]})" if holder else ""
        raise _InUse(InsightMartError(f"{file} is open in another process{process}", cure)) from None


def open_beside(warehouse: Warehouse, settings: Settings) -> Warehouse:
    """Another connection to the same warehouse, for a load in another thread; close it when that is done."""
    if warehouse.dialect == "duckdb":
        return Warehouse(warehouse.connection.cursor(), "duckdb", warehouse.turns)
    return Warehouse(connect(settings, "load", **OPTIONS), "snowflake", warehouse.turns)


def dlt_destination(settings: Settings) -> Any:
    """The same warehouse as dlt's destination, a new one for each thread.

    Raises:
        ConfigurationError: the private key cannot be used.
    """
    if settings.gateway == "local":
        import dlt

        return dlt.destinations.duckdb(str(settings.database_path))
    from insightmart.snowflake_destination import snowflake_destination

    return snowflake_destination(settings)
