"""How far back raw reaches: what lies before was deleted by `insightmart retention`, and is computed no more.

An hour before the horizon keeps what was published of it. Whoever plans, loads or restates asks here first: of rows
that are partly gone every figure would come out too small.
"""

from __future__ import annotations

from datetime import datetime

from ingestion.warehouse import Warehouse

RAW, AGGREGATES, EVIDENCE = "raw", "aggregates", "evidence"  # what goes together: classes of ops.purges


def purged_before(warehouse: Warehouse, what: str = RAW) -> datetime | None:
    """The instant (UTC) before which rows of a class were deleted, or are being deleted; None: nothing ever was."""
    found: datetime | None = warehouse.value("SELECT MAX(purged_before) FROM ops.purges WHERE class = ?", [what])
    return found


def gone(horizon: datetime, what: str) -> str:
    """What to say of something that lies before the horizon."""
    return (
        f"{what} lies before {horizon:%Y-%m-%d} UTC, and raw from before was deleted by `insightmart retention`:"
        " it cannot be computed again, and what was published of it stays"
    )


PROVES = (
    "What can still be proven: `insightmart history`, `insightmart ledger show --kind retention`, and the checks and"
    " loads of then in ops.check_results and ops.loads"
)
