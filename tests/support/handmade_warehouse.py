"""A warehouse whose rows a test puts there by hand: certified tables, scans, loads, corrections, runs."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ingestion.contracts import ENTITIES
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from insightmart.runs import RunProblem, record_problems

if TYPE_CHECKING:
    pass

START = date(2026, 3, 5)
AS_OF = datetime(2026, 3, 6, 17, 5)
GATES = ("sales__oltp", "sales__shopify", "inventory__stores", "inventory__shopify", "customers", "products", "stores")
HOUR = timedelta(hours=1)

_GATE_COLUMNS = (
    "window_start TIMESTAMP, window_end TIMESTAMP, scan_id VARCHAR, checks_passed INT, checks_warned INT,"
    " scanned_at TIMESTAMP"
)
_CERTIFIED = {
    "fct_orders": "order_id VARCHAR",
    "fct_order_lines": "order_id VARCHAR",
    "fct_refunds": "refund_id VARCHAR",
    "agg_sales_hourly": "business_date DATE",
    "agg_sales_daily": "business_date DATE, store_id INT, channel VARCHAR, orders BIGINT, gross_sales DECIMAL(18, 4),"
    " discounts DECIMAL(18, 4), returns DECIMAL(18, 4), net_sales DECIMAL(18, 4), total_sales DECIMAL(18, 4)",
    "agg_sales_like_for_like": "business_date DATE",
    "row_counts": "event_hour TIMESTAMP",
    "fct_inventory": "store_id INT",
    "agg_inventory_daily": "business_date DATE, store_id INT",
    "inventory_coverage": "counted_hour TIMESTAMP",
    "dim_customers": "customer_id VARCHAR, changed_at TIMESTAMP",
    "dim_products": "sku VARCHAR",
    "dim_stores": "store_id INT, store_name VARCHAR, timezone VARCHAR, is_current BOOLEAN, is_inferred BOOLEAN,"
    " opened_on DATE, closed_on DATE, city VARCHAR, region VARCHAR, manager VARCHAR",
    "dim_dates": "calendar_date DATE",
}


class Business:
    """A warehouse in which everything is certified through 17:00, to be spoilt by a test.

    ``warehouse`` is the open connection; the methods write what ingestion, the gate and the cycle would have written.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        create_tables(warehouse)
        for schema in ("gate", "certified", "quarantine"):
            warehouse.execute(f"CREATE SCHEMA {schema}")
        for table, columns in _CERTIFIED.items():
            warehouse.execute(f"CREATE TABLE certified.{table} ({columns})")
        for gate in GATES:
            warehouse.execute(f"CREATE TABLE gate.{gate} ({_GATE_COLUMNS})")
            self.passed(gate, datetime(2026, 3, 5), datetime(2026, 3, 6, 17))
        for item in ENTITIES:
            if item.watermarked:
                self.covered(item.source, item.name, datetime(2026, 3, 6, 17))

    def covered(self, source: str, entity: str, through: datetime) -> None:
        """Move a watermark."""
        self.warehouse.execute("DELETE FROM ops.source_watermarks WHERE source = ? AND entity = ?", [source, entity])
        mark = {"source": source, "entity": entity, "covered_through": through, "load_id": "1", "updated_at": through}
        self.warehouse.insert("ops.source_watermarks", [mark])

    def passed(self, gate: str, start: datetime, end: datetime) -> None:
        """A window that passed its gate, with its scan."""
        row = {
            "window_start": start,
            "window_end": end,
            "scan_id": f"{gate}-{end}",
            "checks_passed": 2,
            "checks_warned": 0,
        }
        self.warehouse.insert(f"gate.{gate}", [{**row, "scanned_at": end + timedelta(minutes=6)}])
        self.scanned(gate, start, end, {"a line counts once": ("pass", "0", "")})

    def scanned(self, gate: str, start: datetime, end: datetime, checks: dict[str, tuple[str, str, str]]) -> None:
        """A scan: check name -> (outcome, value, SodaCL)."""
        shared = {
            "run_id": "cycle-1",
            "scan_id": f"{gate}-{end}-{len(self.warehouse.rows('SELECT scan_id FROM ops.check_results'))}",
            "area": gate,
            "dataset": "ROW_COUNTS",
            "severity": "critical",
            "window_start": start,
            "window_end": end,
            "scanned_at": end
            + timedelta(minutes=6, seconds=len(self.warehouse.rows("SELECT 1 FROM ops.check_results"))),
            "as_of": end + timedelta(minutes=5),
        }
        rows = [
            {**shared, "check_name": name, "outcome": outcome, "value": value, "definition": definition}
            for name, (outcome, value, definition) in checks.items()
        ]
        self.warehouse.insert("ops.check_results", rows)

    def refuse(self, gate: str = "sales__oltp", since: datetime = datetime(2026, 3, 6, 16)) -> None:
        """Everything from ``since`` on is refused by the check of the reject rate."""
        self.warehouse.execute(f"UPDATE gate.{gate} SET window_end = ?", [since])
        definition = (
            "checks for GATE_SCAN_1.ROW_COUNTS:\n  - rejected_lines_percent <= ${REJECTED_LINES_MAX_PERCENT}:\n"
            "      name: few order lines are rejected\n      attributes: {severity: critical, owner: operations}\n"
        )
        checks = {
            "few order lines are rejected": ("fail", "41.18", definition),
            "a line counts once": ("pass", "0", ""),
        }
        self.scanned(gate, since, since + HOUR, checks)

    def ran(self, run_id: str, as_of: datetime, status: str, *problems: RunProblem) -> None:
        """A cycle that ended, and what went wrong in it."""
        row = {"run_id": run_id, "command": "cycle", "as_of": as_of, "status": status}
        self.warehouse.insert("ops.runs", [{**row, "started_at": as_of, "ended_at": as_of + timedelta(seconds=9)}])
        record_problems(self.warehouse, run_id, problems)

    def correction(self, **columns: Any) -> None:
        """An open correction window of store sales."""
        row = {
            "window_id": "w1",
            "source": "oltp",
            "entity": "sales",
            "window_start": datetime(2026, 3, 5, 9),
            "window_end": datetime(2026, 3, 5, 11),
            "reason": "rows new or changed after the hour had been released",
            "rows": 3,
            "queued_at": datetime(2026, 3, 6, 17, 5),
            "status": "open",
            "attempts": 0,
        }
        self.warehouse.insert("ops.correction_windows", [row | columns])

    def quarantined(self, entity: str, reasons: str, event_at: datetime, **columns: str) -> None:
        """A rejected row."""
        self.warehouse.execute(
            f"CREATE TABLE IF NOT EXISTS quarantine.{entity} (order_id VARCHAR, customer_note VARCHAR,"
            " event_at TIMESTAMP, raw_load_id VARCHAR, rule_ids VARCHAR, reasons VARCHAR)"
        )
        row = {"event_at": event_at, "raw_load_id": "1772.1", "rule_ids": reasons, "reasons": reasons}
        self.warehouse.insert(f"quarantine.{entity}", [{**row, "order_id": "1", "customer_note": None} | columns])

    def rejected_file(self, file_name: str, reason: str, at: datetime) -> None:
        """A store file that was not trusted as a whole."""
        row = {
            "source": "stores",
            "entity": "inventory",
            "is_whole_file": True,
            "rule_id": "gzip_truncated",
            "reason": reason,
            "original_path": "/home/quarantine/abc",
            "rejected_at": at,
            "file_name": file_name,
            "file_hash": "abc",
            "_dlt_load_id": "1772.1",
        }
        self.warehouse.insert("raw.rejects", [row])
