"""A figure of certified.agg_sales_daily: its orders and refunds, their loads, its checks, what is missing, its life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ingestion.loading.horizon import gone, purged_before
from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.explaining.load_nodes import load_nodes
from insightmart.explaining.node import Node
from insightmart.journal.figures import changes, life
from insightmart.journal.followed import SALES

CELLS = 20  # that are explained at once
SHOWN = 10  # orders, refunds, rejects and changes that are named; the others are counted
AHEAD_OF_UTC, BEHIND_UTC = timedelta(hours=14), timedelta(hours=12)

# What a cell is the sum of: title, certified table and its condition, what tells a row apart, its part of net sales.
_PARTS = (
    ("orders", "fct_orders", "1 = 1", "order_id", "gross_sales - COALESCE(discount_amount, 0)"),
    ("lines added by edits", "fct_order_lines", "is_added", "order_id", "gross_sales - COALESCE(discount_amount, 0)"),
    ("refunds", "fct_refunds", "1 = 1", "refund_id", "-refund_amount"),
)
_KEY = "business_date = ? AND store_id = ? AND channel = ?"


def cells_query(where: str | None) -> str:
    """The query for the cells to explain: a SQL condition on columns of certified.agg_sales_daily; None for all."""
    condition = f" WHERE ({where}\n)" if where else ""
    return f"SELECT * FROM certified.agg_sales_daily{condition} ORDER BY business_date, store_id, channel"


def explain_figures(warehouse: Warehouse, cells: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Explain cells.

    Raises:
        InsightMartError: there is none, or there are too many.
    """
    if not cells:
        raise InsightMartError(
            "no cell of certified.agg_sales_daily is like that",
            "Why a store has none: `insightmart explain store ID DATE`",
        )
    if len(cells) > CELLS:
        raise InsightMartError(
            f"{len(cells):,} cells are like that, at most {CELLS} are explained at once",
            "Say which, as in --where \"business_date = DATE '2026-03-05' AND store_id = 17\"",
        )
    return [_explain(warehouse, cell) for cell in cells]


def _explain(warehouse: Warehouse, cell: Mapping[str, Any]) -> Node:
    key = [cell["business_date"], cell["store_id"], cell["channel"]]
    parts = [_part(warehouse, key, *part) for part in _PARTS]
    total = sum(node.values["net_sales"] for node in parts)
    return Node(
        "certified.agg_sales_daily",
        dict(cell),
        (
            *[node for node in parts if node.values["rows"]],
            *load_nodes(warehouse, _loads(warehouse, key)),
            *_missing(warehouse, key),
            *_checks(warehouse, key),
            *_corrections(warehouse, key),
            _life(warehouse, key),
        ),
        _doubt(warehouse, cell, total),
    )


def _doubt(warehouse: Warehouse, cell: Mapping[str, Any], total: Any) -> str:
    """What to say where the orders are not what the figure is made of."""
    if total == cell["net_sales"]:
        return ""
    horizon = purged_before(warehouse)
    if horizon is not None and cell["business_date"] <= horizon.date():
        return gone(horizon, "The date")
    return f"What follows adds up to net sales of {total:f}, which is another figure"


def _part(warehouse: Warehouse, key: list[Any], title: str, table: str, condition: str, name: str, amount: str) -> Node:
    count, net_sales = warehouse.rows(
        f"SELECT COUNT(*), COALESCE(SUM({amount}), 0) FROM certified.{table} WHERE {_KEY} AND {condition}", key
    )[0]
    rows = warehouse.rows(
        f"SELECT source_system, {name}, {amount} AS amount, source_updated_at, raw_load_id FROM certified.{table}"
        f" WHERE {_KEY} AND {condition} ORDER BY ABS({amount}) DESC, {name} LIMIT {SHOWN}",
        key,
    )
    named = tuple(
        Node(f"{source} {number}", {"net_sales": value, "changed_at_source": changed, "load": load})
        for source, number, value, changed, load in rows
    )
    left = count - len(named)
    return Node(
        title,
        {"rows": count, "net_sales": net_sales},
        named,
        f"The largest {len(named)}; {left:,} more in certified.{table}" if left else "",
    )


def _loads(warehouse: Warehouse, key: list[Any]) -> list[str]:
    tables = " UNION ".join(f"SELECT raw_load_id FROM certified.{table} WHERE {_KEY}" for _, table, *_ in _PARTS)
    return [
        load for (load,) in warehouse.rows(f"SELECT raw_load_id FROM ({tables}) AS l ORDER BY 1", key * len(_PARTS))
    ]


def _window(key: list[Any]) -> tuple[datetime, datetime]:
    """The instants (UTC) that events of the business date can have."""
    midnight = datetime.combine(key[0], datetime.min.time())
    return midnight - AHEAD_OF_UTC, midnight + timedelta(days=1) + BEHIND_UTC


def _missing(warehouse: Warehouse, key: list[Any]) -> list[Node]:
    """What waits in quarantine and may belong to the cell: orders of the store, or of the shop."""
    entity, own, values = ("shopify_orders", "1 = 1", []) if key[1] == 0 else ("oltp_orders", "store_id = ?", [key[1]])
    rows = warehouse.rows(
        f"SELECT order_id, reasons, total_amount, raw_load_id FROM quarantine.{entity}"
        f" WHERE {own} AND event_at >= ? AND event_at < ? ORDER BY event_at, order_id",
        [*values, *_window(key)],
    )
    if not rows:
        return []
    named = tuple(
        Node(
            "order without a number" if number is None else f"order {number}",
            {"reasons": reasons, "stated_total": total, "load": load},
        )
        for number, reasons, total, load in rows[:SHOWN]
    )
    note = "Of the business date or the dates beside it: `insightmart quarantine show " + entity + "`"
    return [Node(f"waiting in quarantine.{entity}", {"rows": len(rows)}, named, note)]


def _checks(warehouse: Warehouse, key: list[Any]) -> list[Node]:
    listed = warehouse.value(
        "SELECT scan_ids FROM ops.published_changes WHERE table_name = 'agg_sales_daily' AND "
        f"{_KEY} AND NOT scan_ids IS NULL ORDER BY publication DESC LIMIT 1",
        key,
    )
    scans = listed.split(", ") if listed else []
    if not scans:
        return []
    rows = warehouse.rows(
        "SELECT area, scan_id, MIN(window_start), MAX(window_end), COUNT(*),"
        " SUM(CASE WHEN outcome = 'pass' THEN 1 ELSE 0 END) FROM ops.check_results"
        f" WHERE scan_id IN ({', '.join('?' * len(scans))}) GROUP BY area, scan_id ORDER BY area",
        scans,
    )
    return [
        Node(
            f"gate.{area}",
            {"scan": scan, "from": start, "to": end, "checks": checks, "passed": int(passed)},
            note="The scan that let the last change through",
        )
        for area, scan, start, end, checks, passed in rows
    ]


def _corrections(warehouse: Warehouse, key: list[Any]) -> list[Node]:
    source = "shopify" if key[1] == 0 else "oltp"
    start, end = _window(key)
    rows = warehouse.rows(
        "SELECT window_start, window_end, reason, load_id, status, plan_id FROM ops.correction_windows"
        " WHERE source = ? AND window_start < ? AND window_end > ? ORDER BY queued_at, window_start",
        [source, end, start],
    )
    if not rows:
        return []
    named = tuple(
        Node(reason or "restated", {"from": first, "to": last, "load": load, "status": status, "plan": plan})
        for first, last, reason, load, status, plan in rows[-SHOWN:]
    )
    left = len(rows) - len(named)
    return [Node("corrections", {"windows": len(rows)}, named, f"The last {len(named)} of them" if left else "")]


def _life(warehouse: Warehouse, key: list[Any]) -> Node:
    query = life(SALES, "business_date = ? AND store_id = ? AND channel = ?")
    found = changes(SALES, warehouse.records(query, key), ["net_sales"])
    named = tuple(
        Node(
            f"{change.published_at:%Y-%m-%d %H:%M} UTC, {change.cause}",
            {"before": change.before, "after": change.after, "load": change.loads, "run": change.run_id},
        )
        for change in found[-SHOWN:]
    )
    return Node("published", {"changes": len(found)}, named, "`insightmart history agg_sales_daily` has all measures")
