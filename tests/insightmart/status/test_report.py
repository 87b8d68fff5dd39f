"""The report in words: when one is due, its subject, both its parts. No warehouse is needed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from insightmart.journal.figures import Surprise
from insightmart.ledger.chain import Head
from insightmart.pages.start import page
from insightmart.quarantine.counts import RuleCount
from insightmart.runs import ProblemKind, RunProblem
from insightmart.status.report import Occasion, make_report
from tests.support.status_facts import AS_OF, certified, cycle, late, refused, with_parts

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GATE = RunProblem(ProblemKind.MODEL, "gate.sales__oltp", "gate.sales__oltp: no negative price")
SHOPIFY = RunProblem(ProblemKind.SOURCE, "shopify", "shopify: HTTP 503", "Check it. Then wait")
OLTP = RunProblem(ProblemKind.SOURCE, "oltp", "oltp: x")


def test_the_mail_keeps_the_head_of_the_ledger() -> None:
    report = make_report(certified(ledger_head=Head(815, "9f" * 32)), Occasion.DAILY, None)
    assert f"LEDGER: ends with entry 815, {'9f' * 32}\n" in report.text
    assert f"`insightmart ledger verify --head 815:{'9f' * 32}`" in report.text
    assert "9f" * 32 in report.html
    assert "LEDGER" not in make_report(certified(), Occasion.DAILY, None).text


def test_the_subject_says_what_is_held_back_and_since_when() -> None:
    facts = with_parts(sales__oltp=refused())
    failed = make_report(facts, Occasion.ASKED, cycle(GATE))
    assert failed.subject == "[InsightMart] HELD BACK sales (store and phone) since 2026-03-06 16:00 UTC"
    daily = make_report(facts, Occasion.DAILY, None)
    assert daily.subject == "[InsightMart] daily: HELD BACK sales (store and phone) since 2026-03-06 16:00 UTC"
    more = make_report(with_parts(sales__oltp=refused(), stores=refused()), Occasion.ASKED, None)
    assert more.subject == "[InsightMart] HELD BACK sales (store and phone) and 1 more since 2026-03-06 16:00 UTC"


@pytest.mark.parametrize(
    ("occasion", "subject"),
    [
        (Occasion.DAILY, "[InsightMart] daily: all certified through 2026-03-06 17:00 UTC"),
        (Occasion.ASKED, "[InsightMart] all certified through 2026-03-06 17:00 UTC"),
    ],
)
def test_the_subject_of_a_warehouse_that_is_certified(occasion: Occasion, subject: str) -> None:
    assert make_report(certified(), occasion, cycle(status="succeeded")).subject == subject


def test_the_subject_of_a_cycle_that_failed_though_all_is_certified() -> None:
    subject = make_report(certified(), Occasion.ASKED, cycle(SHOPIFY, OLTP)).subject
    assert subject == "[InsightMart] FAILED shopify: HTTP 503 (and 1 more)"


def test_the_subject_of_a_late_part() -> None:
    facts = with_parts(sales__shopify=late("shopify.orders"))
    assert make_report(facts, Occasion.DAILY, None).subject == "[InsightMart] daily: Sales (online): late"
    assert make_report(facts, Occasion.ASKED, cycle()).subject == "[InsightMart] Sales (online): late"


def test_a_subject_is_one_short_line_of_plain_characters() -> None:
    error = RunProblem(ProblemKind.COMMAND, "cycle", f"bad\r\nBcc: x \N{SNOWMAN}\x00 {'long ' * 50}")
    subject = make_report(certified(), Occasion.ASKED, cycle(error)).subject
    assert subject.startswith("[InsightMart] FAILED bad Bcc: x \\u2603")
    assert subject.isprintable()
    assert len(subject) == 150


def test_both_parts_say_what_failed_what_it_holds_back_and_what_to_do() -> None:
    meaning = "The unit price is below zero"
    count = RuleCount("oltp_order_lines", "unit_price_negative", meaning, "error", "finance", 1, AS_OF, AS_OF)
    facts = replace(with_parts(sales__oltp=refused()), rejects=[count])
    report = make_report(facts, Occasion.ASKED, cycle(GATE))
    for part in (report.text, report.html):
        assert "few order lines are rejected (found 41.18, allowed" in part
        assert "insightmart quarantine list --entity oltp_order_lines" in part
        assert "Not affected: sales (online), inventory (stores)" in part
        assert meaning in part
    assert "allowed <= 20" in report.text
    assert "allowed &lt;= 20" in report.html
    assert "https://" not in report.html
    assert "<img" not in report.html


def test_page_and_mail_list_what_changed_after_it_had_been_published() -> None:
    changed = Surprise("agg_sales_daily", AS_OF.date(), "late rows", 1, Decimal("-5.99"), AS_OF)
    facts = certified(surprises=[changed])
    report = make_report(facts, Occasion.DAILY, None)
    assert "2026-03-06 net sales by -5.99 (1 cell; late rows)" in report.text
    for part in (report.html, page(facts)):
        assert "after they had been published" in part
        assert "-5.99" in part
    assert (
        "after they had been published" not in page(certified()) + make_report(certified(), Occasion.DAILY, None).html
    )
