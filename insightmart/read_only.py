"""One query that can only read, on the warehouse of the configured gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.gateway import open_to_read
from insightmart.read_copy import has_all_of
from insightmart.recorded_settings import refuse_recorded_others
from insightmart.settings import Settings


def answer(settings: Settings, query: str, limit: int | None) -> tuple[list[str], list[Sequence[Any]], bool]:
    """What a query gives.

    Args:
        settings: name the gateway.
        query: one statement that reads, in the dialect of the warehouse.
        limit: how many rows at most; None for all of them.

    Returns:
        Column names, rows, and whether there are more rows than ``limit``.

    Raises:
        ConfigurationError: it is not one statement that only reads, or the warehouse was set up with other settings.
        InsightMartError: the warehouse is in use, or refused the query.
    """
    check_only_reads(query, "duckdb" if settings.gateway == "local" else "snowflake")
    if settings.gateway == "local":
        return _answer_locally(settings, query, limit)
    return _answer_of_snowflake(settings, query, limit)


def check_only_reads(query: str, dialect: str) -> None:
    """Refuse what is not exactly one SELECT, WITH, SHOW or DESCRIBE statement.

    On DuckDB the file is opened read-only as well; this keeps COPY, ATTACH and the like from writing elsewhere.

    Raises:
        ConfigurationError: what it is instead.
    """
    import sqlglot
    from sqlglot import exp

    cure = "Ask with one SELECT, WITH, SHOW or DESCRIBE"
    try:
        statements = [statement for statement in sqlglot.parse(query, read=dialect) if statement is not None]
    except sqlglot.errors.SqlglotError as error:
        raise ConfigurationError(f"this is not SQL that can be checked: {_first_line(error)}", cure) from None
    if len(statements) != 1:
        raise ConfigurationError(f"one statement is asked for, this is {len(statements) or 'none'}", cure)
    (statement,) = statements
    changing = (exp.DML, exp.DDL, exp.Command, exp.Into)
    reads = isinstance(statement, exp.Query | exp.Show | exp.Describe)
    changes = any(isinstance(node, changing) and not isinstance(node, exp.Query) for node in statement.walk())
    if not reads or changes:
        word = query.split(None, 1)[0].upper()
        raise ConfigurationError(f"{word} is not something that only reads", cure)


def _answer_locally(settings: Settings, query: str, limit: int | None) -> tuple[list[str], list[Sequence[Any]], bool]:
    with open_to_read(settings, is_whole=not _asks_readers_tables(query)) as warehouse:
        refuse_recorded_others(warehouse, settings)
        warehouse.execute("SET enable_external_access = false")  # no file of this machine, and no network
        try:
            return _fetched(warehouse.connection.execute(query), limit)
        except duckdb.Error as error:
            raise InsightMartError(_first_line(error)) from None


def _asks_readers_tables(query: str) -> bool:
    """Whether the copy for readers has every table of a query as the warehouse has it."""
    import sqlglot
    from sqlglot import exp

    statement = sqlglot.parse_one(query, read="duckdb")
    if not isinstance(statement, exp.Query):
        return False  # SHOW, DESCRIBE
    return all(has_all_of(table.db, table.name) for table in statement.find_all(exp.Table) if table.db)


def _answer_of_snowflake(
    settings: Settings, query: str, limit: int | None
) -> tuple[list[str], list[Sequence[Any]], bool]:
    from snowflake.connector.errors import Error

    with open_to_read(settings) as warehouse:
        refuse_recorded_others(warehouse, settings)
        try:
            return _fetched(warehouse.connection.cursor().execute(query), limit)
        except Error as error:
            raise InsightMartError(_first_line(error)) from None


def _fetched(cursor: Any, limit: int | None) -> tuple[list[str], list[Sequence[Any]], bool]:
    names = [column[0].lower() for column in cursor.description]
    rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1)
    return names, list(rows[:limit]), limit is not None and len(rows) > limit


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
