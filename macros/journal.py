"""The journal of what is published: written before and after everything that SQLMesh does to prod."""

import typing as t
import uuid

from sqlglot import exp
from sqlmesh import macro


@macro()
def journal(evaluator: t.Any) -> t.List[str]:
    """Write to the journal what has changed in certified: `after_all` in config.yaml.

    Executes its statements itself, but for the last; what a killed run has left `create_source_tables` writes.
    """
    from insightmart.journal.publish import publish_prod
    from insightmart.readers.by_sqlmesh import show_readers

    if evaluator.runtime_stage != "after_all":
        return ["SELECT 1"]  # SQLMesh warns about a statement that renders to nothing
    left_to_do = publish_prod(evaluator)
    show_readers(evaluator)
    return left_to_do or ["SELECT 1"]


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
