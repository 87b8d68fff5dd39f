"""The verdict on a part out of the evidence, and how it is worded. No warehouse is needed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from insightmart.certification.datasets import Dataset, Part
from insightmart.certification.observations import CheckResult, OpenCorrection, Scan
from insightmart.certification.verdict import DatasetState, PartState, Verdict, judge, late_inputs, restates

NOW = datetime(2026, 3, 6, 17, 5)
HOUR = timedelta(hours=1)
SALES = Part(
    "Sales", "online", "sales__shopify", ("shopify.orders",), ("shopify", "sales"), ("core.fct_orders__shopify",)
)
CUSTOMERS = Part("Customers", "", "customers", ("oltp.customers",))


def correction(source: str, entity: str) -> OpenCorrection:
    return OpenCorrection(source, entity, NOW - 9 * HOUR, NOW - 8 * HOUR, 1, "late", NOW, 0, None)


def scan(*remarks: CheckResult) -> Scan:
    return Scan("1", "sales__shopify", NOW - HOUR, NOW, NOW, NOW, 3, blocked=True, remarks=remarks)


@pytest.mark.parametrize(
    ("through", "marks", "pending", "verdict", "why"),
    [
        (17, {"shopify.orders": 17}, 0, Verdict.TRUSTED, "the last gate passed and nothing is pending"),
        (16, {"shopify.orders": 16}, 0, Verdict.TRUSTED, "the last gate passed and nothing is pending"),
        (17, {"shopify.orders": 17}, 1, Verdict.CORRECTIONS, "1 window waits to be certified again"),
        (17, {"shopify.orders": 17}, 2, Verdict.CORRECTIONS, "2 windows wait to be certified again"),
        (15, {"shopify.orders": 17}, 2, Verdict.LATE, "nothing was certified after 2026-03-06 15:00 UTC"),
        (
            15,
            {"shopify.orders": 15},
            0,
            Verdict.LATE,
            "the source shopify.orders was last read through 2026-03-06 15:00 UTC",
        ),
        (17, {}, 0, Verdict.LATE, "the source shopify.orders was never loaded"),
        (None, {"shopify.orders": 17}, 0, Verdict.MISSING, "no window has passed the gate yet"),
        (None, {}, 0, Verdict.MISSING, "never loaded: shopify.orders"),
    ],
)
def test_a_part_is_as_good_as_its_gate_its_sources_and_its_queue(
    through: int | None, marks: dict[str, int], pending: int, verdict: Verdict, why: str
) -> None:
    known = {name: datetime(2026, 3, 6, hour) for name, hour in marks.items()}
    certified = None if through is None else datetime(2026, 3, 6, through)
    waiting = [correction("shopify", "sales")] * pending
    assert judge(SALES, NOW, certified, None, waiting, late_inputs(SALES, known, NOW)) == (verdict, why)


def test_a_refused_window_comes_before_anything_else_and_names_what_was_found() -> None:
    refused = scan(
        CheckResult("few lines are rejected", "ROW_COUNTS", "critical", "fail", "41", "<= 20", "operations"),
        CheckResult("the scan runs", "ROW_COUNTS", "low", "error", "no table", "", ""),
        CheckResult("orders are many", "FCT_ORDERS", "high", "fail", "3", ">= 5", "finance"),
    )
    verdict, why = judge(SALES, NOW, None, refused, [correction("shopify", "sales")], {"shopify.orders": None})
    assert verdict is Verdict.HELD_BACK
    assert why == (
        "the gate refused it: few lines are rejected (found 41, allowed <= 20), the scan runs (found no table)"
    )
    assert [remark.check for remark in refused.warnings] == ["orders are many"]


@pytest.mark.parametrize(("hours", "late"), [(25, False), (26, True)])
def test_a_daily_source_may_be_a_day_and_ninety_minutes_old(hours: int, late: bool) -> None:
    mark = NOW - hours * HOUR
    assert late_inputs(CUSTOMERS, {"oltp.customers": mark}, NOW) == ({"oltp.customers": mark} if late else {})


def test_a_correction_belongs_to_the_part_it_restates() -> None:
    assert restates(correction("shopify", "sales"), SALES)
    assert not restates(correction("oltp", "sales"), SALES)
    assert not restates(correction("shopify", "sales"), CUSTOMERS)
    assert restates(correction("manual", "core.fct_orders__shopify"), SALES)
    assert not restates(correction("manual", "core.fct_inventory__shopify"), SALES)


def test_a_table_is_as_good_as_the_worst_of_its_parts_and_certified_where_all_are() -> None:
    parts = (
        PartState(SALES, Verdict.TRUSTED, "", NOW),
        PartState(SALES, Verdict.LATE, "", NOW - HOUR),
        PartState(SALES, Verdict.CORRECTIONS, "", NOW),
    )
    state = DatasetState(Dataset("fct_orders", "an order", ("sales__shopify",)), parts, exists=True)
    assert (state.verdict, state.through, state.area) == (Verdict.LATE, NOW - HOUR, "Sales")
    unknown = DatasetState(state.dataset, (*parts, PartState(SALES, Verdict.MISSING, "", None)), exists=True)
    assert (unknown.verdict, unknown.through) == (Verdict.MISSING, None)


def test_what_is_held_back_begins_where_the_certified_data_end() -> None:
    refused = scan()
    assert PartState(SALES, Verdict.HELD_BACK, "", NOW - 3 * HOUR, refused=refused).held_since == NOW - 3 * HOUR
    assert PartState(SALES, Verdict.HELD_BACK, "", None, refused=refused).held_since == NOW - HOUR
    assert PartState(SALES, Verdict.TRUSTED, "", NOW).held_since is None
