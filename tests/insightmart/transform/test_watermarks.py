"""Models of one run ask once how far the sources are in and how far back raw reaches; the next run asks again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from insightmart.transform.watermarks import asked_once, covered_through, raw_purged_before

FIRST, SECOND = datetime(2026, 3, 5, 10), datetime(2026, 3, 5, 11)
HORIZON = datetime(2024, 3, 5)


class Adapter:
    """Answers what the table holds at the time, and counts."""

    def __init__(self) -> None:
        self.rows: list[tuple[str | None, datetime | None]] = []
        self.asked = 0

    def fetchall(self, statement: str) -> list[Any]:
        self.asked += 1
        return [row for row in self.rows if row[0] is not None or "ops.purges" in statement]


def test_one_answer_holds_for_a_run_and_no_longer() -> None:
    adapter: Any = Adapter()
    adapter.rows = [("oltp.orders", FIRST), ("oltp.customers", None), (None, HORIZON)]
    with asked_once():
        assert covered_through(adapter) == covered_through(adapter) == {"oltp.orders": FIRST}
        assert raw_purged_before(adapter) == HORIZON
        adapter.rows = [("oltp.orders", SECOND), (None, None)]
        assert covered_through(adapter) == {"oltp.orders": FIRST}
        assert raw_purged_before(adapter) == HORIZON
        assert adapter.asked == 1
    with asked_once():
        assert raw_purged_before(adapter) is None
        assert covered_through(adapter) == {"oltp.orders": SECOND}
    assert covered_through(adapter) == {"oltp.orders": SECOND}
    assert covered_through(adapter) == {"oltp.orders": SECOND}
    assert adapter.asked == 4  # outside a run, as by plain sqlmesh, each signal asks
