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
    from insightmart.transform.watermarks import covered_through

    wanted, covered = entities.lower().split(), covered_through(context.engine_adapter)
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
    from insightmart.transform.watermarks import covered_through

    covered = covered_through(context.engine_adapter)
    if not covered:
        return False
    latest = max(covered.values())
    return [(start, end) for start, end in batch if end.replace(tzinfo=None) <= latest]
