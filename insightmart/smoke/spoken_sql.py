"""SQL as the pipeline takes it to be understood: types, identifiers, MERGE, several statements, what is temporary."""

from __future__ import annotations

from datetime import datetime

from insightmart.smoke.trial import DidNotHold, Trial, check

TIMESTAMP_NTZ = 8  # the connector's code of the type
UNKNOWN_IDENTIFIER, DUPLICATE_IN_MERGE = "904", "100090"  # numbers of Snowflake's errors


@check("TIMESTAMP is one without a zone")
def timestamp_without_zone(trial: Trial) -> str:
    """Bare TIMESTAMP, which dlt and sqlglot write, with a window around a change of clocks."""
    cursor = trial.warehouse.connection.cursor()
    cursor.execute("SELECT CAST('2026-03-29 02:30:00' AS TIMESTAMP) AS instant")
    if cursor.description[0].type_code != TIMESTAMP_NTZ:
        raise DidNotHold(f"CAST AS TIMESTAMP gives type {cursor.description[0].type_code} of the connector")
    [(instant,)] = cursor.fetchall()
    if instant != datetime(2026, 3, 29, 2, 30):
        raise DidNotHold(f"2026-03-29 02:30:00 came back as {instant}")
    hour = datetime(2026, 3, 29, 2)
    window = (
        "SELECT COUNT(*) FROM (SELECT CAST('2026-03-29 02:30:00' AS TIMESTAMP) AS t)"
        " WHERE t >= CAST(? AS TIMESTAMP) AND t < CAST(? AS TIMESTAMP_NTZ)"
    )
    if trial.warehouse.value(window, [hour, datetime(2026, 3, 29, 3)]) != 1:
        raise DidNotHold("a bound window of an hour misses an instant in it")
    return "TIMESTAMP_NTZ, and a bound window finds its instants"


@check("identifiers without quotes are upper case")
def identifiers(trial: Trial) -> str:
    """Models are written in lower case without quotes, SQLMesh and our own inserts quote upper case."""
    cursor = trial.warehouse.connection.cursor()
    cursor.execute('SELECT order_id AS found, "ORDER_ID", "sqlmesh__X" FROM (SELECT 1 AS order_id, 2 AS "sqlmesh__X")')
    names = [column.name for column in cursor.description]
    if names != ["FOUND", "ORDER_ID", "sqlmesh__X"]:
        raise DidNotHold(f"columns are called {names}")
    return "order_id is ORDER_ID, and what is quoted stays as it is"


@check("a quoted identifier in lower case is another one", account_only="DuckDB does not tell them apart")
def quoted_lower_case(trial: Trial) -> str:
    """Why a table that somebody created in quotes and lower case is not found."""
    refusal = trial.refused('SELECT "order_id" FROM (SELECT 1 AS order_id)')
    if refusal is None:
        raise DidNotHold('"order_id" found ORDER_ID: QUOTED_IDENTIFIERS_IGNORE_CASE is set')
    return refusal


@check("MERGE updates and inserts", writes=True)
def merge(trial: Trial) -> str:
    """As SQLMesh writes it for models that are kept by key."""
    _merge_tables(trial)
    trial.warehouse.execute(_merge_statement(trial))
    found = trial.warehouse.rows(f"SELECT id, amount FROM {trial.table('merged')} ORDER BY id")
    if found != [(1, 10), (2, 21), (3, 31)]:
        raise DidNotHold(f"rows are {found}")
    return "one row updated, one inserted, one left as it was"


@check("MERGE with duplicates is refused", writes=True, account_only="DuckDB takes one of them")
def merge_with_duplicates(trial: Trial) -> str:
    """Two rows of one key would update in any order; the account must not have ERROR_ON_NONDETERMINISTIC_MERGE off."""
    _merge_tables(trial)
    trial.warehouse.execute(f"INSERT INTO {trial.table('changes')} VALUES (2, 22)")
    refusal = trial.refused(_merge_statement(trial))
    if refusal is None:
        raise DidNotHold("it took one of two rows for one key: ERROR_ON_NONDETERMINISTIC_MERGE is off")
    if DUPLICATE_IN_MERGE not in refusal:
        raise DidNotHold(refusal)
    return refusal


@check("several statements in one call", writes=True)
def several_statements(trial: Trial) -> str:
    """As dlt sends them."""
    table = trial.table("several")
    cursor = trial.warehouse.connection.cursor()
    cursor.execute(
        f"CREATE TABLE {table} (id BIGINT); INSERT INTO {table} VALUES (1); INSERT INTO {table} VALUES (2)",
        num_statements=0,
    )
    if (found := trial.warehouse.value(f"SELECT COUNT(*) FROM {table}")) != 2:
        raise DidNotHold(f"3 statements in one call left {found} rows")
    return "CREATE and 2 INSERT in one call"


@check("a temporary view is its session's alone", writes=True)
def temporary_view(trial: Trial) -> str:
    """Gates scan through them: two scans at once must not see each other's window."""
    name = f"{trial.room}.scanned"  # as gates name them, without quotes
    with trial.session() as one, trial.session() as other:
        for number, session in enumerate((one, other), start=1):
            session.execute(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS SELECT {number} AS n")
        seen = [session.value(f"SELECT n FROM {name}") for session in (one, other)]
    if seen != [1, 2]:
        raise DidNotHold(f"two sessions with a view of one name see {seen}")
    return "two sessions, one name, each its own"


def _merge_tables(trial: Trial) -> None:
    for name, rows in (("merged", "(1, 10), (2, 20)"), ("changes", "(2, 21), (3, 31)")):
        trial.warehouse.execute(f"CREATE OR REPLACE TABLE {trial.table(name)} (id BIGINT, amount BIGINT)")
        trial.warehouse.execute(f"INSERT INTO {trial.table(name)} VALUES {rows}")


def _merge_statement(trial: Trial) -> str:
    return (
        f"MERGE INTO {trial.table('merged')} AS __MERGE_TARGET__"
        f" USING (SELECT id, amount FROM {trial.table('changes')}) AS __MERGE_SOURCE__"
        " ON __MERGE_TARGET__.id = __MERGE_SOURCE__.id"
        " WHEN MATCHED THEN UPDATE SET __MERGE_TARGET__.amount = __MERGE_SOURCE__.amount"
        " WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (__MERGE_SOURCE__.id, __MERGE_SOURCE__.amount)"
    )
