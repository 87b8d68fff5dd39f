"""The loads that something came with, and the files of the stores among them."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.warehouse import Warehouse
from insightmart.explaining.node import Node

SHOWN = 10


def load_nodes(warehouse: Warehouse, load_ids: Sequence[str]) -> list[Node]:
    """What is known of loads, a node each, the newest first; the others are counted."""
    if not load_ids:
        return []
    shown = sorted(load_ids)[-SHOWN:]
    rows = warehouse.rows(
        'SELECT load_id, source, MIN(window_start), MAX(window_end), SUM("ROWS"), SUM(rejected_rows), MAX(loaded_at),'
        " MAX(status) FROM ops.loads"
        f" WHERE load_id IN ({', '.join('?' * len(shown))}) GROUP BY load_id, source ORDER BY load_id DESC",
        shown,
    )
    nodes = tuple(
        Node(
            f"load {load}",
            {
                "source": source,
                "changes_from": start,
                "changes_to": end,
                "rows": None if count is None else int(count),
                "rejected": None if rejected is None else int(rejected),
                "loaded_at": loaded,
                "status": status,
            },
        )
        for load, source, start, end, count, rejected, loaded, status in rows
    )
    left = len(load_ids) - len(shown)
    return [Node("loads", {"loads": len(load_ids)}, nodes, f"The last {len(shown)} of them" if left else "")]
