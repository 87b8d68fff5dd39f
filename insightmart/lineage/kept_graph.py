"""The graph of columns of the project's files, and of the models that prod was built of, which is kept beside them."""

from __future__ import annotations

from functools import cache

import ingestion  # noqa: F401  keeps SQLMesh from calling home; before it is imported
from insightmart.errors import InsightMartError
from insightmart.lineage.column_graph import ColumnGraph, column_graph
from insightmart.settings import PROJECT


@cache
def graph_of_files() -> ColumnGraph:
    """The graph of the files of this checkout. Neither warehouse nor state is opened.

    Raises:
        InsightMartError: a model, or what it is made of, cannot be read.
    """
    from insightmart.transform.time_zones import compiled_when_asked_for

    compiled_when_asked_for()
    from sqlmesh import Context
    from sqlmesh.core.console import NoopConsole, set_console
    from sqlmesh.utils.errors import SQLMeshError

    set_console(NoopConsole())
    try:
        context = Context(paths=str(PROJECT), gateway="local")  # the models are the same on every gateway
    except SQLMeshError as error:
        raise InsightMartError(
            f"the SQLMesh project cannot be loaded: {' '.join(str(error).split())[:400]}", "Try `sqlmesh lint`"
        ) from error
    try:
        return column_graph(context)
    finally:
        context.close()
