"""What is changed in how SQLMesh speaks to Snowflake; `sqlmesh_patches` puts it in place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlglot import exp
from sqlmesh.core.config.connection import SnowflakeConnectionConfig
from sqlmesh.core.dialect import to_schema
from sqlmesh.core.engine_adapter.base import EngineAdapter
from sqlmesh.core.engine_adapter.snowflake import SnowflakeEngineAdapter
from sqlmesh.core.snapshot import Snapshot
from sqlmesh.core.snapshot.evaluator import SnapshotEvaluator

from ingestion.warehouse import DATABASE
from insightmart.runs import current_run_id
from insightmart.settings import load_settings
from insightmart.snowflake_sessions import SnowflakeSession, connect, working_on
from insightmart.transform.model_graph import short_name

FEW_ROWS = 100
# Physical schemas whose tables can be built again from raw: they need neither time travel nor Snowflake's week of
# fail-safe, which are paid for by the byte that changes, and these change with each hour.
BUILT_AGAIN = frozenset({"sqlmesh__staging", "sqlmesh__core"})

Operation = Callable[..., Any]


def on_our_sessions(create: Operation) -> Operation:
    """Snowflake: SQLMesh works on the pipeline's own sessions, with their parameters.

    Why: SQLMesh opens a connection for each thread of each run and plan, and closes it after. Here a closed one waits
    for the next thread; and one place says what every session is told (`insightmart/snowflake_sessions.py`).

    Test: tests/insightmart/test_snowflake_sessions.py
    """

    @functools.wraps(create)
    def create_engine_adapter(self: SnowflakeConnectionConfig, *args: Any, **kwargs: Any) -> Any:
        adapter = create(self, *args, **kwargs)
        adapter._connection_pool._connection_factory = open_session
        return adapter

    return create_engine_adapter


def open_session() -> SnowflakeSession:
    """A session as SQLMesh has it."""
    current_run_id()  # plain `sqlmesh` is a run, too
    return connect(load_settings(), "transform", autocommit=False, paramstyle="qmark")


def tagged_with_model(operation: Operation) -> Operation:
    """Snowflake: what is sent for a model says so in its query tag.

    Test: tests/insightmart/test_snowflake_sessions.py
    """

    @functools.wraps(operation)
    def run(self: SnapshotEvaluator, *args: Any, **kwargs: Any) -> Any:
        with working_on(short_name(snapshot_in(args, kwargs).name)):
            return operation(self, *args, **kwargs)

    return run


def snapshot_in(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Snapshot:
    """The snapshot that one of SQLMesh's operations is called for."""
    found: Snapshot = kwargs.get("snapshot") or next(value for value in args if isinstance(value, Snapshot))
    return found


def by_declared_columns(render: Operation) -> Operation:
    """Snowflake: an audit compares with the time column's type as the model declares it.

    Why: SQLMesh describes the table once for each audit, to learn what it has declared itself.

    Test: tests/insightmart/commands/test_cycle.py counts
    """

    @functools.wraps(render)
    def render_audit_query(self: Any, audit: Any, **kwargs: Any) -> Any:
        if isinstance(kwargs.get("engine_adapter"), SnowflakeEngineAdapter) and self.columns_to_types:
            kwargs.pop("engine_adapter")
        return render(self, audit, **kwargs)

    return render_audit_query


def remembered(ask: Operation) -> Operation:
    """Snowflake: what a table's columns are, and that a schema is there, is asked once a project.

    Why: SQLMesh creates each schema in every plan, and asks for columns again and again. A physical table is named
    after what it is made of; one that is altered is asked for again (`forgets`).

    Test: tests/insightmart/test_snowflake_sessions.py
    """

    @functools.wraps(ask)
    def run(self: SnowflakeEngineAdapter, name: Any, *args: Any, **kwargs: Any) -> Any:
        known: dict[Any, Any] = self._connection_pool.__dict__.setdefault("answers", {})
        key = (ask.__name__, str(name), repr(args), repr(sorted(kwargs.items())))
        if key not in known:
            known[key] = ask(self, name, *args, **kwargs)
        found = known[key]
        return dict(found) if isinstance(found, dict) else found  # who asks may change it

    return run


def forgets(change: Operation) -> Operation:
    """Snowflake: what is altered or dropped is asked for again."""

    @functools.wraps(change)
    def run(self: SnowflakeEngineAdapter, *args: Any, **kwargs: Any) -> Any:
        self._connection_pool.__dict__.pop("answers", None)
        return change(self, *args, **kwargs)

    return run


def always_ours(ask: Operation) -> Operation:
    """Snowflake: the current database is the one that every session is opened with, so nobody need ask."""

    @functools.wraps(ask)
    def get_current_catalog(self: SnowflakeEngineAdapter) -> str:
        return DATABASE

    return get_current_catalog


def in_one_insert(by_file: Operation) -> Operation:
    """Snowflake: the few rows of a Python model, as a gate's, are inserted as they are.

    Why: SQLMesh makes a temporary table for them, puts a file into a stage, copies it, inserts and drops: six
    statements for the one row of a gate.

    Test: tests/insightmart/test_snowflake_sessions.py
    """

    @functools.wraps(by_file)
    def _df_to_source_queries(self: SnowflakeEngineAdapter, df: Any, *args: Any, **kwargs: Any) -> Any:
        if len(df) <= FEW_ROWS:
            return EngineAdapter._df_to_source_queries(self, df, *args, **kwargs)
        return by_file(self, df, *args, **kwargs)

    return _df_to_source_queries


def without_history(create: Operation) -> Operation:
    """Snowflake: a schema of what can be built again is transient, and so is every table that is created in it.

    Raw, certified, gates and ops keep their history. A schema that is there already stays as it is.

    Test: tests/insightmart/test_snowflake_sessions.py
    """

    @functools.wraps(create)
    def create_schema(self: SnowflakeEngineAdapter, schema_name: Any, *args: Any, **kwargs: Any) -> Any:
        if to_schema(schema_name).db.lower() in BUILT_AGAIN:
            kwargs["properties"] = [*(kwargs.get("properties") or ()), exp.TransientProperty()]
        return create(self, schema_name, *args, **kwargs)

    return create_schema
