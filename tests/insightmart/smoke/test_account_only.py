"""Checks that only an account can answer, with what Snowflake's pages say that it answers put in its place.

It shows that each check asks, reads the answer and judges it; what an account says is for the first one to say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from fakesnow.cursor import FakeSnowflakeCursor
from snowflake.connector.errors import ProgrammingError

from insightmart import left_at_work
from insightmart.gateway import open_warehouse
from insightmart.settings import load_settings
from insightmart.smoke.rehearsal import CHECKS
from insightmart.smoke.trial import Trial
from tests.support.fakesnow_session import AT_WORK, TRANSACTIONS

Answers = Mapping[str, Any]
Judging = Callable[..., tuple[str, str]]

TABLE = '"INSIGHTMART"."sqlmesh__CORE"."CORE__ORDERS__1"'
WINDOW = "\"ORDERED_AT\" BETWEEN CAST('2026-01-01' AS TIMESTAMP_NTZ) AND CAST('2026-01-01' AS TIMESTAMP_NTZ)"


@pytest.fixture
def judged(account: Any, tried: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Judging:
    """Runs a check on an account that answers what a statement begins with as given: rows of (column, value), an error,
    or what a function of the cursor and of what was sent with it makes of it."""

    def run(name: str, answers: Answers) -> tuple[str, str]:
        execute = FakeSnowflakeCursor.execute

        def answering(cursor: Any, command: str, *arguments: Any, **named: Any) -> Any:
            for beginning, answer in answers.items():
                if command.startswith(beginning):
                    found = answer(cursor, named) if callable(answer) else answer
                    if isinstance(found, Exception):
                        raise found
                    rows = [" SELECT " + ", ".join(f"'{value}' AS \"{key}\"" for key, value in row) for row in found]
                    return execute(cursor, " UNION ALL".join(rows))
            return execute(cursor, command, *arguments, **named)

        with monkeypatch.context() as answered:
            answered.setattr(FakeSnowflakeCursor, "execute", answering)
            answered.setattr(Trial, "stand_in", None)
            found = tried(*(["--write"] if CHECKS[name].writes else []), name)[name]
        return found["verdict"], found["seen"]

    return run


def test_a_quoted_identifier_in_lower_case_is_refused(judged: Judging) -> None:
    name = "a quoted identifier in lower case is another one"
    error = ProgrammingError(msg="invalid identifier '\"order_id\"'", errno=904)
    assert judged(name, {'SELECT "order_id"': error}) == ("held", "000904: invalid identifier '\"order_id\"'")
    assert judged(name, {})[0] == "did not hold"


def test_duplicates_of_a_merge_are_refused(judged: Judging) -> None:
    name = "MERGE with duplicates is refused"
    error = ProgrammingError(msg="Duplicate row detected during DML action", errno=100090)
    assert judged(name, {"MERGE": error}) == ("held", "100090: Duplicate row detected during DML action")
    assert judged(name, {"MERGE": ProgrammingError(msg="something else", errno=1)}) == (
        "did not hold",
        "000001: something else",
    )


def test_a_transaction_is_aborted_from_outside(judged: Judging) -> None:
    name = "a transaction that is aborted from outside leaves nothing"
    begun: list[Any] = []

    def current(cursor: Any, _: Any) -> list[Any]:
        begun.append(cursor._duck_conn)
        return [[("id", 123)]]

    def abort(*_: Any) -> list[Any]:
        begun[-1].rollback()
        return [[("said", "Aborted transaction id: 123")]]

    found = judged(name, {"SELECT CURRENT_TRANSACTION()": current, "SELECT SYSTEM$ABORT_TRANSACTION(123)": abort})
    assert found == (
        "held",
        "Aborted transaction id: 123; rows as before, and another session writes them at once",
    )


def test_what_a_dead_writer_has_left_is_stopped(judged: Judging, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "what a dead writer has left at work is stopped"
    monkeypatch.setattr(left_at_work, "PAUSE", 0.05)
    statement = "0a1b2c3d-0000-4000-8000-000000000001"

    def begin(_: Any, named: Any) -> list[Any]:
        with open_warehouse(load_settings()) as account:
            account.execute(f"DELETE FROM {AT_WORK}")
            values = ["begun", 7, named["_statement_params"]["QUERY_TAG"], "success", False]
            account.execute(f"INSERT INTO {AT_WORK} VALUES (?, ?, ?, ?, ?)", values)
            account.execute(f"INSERT INTO {TRANSACTIONS} VALUES (123, 7)")
        return [[("status", "begun")]]

    def wait(_: Any, named: Any) -> list[Any] | Exception:
        with open_warehouse(load_settings()) as account:
            values = [statement, 8, named["_statement_params"]["QUERY_TAG"], "running", False]
            account.execute(f"INSERT INTO {AT_WORK} VALUES (?, ?, ?, ?, ?)", values)
            asked = f"SELECT execution_status FROM {AT_WORK} WHERE query_id = ?"
            while account.value(asked, [statement]) == "running":
                pass
        return ProgrammingError(msg="SQL execution canceled", errno=604)

    answers = {"BEGIN": begin, "SELECT CURRENT_TRANSACTION()": [[("id", 123)]], "SELECT SYSTEM$WAIT(300)": wait}
    assert judged(name, answers) == ("held", "000604: SQL execution canceled; transaction 123 is gone")
    done = {"SELECT SYSTEM$WAIT(300)": [[("said", "waited 300 seconds")]]}
    assert judged(name, answers | done) == (
        "did not hold",
        "the statement was not cancelled: it came to its end",
    )


def test_ddl_that_is_rolled_back_with_the_rest_is_told(judged: Judging) -> None:
    assert judged("a statement that creates something ends a transaction", {}) == (
        "did not hold",
        "after CREATE TABLE and ROLLBACK the rows are [(1,), (2,)], not [(3,)]",
    )


def test_readers_keep_what_they_may_read(judged: Judging) -> None:
    def granted(*roles: str) -> list[Any]:
        return [[("privilege", "SELECT"), ("grantee_name", role)] for role in roles]

    replaced, certified = (
        "a view that SQLMesh replaces keeps its readers",
        "readers and auditors may read what is certified",
    )
    both = granted("INSIGHTMART_REPORTER", "INSIGHTMART_AUDITOR")
    done = [[("status", "Statement executed successfully.")]]
    assert judged(replaced, {"GRANT": done, "SHOW GRANTS": both})[0] == "held"
    assert judged(replaced, {"GRANT": done, "SHOW GRANTS": granted("INSIGHTMART_AUDITOR")}) == (
        "did not hold",
        "after it was replaced INSIGHTMART_REPORTER may not read it, only INSIGHTMART_AUDITOR",
    )
    assert judged(certified, {}) == (
        "could not be tried",
        "nothing is certified yet: run the first cycle, then deploy/snowflake/readers.sql",
    )
    with open_warehouse(load_settings()) as warehouse:
        warehouse.execute("CREATE SCHEMA certified")
        for name in ("fct_orders", "fct_orders__oltp"):
            warehouse.execute(f"CREATE VIEW certified.{name} AS SELECT 1 AS n")
    assert judged(certified, {"SHOW GRANTS": both}) == (
        "did not hold",
        "INSIGHTMART_REPORTER may read FCT_ORDERS__OLTP, a part",
    )
    parts = {"SHOW GRANTS ON VIEW CERTIFIED.FCT_ORDERS__OLTP": granted("INSIGHTMART_AUDITOR"), "SHOW GRANTS": both}
    assert judged(certified, parts) == ("held", "2 views")


def test_a_statement_that_reads_most_of_a_table_is_named(judged: Judging, few: Callable[..., None]) -> None:
    few(
        [
            ("core.orders", f"DELETE FROM {TABLE} WHERE {WINDOW}"),
            ("core.orders", f"SELECT * FROM {TABLE} WHERE {WINDOW}"),
        ]
    )
    name = "statements of an hour read the hour"
    with open_warehouse(load_settings()) as warehouse:
        warehouse.execute('CREATE SCHEMA "sqlmesh__CORE"')
        warehouse.execute('CREATE TABLE "sqlmesh__CORE"."CORE__ORDERS__12345" (ordered_at TIMESTAMP_NTZ)')
        warehouse.execute("CREATE SCHEMA ops")
        warehouse.execute(
            "CREATE TABLE ops.source_watermarks AS SELECT CAST('2026-03-06' AS TIMESTAMP_NTZ) AS covered_through"
        )

    def plan(total: int, assigned: int) -> dict[str, Any]:
        scan = {
            "operation": "TableScan",
            "objects": ["INSIGHTMART.sqlmesh__CORE.CORE__ORDERS__12345"],
            "partitionsTotal": total,
            "partitionsAssigned": assigned,
        }
        text = json.dumps({"GlobalStats": {}, "Operations": [[{"operation": "Result"}, scan]]})
        return {"EXPLAIN USING JSON": [[("content", text)]]}

    assert judged(name, plan(100, 3)) == (
        "held",
        "2 scans, none of more than 50% of a table with 20 partitions or more",
    )
    assert judged(name, plan(100, 80)) == (
        "did not hold",
        "core.orders reads 80% of sqlmesh__CORE.CORE__ORDERS__12345",
    )
    assert judged(name, plan(4, 4)) == (
        "could not be tried",
        "too little is loaded: the largest table has 4 partitions, it takes 20",
    )

    def depth(average: float) -> dict[str, Any]:
        text = json.dumps({"total_partition_count": 40, "average_depth": average})
        return {"SELECT SYSTEM$CLUSTERING_INFORMATION": [[("told", text)]]}

    lies = "tables that are kept by hour lie in the order of time"
    assert judged(lies, depth(1.5)) == ("held", "1 tables, the largest of 40 partitions")
    assert judged(lies, depth(30)) == (
        "did not hold",
        'at a point of ORDERED_AT 30 of 40 partitions of "sqlmesh__CORE"."CORE__ORDERS__12345" overlap',
    )
