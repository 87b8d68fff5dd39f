"""What a scan found, as ops.check_results keeps it: every check, for which physical tables, in which window."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.runs import current_run_id


def snapshot_versions(tables: Mapping[str, str]) -> str:
    """What a scan is evidence for, as in ops.check_results: model -> physical table, the gate itself included."""
    return json.dumps(dict(sorted(tables.items())))


def record(
    warehouse: Warehouse,
    gate: str,
    scan_id: str,
    outcomes: list[dict[str, str]],
    start: datetime,
    end: datetime,
    scanned: str,
    execution_time: datetime,
) -> None:
    """Write the results to ops.check_results."""
    shared = {
        "run_id": current_run_id(),
        "scan_id": scan_id,
        "area": gate,
        "window_start": start,
        "window_end": end,
        "snapshot_versions": scanned,
        "scanned_at": utc_now(),
        "as_of": execution_time.replace(tzinfo=None),
    }
    warehouse.insert("ops.check_results", [{**shared, **outcome} for outcome in outcomes])
