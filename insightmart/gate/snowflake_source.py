"""Soda on Snowflake: on a session that is open already, with one statement for all that a scan asks.

Rows that fail a check are not fetched, as Soda would to show them: they may hold personal data.

A statement is a round trip, and the checks of an hour of small tables cost little else. On DuckDB there is none, and
there each check is a statement of its own, so that no two need memory at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from snowflake.connector.errors import Error
from soda.data_sources.snowflake_data_source import SnowflakeDataSource
from soda.execution.data_source_scan import DataSourceScan
from soda.execution.query.aggregation_query import AggregationQuery
from soda.execution.query.duplicates_query import DuplicatesQuery
from soda.execution.query.user_defined_numeric_query import UserDefinedNumericQuery

from ingestion.warehouse import DATABASE

if TYPE_CHECKING:
    from soda.execution.query.query import Query
    from soda.scan import Scan


class OneStatementScan(DataSourceScan):
    """A scan that asks for every value of its checks at once."""

    def execute_queries(self) -> None:
        """Ask all, then let each query take its answer as it would have fetched it; no rows that fail are sampled.

        Where the statement fails, each query is sent by itself, so that Soda names the check that cannot be answered.
        """
        self.scan._configuration.sampler = None
        partitions = [partition for table in self.tables.values() for partition in table.partitions.values()]
        queries = [*(query for partition in partitions for query in partition.collect_queries()), *self.queries]
        together = [query for query in queries if _gives_one_row(query)]
        for query, row in zip(together, self._answers(together), strict=False):
            query.fetchone = lambda query=query, row=row: _take(query, row)
        for query in queries:
            if isinstance(query, DuplicatesQuery):
                query.samples_limit = 0
            query.execute()

    def _answers(self, queries: Sequence[Query]) -> list[Sequence[Any]]:
        cursor = self.data_source.connection.cursor()
        try:
            cursor.execute(statement([_selected(query) for query in queries]))
            row = cursor.fetchone()
        except Error:  # says nothing of which of them it is
            return []
        finally:
            cursor.close()
        values = iter(row)
        return [[next(values) for _ in _selected(query)[0]] for query in queries]


class OpenSnowflake(SnowflakeDataSource):
    """What Soda offers for DuckDB only: a data source on a connection that is open already."""

    def create_data_source_scan(self, scan: Scan, data_source_scan_cfg: Any) -> OneStatementScan:
        """The scan of this source."""
        self.data_source_scan = OneStatementScan(scan, data_source_scan_cfg, self)
        return self.data_source_scan


def add_snowflake_connection(scan: Scan, connection: Any, name: str) -> None:
    """Let a scan work on an open connection to Snowflake.

    Args:
        scan: the scan.
        connection: session that sees what is scanned.
        name: of the data source.
    """
    properties = {"type": "snowflake", "connection_type": "snowflake", "database": DATABASE}
    scan._configuration.data_source_properties_by_name[name] = properties
    source = OpenSnowflake(scan._logs, name, properties)
    source.connection = connection
    scan._data_source_manager.data_sources[name] = source


def statement(asked: Sequence[tuple[Sequence[str], str]]) -> str:
    """One statement with one row, whose values are those of all.

    Args:
        asked: for each query either (expressions, what they are taken from), or (one name, the query itself).
    """
    values, sources = [], []
    for number, (expressions, source) in enumerate(asked):
        if len(expressions) == 1 and expressions[0] == WHOLE:
            values.append(f"(\n{source}\n) AS V{number}")
            continue
        named = ", ".join(f"{expression} AS C{column}" for column, expression in enumerate(expressions))
        sources.append(f"(SELECT {named} FROM {source}) AS A{number}")
        values += [f"A{number}.C{column} AS V{number}_{column}" for column, _ in enumerate(expressions)]
    origin = f"\nFROM {' CROSS JOIN '.join(sources)}" if sources else ""
    return f"SELECT {', '.join(values)}{origin}"


WHOLE = "*"


def _gives_one_row(query: Query) -> bool:
    if isinstance(query, AggregationQuery):
        return not query.partition.sql_partition_filter
    return isinstance(query, (DuplicatesQuery, UserDefinedNumericQuery))


def _selected(query: Query) -> tuple[Sequence[str], str]:
    if isinstance(query, AggregationQuery):
        resolve = query.data_source_scan.scan.jinja_resolve
        return [resolve(text) for text in query.select_expressions], query.partition.table.qualified_table_name
    return [WHOLE], query.sql


def _take(query: Query, row: Sequence[Any]) -> None:
    query.description = tuple((None,) for _ in row)
    query.row = tuple(row)
    query.row_count = 1
