"""When a model may run: an hour is processed only when its sources are in."""

import typing as t

from sqlmesh import DatetimeRanges, ExecutionContext, signal


@signal()
def source_covered(batch: DatetimeRanges, entities: str, context: ExecutionContext) -> t.Union[bool, DatetimeRanges]:
    """The intervals of the batch that lie before the watermark of every entity.

    Args:
        batch: the intervals SQLMesh asks about.
        entities: ``source.entity`` names separated by a space, as in ops.source_watermarks. SQLMesh hands literals of a
            snowflake model over in any case, so they are compared in lower case.
    """
    wanted = entities.lower().split()
    rows = context.engine_adapter.fetchall(
        "SELECT LOWER(source || '.' || entity), MAX(covered_through) FROM ops.source_watermarks GROUP BY 1"
    )
    covered = {name: instant for name, instant in rows if instant is not None}
    if any(name not in covered for name in wanted):
        return False
    through = min(covered[name] for name in wanted)
    return [(start, end) for start, end in batch if end.replace(tzinfo=None) <= through]


@signal()
def anything_loaded(batch: DatetimeRanges, context: ExecutionContext) -> t.Union[bool, DatetimeRanges]:
    """The intervals of the batch that lie before the latest watermark of any source.

    For models that pick up whatever a load brought, from every source: no source may hold them back, but an hour in
    which nobody has loaded yet is not done either.
    """
    row = context.engine_adapter.fetchone("SELECT MAX(covered_through) FROM ops.source_watermarks")
    if not row or row[0] is None:
        return False
    return [(start, end) for start, end in batch if end.replace(tzinfo=None) <= row[0]]
