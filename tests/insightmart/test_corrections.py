"""Which plans restate the queue of corrections."""

from __future__ import annotations

from datetime import datetime, timedelta

from insightmart.corrections import PLAN_COST_HOURS, Restatement, cheapest_cover

START = datetime(2026, 3, 1)
SALES, INVENTORY = ("oltp", "sales"), ("stores", "inventory")


def window(kind: tuple[str, str], first: int, hours: int, name: str = "w") -> Restatement:
    begin = START + timedelta(hours=first)
    return Restatement(begin, begin + timedelta(hours=hours), {kind: [name]})


def test_near_windows_share_a_plan() -> None:
    (plan,) = cheapest_cover([window(SALES, 0, 1, "a"), window(SALES, 5, 1, "b")])
    assert (plan.start, plan.end) == (START, START + timedelta(hours=6))
    assert plan.entries == {SALES: ["a", "b"]}


def test_windows_further_apart_than_a_plan_costs_stay_apart() -> None:
    plans = cheapest_cover([window(SALES, 0, 1), window(SALES, PLAN_COST_HOURS + 10, 1)])
    assert len(plans) == 2


def test_sources_with_similar_windows_share_a_plan() -> None:
    (plan,) = cheapest_cover([window(SALES, 0, 3, "a"), window(INVENTORY, 2, 3, "b")])
    assert set(plan.models) == {
        "staging._oltp_orders",
        "staging._oltp_order_lines",
        "staging._oltp_refunds",
        "staging._stores_inventory",
    }
    assert (plan.start, plan.end) == (START, START + timedelta(hours=5))


def test_a_long_window_of_one_source_is_not_forced_on_another() -> None:
    plans = cheapest_cover([window(SALES, 0, PLAN_COST_HOURS * 3), window(INVENTORY, 0, 1)])
    assert [set(plan.entries) for plan in plans] == [{SALES}, {INVENTORY}]


def test_a_window_queued_by_hand_restates_its_own_model() -> None:
    (plan,) = cheapest_cover([window(("manual", "core.fct_orders__oltp"), 0, 1)])
    assert plan.models == ["core.fct_orders__oltp"]
