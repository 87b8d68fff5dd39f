"""On Snowflake, the audits of a model are one query: each statement is a round trip, and an audit costs little else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlmesh.core.engine_adapter.snowflake import SnowflakeEngineAdapter

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot
    from sqlmesh.core.snapshot.evaluator import SnapshotEvaluator

Operation = Callable[..., Any]

# The counts that the audits of the model at hand ask for; None where nobody is auditing. Of its own in each thread.
ASKED: ContextVar[list[exp.Query] | None] = ContextVar("asked", default=None)


def counted_together(audit: Operation) -> Operation:
    """All audits of a model and window are counted by one query, after all have been rendered.

    On DuckDB, where a statement is no round trip, each is counted by itself, so that no two need memory at once.

    Test: tests/insightmart/transform/test_audit_queries.py
    """

    @functools.wraps(audit)
    def run(self: SnapshotEvaluator, snapshot: Snapshot, **kwargs: Any) -> Any:
        adapter = self.get_adapter(snapshot.model_gateway)
        if not isinstance(adapter, SnowflakeEngineAdapter):
            return audit(self, snapshot, **kwargs)
        asked: list[exp.Query] = []
        token = ASKED.set(asked)
        try:
            results = audit(self, snapshot, **kwargs)
        finally:
            ASKED.reset(token)
        if asked:
            counts = adapter.fetchone(together(asked), quote_identifiers=True)
            counted = [result for result in results if not result.skipped]
            for result, count in zip(counted, counts or (), strict=True):
                result.count = count
        return results

    return run


def noted(fetchone: Operation) -> Operation:
    """What an audit asks for is noted, see `counted_together`; whatever else is asked is asked at once."""

    @functools.wraps(fetchone)
    def run(self: SnowflakeEngineAdapter, expression: Any, *args: Any, **kwargs: Any) -> Any:
        asked = ASKED.get()
        if asked is None or not _counts_an_audit(expression):
            return fetchone(self, expression, *args, **kwargs)
        asked.append(expression)
        return (0,)

    return run


def together(asked: list[exp.Query]) -> exp.Select:
    """One row with the value of each of these queries, in their order."""
    values = [query.subquery(copy=False).as_(f"count_{number}") for number, query in enumerate(asked, 1)]
    return exp.select(*values, copy=False)


def _counts_an_audit(expression: Any) -> bool:
    if not isinstance(expression, exp.Select) or not isinstance(expression.selects[0], exp.Count):
        return False
    source = expression.find(exp.Subquery)
    return source is not None and source.alias == "audit"
