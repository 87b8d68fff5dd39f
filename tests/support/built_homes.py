"""Homes that are built once a run of the tests, by the first process that needs them: nobody changes them, all copy.

What is cached of the project under the name of all that it is made of (parsed models, optimised queries, templates of
statements, read checks) all homes of a run share, so that each is made once. A cache of snapshots belongs to one state.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, time
from pathlib import Path

import pytest
from filelock import FileLock

from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.settings import Settings
from insightmart.transform.transformer import Transformer, open_transformer
from sandbox.events.points_of_sale import POS_STORES
from tests.support.handmade_warehouse import START

# What the models of a home are made with; another value would be another project.
SHAPES = ("INSIGHTMART_START", "INSIGHTMART_CURRENCY", "INSIGHTMART_TIMEZONE", "SHOPIFY_POS_STORES")
# The sandbox's: a home that is set up with it serves every test that asks for no other.
SHAPE = {
    "INSIGHTMART_START": START.isoformat(),
    "INSIGHTMART_CURRENCY": "USD",
    "INSIGHTMART_TIMEZONE": "America/New_York",
    "SHOPIFY_POS_STORES": ",".join(f"{place}={store}" for place, store in POS_STORES.items() if store),
}
SHARED = ("model_definition", "optimized_query", "statement_template", "soda_checks")


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder that all test processes of this run share."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def new_home(factory: pytest.TempPathFactory, home: Path) -> Path:
    """This folder as an empty home with the cache that all homes of this run share."""
    (home / "cache").mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in SHARED:
        kept = shared_folder(factory) / "cache" / name
        kept.mkdir(parents=True, exist_ok=True)
        (home / "cache" / name).symlink_to(kept)
    return home


def copy_home(home: Path, to: Path) -> Path:
    """A home with its warehouse and its state; what it shares, the copy shares."""
    return shutil.copytree(home, to, symlinks=True, dirs_exist_ok=True)


def once_a_run(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """The folder of this name, which all test processes share."""
    shared = shared_folder(factory)
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


def set_up_home_of(factory: pytest.TempPathFactory) -> Path:
    """A home of this shape as a first cycle leaves it before it fills it: to be copied."""

    def build(home: Path) -> None:
        with project_in(new_home(factory, home), SHAPE) as (_, transformer):
            transformer.set_up(datetime.combine(START, time(0, 5)))

    return once_a_run(factory, "set_up", build)
