"""After a kill: raw is put back to where it was before the load that did not finish, and the next one starts clean.

dlt's working directory of a source holds nothing but a load that is under way, so that it may be thrown away.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import dlt

from ingestion.clock import utc_now
from ingestion.contracts import ENTITIES, REJECTS_TABLE
from ingestion.loading.context import IngestContext
from ingestion.loading.destination import asked_once

RAW = "raw"


def working_directory(context: IngestContext, source: str) -> Path:
    """Where dlt works on a load of the source."""
    return context.home / "dlt" / source


def _pipeline(context: IngestContext, source: str) -> dlt.Pipeline:
    return dlt.pipeline(
        pipeline_name=source,
        pipelines_dir=str(working_directory(context, source).parent),
        destination=asked_once(context.destination),
        dataset_name=RAW,
    )


def _started(context: IngestContext, source: str) -> bool:
    """Whether an earlier load of this source neither finished nor was cleared away."""
    statement = "SELECT COUNT(*) FROM ops.loads WHERE source = ? AND status = 'started'"
    return bool(context.warehouse.value(statement, [source]))


def clean_pipeline(context: IngestContext, source: str) -> dlt.Pipeline:
    """The source's pipeline with nothing left over from a load that was killed."""
    killed = "it ended before its package was in; its rows were deleted"
    if _started(context, source):
        _recover(context, source, killed)
    try:
        pipeline = _pipeline(context, source)
        is_pending = pipeline.has_pending_data
        for name in pipeline.schema_names:
            pipeline.schemas[name]  # read now: what is damaged raises here, and not in the middle of a load
    except Exception as error:  # noqa: BLE001 whatever is wrong with a folder of which nothing is needed
        context.progress(f"{source}: dlt's working folder was damaged ({type(error).__name__}) and is made anew")
        is_pending = True
    if is_pending:  # of another warehouse, or of this one before it was restored
        _recover(context, source, killed)
        pipeline = _pipeline(context, source)
    return pipeline


def give_up(context: IngestContext, source: str, error: str) -> None:
    """Take back a load that was brought in and must not be recorded, with the reason it fails for."""
    _recover(context, source, " ".join(error.split())[:1000])


def _recover(context: IngestContext, source: str, error: str) -> None:
    """Put raw back to where it was before a load that did not finish.

    dlt resumes a package by file, and repeats a file that was in but not yet ticked off. So the package is given up
    with dlt's working directory, in whatever state that is (it holds nothing else). What is deleted: every raw row of
    the load that was marked as started, complete or not, since nothing was recorded about it; and every raw row whose
    load id dlt does not list as complete (status 0). Single writer per source: one that was given up does nothing here.
    """
    if context.limit.is_given_up:
        raise context.limit.error
    directory = working_directory(context, source)
    shutil.rmtree(directory, ignore_errors=True)
    if directory.is_file():  # it took the folder's place
        directory.unlink()
    known = context.warehouse.value(
        "SELECT COUNT(*) FROM information_schema.tables"
        " WHERE table_schema IN ('RAW', 'raw') AND table_name IN ('_DLT_LOADS', '_dlt_loads')"
    )
    started = "SELECT load_id FROM ops.loads WHERE source = ? AND status = 'started' AND load_id IS NOT NULL"
    complete = "SELECT load_id FROM raw._dlt_loads WHERE status = 0" if known else "SELECT '' AS load_id"
    unfinished = f"(_dlt_load_id NOT IN ({complete}) OR _dlt_load_id IN ({started}))"
    for table in (entity.table for entity in ENTITIES if entity.source == source):
        context.warehouse.execute(f"DELETE FROM raw.{table} WHERE {unfinished}", [source])
    context.warehouse.execute(f"DELETE FROM raw.{REJECTS_TABLE} WHERE source = ? AND {unfinished}", [source, source])
    if known:
        context.warehouse.execute(f"DELETE FROM raw._dlt_loads WHERE load_id IN ({started})", [source])
    context.warehouse.execute(
        "UPDATE ops.loads SET status = 'failed', error = ?, ended_at = ? WHERE source = ? AND status = 'started'",
        [error, utc_now(), source],
    )
