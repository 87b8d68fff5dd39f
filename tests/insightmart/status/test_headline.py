"""The verdict over everything, in words. No warehouse is needed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from insightmart.certification.verdict import Verdict
from insightmart.status.headline import explanation, headline, level
from insightmart.status.reconciliations import ControlState, Reconciliation
from tests.support.status_facts import AS_OF, certified, late, refused, with_parts

DIFFERS = Reconciliation("r1", AS_OF, (ControlState("levels", 3, 0, 2),), ())
MISSING = {"verdict": Verdict.MISSING, "through": None}
PENDING = {"verdict": Verdict.CORRECTIONS}


@pytest.mark.parametrize(
    ("states", "said", "how_bad"),
    [
        ({}, "All certified data can be trusted", "good"),
        ({"stores": PENDING}, "Certified; late corrections are pending", "note"),
        ({"sales__shopify": late("shopify.orders")}, "Sales (online): late", "warning"),
        ({"customers": MISSING, "products": MISSING}, "Customers and products: not certified yet", "warning"),
        ({"sales__oltp": refused(), "stores": MISSING}, "Sales (store and phone): held back", "bad"),
        (
            {"sales__oltp": refused(), "sales__shopify": refused(), "stores": refused()},
            "Sales (store and phone), sales (online) and stores: held back",
            "bad",
        ),
    ],
)
def test_the_worst_verdict_is_the_headline(states: dict[str, Any], said: str, how_bad: str) -> None:
    facts = with_parts(**states)
    assert (headline(facts), level(facts)) == (said, how_bad)


def test_totals_that_differ_are_worse_than_corrections_and_as_bad_as_a_gate() -> None:
    facts = certified(reconciliation=DIFFERS)
    assert (headline(facts), level(facts)) == ("Certified, but totals do not tie", "bad")


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({}, "Everything that happened before 2026-03-06 17:00 UTC is certified, and nothing is held back or waiting."),
        (
            {"sales__shopify": late("shopify.orders")},
            "Everything that happened before 2026-03-06 14:00 UTC is certified; what is missing is named below.",
        ),
        (
            {"sales__oltp": PENDING},
            "Everything that happened before 2026-03-06 17:00 UTC is certified; some of it has changed at its source"
            " since and is certified again by the next cycles.",
        ),
        (
            {"sales__oltp": MISSING},
            "Some sources have nothing certified yet; the tables below say which.",
        ),
        (
            {"sales__oltp": refused()},
            "Figures before 2026-03-06 16:00 UTC are certified and stay as they are. Not affected: sales (online),"
            " inventory (stores), inventory (online), customers, products, stores.",
        ),
    ],
)
def test_the_sentence_below_says_what_still_holds(states: dict[str, Any], said: str) -> None:
    assert explanation(with_parts(**states)) == said


def test_a_daily_part_does_not_move_what_is_certified_through() -> None:
    assert with_parts(customers={"through": datetime(2026, 3, 5)}).through == datetime(2026, 3, 6, 17)
