"""What needs somebody, in words. No warehouse is needed."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from ingestion.loading.context import EPOCH, Window
from ingestion.loading.deletions import Missing, Question
from insightmart.certification.verdict import Verdict
from insightmart.deletion_questions import AskedOfEntity
from insightmart.quarantine.counts import RuleCount
from insightmart.quarantine.rejected_files import QuarantinedFile
from insightmart.runs import ProblemKind, RunProblem
from insightmart.status.headline import headline, level
from insightmart.status.problems import needs_attention
from insightmart.status.reconciliations import DIFFERENCES, ControlState, Reconciliation
from tests.support.status_facts import AS_OF, certified, correction, cycle, late, refused, with_parts

SHOPIFY = RunProblem(ProblemKind.SOURCE, "shopify", "shopify: no proper answer: HTTP 503; try 3", "Check it")
GATE = RunProblem(ProblemKind.MODEL, "gate.sales__oltp", "gate.sales__oltp: few order lines")
HELD = RunProblem(ProblemKind.HELD_BACK, "certified.fct_orders", "held back: something above it failed")
TOTALS = RunProblem(ProblemKind.RECONCILIATION, "totals", "reconciliation: 2 differ")


def test_where_all_is_certified_nobody_is_needed() -> None:
    assert needs_attention(certified(last_cycle=cycle(status="succeeded"))) == []


@pytest.mark.parametrize(
    ("dataset", "outcome", "action"),
    [
        ("row_counts", "fail", "Look at `insightmart quarantine list --entity oltp_order_lines` and have the rows"),
        ("inventory_coverage", "fail", "Ask the stores under Store files for their counts"),
        ("fct_orders", "fail", "Look at the rows of the window in core.fct_orders, and have them corrected"),
        ("fct_orders", "error", "The scan itself could not run: `insightmart doctor` checks the set-up"),
    ],
)
def test_a_refused_window_has_its_own_cure(dataset: str, outcome: str, action: str) -> None:
    (problem,) = needs_attention(with_parts(sales__oltp=refused(dataset=dataset, outcome=outcome)))
    assert problem.title == "Sales (store and phone) held back since 2026-03-06 16:00 UTC"
    assert problem.what == "The gate refused it: few order lines are rejected (found 41.18, allowed <= 20)."
    assert problem.holds_back == (
        "The certified sales tables show nothing of sales (store and phone) after 2026-03-06 16:00 UTC;"
        " what was before is certified."
    )
    assert problem.action.startswith(action)
    assert problem.action.endswith("The next cycle tries again by itself.")
    assert (problem.owner, problem.level) == ("operations", "bad")


def test_a_window_refused_again_says_how_often() -> None:
    (problem,) = needs_attention(with_parts(sales__oltp=refused() | {"attempts": 3}))
    assert problem.what.endswith("(found 41.18, allowed <= 20). Refused 3 times in a row.")


def test_rows_that_vanished_name_owner_and_cure_and_no_failure_beside_it() -> None:
    asked = AskedOfEntity("oltp", "orders", (question("a1", 5, 500, 26), question("b2", 6, 100, 100)))
    facts = certified(asked=[asked], last_cycle=cycle(asked.problem))
    (problem,) = needs_attention(facts)
    assert (problem.owner, problem.level) == ("operations", "warning")
    assert problem.title == "Oltp orders: are the rows that vanished deleted?"
    assert problem.what == (
        "Oltp orders: 126 of 600 rows known of 2026-03-05 to 2026-03-06 are no longer at the source; none was deleted"
        " here."
    )
    assert "`insightmart deletions confirm a1 b2 --reason TEXT`" in problem.action
    assert headline(facts) == "Certified; rows that vanished at a source wait for an answer"
    assert level(facts) == "warning"


def test_a_table_that_is_empty_is_said_as_such() -> None:
    whole = replace(question("c3", 5, 60, 60), window=Window(EPOCH, AS_OF))
    (problem,) = needs_attention(certified(asked=[AskedOfEntity("oltp", "orders", (whole,))]))
    assert problem.what.startswith("Oltp orders: the source holds nothing, 60 rows of it are known; it was not read")


def test_what_waits_for_an_answer_is_told_with_the_question() -> None:
    whole = replace(question("c3", 5, 60, 60), window=Window(EPOCH, AS_OF))
    facts = with_parts(sales__oltp=late("oltp.orders"), sales__shopify=late("shopify.orders"))
    asked, shop = needs_attention(replace(facts, asked=[AskedOfEntity("oltp", "orders", (whole,))]))
    assert (asked.key, shop.key) == ("vanished-oltp-orders", "source-shopify")
    assert asked.affects == ("oltp orders", "sales (store and phone)")
    assert asked.holds_back.startswith(
        "The certified sales tables lack what happened after 2026-03-06 14:00 UTC in sales"
    )
    some = AskedOfEntity("oltp", "orders", (question("a1", 5, 500, 26),))  # it is read all the same
    keys = [problem.key for problem in needs_attention(replace(facts, asked=[some]))]
    assert keys == ["vanished-oltp-orders", "source-oltp", "source-shopify"]


def question(question_id: str, day: int, known: int, missing: int) -> Question:
    start = datetime(2026, 3, day)
    window = Window(start, start + timedelta(days=1))
    return Question(question_id, "oltp", "orders", window, Missing(known, missing, Decimal(1)), AS_OF, "open")


def test_a_late_part_quotes_its_own_source_only() -> None:
    other = RunProblem(ProblemKind.SOURCE, "oltp", "oltp: no route")
    facts = replace(
        with_parts(sales__shopify=late("shopify.orders")), last_cycle=cycle(other, SHOPIFY, status="failed")
    )
    first, second = needs_attention(facts)
    assert first.title == "Sales (online) late: certified through 2026-03-06 14:00 UTC"
    assert first.what == (
        "The source shopify.orders was last read through 2026-03-06 14:00 UTC."
        " Last error: shopify: no proper answer: HTTP 503; try 3."
    )
    assert first.action.startswith("Check it. `insightmart doctor` says whether")
    assert first.level == "warning"
    assert (second.kind, second.what) == ("failed", "oltp: no route.")
    assert (first.key, second.key) == ("source-shopify", "source-oltp")


def test_a_dead_shop_is_one_problem_with_all_that_comes_of_it() -> None:
    waits = late("shopify.orders", "shopify.inventory", "shopify.products")
    facts = with_parts(sales__shopify=waits, inventory__shopify=waits, products=waits | {"through": AS_OF})
    rows = [
        {"entity": entity, "measure": "rows", "business_date": AS_OF.date(), "store_id": 0, "difference": 2}
        for entity in ("shopify_orders", "oltp_orders")
    ]
    reconciliation = Reconciliation("r1", AS_OF, (ControlState("loads", 0, 0, 2),), tuple(rows))
    facts = replace(facts, reconciliation=reconciliation, last_cycle=cycle(SHOPIFY, TOTALS))
    totals, shop = needs_attention(facts)
    assert shop.key == "source-shopify"
    assert shop.title == (
        "Sales (online), inventory (online) and products late: certified through 2026-03-06 14:00 UTC"
    )
    assert shop.what.endswith("Last error: shopify: no proper answer: HTTP 503; try 3.")
    assert shop.holds_back.endswith("1 total of these days cannot tie until then.")
    assert shop.areas == ("sales", "inventory", "products")
    assert (totals.key, totals.affects, totals.rows) == ("reconciliation", ("oltp orders",), 1)


def test_a_source_keeps_its_key_from_the_first_failure_on() -> None:
    (first,) = needs_attention(certified(last_cycle=cycle(SHOPIFY)))
    assert (first.key, first.title) == ("source-shopify", "Shopify could not be read")
    (later,) = needs_attention(replace(with_parts(sales__shopify=late("shopify.orders")), last_cycle=cycle(SHOPIFY)))
    assert later.key == first.key


@pytest.mark.parametrize(("problems", "kind"), [([SHOPIFY], "failed"), ([], "not certified yet")])
def test_a_source_that_was_never_read_has_failed_or_is_not_set_up(problems: list[RunProblem], kind: str) -> None:
    state = {"verdict": Verdict.MISSING, "why": "x", "through": None, "behind": {"shopify.orders": None}}
    (problem,) = needs_attention(replace(with_parts(sales__shopify=state), last_cycle=cycle(*problems)))[:1]
    assert (problem.key, problem.kind) == ("source-shopify", kind)
    assert problem.title == "Sales (online): nothing certified yet"
    assert problem.what.startswith("The source shopify.orders was never loaded.")


def test_every_problem_has_a_key_of_its_own_that_fits_an_address() -> None:
    notices = [RunProblem(ProblemKind.NOTICE, "oltp_orders", text, "Look") for text in ("one", "two")]
    facts = replace(
        with_parts(sales__oltp=refused(), stores=refused(), sales__shopify=late("shopify.orders"), customers=late()),
        corrections=[correction(attempts=1)],
        reconciliation=_differing(2),
        notices=notices,
        last_cycle=cycle(
            GATE,
            *(
                RunProblem(ProblemKind(kind), "a b/c", "x", "y")
                for kind in ("report", "evidence", "lineage", "readers", "command")
            ),
        ),
        asked=[AskedOfEntity("oltp", "orders", (question("a1", 5, 500, 26),))],
    )
    problems = needs_attention(facts)
    keys = [problem.key for problem in problems]
    assert len(keys) == len(set(keys)) == 13
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key) for key in keys), keys
    assert "held-back-sales-oltp" in keys
    assert problems[-1].what == "One. Two."


def test_a_part_without_anything_is_missing() -> None:
    state = {"verdict": Verdict.MISSING, "why": "never loaded: oltp.customers", "through": None}
    (problem,) = needs_attention(with_parts(customers=state))
    assert problem.title == "Customers: nothing certified yet"
    assert problem.what == "Never loaded: oltp.customers."


@pytest.mark.parametrize(
    ("attempts", "titles"),
    [
        ([0], []),
        ([0, 1], ["1 late correction not certified"]),
        ([2, 1], ["2 late corrections not certified"]),
    ],
)
def test_only_refused_corrections_need_somebody(attempts: list[int], titles: list[str]) -> None:
    waiting = [correction(attempts=tried, last_error="gate.sales__oltp: x") for tried in attempts]
    assert [problem.title for problem in needs_attention(certified(corrections=waiting))] == titles


def test_refused_corrections_name_the_hours_that_are_older_than_the_source() -> None:
    later = correction(attempts=1, window_start=datetime(2026, 3, 6, 1), window_end=datetime(2026, 3, 6, 2))
    online = correction(attempts=1, source="shopify", last_error="gate.sales__shopify: x")
    of_no_part = correction(attempts=1, source="fax")
    (problem,) = needs_attention(certified(corrections=[correction(attempts=1), later, online, of_no_part]))
    assert problem.what == "The restatement did not finish. gate.sales__shopify: x"
    assert problem.holds_back == (
        "Certified, but older than what the sources say: sales (store and phone) of 2 windows between"
        " 2026-03-05 09:00 UTC and 2026-03-06 02:00 UTC;"
        " sales (online) of 2026-03-05 09:00 UTC to 2026-03-05 11:00 UTC."
    )
    assert problem.affects == ("sales (store and phone)", "sales (online)")
    assert problem.level == "note"
    (problem,) = needs_attention(certified(corrections=[of_no_part]))
    assert problem.holds_back.endswith("older than what the sources say: nothing that a gate publishes.")


def _differing(rows: int) -> Reconciliation:
    row = {"entity": "orders", "measure": "net_sales", "business_date": AS_OF.date(), "difference": Decimal("-1234.5")}
    stores = [None, *range(1, rows)]
    failed = tuple({**row, "store_id": store} for store in stores)
    return Reconciliation("r1", AS_OF, (ControlState("levels", 0, 0, rows),), failed)


@pytest.mark.parametrize(
    ("rows", "counted", "ending"),
    [
        (1, "1", "orders net_sales on 2026-03-06: -1,234.5."),
        (2, "2", "orders net_sales on 2026-03-06 in store 1: -1,234.5."),
        (DIFFERENCES, f"{DIFFERENCES}+", " and more."),
    ],
)
def test_unexplained_differences_are_counted_and_the_first_are_named(rows: int, counted: str, ending: str) -> None:
    (problem,) = needs_attention(certified(reconciliation=_differing(rows)))
    assert problem.title == f"Reconciliation: {counted} differences without an explanation"
    assert problem.what.endswith(ending)
    assert problem.owner == "finance"


def test_what_other_problems_account_for_is_not_told_twice() -> None:
    facts = with_parts(sales__oltp=refused(), sales__shopify=late("shopify.orders"))
    facts = replace(facts, reconciliation=_differing(1), last_cycle=cycle(SHOPIFY, GATE, HELD, TOTALS))
    assert {problem.kind for problem in needs_attention(facts)} == {"held back", "late", "reconciliation"}


def test_the_rest_of_a_failed_cycle_is_told_as_it_is() -> None:
    semicolon = RunProblem(ProblemKind.COMMAND, "cycle", "IOException: disk full; oltp: is no source here")
    facts = replace(with_parts(sales__oltp=refused()), last_cycle=cycle(GATE, semicolon, HELD))
    problem = needs_attention(facts)[-1]
    assert problem.title == "The cycle as of 2026-03-06 17:05 UTC failed"
    assert problem.what == "IOException: disk full; oltp: is no source here"


def test_a_gate_that_failed_where_nothing_is_held_back_is_told() -> None:
    (problem,) = needs_attention(certified(last_cycle=cycle(GATE, HELD)))
    assert problem.what == "gate.sales__oltp: few order lines; held back until then: certified.fct_orders"


@pytest.mark.parametrize(("status", "kinds"), [("running", []), ("succeeded", []), ("killed", ["failed"])])
def test_a_cycle_under_way_is_no_problem_and_a_killed_one_is(status: str, kinds: list[str]) -> None:
    problems = needs_attention(certified(last_cycle=cycle(status=status)))
    assert [problem.kind for problem in problems] == kinds
    assert all(problem.what == "No reason was recorded." for problem in problems)


def test_a_cycle_from_before_problems_were_rows_is_quoted_whole() -> None:
    (problem,) = needs_attention(certified(last_cycle=cycle(error="gate.stores: x; shopify: y")))
    assert problem.what == "gate.stores: x; shopify: y"


def test_messages_that_nobody_got_are_one_problem_that_wakes_nobody() -> None:
    unsent = RunProblem(ProblemKind.REPORT, "mail", "mail server mail:25: no answer in time", "Check SMTP_URL")
    wrong = RunProblem(ProblemKind.REPORT, "routes", "REPORT_TO: 'x' is no mail address", "Correct it")
    (problem,) = needs_attention(certified(last_cycle=cycle(unsent, wrong, status="succeeded")))
    assert problem.title == "Not everybody was told of the cycle as of 2026-03-06 17:05 UTC"
    assert problem.what == "Mail server mail:25: no answer in time. REPORT_TO: 'x' is no mail address."
    assert (problem.action, problem.level) == ("Check SMTP_URL. Correct it.", "warning")


def test_a_head_that_was_not_kept_outside_is_a_problem_with_its_cure_and_fails_nothing() -> None:
    down = RunProblem(ProblemKind.EVIDENCE, "heads", "s3://evidence cannot be written to (503)", "Check EVIDENCE_URL")
    (problem,) = needs_attention(certified(last_cycle=cycle(down, status="succeeded")))
    assert problem.title == "Evidence: heads"
    assert (problem.what, problem.action) == ("s3://evidence cannot be written to (503).", "Check EVIDENCE_URL")


def test_what_waits_for_a_declaration_is_a_problem_of_the_stores_with_its_cure() -> None:
    reason = "encoding_undeclared: the text is not UTF-8"
    files = [
        QuarantinedFile("stores_inventory", f"in/inventory/2026/03/06/{hour}/store_009.csv", rule, reason, AS_OF, None)
        for hour, rule in (("16", "encoding_undeclared"), ("15", "encoding_undeclared"), ("14", "gzip_truncated"))
    ]
    zone = RuleCount("stores_reference", "timezone_ambiguous", "", "low", "store-operations", 1, AS_OF, AS_OF)
    price = RuleCount("oltp_products", "price_negative", "", "low", "operations", 7, AS_OF, AS_OF)
    text, region = needs_attention(certified(rejected_files=files, rejects=[zone, price]))
    assert text.title == "In quarantine: 2 files (encoding_undeclared)"
    assert "The newest file: in/inventory/2026/03/06/16/store_009.csv." in text.what
    assert "`encoding: windows-1250`, then `insightmart quarantine replay`" in text.action
    assert region.title == "In quarantine: 1 row (timezone_ambiguous)"
    assert "`timezone: America/New_York`" in region.action
    assert {text.owner, region.owner} == {"store-operations"}
    assert {text.level, region.level} == {"warning"}
