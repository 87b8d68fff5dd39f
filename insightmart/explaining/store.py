"""A store on a business date: is its figure low because it sold little, or because something of it is not there."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.explaining.node import Node

WEEKS = 4  # before, that the date is compared with
SHOWN = 12


def explain_store(warehouse: Warehouse, store_id: int, day: date) -> list[Node]:
    """Explain a store's business date: who it is, what it sold, what it usually sells, its files, its till.

    Raises:
        InsightMartError: no such store is known.
    """
    known = warehouse.records(
        "SELECT store_name, timezone, manager, opened_on, closed_on, is_inferred FROM certified.dim_stores"
        " WHERE store_id = ? AND is_current",
        [store_id],
    )
    if not known:
        raise InsightMartError(
            f"no store {store_id} is known", '`insightmart sql "FROM certified.dim_stores"` lists them'
        )
    (store,) = known
    closed = (store["opened_on"] is not None and day < store["opened_on"]) or (
        store["closed_on"] is not None and day >= store["closed_on"]
    )
    behind = (*_sales(warehouse, store_id, day), *_files(warehouse, store_id, day), *_tills(warehouse, store_id, day))
    return [Node(f"store {store_id} on {day}", store, behind, "It was not open" if closed else "")]


def _sales(warehouse: Warehouse, store_id: int, day: date) -> list[Node]:
    weeks = [day - timedelta(weeks=week) for week in range(WEEKS, 0, -1)]
    rows = {
        found: (orders, net_sales)
        for found, orders, net_sales in warehouse.rows(
            "SELECT business_date, CAST(SUM(orders) AS BIGINT), SUM(net_sales) FROM certified.agg_sales_daily"
            f" WHERE store_id = ? AND business_date IN ({', '.join('?' * (WEEKS + 1))}) GROUP BY business_date",
            [store_id, day, *weeks],
        )
    }
    before = tuple(
        Node(f"{week:%A} {week}", {"orders": rows[week][0], "net_sales": rows[week][1]})
        for week in weeks
        if week in rows
    )
    orders, net_sales = rows.get(day, (0, 0))
    note = "" if before else "Nothing of the four weeks before to compare it with"
    return [Node("certified sales", {"orders": orders, "net_sales": net_sales}, before, note)]


def _files(warehouse: Warehouse, store_id: int, day: date) -> list[Node]:
    start = datetime.combine(day, datetime.min.time()) - timedelta(hours=14)
    end = start + timedelta(hours=50)
    rows = warehouse.rows(
        'SELECT file_name, status, reason, seen_at, "ROWS", rejected_rows, load_id FROM ops.files'
        " WHERE store_id = ? AND ((file_hour >= ? AND file_hour < ?) OR file_date = ?) ORDER BY file_name, seen_at",
        [store_id, start, end, day],
    )
    troubled = [row for row in rows if row[1] not in ("loaded", "duplicate") or row[5]]
    seen = tuple(
        Node(name, {"status": status, "reason": reason, "seen_at": at, "rows": count, "rejected": bad, "load": load})
        for name, status, reason, at, count, bad, load in troubled[:SHOWN]
    )
    note = f"{len(troubled):,} of them with something wrong" if troubled else "Nothing was wrong with them"
    nodes = [Node("files of the date and the hours beside it", {"files": len(rows)}, seen, note if rows else "")]
    missing = warehouse.rows(
        "SELECT file_hour, missed_at, arrived_at, load_id FROM ops.missing_files"
        " WHERE store_id = ? AND file_hour >= ? AND file_hour < ? ORDER BY file_hour",
        [store_id, start, end],
    )
    if missing:
        behind = tuple(
            Node(
                f"hour {hour:%Y-%m-%d %H:%M} UTC",
                {"missed_at": missed, "arrived_at": arrived, "load": load},
                note="" if arrived else "It has not come: ask the manager",
            )
            for hour, missed, arrived, load in missing[:SHOWN]
        )
        nodes.append(Node("inventory files that were not there in time", {"files": len(missing)}, behind))
    return nodes


def _tills(warehouse: Warehouse, store_id: int, day: date) -> list[Node]:
    rows = warehouse.rows(
        "SELECT measure, source_total, certified_total, difference, status FROM ops.reconciliations"
        " WHERE control = 'tills' AND store_id = ? AND business_date = ?"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY measure ORDER BY reconciled_at DESC) = 1 ORDER BY measure",
        [store_id, day],
    )
    return [
        Node(f"till, {measure}", {"till": till, "certified": certified, "difference": gap, "status": status})
        for measure, till, certified, gap, status in rows
    ]
