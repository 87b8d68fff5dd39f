"""What plain `sqlmesh` has written to prod, shown to readers. Commands of ours do it when their run has ended."""

from __future__ import annotations

from typing import Any

import structlog

from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.readers.publishing import publish_copy
from insightmart.runs import command_under_way
from insightmart.settings import load_settings
from insightmart.transform.model_graph import PROD


def show_readers(evaluator: Any) -> None:
    """Make the copy for readers anew, out of a macro in `after_all`, if SQLMesh has been at work on prod by itself.

    Args:
        evaluator: SQLMesh's evaluator of macros; it knows the connection and the environment.
    """
    if evaluator.this_env != PROD or command_under_way():
        return
    adapter = evaluator.engine_adapter
    try:
        publish_copy(Warehouse(adapter.connection, adapter.dialect), load_settings().home)
    except InsightMartError as error:  # prod is as it should be
        structlog.get_logger().warning("the copy for readers is not new", error=str(error))
