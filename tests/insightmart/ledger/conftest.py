"""A ledger over several runs, on a warehouse made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ingestion.warehouse import Warehouse
from insightmart.ledger import recording
from insightmart.ledger.chain import Head
from insightmart.ledger.kept_heads import Outside, OutsideHead
from insightmart.ledger.recording import enter
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import Settings
from tests.support.handmade_warehouse import Business

FIRST = datetime(2026, 3, 6, 17, 5)
RUNS = 5
HOUR = timedelta(hours=1)


class Kept:
    """A warehouse with its ledger, and the heads that were kept outside at the end of each run."""

    def __init__(self, warehouse: Warehouse, heads: list[Head]) -> None:
        self.warehouse = warehouse
        self.heads = heads

    def outside(self, _: Any = None) -> Outside:
        """As the bucket would give them."""
        return Outside([OutsideHead(head, f"s3://evidence/{head.sequence}") for head in self.heads])


@pytest.fixture
def kept(business: Business, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Five hours: loads, scans of which one is refused, a correction, a reconciliation, a run with its problems."""
    business.warehouse.execute("SET threads = 1")  # tables of a few rows
    instant = [FIRST]
    monkeypatch.setattr(recording, "utc_now", lambda: instant[0] + timedelta(minutes=9))
    heads = []
    for number in range(RUNS):
        instant[0] = FIRST + number * HOUR
        _hour(business, number, instant[0])
        head = enter(business.warehouse, settings, f"cycle-{number}", FIRST - HOUR, "f00d")
        assert head is not None
        heads.append(head)
    yield Kept(business.warehouse, heads)


def _hour(business: Business, number: int, at: datetime) -> None:
    warehouse = business.warehouse
    warehouse.insert("ops.loads", [_load(number, at, entity) for entity in ("orders", "order_lines", "refunds")])
    window = {"window_start": at - HOUR, "window_end": at, "scanned_at": at, "as_of": at, "run_id": f"cycle-{number}"}
    for gate in ("sales__oltp", "inventory__stores"):
        outcomes = ("fail" if number == 2 and gate == "sales__oltp" else "pass", "pass", "warn", "pass")
        scan = {**window, "scan_id": f"{gate}-{number}", "area": gate, "dataset": "LINES", "severity": "critical"}
        rows = [{**scan, "check_name": f"check {place}", "outcome": said} for place, said in enumerate(outcomes)]
        warehouse.insert("ops.check_results", [row | {"value": "0", "definition": "checks:"} for row in rows])
    closed = {"status": "closed", "plan_id": f"plan-{number}", "closed_at": at, "settled_at": at, "attempts": 1}
    business.correction(**closed, window_id=f"window-{number}")
    totals = {"source_total": Decimal("12.5"), "difference": Decimal(0), "status": "matched", "reconciled_at": at}
    compared = [{**totals, "run_id": f"cycle-{number}", "measure": name} for name in ("rows", "amount")]
    warehouse.insert("ops.reconciliations", compared)
    written = {
        "publication": 1795839686673580 + number,
        "published_at": at,
        "recorded_at": at,
        "run_id": f"cycle-{number}",
    }
    warehouse.insert("ops.publications", [{**written, "git_sha": "c0ffee"}])
    cell = {"table_name": "agg_sales_daily", "business_date": at.date(), "channel": "store", "cause": "new hours"}
    cells = [{**written, **cell, "store_id": store, "net_sales_after": Decimal("12.3456")} for store in (1, 2)]
    warehouse.insert("ops.published_changes", cells)
    interval = {"run_id": f"cycle-{number}", "model": "core.fct_orders__oltp", "seconds": 0.25, "recorded_at": at}
    warehouse.insert("ops.run_intervals", [interval])
    problem = RunProblem(ProblemKind.SOURCE, "shopify", "HTTP 503", "wait")
    business.ran(f"cycle-{number}", at, "failed" if number == 2 else "succeeded", *([problem] if number == 2 else []))
    warehouse.execute("UPDATE ops.run_problems SET recorded_at = ? WHERE run_id = ?", [at, f"cycle-{number}"])


def _load(number: int, at: datetime, entity: str) -> dict[str, Any]:
    row = {"load_id": f"1772.{number}", "source": "oltp", "entity": entity, "status": "loaded", "rows": 10 * number}
    return {**row, "rejected_rows": 0, "source_sum": Decimal("99.5"), "started_at": at, "ended_at": at}
