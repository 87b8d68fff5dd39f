"""Signals of one run ask once how far the sources are in; the next run asks again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from insightmart.transform.watermarks import asked_once, covered_through

FIRST, SECOND = datetime(2026, 3, 5, 10), datetime(2026, 3, 5, 11)


class Adapter:
    """Answers what the table holds at the time, and counts."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, datetime | None]] = []
        self.asked = 0

    def fetchall(self, _: str) -> list[Any]:
        self.asked += 1
        return list(self.rows)


def test_one_answer_holds_for_a_run_and_no_longer() -> None:
    adapter: Any = Adapter()
    adapter.rows = [("oltp.orders", FIRST), ("oltp.customers", None)]
    with asked_once():
        assert covered_through(adapter) == covered_through(adapter) == {"oltp.orders": FIRST}
        adapter.rows = [("oltp.orders", SECOND)]
        assert covered_through(adapter) == {"oltp.orders": FIRST}
        assert adapter.asked == 1
    with asked_once():
        assert covered_through(adapter) == {"oltp.orders": SECOND}
    assert covered_through(adapter) == {"oltp.orders": SECOND}
    assert covered_through(adapter) == {"oltp.orders": SECOND}
    assert adapter.asked == 4  # outside a run, as by plain sqlmesh, each signal asks
