"""What readers see of certified on Snowflake: a copy of its tables, replaced as a whole when a run has ended.

SQLMesh writes the tables of certified one after the other, each in a transaction of its own. So the views of prod do
not name them: they name the tables of the same names in a schema beside, which one statement makes anew as a clone of
the schema that SQLMesh writes, without copying a row. All tables change in that moment, and only when everything that
was begun is written. A mark in ops says that something is written and not shown: whatever kills a command then, readers
keep what they had until a run has gone through all that is due, which writes again what was not finished.

A promotion makes the clone first, so that the views find the tables they are pointed at. Other environments have no
copy. On DuckDB readers have a file of their own (``insightmart.readers``).
"""

from __future__ import annotations

import functools
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlmesh.core.environment import EnvironmentNamingInfo
from sqlmesh.core.snapshot import DeployabilityIndex
from sqlmesh.core.snapshot.evaluator import SnapshotEvaluator

from ingestion.warehouse import DATABASE
from insightmart.read_copy import CERTIFIED_COPY
from insightmart.transform.model_graph import PROD, layer, short_name
from insightmart.transform.snowflake_adapter import snapshot_in

if TYPE_CHECKING:
    from sqlmesh.core.context import GenericContext
    from sqlmesh.core.engine_adapter.base import EngineAdapter
    from sqlmesh.core.model import Model
    from sqlmesh.core.scheduler import Scheduler
    from sqlmesh.core.snapshot import Snapshot

Operation = Callable[..., Any]

CERTIFIED = "certified"
WRITTEN = "sqlmesh__CERTIFIED"
# Beside the marks of windows that the journal lacks: a row of no part of a table.
_MARK = (
    "INSERT INTO ops.unpublished_windows (mark_id, model, window_start, window_end)"
    f" SELECT '{{mark}}', '{CERTIFIED}', CAST(CURRENT_TIMESTAMP() AS TIMESTAMP_NTZ),"
    " CAST(CURRENT_TIMESTAMP() AS TIMESTAMP_NTZ)"
)
_UNMARK = f"DELETE FROM ops.unpublished_windows WHERE model = '{CERTIFIED}'"
# What an earlier command has left; and views as they were made before there was a copy.
_LEFT = (
    f"SELECT (SELECT COUNT(*) FROM ops.unpublished_windows WHERE model = '{CERTIFIED}') AS marks,"
    " (SELECT COUNT(*) FROM information_schema.views"
    f" WHERE table_schema = '{CERTIFIED.upper()}' AND CONTAINS(view_definition, '{WRITTEN}')) AS views"
)


@dataclass
class _Progress:
    """What a command writes, which is what is written on a connection pool.

    Attributes:
        is_of_prod: whether it is at work on prod; other environments show nothing.
        is_marked: whether something is written that readers do not see, or about to be.
        is_torn: whether a table was begun and could not be written.
        is_left: whether an earlier command has left something that readers do not see, perhaps half of it.
        uncopied: views of prod that do not read the copy.
        is_under_way: whether models of certified are being evaluated, or were until something stopped it.
        is_whole: whether a run is under way that evaluates all that is due.
    """

    is_of_prod: bool = False
    is_marked: bool = False
    is_torn: bool = False
    is_left: bool = False
    uncopied: int = 0
    is_under_way: bool = False
    is_whole: bool = False
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)


def noted_as_written(evaluate: Operation) -> Operation:
    """Snowflake: what is written of certified is known, so that the copy is made anew after it and after nothing else.

    Test: tests/insightmart/transform/test_shown_tables.py
    """

    @functools.wraps(evaluate)
    def run(self: SnapshotEvaluator, *args: Any, **kwargs: Any) -> Any:
        snapshot = snapshot_in(args, kwargs)
        progress = _progress(self.adapter)
        if not (progress.is_of_prod and _is_certified(snapshot)) or snapshot.model.kind.is_view:
            return evaluate(self, *args, **kwargs)
        with progress.one_at_a_time:
            if not progress.is_marked:
                with self.adapter.transaction():
                    self.adapter.execute(_MARK.format(mark=uuid.uuid4().hex))
                progress.is_marked = True
        progress.is_under_way = True
        try:
            return evaluate(self, *args, **kwargs)
        except BaseException:
            progress.is_torn = True
            raise

    return run


def known_to_be_whole(run_context: Operation) -> Operation:
    """It is known of a run whether it evaluates all that is due: what a killed command has left is finished then.

    Test: tests/insightmart/transform/test_shown_tables.py
    """

    @functools.wraps(run_context)
    def run(self: GenericContext[Any], *args: Any, **kwargs: Any) -> Any:
        progress = _progress(self.engine_adapter)
        progress.is_whole = not any(kwargs.get(name) for name in ("start", "end", "select_models"))
        try:
            return run_context(self, *args, **kwargs)
        finally:
            progress.is_whole = False

    return run


def known_to_end(run_merged_intervals: Operation) -> Operation:
    """It is known whether all models were tried: SQLMesh goes on to `after_all` also where it was interrupted.

    Test: tests/insightmart/transform/test_shown_tables.py
    """

    @functools.wraps(run_merged_intervals)
    def run(self: Scheduler, *args: Any, **kwargs: Any) -> Any:
        progress, stop = _progress(self.snapshot_evaluator.adapter), self.console.stop_evaluation_progress

        def stopped(*values: Any, **named: Any) -> None:
            progress.is_under_way = False
            stop(*values, **named)

        self.console.stop_evaluation_progress = stopped  # type: ignore[method-assign]
        try:
            return run_merged_intervals(self, *args, **kwargs)
        finally:
            self.console.stop_evaluation_progress = stop  # type: ignore[method-assign]

    return run


def copied_before(promote: Operation) -> Operation:
    """Snowflake: before views of certified in prod are pointed at tables, these are in the copy.

    Test: tests/insightmart/transform/test_shown_tables.py
    """

    @functools.wraps(promote)
    def run(
        self: SnapshotEvaluator,
        target_snapshots: Iterable[Snapshot],
        environment_naming_info: EnvironmentNamingInfo,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        targets = list(target_snapshots)
        if _is_copied(self.adapter) and environment_naming_info.name == PROD:
            _copy_before(self.adapter, [one for one in targets if _is_certified(one)])
        return promote(self, targets, environment_naming_info, *args, **kwargs)

    return run


def pointed_at_the_copy(promote: Operation) -> Operation:
    """Snowflake: a view of certified in prod reads the copy. One of a model that is a view itself has its query, since
    the clone of a view reads what the view reads.

    Test: tests/insightmart/transform/test_shown_tables.py
    """

    @functools.wraps(promote)
    def run(self: Any, table_name: str, view_name: str, model: Model, environment: str, **kwargs: Any) -> Any:
        if _is_copied(self.adapter) and environment == PROD and layer(model) == CERTIFIED:
            table_name = _shown(kwargs["snapshot"], _Project.of(self.adapter, kwargs)).sql(self.adapter.dialect)
        return promote(self, table_name, view_name, model, environment, **kwargs)

    return run


def show(adapter: EngineAdapter, snapshots: Mapping[str, Snapshot], *, has_ended: bool) -> bool:
    """Let readers see what was written of certified, all of it at once.

    Args:
        adapter: of prod.
        snapshots: those of prod, by name.
        has_ended: whether a run or plan has; else one begins.

    Returns:
        Whether they see all that is written. Not, where a table was begun and not written by this command, and not
        before a whole run has finished what an earlier one has left: what belongs together is shown together.
    """
    if not _is_copied(adapter):
        return True
    progress = _progress(adapter)
    if not progress.is_of_prod:
        progress.is_of_prod = True
        marks, progress.uncopied = adapter.fetchone(_LEFT) or (0, 0)
        progress.is_left = bool(marks)
    if progress.is_torn or progress.is_under_way or (progress.is_left and not (has_ended and progress.is_whole)):
        return False
    if progress.is_marked or progress.is_left:
        _replace_copy(adapter)
    if progress.uncopied and has_ended:
        certified = [one for one in snapshots.values() if _is_certified(one)]
        SnapshotEvaluator(adapter).promote(
            certified, EnvironmentNamingInfo(name=PROD), snapshots={one.snapshot_id: one for one in snapshots.values()}
        )
        progress.uncopied = 0
    return True


def is_unseen(adapter: EngineAdapter) -> bool:
    """Whether something of certified is written that readers do not see, by what this process knows of prod."""
    progress = _progress(adapter)
    return _is_copied(adapter) and (progress.is_marked or progress.is_left)


def replacing(copy: str, schema: str) -> str:
    """The statement that makes a schema anew as a clone of another one, both without their database.

    Transient and without Time Travel: what is replaced is gone, so that what was erased is kept no longer by it.
    """
    return (
        f'CREATE OR REPLACE TRANSIENT SCHEMA "{DATABASE}"."{copy}" CLONE "{DATABASE}"."{schema}"'
        " DATA_RETENTION_TIME_IN_DAYS = 0"
    )


def _copy_before(adapter: EngineAdapter, promoted: Sequence[Snapshot]) -> None:
    """What views are about to be pointed at is in the copy. Where something is written in part, that is all that comes
    into it: it stays as it was, until a run has written the rest.
    """
    progress = _progress(adapter)
    if promoted and not (progress.is_left or progress.is_torn):
        _replace_copy(adapter)
        return
    for one in promoted:
        if not one.model.kind.is_view:
            name = exp.to_table(one.table_name(), dialect=adapter.dialect).name
            table = exp.table_(name, db=WRITTEN, catalog=DATABASE, quoted=True)
            copy = exp.table_(name, db=CERTIFIED_COPY, catalog=DATABASE, quoted=True)
            adapter.execute(f"CREATE TRANSIENT TABLE IF NOT EXISTS {copy.sql()} CLONE {table.sql()}")


def _replace_copy(adapter: EngineAdapter) -> None:
    progress = _progress(adapter)
    adapter.execute(replacing(CERTIFIED_COPY, WRITTEN))
    if progress.is_marked or progress.is_left:
        with adapter.transaction():
            adapter.execute(_UNMARK)
    progress.is_marked = progress.is_left = False


def _progress(adapter: EngineAdapter) -> _Progress:
    found: _Progress = adapter._connection_pool.__dict__.setdefault("certified_progress", _Progress())
    return found


def _is_copied(adapter: EngineAdapter) -> bool:
    return adapter.dialect == "snowflake"


def _is_certified(snapshot: Snapshot) -> bool:
    return snapshot.is_model and layer(snapshot.model) == CERTIFIED


@dataclass(frozen=True)
class _Project:
    """What a view's query is rendered with: SQLMesh's arguments; and the snapshots of certified by physical name."""

    arguments: Mapping[str, Any]
    certified: Mapping[str, Snapshot]

    @classmethod
    def of(cls, adapter: EngineAdapter, given: Mapping[str, Any]) -> _Project:
        deployable = given.get("deployability_index") or DeployabilityIndex.all_deployable()
        names = ("start", "end", "execution_time", "snapshots")
        arguments = {name: given.get(name) for name in names} | {
            "deployability_index": deployable,
            "engine_adapter": adapter,
        }
        known = [given["snapshot"], *(given.get("snapshots") or {}).values()]
        certified = {
            exp.to_table(one.table_name(deployable.is_representative(one)), dialect=adapter.dialect).name: one
            for one in known
            if _is_certified(one)
        }
        return cls(arguments, certified)


def _shown(snapshot: Snapshot, project: _Project) -> exp.Expr:
    """What a view of prod selects from: the table's copy, or the query of a view, which reads copies."""
    if not snapshot.model.kind.is_view:
        name = next(name for name, one in project.certified.items() if one.name == snapshot.name)
        return exp.table_(name, db=CERTIFIED_COPY, catalog=DATABASE, quoted=True)
    query = snapshot.model.render_query_or_raise(**project.arguments).copy()
    for table in list(query.find_all(exp.Table)):
        if table.db == WRITTEN:
            source = _shown(project.certified[table.name], project)
            alias = exp.to_identifier(table.alias_or_name, quoted=True)
            table.replace(exp.alias_(source, alias, table=True) if isinstance(source, exp.Table) else source.as_(alias))
    return query.subquery(short_name(snapshot.name).partition(".")[2].upper())
