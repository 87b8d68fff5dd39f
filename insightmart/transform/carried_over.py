"""Hours before the horizon of raw are carried over, not computed: a change to SQLMesh for ``sqlmesh_patches``.

Whoever builds a window whose raw was deleted (another version of a model, a restatement by plain `sqlmesh`) would get
figures that are too small, and publish them. So of such hours a new table gets the rows that prod shows, and prod's own
keeps those that it has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from insightmart.transform.watermarks import raw_purged_before

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter.base import EngineAdapter
    from sqlmesh.core.scheduler import Scheduler
    from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot


def carried_over(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """Of a window that begins before the horizon only what lies after it is evaluated and audited.

    Test: tests/insightmart/transform/test_carried_over.py
    """

    @functools.wraps(evaluate)
    def run(
        self: Scheduler,
        snapshot: Snapshot,
        start: Any,
        end: Any,
        execution_time: Any,
        deployability_index: DeployabilityIndex,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        from sqlmesh.utils.date import now_timestamp, to_datetime

        adapter = self.snapshot_evaluator.adapter
        is_by_time = snapshot.is_model and snapshot.model.kind.is_incremental_by_time_range
        horizon = raw_purged_before(adapter) if is_by_time else None
        first, last = (to_datetime(instant).replace(tzinfo=None) for instant in (start, end))
        if horizon is None or first >= horizon:
            return evaluate(self, snapshot, start, end, execution_time, deployability_index, *args, **kwargs)
        found: Any = []
        if last > horizon:
            found = evaluate(self, snapshot, horizon, end, execution_time, deployability_index, *args, **kwargs)
        is_deployable = deployability_index.is_deployable(snapshot)
        table = snapshot.table_name(is_deployable=is_deployable)
        if not adapter.table_exists(table):
            self.snapshot_evaluator.create([snapshot], self.snapshots, deployability_index=deployability_index)
        _carry(adapter, snapshot, table, first, min(last, horizon))
        self.state_sync.add_interval(
            snapshot, start, min(last, horizon), is_dev=not is_deployable, last_altered_ts=now_timestamp()
        )
        return found

    return run


def _carry(adapter: EngineAdapter, snapshot: Snapshot, table: str, start: datetime, end: datetime) -> None:
    """Give a table the rows of a window that prod shows, unless it has some."""
    from sqlglot import exp

    model = snapshot.model
    shown = exp.to_table(model.fqn, dialect=model.dialect)
    assert model.time_column is not None
    if not adapter.table_exists(shown):
        return  # a model that prod does not have
    known = adapter.columns(shown)
    columns = [name for name in adapter.columns(table) if name in known]
    time = model.time_column.column
    kind = (model.columns_to_types or {}).get(time.name)
    is_date = kind is not None and kind.is_type("date")
    bounds = [
        exp.cast(exp.Literal.string(f"{instant.date() if is_date else instant}"), kind or "timestamp")
        for instant in (start, end)
    ]
    window = exp.and_(time.copy() >= bounds[0], time.copy() < bounds[1])
    target = exp.to_table(table, dialect=adapter.dialect)
    there = exp.Exists(this=exp.select(exp.Literal.number(1)).from_(target).where(window))
    rows = exp.select(*(exp.column(name, quoted=True) for name in columns)).from_(shown).where(window)
    named = [exp.to_identifier(name, quoted=True) for name in columns]
    adapter.execute(exp.insert(rows.where(exp.not_(there)), target, columns=named))
