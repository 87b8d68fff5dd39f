"""Homes that are built once a run of the tests, by the first process that needs them: nobody changes them, all copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path

import pytest
from filelock import FileLock

from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.settings import Settings
from insightmart.transform.transformer import Transformer, open_transformer

# What the models of a home are made with; another value would be another project.
SHAPES = ("INSIGHTMART_START", "INSIGHTMART_CURRENCY", "INSIGHTMART_TIMEZONE", "SHOPIFY_POS_STORES")


def once_a_run(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """The folder of this name, which all test processes share."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, complete = shared / name, shared / f"{name}.complete"
    with FileLock(shared / f"{name}.lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            complete.touch()
    return folder


@contextmanager
def project_in(home: Path, shape: Mapping[str, str]) -> Iterator[tuple[Warehouse, Transformer]]:
    """A home's warehouse and the project on it, with these settings of its models and the defaults of the others."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SHAPES:
            patch.delenv(name, raising=False)
        for name, value in {**shape, "INSIGHTMART_HOME": str(home), "INSIGHTMART_GATEWAY": "local"}.items():
            patch.setenv(name, value)
        settings = Settings(_env_file=None)  # type: ignore[call-arg]
        with open_duckdb(settings.database_path) as warehouse, open_transformer(settings, warehouse) as transformer:
            yield warehouse, transformer


def set_up(home: Path, shape: Mapping[str, str]) -> None:
    """What the first cycle does to an empty warehouse before it fills it."""
    with project_in(home, shape) as (_, transformer):
        start = date.fromisoformat(shape["INSIGHTMART_START"])
        transformer.set_up(datetime.combine(start, time(0, 5)))
