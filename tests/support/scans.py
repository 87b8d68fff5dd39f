"""How many rows of each table a statement looks at, as DuckDB's plan of it tells."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ingestion.warehouse import Warehouse

ROWS_A_GROUP = 122_880  # DuckDB keeps the smallest and largest value of each column for a group of so many rows

_FILLS = re.compile(r"^(CREATE TABLE \S+ AS|INSERT INTO \S+) ")


class CountingWarehouse(Warehouse):
    """A warehouse whose queries are run twice, the first time to count, in ``looked_at``, the rows of each table."""

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__(warehouse.connection, warehouse.dialect, warehouse.turns)
        self.looked_at: Counter[str] = Counter()

    def _run(self, sql: str, params: Sequence[Any]) -> Any:
        query = _FILLS.sub("", sql.lstrip())
        if query.startswith(("SELECT", "WITH")):
            ((_, plan),) = super()._run(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", params).fetchall()
            for table, rows in _scans(json.loads(plan)):
                self.looked_at[table] += rows
        return super()._run(sql, params)


def _scans(plan: dict[str, Any]) -> Iterator[tuple[str, int]]:
    if plan.get("operator_type") == "TABLE_SCAN" and "Table" in plan["extra_info"]:
        yield plan["extra_info"]["Table"].split(".", 1)[-1].lower(), plan["operator_rows_scanned"]
    for child in plan.get("children", ()):
        yield from _scans(child)
