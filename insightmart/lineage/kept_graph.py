"""The graph of columns of the project's files, and of the models that prod was built of, which is kept beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

import ingestion  # noqa: F401  keeps SQLMesh from calling home; before it is imported
from insightmart.errors import InsightMartError
from insightmart.lineage.column_graph import ColumnGraph, column_graph
from insightmart.settings import PROJECT

if TYPE_CHECKING:
    from sqlmesh.core.model import Model

KEPT = 3  # graphs of earlier models: a plan that is taken back finds its own
_AS_JSON = TypeAdapter(ColumnGraph)


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
        return column_graph(context.models.values())
    finally:
        context.close()


def kept_graph(folder: Path, models_hash: str, models: Callable[[], Iterable[Model]]) -> ColumnGraph:
    """The graph of the models of this hash: columns change with a model only, so an hour reads a file.

    Args:
        folder: where graphs are kept; it may vanish at any time.
        models_hash: of the models in prod.
        models: them, asked for when their graph is not there.
    """
    path = folder / f"{models_hash}.json"
    with suppress(OSError, ValidationError):  # not there yet, or written by another version of this program
        return _AS_JSON.validate_json(path.read_bytes())
    graph = column_graph(models())
    with suppress(OSError):  # a disk that is full costs time, and no event
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(_AS_JSON.dump_json(graph))
        unfinished.replace(path)
        for old in sorted(folder.glob("*.json"), key=lambda one: one.stat().st_mtime)[:-KEPT]:
            old.unlink()
    return graph
