"""What fills more than a day at once is written in the order of time: a change to SQLMesh for ``sqlmesh_patches``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlglot import exp


def in_order_of_time(select: Callable[..., Any]) -> Callable[..., Any]:
    """What fills more than a day at once is written in the order of time.

    Why: engines keep the smallest and largest value of each column for blocks of rows as they are written. After a
    first history in any order every block holds every day, and each hour reads the whole table. A day or less is a
    block or few, and is left as it comes.

    Test: tests/insightmart/transform/test_history.py
    """

    @functools.wraps(select)
    def selected(self: Any, query: Any, columns: Any, where: Any = None, coerce_types: bool = False) -> Any:
        found = select(self, query, columns, where=where, coerce_types=coerce_types)
        if isinstance(where, exp.Between) and isinstance(found, exp.Query) and _is_longer_than_a_day(where):
            return found.order_by(where.this.copy(), copy=False)
        return found

    return selected


def _is_longer_than_a_day(between: exp.Between) -> bool:
    bounds = [between.args[side].find(exp.Literal) for side in ("low", "high")]
    if None in bounds:
        return False
    first, last = (datetime.fromisoformat(bound.this).replace(tzinfo=None) for bound in bounds if bound)
    return last - first > timedelta(days=1)
