"""How every check of the gates did in the last two weeks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from ingestion.warehouse import Warehouse
from insightmart.gate.check_contract import check_contract

DAYS = 14
POINTS = 48  # results of a check that are shown, the newest


@dataclass(frozen=True)
class CheckPoint:
    """One result of a check: of which window, UTC, and what was found."""

    window_end: datetime
    outcome: str
    value: str


@dataclass(frozen=True)
class CheckHistory:
    """A check with its results.

    Attributes:
        gate: the gate that runs it.
        check: what it is called.
        dataset: the candidate it looks at.
        severity: ``critical`` holds a window back, ``warning`` does not.
        owner: whom to ask.
        allowed: what it allows.
        results: how often it ran in the last two weeks.
        failed: how often it did not pass.
        points: the newest results, oldest first.
    """

    gate: str
    check: str
    dataset: str
    severity: str
    owner: str
    allowed: str
    results: int
    failed: int
    points: tuple[CheckPoint, ...]

    @property
    def last(self) -> CheckPoint:
        """The newest result."""
        return self.points[-1]


def check_histories(warehouse: Warehouse, existing: set[str], as_of: datetime) -> list[CheckHistory]:
    """Every check that ran for prod in the last two weeks, those that failed most first."""
    if "ops.check_results" not in existing:
        return []
    rows = warehouse.rows(
        """
        SELECT area, check_name, dataset, severity, definition, window_end, outcome, value,
            COUNT(*) OVER (PARTITION BY area, dataset, check_name) AS results,
            SUM(CASE WHEN outcome = 'pass' THEN 0 ELSE 1 END) OVER (PARTITION BY area, dataset, check_name) AS failed
        FROM ops.check_results
        WHERE COALESCE(environment, 'prod') = 'prod' AND as_of > ? AND as_of <= ?
        QUALIFY ROW_NUMBER() OVER (
            PARTITION BY area, dataset, check_name ORDER BY scanned_at DESC, window_end DESC
        ) <= ?
        ORDER BY area, dataset, check_name, scanned_at, window_end
        """,
        [as_of - timedelta(days=DAYS), as_of, POINTS],
    )
    found = []
    contracts: dict[str, tuple[str, str]] = {}  # most checks keep their words from result to result
    for (gate, dataset, check), group in groupby(rows, key=lambda row: (row[0], row[2], row[1])):
        results = list(group)
        _, _, _, severity, definition, *_, count, failed = results[-1]
        text = definition or ""
        if text not in contracts:
            contracts[text] = check_contract(text)
        allowed, owner = contracts[text]
        points = tuple(CheckPoint(row[5], row[6], row[7] or "") for row in results)
        found.append(
            CheckHistory(gate, check, dataset.lower(), severity, owner, allowed, int(count), int(failed), points)
        )
    return sorted(found, key=lambda one: (-one.failed, one.gate, one.dataset, one.check))
