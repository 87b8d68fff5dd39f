"""A chain of 120 stores over a week in a warehouse made by hand: their files, sales, managers, checks and rejects."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.support.handmade_warehouse import Business

STORES = 120
NOW = datetime(2026, 3, 13, 0, 5)
START = datetime(2026, 3, 6)
HOURS = 168
# What does not go well: (store, first hour, hours) of the week.
MISSING = ((17, 140, 5), (44, 0, 3))
LATE = (23, 50)
QUARANTINED = (71, 100)
HOSTILE = "<img src=x onerror=alert(1)>"


def fill(business: Business, *, results: int = 0) -> None:
    """Put the chain into a warehouse.

    Args:
        business: the warehouse.
        results: so many more results of checks.
    """
    warehouse = business.warehouse
    stores = f"SELECT CAST(range AS BIGINT) + 1 AS store_id FROM range({STORES})"
    names = f"CASE store_id WHEN 17 THEN '{HOSTILE}' ELSE 'InsightMart ' || store_id END"
    warehouse.execute(
        "INSERT INTO raw.stores_reference (store_id, name, timezone, manager, reference_date, file_line, _loaded_at,"
        f" _dlt_load_id) SELECT store_id, {names}, 'America/New_York', 'Manager ' || store_id, DATE '2026-03-05', 1,"
        f" TIMESTAMP '2026-03-05', '1' FROM ({stores})"
    )
    warehouse.execute(
        f"INSERT INTO certified.dim_stores SELECT store_id, {names}, 'America/New_York', TRUE, FALSE, NULL, NULL,"
        f" 'Town', 'North', 'Manager ' || store_id FROM ({stores})"
    )
    missing = " OR ".join(f"(store_id = {s} AND hour >= {f} AND hour < {f + n})" for s, f, n in MISSING)
    warehouse.execute(
        f"""
        INSERT INTO ops.files (source, entity, file_name, store_id, file_hour, status, reason, seen_at, load_id)
        SELECT 'stores', 'inventory', 'inventory/' || store_id || '-' || hour || '.csv', store_id,
            TIMESTAMP '{START}' + hour * INTERVAL 1 HOUR,
            CASE WHEN store_id = {QUARANTINED[0]} AND hour = {QUARANTINED[1]} THEN 'quarantined' ELSE 'loaded' END,
            CASE WHEN store_id = {QUARANTINED[0]} AND hour = {QUARANTINED[1]} THEN 'no header {HOSTILE}' END,
            TIMESTAMP '{START}' + (hour + 1) * INTERVAL 1 HOUR, '1'
        FROM ({stores}) CROSS JOIN (SELECT range AS hour FROM range({HOURS})) WHERE NOT ({missing})
        """
    )
    late = START + LATE[1] * timedelta(hours=1)
    warehouse.insert(
        "ops.missing_files",
        [{"store_id": LATE[0], "file_hour": late, "missed_at": late, "arrived_at": late + timedelta(hours=9)}],
    )
    warehouse.execute(
        "INSERT INTO certified.agg_sales_daily SELECT DATE '2026-02-27' + CAST(day AS INTEGER), store_id, 'store', 10,"
        " 100, 0, 0, 100 + store_id + day, 110"
        f" FROM ({stores}) CROSS JOIN (SELECT range AS day FROM range(14))"
    )
    for source, entity in (("stores", "inventory"), ("stores", "reference"), ("oltp", "orders")):
        business.covered(source, entity, datetime(2026, 3, 13))
    if results:
        warehouse.execute(
            f"""
            INSERT INTO ops.check_results (run_id, scan_id, area, check_name, dataset, severity, outcome, value,
                definition, window_start, window_end, environment, scanned_at, as_of)
            SELECT 'cycle-1', 'scan-' || range // 350, 'sales__oltp', 'check ' || range % 350, 'FCT_ORDERS', 'critical',
                CASE WHEN range % 1000 = 7 THEN 'fail' ELSE 'pass' END, '0', 'checks for FCT_ORDERS: []',
                TIMESTAMP '{START}', TIMESTAMP '{START}' + (range // 350) * INTERVAL 20 MINUTE, 'prod',
                TIMESTAMP '{START}' + (range // 350) * INTERVAL 20 MINUTE,
                TIMESTAMP '{START}' + (range // 350) * INTERVAL 20 MINUTE
            FROM range({results})
            """
        )
