"""What came of a reconciliation: totals by control, and every comparison that does not match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from insightmart.reconciliation.controls import Scope
from insightmart.reconciliation.statements import Statements
from insightmart.runs import ProblemKind, RunProblem

MATCHED = "matched"
DIFFERS = "failed"  # and nothing explains it


@dataclass(frozen=True)
class ControlSummary:
    """One control of one entity and measure over all dates; totals are exact, None where the control has none."""

    control: str
    entity: str
    measure: str
    source_total: Decimal | None
    raw_total: Decimal | None
    core_total: Decimal | None
    certified_total: Decimal | None
    excluded_total: Decimal | None
    quarantined_total: Decimal | None
    difference: Decimal
    comparisons: int


@dataclass(frozen=True)
class Difference:
    """A comparison that does not match: where, by how much, and what explains it (``failed``: nothing does)."""

    control: str
    entity: str
    business_date: date
    store_id: int | None
    measure: str
    source_total: Decimal | None
    raw_total: Decimal | None
    core_total: Decimal | None
    certified_total: Decimal | None
    quarantined_total: Decimal | None
    difference: Decimal
    status: str


@dataclass(frozen=True)
class ReconcileResult:
    """The last verdict on every date of a reconciliation, whichever run compared it last.

    Attributes:
        run_id: the run that asks.
        as_of: "now" of the run, UTC.
        date_from: first business date.
        date_to: last business date.
        controls: totals by control, entity and measure.
        statuses: comparisons by status.
        unmatched: every comparison that does not match, explained ones included.
        skipped: controls that could not run yet, with the reason.
    """

    run_id: str
    as_of: datetime
    date_from: date
    date_to: date
    controls: list[ControlSummary]
    statuses: Mapping[str, int]
    unmatched: list[Difference]
    skipped: list[str]

    @property
    def differences(self) -> int:
        """How many comparisons differ without an explanation."""
        return self.statuses.get(DIFFERS, 0)

    @property
    def summary(self) -> str:
        """One line: what agrees, what is explained, what differs."""
        explained = [
            f"{count:,} {status}" for status, count in self.statuses.items() if status not in (MATCHED, DIFFERS)
        ]
        parts = [f"{self.statuses.get(MATCHED, 0):,} totals agree", *explained]
        return ", ".join([*parts, f"{self.differences:,} differ" if self.differences else "none differs"])

    @property
    def problems(self) -> list[RunProblem]:
        """What of it is a problem of the run that reconciled."""
        if not self.differences:
            return []
        cure = "`insightmart reconcile` lists them"
        return [RunProblem(ProblemKind.RECONCILIATION, "totals", f"reconciliation: {self.summary}", cure)]


def read_result(statements: Statements, scope: Scope, skipped: Sequence[str]) -> ReconcileResult:
    """What was found of the dates of a scope last."""
    return ReconcileResult(
        scope.run_id,
        scope.as_of,
        scope.date_from,
        scope.date_to,
        [ControlSummary(*row) for row in statements.rows("found_totals")],
        dict(statements.rows("found_statuses")),
        [Difference(*row) for row in statements.rows("found_differences")],
        list(skipped),
    )
