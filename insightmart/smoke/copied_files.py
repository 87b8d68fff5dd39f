"""A file copied as loads copy it: dlt puts it into the table's stage, COPY takes it out, and it is removed.

All that loads write is Parquet; store files in CSV are read here, and no CSV ever reaches the account.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa

from ingestion.contracts import LOAD_COLUMNS
from ingestion.loading.destination import asked_once
from ingestion.loading.package import LoadFiles, without_zone
from ingestion.warehouse import sql_type
from insightmart.gateway import dlt_destination
from insightmart.smoke.bound_values import AWKWARD, compare, counted
from insightmart.smoke.trial import DidNotHold, Trial, check

TABLE, LOAD_ID = "awkward", "1790000000.5"


@check("a Parquet file is copied as it is, and nothing stays in the stage", writes=True)
def parquet(trial: Trial) -> str:
    """A column of each type, written and loaded as every load is."""
    batch = _batch()
    with tempfile.TemporaryDirectory(prefix="insightmart-smoke-") as folder:
        _load(trial, batch, Path(folder))
    table = trial.table(TABLE)
    stage = f'@"{trial.room}"."%{TABLE.upper()}"'
    with trial.session() as opened:
        for column in batch.schema:
            expected = batch.column(column.name).to_pylist()
            trial.step.say(sql_type(column.type))
            compare(opened, f"SELECT {column.name} FROM {table} ORDER BY place", [], expected, column.type)
        if (found := opened.value(f"SELECT MIN({LOAD_COLUMNS[1].name}) FROM {table}")) != LOAD_ID:
            raise DidNotHold(f"the load id {LOAD_ID} came back as {found}")
        left = opened.rows(f"LIST {stage}")
    if left:
        raise DidNotHold(f"{len(left)} files stay in {stage}, the first one is {left[0][0]}")
    return f"{counted()} in {batch.num_rows} rows with NULLs; the stage is empty afterwards"


def _batch() -> pa.Table:
    """Every value of ``AWKWARD`` below its type, NULLs below those, and their order."""
    rows = max(len(values) for values in AWKWARD.values()) + 1
    columns = {
        f"c{place}": pa.array([*values, *[None] * (rows - len(values))], kind)
        for place, (kind, values) in enumerate(AWKWARD.items())
    }
    return pa.table({"place": pa.array(range(rows), pa.int64()), **columns})


def _load(trial: Trial, batch: pa.Table, folder: Path) -> None:
    assert trial.room is not None
    [file] = LoadFiles(folder / "batches", LOAD_ID, are_cut=True).write([(TABLE, batch)])[TABLE]

    def imported() -> Iterator[Any]:
        yield dlt.mark.with_file_import(str(file.path), "parquet", file.rows, file.columns)

    pipeline = dlt.pipeline(
        pipeline_name="smoke",
        pipelines_dir=str(folder / "dlt"),
        destination=asked_once(dlt_destination(trial.settings)),
        dataset_name=trial.room.lower(),
    )
    resource = dlt.resource(
        imported(), name=TABLE, columns=without_zone(file.columns.schema), write_disposition="append"
    )
    pipeline.run(resource, loader_file_format="parquet")
