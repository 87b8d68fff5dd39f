"""The state of a warehouse as the page and the mails take it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from insightmart.certification.verdict import Verdict
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import Settings
from insightmart.status.facts import gather
from insightmart.status.headline import explanation, headline
from insightmart.status.problems import needs_attention

if TYPE_CHECKING:
    from conftest import Business

AS_OF = datetime(2026, 3, 6, 17, 5)


def test_a_refused_correction_leaves_what_is_certified_in_place(business: Business, settings: Settings) -> None:
    business.scanned(
        "sales__oltp", datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 11), {"no negative price": ("fail", "-5", "")}
    )
    business.correction(attempts=2, last_error="gate.sales__oltp: no negative price (found -5)")
    facts = gather(business.warehouse, settings, AS_OF)
    assert facts.held_back == []
    assert headline(facts) == "Certified; late corrections are pending"
    assert [problem.title for problem in needs_attention(facts)] == ["1 late correction not certified"]
    assert "no negative price (found -5)" in needs_attention(facts)[0].what


def test_corrections_that_passed_do_not_hide_a_refused_hour(business: Business, settings: Settings) -> None:
    business.refuse("sales__oltp", since=datetime(2026, 3, 6, 16))
    # In every cycle older windows are restated, and scanned, before the hour that is due.
    business.scanned("sales__oltp", datetime(2026, 3, 6, 9), datetime(2026, 3, 6, 10), {"any": ("pass", "0", "")})
    assert [state.part.gate for state in gather(business.warehouse, settings, AS_OF).held_back] == ["sales__oltp"]


def test_what_is_current_what_is_older_and_what_is_not_published_is_told_apart(
    business: Business, settings: Settings
) -> None:
    held = datetime(2026, 3, 6, 16)
    business.refuse("sales__oltp", since=held)
    plain = explanation(gather(business.warehouse, settings, AS_OF))
    assert plain.startswith("Figures before 2026-03-06 16:00 UTC are certified and stay as they are.")

    business.correction(window_id="of what is held back", window_start=held, window_end=AS_OF, attempts=1)
    facts = gather(business.warehouse, settings, AS_OF)
    assert (facts.corrections, explanation(facts)) == ([], plain)  # nothing certified is older by it
    assert [problem.kind for problem in needs_attention(facts)] == ["held back"]

    business.correction(window_id="late", attempts=1, last_error="gate.sales__oltp: x")
    facts = gather(business.warehouse, settings, AS_OF)
    older = "2026-03-05 09:00 UTC to 2026-03-05 11:00 UTC"
    assert explanation(facts).startswith(
        f"Figures before 2026-03-06 16:00 UTC are certified; those of {older} are older than their source says."
    )
    back, pending = needs_attention(facts)
    assert back.holds_back.endswith(f"what was before is certified, but of {older} older than what the source says.")
    assert pending.title == "1 late correction not certified"
    assert pending.holds_back.endswith(f"than what the sources say: sales (store and phone) of {older}.")


def test_scans_of_another_environment_say_nothing_about_prod(business: Business, settings: Settings) -> None:
    business.scanned("stores", datetime(2026, 3, 6, 17), datetime(2026, 3, 6, 18), {"any": ("fail", "1", "")})
    business.warehouse.execute("UPDATE ops.check_results SET environment = 'dev' WHERE outcome = 'fail'")
    assert gather(business.warehouse, settings, AS_OF).held_back == []


def test_a_source_that_is_down_makes_only_its_own_part_late(business: Business, settings: Settings) -> None:
    business.covered("shopify", "orders", datetime(2026, 3, 6, 14))
    cure = "Check it; the next run reads it again"
    error = RunProblem(ProblemKind.SOURCE, "shopify", "shopify: no proper answer: HTTP 503", cure)
    gate = RunProblem(ProblemKind.MODEL, "gate.stores", "gate.stores: refused")
    business.ran("cycle-2", AS_OF, "failed", gate, error)
    facts = gather(business.warehouse, settings, AS_OF)
    assert headline(facts) == "Sales (online): late"
    late = next(state for state in facts.parts if state.verdict is Verdict.LATE)
    assert late.through == datetime(2026, 3, 6, 14)
    assert late.why == "the source shopify.orders was last read through 2026-03-06 14:00 UTC"
    (problem, *_) = needs_attention(facts)
    assert problem.what.endswith("UTC. Last error: shopify: no proper answer: HTTP 503.")
    assert problem.action.startswith(f"{cure}. ")


def test_what_is_held_back_is_counted_in_orders_money_and_stores(business: Business, settings: Settings) -> None:
    business.refuse()
    business.warehouse.execute("CREATE SCHEMA core")
    business.warehouse.execute(
        "CREATE TABLE core.agg_sales_hourly__oltp AS SELECT * FROM (VALUES"
        " (TIMESTAMP '2026-03-06 15:00', 1, 9, 100.5), (TIMESTAMP '2026-03-06 16:00', 1, 2, 10.0001),"
        " (TIMESTAMP '2026-03-06 16:00', 7, 3, 20.0002), (TIMESTAMP '2026-03-06 17:00', -1, 1, 0.5))"
        " AS held (sold_hour, store_id, orders, net_sales)"
    )
    (problem,) = needs_attention(gather(business.warehouse, settings, AS_OF))
    assert (problem.rows, problem.money, problem.stores) == (6, Decimal("30.5003"), (1, 7))


def test_a_fresh_failure_is_told_beside_a_refused_hour(business: Business, settings: Settings) -> None:
    business.refuse()
    gate = RunProblem(ProblemKind.MODEL, "gate.sales__oltp", "gate.sales__oltp: few order lines")
    held = RunProblem(ProblemKind.HELD_BACK, "certified.fct_orders", "held back: something above it failed")
    shopify = RunProblem(ProblemKind.SOURCE, "shopify", "shopify: HTTP 503", "Check it")
    business.ran("cycle-2", AS_OF, "failed", gate, shopify, held)
    problems = needs_attention(gather(business.warehouse, settings, AS_OF))
    assert [(problem.kind, problem.what) for problem in problems][1:] == [("failed", "shopify: HTTP 503.")]


@pytest.mark.parametrize(("through", "verdict"), [(15, Verdict.LATE), (16, Verdict.TRUSTED)])
def test_ninety_minutes_behind_the_last_whole_hour_are_allowed(
    business: Business, settings: Settings, through: int, verdict: Verdict
) -> None:
    business.covered("stores", "inventory", datetime(2026, 3, 6, through))
    state = next(s for s in gather(business.warehouse, settings, AS_OF).parts if s.part.gate == "inventory__stores")
    assert (state.verdict, state.through) == (verdict, datetime(2026, 3, 6, through))


def test_restating_the_first_hour_of_a_long_window_does_not_uncertify_the_others(
    business: Business, settings: Settings
) -> None:
    business.warehouse.execute("UPDATE gate.sales__oltp SET window_end = '2026-03-05 01:00'")
    evaluated = {"model": "gate.sales__oltp", "status": "evaluated", "interval_end": datetime(2026, 3, 6, 17)}
    business.warehouse.insert("ops.run_intervals", [evaluated])
    assert gather(business.warehouse, settings, AS_OF).parts[0].through == datetime(2026, 3, 6, 17)


def test_missing_stores_are_listed_with_their_hours(business: Business, settings: Settings) -> None:
    for store, name in ((1, "Berlin"), (2, "Tokyo")):
        store_row = {"store_id": store, "store_name": name, "timezone": "Asia/Tokyo", "is_current": True}
        business.warehouse.insert("certified.dim_stores", [store_row | {"is_inferred": False}])
        reference = {"store_id": store, "timezone": "Asia/Tokyo", "reference_date": date(2026, 3, 5)}
        business.warehouse.insert("raw.stores_reference", [reference])
    hours = [datetime(2026, 3, 5, 17 + hour) if hour < 7 else datetime(2026, 3, 6, hour - 7) for hour in range(24)]
    seen = {"source": "stores", "entity": "inventory", "status": "loaded", "seen_at": AS_OF}
    files = [{**seen, "store_id": 1, "file_hour": hour} for hour in hours]
    business.warehouse.insert("ops.files", [*files, {**seen, "store_id": 2, "file_hour": hours[3]}])
    (missing,) = gather(business.warehouse, settings, AS_OF).missing_stores
    assert (missing.store_id, missing.store_name, missing.missing_hours, missing.expected_hours) == (2, "Tokyo", 23, 24)
    assert missing.last_hour == datetime(2026, 3, 5, 20)
