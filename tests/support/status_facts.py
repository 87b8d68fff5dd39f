"""Facts made by hand, for tests of what the page and the mails say of them. No warehouse is needed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from insightmart.certification.datasets import catalogue
from insightmart.certification.observations import CheckResult, OpenCorrection, Scan
from insightmart.certification.state import dataset_states
from insightmart.certification.verdict import PartState, Verdict, standing
from insightmart.runs import RunProblem
from insightmart.status.facts import Facts
from insightmart.status.recent_runs import RunState

AS_OF = datetime(2026, 3, 6, 17, 5)
THROUGH = datetime(2026, 3, 6, 17)
HELD_SINCE = datetime(2026, 3, 6, 16)


def certified(**changes: Any) -> Facts:
    """Everything is certified through 17:00, but for what is changed."""
    parts = [PartState(part, Verdict.TRUSTED, "the last gate passed", THROUGH) for part in catalogue().parts]
    facts = Facts(
        as_of=AS_OF,
        generated_at=AS_OF,
        gateway="local",
        currency="USD",
        parts=parts,
        datasets=dataset_states(parts, set()),
        corrections=[],
        corrections_closed=0,
        loads=[],
        failed_loads={},
        files=[],
        missing_stores=[],
        rejects=[],
        rejected_files=[],
        sales=[],
        reconciliation=None,
        runs=[],
        last_cycle=None,
        asked=[],
        missing_tables=[],
    )
    return replace(facts, **changes)


def with_parts(**states: dict[str, Any]) -> Facts:
    """As ``certified``, with other states of some parts, by gate."""
    parts = [replace(state, **states.get(state.part.gate, {})) for state in certified().parts]
    return certified(parts=parts, datasets=dataset_states(parts, set()))


def refused(check: str = "few order lines are rejected", dataset: str = "row_counts", **changes: Any) -> dict[str, Any]:
    """The state of a part whose gate holds it back since 16:00."""
    remark = CheckResult(check, dataset, "critical", "fail", "41.18", "<= 20", "operations")
    scan = Scan("s1", "gate", HELD_SINCE, THROUGH, AS_OF, AS_OF, 2, True, (replace(remark, **changes),))
    why = f"the gate refused it: {check} (found 41.18, allowed <= 20)"
    return {"verdict": Verdict.HELD_BACK, "why": why, "through": HELD_SINCE, "refused": scan, "attempts": 1}


def late(*inputs: str, through: datetime = datetime(2026, 3, 6, 14)) -> dict[str, Any]:
    """The state of a part whose sources are behind; without any, of one that lies still for no known reason."""
    behind: dict[str, datetime | None] = dict.fromkeys(inputs, through)
    why = standing(behind) or f"nothing was certified after {through:%Y-%m-%d %H:%M} UTC"
    return {"verdict": Verdict.LATE, "why": why, "through": through, "behind": behind}


def correction(**changes: Any) -> OpenCorrection:
    """A window of store sales that waits to be certified again."""
    start, end = datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 11)
    return replace(OpenCorrection("oltp", "sales", start, end, 3, "changed", AS_OF, 0, None), **changes)


def cycle(*problems: RunProblem, status: str = "failed", **changes: Any) -> RunState:
    """A cycle that met these problems."""
    return replace(RunState("cycle-1", "cycle", AS_OF, status, problems=problems), **changes)
