"""`insightmart extract`: every subject as a file for Tableau; all are there before the first one is replaced."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ingestion.warehouse import Warehouse
from insightmart.definitions.columns import read_meanings
from insightmart.definitions.subjects import Subject, fields_of, read_subjects
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.extracts.hyper_files import hyper_engine, write_hyper
from insightmart.extracts.subject_rows import certified_columns, rows_of, write_parquet
from insightmart.progress import step
from insightmart.settings import PROJECT


@dataclass(frozen=True)
class Extract:
    """A file that was written."""

    subject: str
    title: str
    path: Path
    rows: int
    bytes: int


def extract(warehouse: Warehouse, folder: Path, only: Collection[str], since: date | None) -> list[Extract]:
    """Write SUBJECT.hyper of each subject into a folder.

    What is written lies beside the old files until all of it is there; then each takes its place by renaming. A reader
    that has an old file open keeps it.

    Args:
        warehouse: what is read; one state of it on DuckDB, on Snowflake the state at the time of each subject.
        folder: where the files go; it is made where it is missing.
        only: names of subjects; none for all of them.
        since: first business date of what is written; None for all.

    Raises:
        ConfigurationError: a subject is unknown.
        InsightMartError: a certified table is not there, the folder cannot be written, or Tableau's engine refuses.
    """
    subjects = _chosen(only)
    columns = certified_columns(warehouse)
    for subject in subjects:
        if missing := [table for table in subject.tables if table not in columns]:
            raise InsightMartError(f"certified.{missing[0]} is not there yet", "Run `insightmart cycle`")
    meanings = read_meanings(PROJECT)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as name, hyper_engine(Path(name)) as engine:
            written = []
            for subject in subjects:
                with step(subject.title) as progress:
                    rows = rows_of(subject, fields_of(subject, columns, meanings), columns, since)
                    parquet, new = Path(name) / f"{subject.name}.parquet", Path(name) / f"{subject.name}.hyper"
                    count = write_parquet(warehouse, rows, parquet)
                    if (arrived := write_hyper(engine, parquet, new)) != count:
                        raise InsightMartError(f"{new.name} has {arrived:,} rows of {count:,}")
                    parquet.unlink()
                    path = folder / new.name
                    written.append(Extract(subject.name, subject.title, path, count, new.stat().st_size))
                    progress.outcome = f"{count:,} rows"
            for one in written:
                (Path(name) / one.path.name).replace(one.path)
    except OSError as error:
        raise InsightMartError(f"{folder} cannot be written: {error.strerror or error}") from None
    return written


def _chosen(only: Collection[str]) -> list[Subject]:
    subjects = read_subjects(PROJECT)
    if unknown := sorted(set(only) - {subject.name for subject in subjects}):
        known = ", ".join(subject.name for subject in subjects)
        raise ConfigurationError(f"there is no subject {unknown[0]}", f"Name one of: {known}")
    return [subject for subject in subjects if not only or subject.name in only]
