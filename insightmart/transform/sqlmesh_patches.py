"""Every change to how SQLMesh behaves, and how often Python clears up.

Importing this module applies them; `macros/patches.py` does so whenever the project loads, for plain `sqlmesh` too. A
patch whose place is gone stops the load. All were seen to be needed on SQLMesh 0.236.4; look at each when that moves.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlmesh.core import scheduler
from sqlmesh.core.config.connection import PostgresConnectionConfig, SnowflakeConnectionConfig
from sqlmesh.core.context import GenericContext
from sqlmesh.core.engine_adapter.base import EngineAdapter
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.core.engine_adapter.snowflake import SnowflakeEngineAdapter
from sqlmesh.core.environment import EnvironmentNamingInfo
from sqlmesh.core.loader import SqlMeshLoader
from sqlmesh.core.model.cache import OptimizedQueryCache, OptimizedQueryCacheEntry
from sqlmesh.core.model.definition import SqlModel
from sqlmesh.core.plan.evaluator import BuiltInPlanEvaluator
from sqlmesh.core.scheduler import Scheduler
from sqlmesh.core.snapshot import Snapshot
from sqlmesh.core.snapshot import cache as snapshot_cache
from sqlmesh.core.snapshot.cache import SnapshotCache
from sqlmesh.core.snapshot.definition import SnapshotIntervals, parent_snapshots_by_name
from sqlmesh.core.snapshot.evaluator import PromotableStrategy, SnapshotEvaluator
from sqlmesh.core.state_sync import EngineAdapterStateSync
from sqlmesh.utils.errors import CircuitBreakerError

from insightmart.definitions.files import DEFINITIONS
from insightmart.errors import ConfigurationError
from insightmart.runs import applying
from insightmart.transform import shown_tables
from insightmart.transform.alone_on_prod import planned_alone, run_alone
from insightmart.transform.audit_queries import counted_together, noted
from insightmart.transform.carried_over import carried_over
from insightmart.transform.first_state import begun_again
from insightmart.transform.merges import where_it_may_be
from insightmart.transform.snowflake_adapter import (
    always_ours,
    by_declared_columns,
    forgets,
    in_one_insert,
    on_our_sessions,
    remembered,
    tagged_with_model,
    without_history,
)
from insightmart.transform.state_secrets import with_its_secrets
from insightmart.transform.statement_templates import (
    TEMPLATES,
    audited_by_template,
    created_by_template,
    evaluated_by_template,
)
from insightmart.transform.time_order import in_order_of_time
from insightmart.transform.unchanged_views import left_as_they_are
from insightmart.transform.watermarks import asked_in_parts

SEEN_ON = "0.236.4"
CANDIDATES = "core"
NOT_READ_YET = "optimised_query_is_in"  # in a model of the state: the cache that has its query

# A syntax tree is a circle of objects, millions of them while a project is loaded. At Python's own threshold (700) it
# walks through all of them again and again: a fifth of a cycle's processor time. Trees that are done with still go.
COLLECT_AFTER = (25_000, 20, 20)

Operation = Callable[..., Any]


def in_transaction(operation: Operation) -> Operation:
    """Local DuckDB: a window or a merge is replaced as a whole or not at all.

    Why: SQLMesh's DuckDB adapter declares no transactions, so a failed insert (or a kill) after the DELETE would leave
    a hole that readers can see and that the state calls complete. Just these operations are wrapped: switching
    transactions on for the whole adapter breaks the first plan.

    Test: tests/models/test_duckdb_atomic.py
    """

    @functools.wraps(operation)
    def run(self: DuckDBEngineAdapter, *args: Any, **kwargs: Any) -> Any:
        self.execute("BEGIN TRANSACTION")
        try:
            result = operation(self, *args, **kwargs)
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")
        return result

    return run


def every_change_of_a_candidate_breaks(judge: Operation) -> Operation:
    """Every change of a candidate is scanned again.

    Why: SQLMesh calls a change that only adds columns non-breaking, also with `auto_categorize_changes: full`, and then
    keeps what stands below as it is: the gate would not scan the candidate's new table. Such a change of a model in
    core becomes one that SQLMesh cannot judge, so that `full` takes it for breaking. Elsewhere nothing changes: a
    column added in staging rebuilds nothing that does not read it.

    Test: tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(judge)
    def is_breaking_change(self: SqlModel, previous: Any) -> bool | None:
        breaking: bool | None = judge(self, previous)
        return None if breaking is False and self.schema_name.lower() == CANDIDATES else breaking

    return is_breaking_change


def with_definitions(entry_id: Operation) -> Operation:
    """A changed rule or meaning is seen at once; a home or a password that changes is no other project.

    Why: SQLMesh keeps loaded models in a cache, keyed by the times of the Python and SQL files and by the whole
    configuration. The conditions of the row rules and the meanings of columns stand in YAML; and of where the cache is
    and where connections lead no model is made, so that a moved home need not be parsed anew.

    Test: tests/models/test_rule_change.py, tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(entry_id)
    def run(self: Any, model_path: Path) -> str:
        config = self._loader.config
        nowhere = {"connection": None, "state_connection": None}
        gateways = {name: gateway.copy(update=nowhere) for name, gateway in config.gateways.items()}
        same_anywhere = config.copy(update={"cache_dir": None, "gateways": gateways}).fingerprint
        files = [file for name in DEFINITIONS if (file := self.config_path / name).exists()]
        key = entry_id(self, model_path).replace(config.fingerprint, same_anywhere)
        return "__".join([key, *(str(file.stat().st_mtime_ns) for file in files)])

    return run


def templates_beside_it(start: Operation) -> Operation:
    """Also the plain `sqlmesh` keeps the templates of statements, beside its own cache.

    Test: tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(start)
    def __init__(self: Any, loader: Any, *args: Any) -> None:
        start(self, loader, *args)
        TEMPLATES.keep_in(loader.context.cache_dir)

    return __init__


def read_once(add: Operation) -> Operation:
    """The optimised query of a model is read from the cache's file once, and not whenever a run or a plan reads the
    state: that is a seventh of the processor time of an hour with corrections.

    Why it is safe: an entry is named after everything that its query is made of, and queries in the cache are not
    changed by who reads them: a model hands out the same one whenever it is asked.

    Test: tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(add)
    def with_optimized_query(self: Any, model: Any, name: str | None = None) -> bool:
        if not isinstance(model, SqlModel):
            return False
        name = name or self._entry_name(model)
        known: dict[str, tuple[Any, dict[Any, Any]]] = self.__dict__.setdefault("queries_read", {})
        if name in known:
            query, violations = known[name]
            self.with_optimized_query_entry(model, OptimizedQueryCacheEntry(query, dict(violations)))
            return True
        found: bool = add(self, model, name)
        known[name] = model.render_query(), dict(model.violated_rules_for_query)
        return found

    return with_optimized_query


def no_processes(pool: Operation) -> Operation:
    """No process is started, and no file read, to have the optimised query of every model that the state names.

    Why: models are evaluated by their templates, so a steady hour asks for hardly any. `queries_are_read_when_asked`
    and `read_now` read those that are asked for.

    Test: tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(pool)
    def optimized_query_cache_pool(*_: Any) -> Any:
        return nullcontext(SimpleNamespace(map=lambda *_: ()))

    return optimized_query_cache_pool


def queries_are_read_when_asked(load: Operation) -> Operation:
    """A model of the state knows in which cache its optimised query is; see `no_processes`."""

    @functools.wraps(load)
    def get_or_load(self: Any, *args: Any) -> Any:
        queries = self._optimized_query_cache
        self._optimized_query_cache = SimpleNamespace(with_optimized_query=lambda *_: None)
        try:
            found, cached = load(self, *args)
        finally:
            self._optimized_query_cache = queries
        for snapshot in found.values():
            if snapshot.is_model and "_query_renderer" not in snapshot.model.__dict__:
                snapshot.model.__dict__[NOT_READ_YET] = queries
        return found, cached

    return get_or_load


def read_now(renderer: functools.cached_property[Any]) -> functools.cached_property[Any]:
    """Whoever renders a model of the state finds its optimised query read; see `no_processes`."""

    def _query_renderer(self: SqlModel) -> Any:
        self.__dict__["_query_renderer"] = found = renderer.func(self)
        if (cache := self.__dict__.pop(NOT_READ_YET, None)) is not None:
            cache.with_optimized_query(self)
        return found

    reading = functools.cached_property(functools.wraps(renderer.func)(_query_renderer))
    reading.__set_name__(SqlModel, "_query_renderer")
    return reading


def written_once(run: Operation) -> Operation:
    """What a run or a plan has evaluated is written to the state once, when it ends, and not model by model.

    Why: it is one insert instead of fifty. Why it is safe: whatever is evaluated but not in the state is evaluated
    again by the next run, to the same rows, as it is after a kill between the two.

    Test: tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(run)
    def run_merged_intervals(self: Scheduler, *args: Any, **kwargs: Any) -> Any:
        write = self.state_sync.add_snapshots_intervals
        evaluated: list[SnapshotIntervals] = []
        self.state_sync.add_snapshots_intervals = evaluated.extend  # type: ignore[assignment, method-assign]
        try:
            return run(self, *args, **kwargs)
        finally:
            self.state_sync.add_snapshots_intervals = write  # type: ignore[method-assign]
            write(evaluated)

    return run_merged_intervals


def asked_of_its_summary(run: Operation) -> Operation:
    """Before each model a run asks whether somebody has changed its environment: of the plan's id and of when it was
    finished, and not of all it is made of.

    Why: SQLMesh reads all snapshots of the environment out of their JSON for it, a sixteenth of the time of an hour.

    Test: tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(run)
    def run_merged_intervals(
        self: Scheduler, *, environment_naming_info: EnvironmentNamingInfo, circuit_breaker: Any = None, **given: Any
    ) -> Any:
        def state() -> tuple[str, int | None] | None:
            known = {one.name: (one.plan_id, one.finalized_ts) for one in self.state_sync.get_environments_summary()}
            return known.get(environment_naming_info.name)

        if circuit_breaker is None:
            return run(self, environment_naming_info=environment_naming_info, circuit_breaker=None, **given)
        before = state()
        if circuit_breaker():
            raise CircuitBreakerError
        return run(
            self,
            environment_naming_info=environment_naming_info,
            circuit_breaker=lambda: state() != before,
            **given,
        )

    return run_merged_intervals


def made_of_its_parents(create: Operation) -> Operation:
    """A table is created from what its model reads, and not from the names of all tables of the project.

    Why: SQLMesh hands all models to each of a hundred tables, and makes a syntax tree of each of their names each time:
    a quarter of the time in which an empty warehouse is set up. To evaluate a model it hands over parents only.

    Test: tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(create)
    def _execute_create(self: Any, snapshot: Snapshot, *, create_render_kwargs: dict[str, Any], **kwargs: Any) -> Any:
        known = {found.snapshot_id: found for found in create_render_kwargs["snapshots"].values()}
        parents = parent_snapshots_by_name(snapshot, known)
        return create(self, snapshot, create_render_kwargs={**create_render_kwargs, "snapshots": parents}, **kwargs)

    return _execute_create


def known_as_a_plan(evaluate: Operation) -> Operation:
    """Whoever writes evidence while a plan is applied knows which plan it is.

    Why: SQLMesh hands the plan neither to models nor to `after_all`, and a published figure names what published it.

    Test: tests/models/test_whole_project.py
    """

    @functools.wraps(evaluate)
    def run(self: Any, plan: Any, *args: Any, **kwargs: Any) -> Any:
        with applying(plan.plan_id):
            return evaluate(self, plan, *args, **kwargs)

    return run


def recorded_at_once(promote: Operation) -> Operation:
    """Local state: what prod is, and what is done before and after every run of it, is written whole or not at all.

    Why: SQLMesh's DuckDB adapter declares no transactions, so a kill between two of these four statements would leave
    no prod, or a prod without its journal. In PostgreSQL they are one transaction.

    Test: tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(promote)
    def run(self: EngineAdapterStateSync, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(self.engine_adapter, DuckDBEngineAdapter):
            return promote(self, *args, **kwargs)
        return in_transaction(lambda _: promote(self, *args, **kwargs))(self.engine_adapter)

    return run


def patch(owner: Any, attribute: str, change: Callable[[Any], Any]) -> None:
    """Put a changed operation in the place of one of SQLMesh's, once.

    Raises:
        ConfigurationError: SQLMesh has no such operation (any more).
    """
    operation = getattr(owner, attribute, None)
    if operation is None:
        raise ConfigurationError(
            f"SQLMesh {version('sqlmesh')} has no {owner.__name__}.{attribute}, which the project changes",
            f"Install SQLMesh {SEEN_ON}, or bring insightmart/transform/sqlmesh_patches.py up to date",
        )
    if not hasattr(operation, "changed_by"):
        changed = change(operation)
        changed.changed_by = __name__
        setattr(owner, attribute, changed)


# what would be wrong without it
patch(DuckDBEngineAdapter, "_insert_overwrite_by_condition", in_transaction)
patch(DuckDBEngineAdapter, "merge", lambda merge: in_transaction(where_it_may_be(merge)))
patch(EngineAdapter, "_order_projections_and_filter", in_order_of_time)
patch(SqlModel, "is_breaking_change", every_change_of_a_candidate_breaks)
patch(BuiltInPlanEvaluator, "evaluate", lambda evaluate: planned_alone(known_as_a_plan(evaluate)))
patch(GenericContext, "run", lambda run: run_alone(shown_tables.known_to_be_whole(run)))
patch(EngineAdapterStateSync, "promote", recorded_at_once)
patch(EngineAdapterStateSync, "migrate", begun_again)
patch(Scheduler, "evaluate", carried_over)
patch(
    SnapshotEvaluator, "evaluate", lambda run: left_as_they_are(tagged_with_model(shown_tables.noted_as_written(run)))
)
patch(SnapshotEvaluator, "promote", shown_tables.copied_before)
patch(PromotableStrategy, "promote", shown_tables.pointed_at_the_copy)
patch(SqlMeshLoader._Cache, "_model_cache_entry_id", with_definitions)
patch(PostgresConnectionConfig, "create_engine_adapter", with_its_secrets)
# what would cost more without it
patch(SqlMeshLoader._Cache, "__init__", templates_beside_it)
patch(OptimizedQueryCache, "with_optimized_query", read_once)
patch(SnowflakeConnectionConfig, "create_engine_adapter", on_our_sessions)
patch(SnapshotEvaluator, "audit", lambda audit: tagged_with_model(counted_together(audit)))
patch(SnowflakeEngineAdapter, "fetchone", noted)
for step in ("create_snapshot", "_migrate_snapshot", "_promote_snapshot", "_demote_snapshot"):
    patch(SnapshotEvaluator, step, tagged_with_model)
patch(SnowflakeEngineAdapter, "columns", remembered)
patch(SnowflakeEngineAdapter, "create_schema", lambda create: remembered(without_history(create)))
for operation in ("alter_table", "drop_table", "drop_schema", "drop_view"):
    patch(SnowflakeEngineAdapter, operation, forgets)
patch(SnowflakeEngineAdapter, "get_current_catalog", always_ours)
patch(SnowflakeEngineAdapter, "_df_to_source_queries", in_one_insert)
patch(snapshot_cache, "optimized_query_cache_pool", no_processes)
patch(SnapshotCache, "get_or_load", queries_are_read_when_asked)
patch(SqlModel, "_query_renderer", read_now)
patch(Scheduler, "run_merged_intervals", lambda run: asked_of_its_summary(written_once(shown_tables.known_to_end(run))))
patch(scheduler, "check_ready_intervals", asked_in_parts)
patch(SqlModel, "render_query_or_raise", evaluated_by_template)
patch(SqlModel, "render_audit_query", lambda render: audited_by_template(by_declared_columns(render)))
patch(SqlModel, "ctas_query", created_by_template)
patch(SnapshotEvaluator, "_execute_create", made_of_its_parents)
gc.set_threshold(*COLLECT_AFTER)
