"""The graph of the columns of the repository's project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from insightmart.lineage.column_graph import ColumnGraph, column_graph

if TYPE_CHECKING:
    from sqlmesh import Context


@pytest.fixture(scope="session")
def graph(files: Context) -> ColumnGraph:
    """The graph of its columns."""
    return column_graph(files.models.values())
