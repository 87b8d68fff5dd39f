"""The report in words: its subject, its text, its HTML. A function of the facts alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from insightmart.certification.verdict import Verdict, spoken
from insightmart.console_tables import without_control
from insightmart.status.facts import Facts
from insightmart.status.headline import explanation, headline, level
from insightmart.status.problems import needs_attention
from insightmart.status.recent_runs import RunState
from insightmart.status.rendering import NOTHING, render_mail
from insightmart.status.sales import SalesDay

SUBJECT_LENGTH = 150
SHOWN = 10  # lines of a table in a mail
WEEK = timedelta(days=7)


class Occasion(StrEnum):
    """Why a report is made."""

    DAILY = "daily"
    ASKED = "asked for"


@dataclass(frozen=True)
class Report:
    """A report, ready to be read or sent."""

    subject: str
    text: str
    html: str


def make_report(facts: Facts, occasion: Occasion, run: RunState | None, address: str = "") -> Report:
    """Put the facts into words.

    Args:
        facts: the state of the warehouse.
        occasion: why the report is made.
        run: the cycle that has just ended, if any.
        address: under which the status page is read, with a slash at its end; empty: there is none to link to.
    """
    subject = one_line(f"[InsightMart] {_or_unknown(lambda: _subject(facts, occasion, run))}")
    day = last_complete_day(facts)
    before = next((one for one in facts.sales if day and one.business_date == day.business_date - WEEK), None)
    text, html = render_mail(
        "report",
        facts=facts,
        problems=needs_attention(facts),
        subject=subject,
        headline=_or_unknown(lambda: headline(facts)),
        explanation=_or_unknown(lambda: explanation(facts)),
        level=level(facts),
        run=run,
        day=day,
        week_before=before if before and before.state == "complete" else None,
        address=address,
        shown=SHOWN,
        nothing=NOTHING,
    )
    return Report(subject, text, html)


def last_complete_day(facts: Facts) -> SalesDay | None:
    """The last business day that is over everywhere and certified to its end; None where there is none."""
    return next((day for day in facts.sales if day.state == "complete"), None)


def _or_unknown(words: Callable[[], str]) -> str:
    """Words about facts; where they cannot be found the mail goes out without."""
    try:
        return words()
    except Exception as error:  # noqa: BLE001 whatever it is, people have to hear of the rest
        return f"unknown ({type(error).__name__})"


def _subject(facts: Facts, occasion: Occasion, run: RunState | None) -> str:
    held = facts.held_back
    if held:
        first = min(held, key=lambda state: state.held_since or facts.as_of)
        more = f" and {len(held) - 1} more" if len(held) > 1 else ""
        state = f"HELD BACK {first.part.name}{more} since {spoken(first.held_since)}"
    elif facts.verdict in (Verdict.LATE, Verdict.MISSING) or facts.through is None:
        state = headline(facts)
    elif facts.reconciliation and facts.reconciliation.failed:
        state = f"{facts.reconciliation.failed} totals do not tie"
    elif run is not None and run.status != "succeeded" and run.problems:
        more = f" (and {len(run.lines) - 1} more)" if len(run.lines) > 1 else ""
        state = f"FAILED {run.problems[0].message}{more}"
    else:
        state = f"all certified through {spoken(facts.through)}"
    return f"daily: {state}" if occasion is Occasion.DAILY else state


def one_line(text: str) -> str:
    """A header value: errors and file names may hold line ends and worse. ASCII, so that it needs no encoding."""
    line = without_control(" ".join(text.split())).encode("ascii", "backslashreplace").decode("ascii")
    return line if len(line) <= SUBJECT_LENGTH else f"{line[: SUBJECT_LENGTH - 3]}..."
