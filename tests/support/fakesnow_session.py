"""fakesnow, and what the pipeline's Snowflake statements need beyond it: for tests only.

fakesnow stands in for the account behind the real ``snowflake-connector-python``: it takes the statements, translates
them and runs them on DuckDB. This module adds what it lacks: a table's own stage with PUT, COPY INTO out of it and
REMOVE, values bound with their types, results as Arrow, several statements in one call, a session's schema named with
its database, temporary tables in a schema, temporary views that their session alone sees, comments on the columns of a
view, views in INFORMATION_SCHEMA.TABLES, EXPLAIN (which DuckDB answers with its own plan), SHOW PARAMETERS and the
session's role and warehouse (as the connection was opened), LIST of a table's stage, what is at work in the account and
how it is stopped (QUERY_HISTORY_BY_USER, SHOW TRANSACTIONS and two functions, on tables that tests fill), sums of
decimals that stay decimals, a schema that is made anew as a clone of another one, RTRIM of other characters than
blanks, MERGE with an alias for its target, MD5 as a number, and the log of what was sent. And it refuses subqueries
that Snowflake is reported to refuse (`linter/shapes.py`), which DuckDB answers.

What passing on it shows: which statements are sent, in which order, with which identifiers and bound values, and that
rows arrive equal. What it does not show: that Snowflake compiles them, privileges, real COPY, clustering, cost, and
anything about concurrency.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import Any

import fakesnow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import snowflake.connector.errors
import sqlmesh  # noqa: F401  before sqlglot writes any SQL: its generators know then what a model is
from fakesnow import info_schema, transforms
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from sqlglot import exp, parse_one
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.tokens import TokenType

from insightmart.snowflake_sessions import close_waiting
from linter.shapes import refused_shapes
from tests.support.changed_in_place import InPlace
from tests.support.cloned_schema import CLONE, clone_schema

_CREATE_TABLE_AS = transforms.create_table_as
_PUT = re.compile(r"PUT 'file://(?P<path>[^']+)' '(?P<stage>@[^']+)' OVERWRITE = TRUE, AUTO_COMPRESS = FALSE$")
_COPY = re.compile(
    r"COPY INTO (?P<table>\S+)\s+FROM '(?P<file>@[^']+)'\s+FILE_FORMAT = \(TYPE = 'PARQUET'(?P<options>[^)]*)\)\s+"
    r"MATCH_BY_COLUMN_NAME\s*=\s*'CASE_INSENSITIVE'"
)
_REMOVE = re.compile(r"REMOVE '(?P<file>@[^']+)'$")
_LIST = re.compile(r"LIST (?P<stage>@\S+)$")
_EXPLAIN = re.compile(r"EXPLAIN USING TEXT\s", re.I)
_PARAMETERS = "SHOW PARAMETERS IN SESSION"
_ROLE_AND_WAREHOUSE = "SELECT CURRENT_ROLE(), CURRENT_WAREHOUSE()"
_HISTORY = re.compile(r"TABLE\(INSIGHTMART\.INFORMATION_SCHEMA\.QUERY_HISTORY_BY_USER\([^)]*\)\)")
_CANCEL = re.compile(r"SELECT SYSTEM\$CANCEL_QUERY\('(?P<id>[\w-]+)'\)$")
_ABORT = re.compile(r"SELECT SYSTEM\$ABORT_TRANSACTION\((?P<id>\d+)\)$")
_TEMPORARY = re.compile(r"(CREATE\s+(?:OR\s+REPLACE\s+)?)TEMP(?:ORARY)?\s+((?:TABLE|VIEW)\s)", re.I)
_TEMPORARY_VIEW = re.compile(r"CREATE\s+OR\s+REPLACE\s+TEMPORARY\s+VIEW\s+(?P<name>\w+\.\w+)\s", re.I)
_COMMENTS_OF_A_VIEW = re.compile(r"(/\*.*?\*/\s*)?ALTER\s+VIEW\s.*\sCOMMENT\s", re.I | re.S)

_HANDING_ON = ("ingestion.warehouse", "insightmart.snowflake_sessions", "insightmart.transform.sqlmesh_patches")


class Session:
    """What was sent, in order, with the tag of each statement, the model or module it came from and the role of its
    connection; what each connection was opened with; the columns of each file put into a stage, and the files there, by
    stage path."""

    def __init__(self, stages: Path) -> None:
        self.statements: list[str] = []  # each in a line
        self.texts: list[str] = []  # as they were sent
        self.tags: list[dict[str, str]] = []
        self.origins: list[str] = []
        self.roles: list[str] = []
        self.connections: list[dict[str, Any]] = []
        self.put: list[pa.Schema] = []
        self.stages = stages
        self.watched_by: Callable[[Any, str], None] | None = None  # called after each statement: connection, text
        self._one_at_a_time = threading.RLock()

    def execute(self, cursor: FakeSnowflakeCursor, run: Any, command: str, *arguments: Any, **named: Any) -> Any:
        """One call of a cursor's ``execute``."""
        with self._one_at_a_time:
            self._note(cursor, command, named)
            try:
                return self._execute(cursor, run, command, *arguments, **named)
            finally:
                if self.watched_by:
                    self.watched_by(cursor._duck_conn, command)

    def _execute(self, cursor: FakeSnowflakeCursor, run: Any, command: str, *arguments: Any, **named: Any) -> Any:
        if put := _PUT.match(command):
            return run(cursor, self._put(put))
        if copy := _COPY.match(command):
            return run(cursor, self._copy(cursor, copy))
        if remove := _REMOVE.match(command):
            self._staged(remove["file"]).unlink()
            return run(cursor, "SELECT 'removed' AS result")
        if clone := CLONE.match(command):
            clone_schema(cursor, clone["schema"], clone["copy"])
            return run(cursor, "SELECT 'Schema successfully created.' AS status")
        if _COMMENTS_OF_A_VIEW.match(command):
            return run(cursor, "SELECT 'Statement executed successfully.' AS status")
        if command in (_PARAMETERS, _ROLE_AND_WAREHOUSE):
            return run(cursor, _as_opened(cursor, command))
        if (
            _HISTORY.search(command)
            or command == "SHOW TRANSACTIONS"
            or _CANCEL.match(command)
            or _ABORT.match(command)
        ):
            return run(cursor, self._of_the_account(run, cursor, command), *arguments, **named)
        if listed := _LIST.match(command):
            files = [path.name for path in self._staged(listed["stage"]).rglob("*") if path.is_file()]
            return run(cursor, _rows(["name"], [[name] for name in files]))
        if explain := _EXPLAIN.match(command):
            return _explain(cursor, _of_its_session(cursor, command[explain.end() :]))
        command = _TEMPORARY.sub(r"\1\2", _of_its_session(cursor, command))
        statements = single_statements(command)
        for statement in statements[:-1]:
            run(cursor, statement)
        return run(cursor, statements[-1], *arguments, **named)

    def execute_many(self, cursor: FakeSnowflakeCursor, run: Any, command: str, rows: list[Any], **named: Any) -> Any:
        """One call of a cursor's ``executemany``: the connector binds all rows to one statement."""
        with self._one_at_a_time:
            for number, row in enumerate(rows):
                values = [value for _, value in row]  # each with its type, which DuckDB does not need to be told
                if number == 0:
                    cursor.execute(command, values, **named)
                else:
                    run(cursor, command, values)
        return cursor

    def _note(self, cursor: FakeSnowflakeCursor, command: str, named: Mapping[str, Any]) -> None:
        self.statements.append(" ".join(command.split()))
        self.texts.append(command)
        self.tags.append(json.loads(named.get("_statement_params", {}).get("QUERY_TAG", "{}")))
        self.origins.append(self.tags[-1].get("model") or _module_at_work())
        self.roles.append(getattr(cursor._conn, "role", None) or "")

    def _put(self, put: re.Match[str]) -> str:
        source = Path(put["path"])
        target = self._staged(f"{put['stage']}/{source.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        self.put.append(pq.read_schema(target))
        return f"SELECT '{source.name}' AS source, 'UPLOADED' AS status"

    def _copy(self, cursor: FakeSnowflakeCursor, copy: re.Match[str]) -> str:
        file, table, connection = self._staged(copy["file"]), copy["table"], cursor._duck_conn
        if not file.exists():
            raise snowflake.connector.errors.ProgrammingError(f"no file {copy['file']} in the stage")
        types = {name.upper(): kind for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall()}
        sent = [name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM '{file}'").fetchall()]
        matched = [name for name in sent if name.upper() in types]
        values = ", ".join(f'CAST("{name}" AS {types[name.upper()]})' for name in matched)
        columns = ", ".join(f'"{name.upper()}"' for name in matched)
        connection.execute(f"INSERT INTO {table} ({columns}) SELECT {values} FROM '{file}'")
        return f"SELECT '{file.name}' AS file, 'LOADED' AS status"

    def _of_the_account(self, run: Any, cursor: FakeSnowflakeCursor, command: str) -> str:
        """What is at work in it: no session of this stand-in goes on by itself, so tests fill the tables that are
        asked. What is to outlive being stopped has a ``will_not``."""
        if stopped := _CANCEL.match(command):
            of_it = f"query_id = '{stopped['id']}' AND execution_status <> 'success' AND NOT will_not"
            run(cursor, f"UPDATE {AT_WORK} SET execution_status = 'failed_with_error' WHERE {of_it}")
            return "SELECT 'terminated' AS said"
        if stopped := _ABORT.match(command):
            run(cursor, f"DELETE FROM {TRANSACTIONS} WHERE id = {stopped['id']}")
            return "SELECT 'aborted' AS said"
        if command == "SHOW TRANSACTIONS":
            return f'SELECT id AS "id", session AS "session" FROM {TRANSACTIONS}'
        return _HISTORY.sub(AT_WORK, command)

    def _staged(self, place: str) -> Path:
        return self.stages / re.sub(r"[^\w./%-]", "", place)


def _as_opened(cursor: FakeSnowflakeCursor, command: str) -> str:
    """What a session says of itself."""
    if command == _PARAMETERS:
        told = [
            [name, str(value).lower() if isinstance(value, bool) else str(value)]
            for name, value in cursor._conn.told.items()
        ]
        return _rows(["key", "value"], told)
    return _rows(["role", "warehouse"], [[cursor._conn.role, cursor._conn.warehouse]])


def _rows(columns: list[str], rows: list[list[str]]) -> str:
    """A query with these rows."""
    values = exp.values([tuple(row) for row in rows or [[None] * len(columns)]], alias="t", columns=columns)
    query = exp.select(*columns).from_(values)
    return (query if rows else query.where(exp.false())).sql("snowflake")


def _explain(cursor: FakeSnowflakeCursor, statement: str) -> FakeSnowflakeCursor:
    """DuckDB's plan of a statement; it is translated and bound as if it were to be run."""
    parsed = parse_one(statement, read="snowflake")
    cursor.check_db_and_schema(parsed)
    for part in cursor._transform_explode(parsed):
        translated = cursor._transform(part, None).sql(dialect="duckdb")
        cursor._execute(exp.Command(this="EXPLAIN", expression=translated))
    return cursor


def _module_at_work() -> str:
    """The module of the pipeline that sends a statement: the innermost but for those that only hand on."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(("ingestion.", "insightmart.")) and name not in _HANDING_ON:
            return str(name)
        frame = frame.f_back  # type: ignore[assignment]
    return "sqlmesh"


def _refuse(statement: exp.Expr) -> None:
    """What Snowflake is reported to refuse, and DuckDB answers."""
    if found := refused_shapes(statement):
        raise snowflake.connector.errors.ProgrammingError(
            msg=f"SQL compilation error: Unsupported subquery type cannot be evaluated ({'; '.join(found)})", errno=2031
        )


def _of_its_session(cursor: FakeSnowflakeCursor, command: str) -> str:
    """A command with the names of temporary views as no other session has them."""
    views: set[str] = cursor._conn.__dict__.setdefault("temporary_views", set())
    if made := _TEMPORARY_VIEW.match(command):
        views.add(made["name"])
    for name in views:
        command = re.sub(rf"\b{re.escape(name)}\b", f"{name}__{id(cursor._conn)}", command, flags=re.I)
    return command


def single_statements(command: str) -> list[str]:
    """The single statements of a command."""
    ends = [token.start for token in Snowflake().tokenize(command) if token.token_type == TokenType.SEMICOLON]
    parts = [command[start:end].strip("; \n") for start, end in zip([0, *ends], [*ends, len(command)], strict=True)]
    return [part for part in parts if part]


def _create_table_as(expression: Any, connection: Any) -> Any:
    """fakesnow casts each selected column to the type of the created one, and cannot cast one that has an alias."""
    for select in [expression.expression] if isinstance(expression, exp.Create) else []:
        if isinstance(select, exp.Select) and isinstance(expression.this, exp.Schema):
            select.set("expressions", [column.unalias() for column in select.expressions])
    return _CREATE_TABLE_AS(expression, connection)


def _merge(expression: Any) -> list[Any]:
    """DuckDB has MERGE itself; only the columns that are set must not name their table."""
    for when in expression.find_all(exp.When) if isinstance(expression, exp.Merge) else []:
        for change in when.args["then"].expressions if isinstance(when.args["then"], exp.Update) else []:
            change.this.set("table", None)
    return [expression]


def _tables_and_views(template: Template) -> Template:
    """The view behind INFORMATION_SCHEMA.TABLES, with views in it as Snowflake has them."""
    both = """(
        SELECT database_name, schema_name, table_name, estimated_size, 'BASE TABLE' AS kind FROM duckdb_tables()
        UNION ALL SELECT database_name, schema_name, view_name, NULL, 'VIEW' FROM duckdb_views() WHERE NOT internal
    )"""
    body = template.template.replace("from duckdb_tables tables", f"from {both} AS tables")
    return Template(body.replace("'BASE TABLE' AS \"TABLE_TYPE\"", 'tables.kind AS "TABLE_TYPE"'))


def _md5_number(expression: Any) -> Any:
    """As Snowflake counts it: the last 16 digits of the MD5."""
    if not isinstance(expression, exp.MD5NumberLower64):
        return expression
    digits = exp.func("RIGHT", exp.MD5(this=expression.this), exp.Literal.number(16))
    return exp.cast(exp.DPipe(this=exp.Literal.string("0x"), expression=digits), exp.DType.UBIGINT)


def _as_logged_in(expression: Any, connection: Any) -> Any:
    """Role and warehouse are what the session was opened with."""
    if isinstance(expression, exp.CurrentRole):
        return exp.Literal.string(connection.role)
    return exp.Literal.string(connection.warehouse) if isinstance(expression, exp.CurrentWarehouse) else expression


def _execute_many(cursor: FakeSnowflakeCursor, command: str, rows: Iterable[Any]) -> FakeSnowflakeCursor:
    """Rows of values that each come with a type, which DuckDB does not need to be told."""
    for row in rows:
        cursor.execute(command, [value for _, value in row])
    return cursor


def _arrow_batches(cursor: FakeSnowflakeCursor) -> list[Any]:
    return [cursor._arrow_table]


def complete_cursors(patch: pytest.MonkeyPatch) -> None:
    """What ``Warehouse`` asks of a cursor and fakesnow's does not know."""
    patch.setattr(FakeSnowflakeCursor, "executemany", _execute_many)
    patch.setattr(FakeSnowflakeCursor, "fetch_arrow_batches", _arrow_batches, raising=False)


# Views that any account has, with the columns that are asked for; here as tables, empty until a test fills them.
AT_WORK, TRANSACTIONS = "snowflake.account_usage.statements_of_the_user", "snowflake.account_usage.transactions"
_ACCOUNT_USAGE = {
    "statements_of_the_user": "query_id VARCHAR, session_id NUMBER, query_tag VARCHAR, execution_status VARCHAR,"
    " will_not BOOLEAN",
    "transactions": "id NUMBER, session NUMBER",
    "metering_daily_history": "service_type VARCHAR, usage_date DATE, credits_billed NUMBER(38, 9)",
    "storage_usage": "usage_date DATE, storage_bytes NUMBER, stage_bytes NUMBER, failsafe_bytes NUMBER",
    "warehouse_metering_history": "start_time TIMESTAMP_LTZ, warehouse_name VARCHAR,"
    " credits_used_compute NUMBER(38, 9)",
    "query_history": "start_time TIMESTAMP_LTZ, warehouse_name VARCHAR, execution_time NUMBER, query_tag VARCHAR",
    "table_storage_metrics": "table_catalog VARCHAR, table_schema VARCHAR, active_bytes NUMBER,"
    " time_travel_bytes NUMBER, failsafe_bytes NUMBER, retained_for_clone_bytes NUMBER",
}


def _keep_account_usage(session: Session) -> None:
    """Make what SNOWFLAKE.ACCOUNT_USAGE has; nothing of it counts as sent."""
    with snowflake.connector.connect() as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE DATABASE IF NOT EXISTS snowflake")
        cursor.execute("CREATE SCHEMA IF NOT EXISTS snowflake.account_usage")
        for name, columns in _ACCOUNT_USAGE.items():
            cursor.execute(f"CREATE TABLE IF NOT EXISTS snowflake.account_usage.{name} ({columns})")
    for noted in (session.statements, session.texts, session.tags, session.origins, session.roles, session.connections):
        noted.clear()


@contextmanager
def fake_account(stages: Path, kept: Path | None = None) -> Iterator[Session]:
    """An empty account behind ``snowflake.connector.connect``, in this process.

    Args:
        stages: directory for the files that are put into stages.
        kept: directory in which the account outlives this process; None: it does not.
    """
    session, run = Session(stages), FakeSnowflakeCursor.execute

    def execute(cursor: FakeSnowflakeCursor, command: str, *arguments: Any, **named: Any) -> Any:
        return session.execute(cursor, run, command, *arguments, **named)

    translate, connect = FakeSnowflakeCursor._transform, FakeSnow.connect

    def translate_in_place(cursor: FakeSnowflakeCursor, statement: Any, params: Any) -> Any:
        _refuse(statement)
        own = InPlace(statement.copy()).transform(_md5_number).transform(_as_logged_in, cursor._conn)
        return translate(cursor, own, params).statement

    def connect_to(fake: FakeSnow, database: str | None = None, schema: str | None = None, **named: Any) -> Any:
        session.connections.append(named)
        made = connect(fake, database, schema and schema.split(".")[-1].strip('"'), **named)
        made.role, made.warehouse = named.get("role"), named.get("warehouse")  # as a login answers
        made.told = named.get("session_parameters", {})
        return made

    def executemany(cursor: FakeSnowflakeCursor, command: str, rows: list[Any], **named: Any) -> Any:
        return session.execute_many(cursor, run, command, rows, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeSnowflakeCursor, "execute", execute)
        complete_cursors(patch)
        patch.setattr(FakeSnowflakeCursor, "executemany", executemany)
        patch.setattr(FakeSnowflakeCursor, "_transform", translate_in_place)
        patch.setattr(FakeSnow, "connect", connect_to)
        tables = info_schema.SQL_CREATE_INFORMATION_SCHEMA_TABLES_VIEW
        patch.setattr(info_schema, "SQL_CREATE_INFORMATION_SCHEMA_TABLES_VIEW", _tables_and_views(tables))
        patch.setattr(transforms, "merge", _merge)
        patch.setattr(transforms, "create_table_as", _create_table_as)
        # it forgets which end is trimmed, and of what; everything trimmed here is text already
        patch.setattr(transforms, "trim_cast_varchar", lambda expression: expression)
        # it would make every sum a sum of floats, for the sake of text that is to be summed: there is none here
        patch.setattr(transforms, "numeric_agg_implicit_cast", lambda expression: expression)
        with fakesnow.patch(db_path=kept):
            _keep_account_usage(session)
            yield session
            close_waiting()  # the next account is another one
