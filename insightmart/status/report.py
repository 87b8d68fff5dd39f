"""The report in words: why it is made, its subject, its text. A function of the facts alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from insightmart.certification.verdict import Verdict, spoken
from insightmart.console_tables import without_control
from insightmart.status.facts import Facts
from insightmart.status.headline import explanation, headline, level
from insightmart.status.problems import needs_attention
from insightmart.status.recent_runs import RunState
from insightmart.status.rendering import NOTHING, render

SUBJECT_LENGTH = 150
SHOWN = 10  # lines of a table in a mail


class Occasion(StrEnum):
    """Why a report is sent."""

    FAILED = "failed"
    RECOVERED = "recovered"
    DAILY = "daily"
    ASKED = "asked for"


@dataclass(frozen=True)
class Report:
    """A report, ready to be read or sent."""

    subject: str
    text: str
    html: str


def should_send(previous: RunState | None, current: RunState) -> Occasion | None:
    """Whether the end of a cycle is worth a mail: it failed, it recovered from a failure, or a new UTC day began.

    Args:
        previous: the cycle before, None for the first one. One that never ended was killed: it counts as failed.
        current: the cycle that has just ended.
    """
    if current.status != "succeeded":
        return Occasion.FAILED
    if previous is not None and previous.status != "succeeded":
        return Occasion.RECOVERED
    if previous is None or previous.as_of.date() < current.as_of.date():
        return Occasion.DAILY
    return None


def make_report(facts: Facts, occasion: Occasion, run: RunState | None, previous: RunState | None = None) -> Report:
    """Put the facts into words.

    Args:
        facts: the state of the warehouse.
        occasion: why the report is made.
        run: the cycle that has just ended, if any.
        previous: the cycle before it: what a recovery recovered from.
    """
    subject = _one_line(f"[InsightMart] {_subject(facts, occasion, run)}")
    values = {
        "facts": facts,
        "problems": needs_attention(facts),
        "subject": subject,
        "headline": headline(facts),
        "explanation": explanation(facts),
        "level": level(facts),
        "occasion": occasion,
        "run": run,
        "previous": previous,
        "recovered": Occasion.RECOVERED,
        "shown": SHOWN,
        "nothing": NOTHING,
    }
    return Report(subject, render("report.txt.j2", **values), render("report.html.j2", **values))


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
    else:
        state = f"all certified through {spoken(facts.through)}"
    if occasion is Occasion.FAILED:
        if held:
            return state
        return f"FAILED {_first_error(run) or f'cycle: {state}'}"
    return {Occasion.RECOVERED: f"RECOVERED: {state}", Occasion.DAILY: f"daily: {state}"}.get(occasion, state)


def _first_error(run: RunState | None) -> str:
    """The first thing that went wrong, without its cure: the body has that."""
    if run is None or not run.problems:
        return ""
    others = len(run.lines) - 1
    return run.problems[0].message + (f" (and {others} more)" if others else "")


def _one_line(text: str) -> str:
    """A header value: errors and file names may hold line ends and worse. ASCII, so that it needs no encoding."""
    line = without_control(" ".join(text.split())).encode("ascii", "backslashreplace").decode("ascii")
    return line if len(line) <= SUBJECT_LENGTH else f"{line[: SUBJECT_LENGTH - 3]}..."
