"""Plain `sqlmesh run` and `plan` of prod hold the lease of the one writer too, where other machines could write."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from sqlmesh.utils.errors import SQLMeshError

from insightmart.errors import InsightMartError
from insightmart.lease import is_held, lease
from insightmart.lock import is_shared
from insightmart.settings import load_settings
from insightmart.transform.model_graph import PROD

Operation = Callable[..., Any]


def planned_alone(evaluate: Operation) -> Operation:
    """No plan changes prod while another process writes.

    Why: SQLMesh lets two of them do the same work at once, and nothing else would keep one from a cycle. Beside DuckDB
    the file itself admits one process.

    Test: tests/insightmart/test_lease.py
    """
    return _alone("sqlmesh plan", evaluate, lambda plan, *_, **__: plan.environment.name == PROD)


def run_alone(run: Operation) -> Operation:
    """No run fills prod while another process writes; see `planned_alone`."""
    return _alone("sqlmesh run", run, lambda environment=None, **_: environment in (None, PROD))


def _alone(command: str, operation: Operation, prod_is_meant: Callable[..., bool]) -> Operation:
    @functools.wraps(operation)
    def do(self: Any, *args: Any, **kwargs: Any) -> Any:
        settings = load_settings()
        with ExitStack() as stack:
            if is_shared(settings) and not is_held() and prod_is_meant(*args, **kwargs):
                try:
                    stack.enter_context(lease(settings, command, ""))
                except InsightMartError as error:
                    raise SQLMeshError(str(error)) from None  # which its command line says in one line
            return operation(self, *args, **kwargs)

    return do
