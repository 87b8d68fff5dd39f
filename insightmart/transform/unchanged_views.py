"""A correction builds tables anew and leaves views as they are: a change to SQLMesh for ``sqlmesh_patches``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlmesh.core.model.kind import ViewKind

from insightmart.transform.snowflake_adapter import snapshot_in

_are_unchanged = False  # whether the plan under way changes no model, for all threads, as SQLMesh has some of its own


@contextmanager
def no_model_changes() -> Iterator[None]:
    """A plan is applied that builds windows of prod's own models anew."""
    global _are_unchanged
    _are_unchanged = True
    try:
        yield
    finally:
        _are_unchanged = False


def left_as_they_are(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """A view over what is built anew is not made anew with it.

    Why: SQLMesh replaces each view below a restated model, with a statement for each comment of a column on DuckDB: the
    same view, under the eyes of its readers. One that is lost is made.

    Test: tests/insightmart/transform/test_restatement.py
    """

    @functools.wraps(evaluate)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        snapshot = snapshot_in(args, kwargs)
        kind = snapshot.model.kind if snapshot.is_model else None
        is_there = kwargs.get("target_table_exists")
        if _are_unchanged and is_there and isinstance(kind, ViewKind) and not kind.materialized:
            return None
        return evaluate(self, *args, **kwargs)

    return run
