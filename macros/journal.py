"""The journal of what is published: written before and after everything that SQLMesh does to prod."""

import typing as t
import uuid

from sqlglot import exp
from sqlmesh import macro


@macro()
def journal(evaluator: t.Any) -> t.List[str]:
    """Write to the journal what has changed in certified: `before_all` what a killed run left, `after_all` the rest.

    Executes its statements itself and returns none, as `create_source_tables` does.
    """
    from sqlmesh.utils.date import now, to_datetime

    from ingestion.warehouse import Warehouse
    from insightmart.journal.publish import publish, version_of

    if evaluator.runtime_stage in ("before_all", "after_all") and evaluator.this_env == "prod":
        adapter = evaluator.engine_adapter
        is_after = evaluator.runtime_stage == "after_all"
        told = to_datetime(evaluator.locals["execution_ts"])
        as_of = (told if told.year > 1970 else now()).replace(tzinfo=None)  # 1970: nobody said
        publish(
            Warehouse(adapter.connection, adapter.dialect),
            as_of,
            version_of(evaluator.snapshots) if is_after else None,
        )
    return ["SELECT 1"]


@macro()
def marks_window(evaluator: t.Any, part: exp.Expression) -> t.List[str]:
    """Note that a window of a certified part is about to be written, for the journal. A statement before its query."""
    if evaluator.runtime_stage != "evaluating":
        return []
    start, end = evaluator.locals["start_ts"], evaluator.locals["end_ts"]
    return [
        "INSERT INTO ops.unpublished_windows (mark_id, model, window_start, window_end) SELECT"
        f" '{uuid.uuid4().hex}', '{part.name.lower()}', CAST('{start}' AS TIMESTAMP_NTZ),"
        f" CAST('{end}' AS TIMESTAMP_NTZ)"
    ]
