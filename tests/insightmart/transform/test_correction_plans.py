"""Which plans restate the queue of corrections."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ingestion.loading.context import Window
from insightmart.transform.correction_plans import PLAN_COST_HOURS, Restatement, cheapest_cover, open_restatements

if TYPE_CHECKING:
    from conftest import Business

START = datetime(2026, 3, 1)
SALES, INVENTORY, ONLINE = ("oltp", "sales"), ("stores", "inventory"), ("shopify", "sales")
GATES = {kind: f"gate.{kind[1]}__{kind[0]}" for kind in (SALES, INVENTORY, ONLINE)}
HOUR = timedelta(hours=1)


def window(kind: tuple[str, str], first: int, hours: int) -> Restatement:
    begin = START + first * HOUR
    return Restatement(begin, begin + hours * HOUR, frozenset({kind}))


def test_near_windows_share_a_plan() -> None:
    (plan,) = cheapest_cover([window(SALES, 0, 1), window(SALES, 5, 1)])
    assert plan == window(SALES, 0, 6)


def test_windows_further_apart_than_a_plan_costs_stay_apart() -> None:
    assert len(cheapest_cover([window(SALES, 0, 1), window(SALES, PLAN_COST_HOURS + 10, 1)])) == 2


def test_sources_with_similar_windows_share_a_plan() -> None:
    (plan,) = cheapest_cover([window(SALES, 0, 3), window(INVENTORY, 2, 3)])
    assert plan.kinds == {SALES, INVENTORY}
    assert (plan.start, plan.end) == (START, START + 5 * HOUR)


def test_a_long_window_of_one_source_is_not_forced_on_another() -> None:
    plans = cheapest_cover([window(SALES, 0, PLAN_COST_HOURS * 3), window(INVENTORY, 0, 1)])
    assert [plan.kinds for plan in plans] == [{SALES}, {INVENTORY}]


def test_a_window_is_cut_to_the_whole_hours_that_history_holds() -> None:
    history, now = START + 24 * HOUR, START + 30 * HOUR + timedelta(minutes=5)
    assert window(SALES, 0, 100).hours(history, now) == (history, START + 30 * HOUR)
    assert window(SALES, 0, 24).hours(history, now) is None
    assert window(SALES, 30, 2).hours(history, now) is None
    within = Restatement(START + 25.5 * HOUR, START + 25.6 * HOUR, frozenset({SALES}))
    assert within.hours(history, now) == (START + 25 * HOUR, START + 26 * HOUR)


def test_the_plans_of_a_long_outage_follow_its_hours_and_not_its_entries(business: Business) -> None:
    outage = datetime(2026, 3, 6)
    entries = [
        {"window_id": f"{source}-{hour}-{again}", "source": source, "entity": entity}
        | {"window_start": outage + hour * HOUR, "window_end": outage + (hour + 1 + again) * HOUR}
        for source, entity in (SALES, INVENTORY, ("shopify", "sales"))
        for hour in range(720)
        for again in (0, 1)
    ]
    shared = {"reason": "late", "rows": 1, "queued_at": outage, "status": "open", "attempts": 0}
    business.warehouse.insert("ops.correction_windows", [entry | shared for entry in entries])
    (plan,) = open_restatements(business.warehouse, outage + 1000 * HOUR)
    assert (plan.start, plan.end) == (outage, outage + 721 * HOUR)
    assert len(plan.kinds) == 3


def test_entries_of_hours_that_are_not_built_yet_wait(business: Business) -> None:
    business.correction(window_id="past", window_start=datetime(2026, 3, 5, 9), window_end=datetime(2026, 3, 5, 10))
    business.correction(window_id="now", window_start=datetime(2026, 3, 6, 17), window_end=datetime(2026, 3, 6, 18))
    business.correction(window_id="future", window_start=datetime(2026, 4, 1), window_end=datetime(2026, 4, 2))
    (plan,) = open_restatements(business.warehouse, datetime(2026, 3, 6, 17, 5))
    assert (plan.start, plan.end) == (datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 10))


def test_no_plan_is_put_together_that_takes_one_beyond_what_is_certified() -> None:
    certified = {SALES: START + 10 * HOUR, ONLINE: START + 12 * HOUR}
    one, other = window(SALES, 2, 1), window(ONLINE, 10, 1)
    assert len(cheapest_cover([one, other])) == 1
    assert cheapest_cover([one, other], certified) == [one, other]
    assert len(cheapest_cover([one, window(ONLINE, 8, 2)], certified)) == 1


def test_what_a_gate_holds_back_stands_in_a_plan_of_its_own_from_where_it_has_stopped(business: Business) -> None:
    def queued(name: str, kind: tuple[str, str], day: int, first: int, last: int, attempts: int = 0) -> None:
        hours = {"window_start": datetime(2026, 3, day, first), "window_end": datetime(2026, 3, day, last)}
        business.correction(window_id=name, source=kind[0], entity=kind[1], attempts=attempts, **hours)

    def plans() -> list[tuple[set[tuple[str, str]], datetime, datetime, bool]]:
        found = open_restatements(business.warehouse, datetime(2026, 3, 6, 21, 5), GATES, datetime(2026, 3, 5))
        return [(set(plan.kinds), plan.start, plan.end, plan.is_held) for plan in found]

    queued("late", SALES, 6, 15, 17)  # everything is certified through 17:00
    queued("touches it", SALES, 6, 17, 18)
    queued("hours later", SALES, 6, 19, 20)
    queued("of another part", ONLINE, 6, 16, 17)
    queued("refused before", SALES, 5, 9, 10, attempts=2)
    assert plans() == [
        ({SALES, ONLINE}, datetime(2026, 3, 6, 15), datetime(2026, 3, 6, 17), False),
        ({SALES}, datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 10), False),
        ({SALES}, datetime(2026, 3, 6, 17), datetime(2026, 3, 6, 20), True),
    ]
    business.warehouse.execute("DELETE FROM gate.sales__shopify")  # nothing of it was ever certified
    assert ({ONLINE}, datetime(2026, 3, 5), datetime(2026, 3, 6, 17), True) in plans()


def test_hours_that_were_built_before_what_their_load_brought_to_earlier_ones_are_built_again(
    business: Business,
) -> None:
    """As plain `sqlmesh run` does after `insightmart ingest`: a refund is built before its order is in staging."""
    warehouse, now = business.warehouse, datetime(2026, 3, 6, 18, 5)
    for load_id, first, last in (("before", 15, 17), ("late", 16, 18)):
        load = {"load_id": load_id, "source": "shopify", "status": "loaded", "entity": "sales"}
        hours = {"window_start": now.replace(hour=first, minute=35), "window_end": now.replace(hour=last)}
        warehouse.insert("ops.loads", [load | hours])
    noon = now.replace(hour=12, minute=0)
    business.correction(
        window_id="late", source="shopify", entity="sales", load_id="late", window_start=noon, window_end=noon + HOUR
    )
    asked = []

    def plans(*, is_built: bool) -> list[tuple[datetime, datetime]]:
        def answer(*hours: object) -> bool:
            asked.append(hours)
            return is_built

        found = open_restatements(warehouse, now, GATES, datetime(2026, 3, 5), answer)
        return [(plan.start, plan.end) for plan in found]

    new = (now.replace(hour=17, minute=0), now.replace(hour=18, minute=0))
    assert plans(is_built=False) == [(noon, noon + HOUR)]
    assert asked == [(ONLINE, Window(*new))]
    assert plans(is_built=True) == [(noon, noon + HOUR), new]  # the gate has let nothing of it through yet
    assert plans(is_built=True) == [(noon, noon + HOUR), new]
    [(reason,)] = warehouse.rows("SELECT reason FROM ops.correction_windows WHERE window_start = ?", [new[0]])
    assert reason == "built before what came with it into earlier hours"
    # what a gate refused was in staging when the hours after it were built
    warehouse.execute("DELETE FROM ops.correction_windows WHERE window_start = ?", [new[0]])
    refusal = "UPDATE ops.correction_windows SET attempts = 1, last_error = ? WHERE window_id = 'late'"
    warehouse.execute(refusal, ["gate.sales__shopify: refused"])
    assert plans(is_built=True) == [(noon, noon + HOUR)]
    warehouse.execute(refusal, ["staging._shopify_sales: out of memory"])
    assert new in plans(is_built=True)
