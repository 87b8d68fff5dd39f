"""The repository's project, loaded once, and the graph of its columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ingestion  # noqa: F401  keeps SQLMesh from calling home; before it is imported
from insightmart.lineage.column_graph import ColumnGraph, column_graph
from insightmart.settings import PROJECT
from tests.support.built_homes import SHAPE, new_home

if TYPE_CHECKING:
    from sqlmesh import Context


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """The project of the files, on a home of its own."""
    from sqlmesh import Context

    home: Path = new_home(tmp_path_factory, tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SHAPE, "INSIGHTMART_HOME": str(home), "INSIGHTMART_GATEWAY": "local"}.items():
            patch.setenv(name, value)
        context = Context(paths=str(PROJECT))
    yield context
    context.close()


@pytest.fixture(scope="session")
def graph(files: Context) -> ColumnGraph:
    """The graph of its columns."""
    return column_graph(files.models.values())
