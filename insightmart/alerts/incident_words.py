"""What a message about an incident says: to somebody on call, on a phone, who has not seen the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from insightmart.alerts.incidents import REMINDERS, IncidentChange, Told
from insightmart.certification.verdict import spoken
from insightmart.console_tables import without_control
from insightmart.status.problem import Problem, amount, listed
from insightmart.status.rendering import money, render_mail
from insightmart.status.report import one_line

STORES = 20  # that are named
STATES = {
    IncidentChange.OPENED: "New",
    IncidentChange.AGAIN: "Back again",
    IncidentChange.WORSE: "Worse",
    IncidentChange.REMINDER: "Still open",
    IncidentChange.RECOVERED: "Recovered",
}


@dataclass(frozen=True)
class IncidentMessage:
    """A message about an incident.

    Attributes:
        sender: name to show as its sender: what it is about, where all subjects of a thread have to be the same.
        subject: what and where, the same in the whole thread.
        title: state and title, for a chat.
        text: all of it, plain.
        html: the same, for a mail.
        level: good, note, warning or bad.
    """

    sender: str
    subject: str
    title: str
    text: str
    html: str
    level: str


def incident_message(
    told: Told, as_of: datetime, currency: str, address: str = "", run_id: str | None = None
) -> IncidentMessage:
    """Put what is to be told into words.

    Args:
        told: what, and why now.
        as_of: the instant, UTC.
        currency: the company's.
        address: under which the status page is read, with a slash at its end; empty: there is none to link to.
        run_id: the cycle that found it, and told it on the page; None: there was none.
    """
    state = STATES[told.change]
    level = told.problem.level if told.problem else "good"
    answer = "" if told.incident.messages == 1 else "Re: "
    subject = one_line(f"{answer}[InsightMart] {told.incident.subject}")
    text, html = render_mail(
        "incident",
        told=told,
        problem=told.problem,
        subject=subject,
        state=state,
        level=level,
        since=_since(told, as_of),
        how_much=how_much(told.problem, currency) if told.problem else "",
        next_time=_next_time(told),
        link=f"{address}index.html{f'#problem-{told.incident.key}' if run_id else ''}" if address else "",
        address=address,
        shown=STORES,
        as_of=as_of,
        run_id=run_id,
    )
    title = without_control(f"{state}: {told.incident.title}")
    sender = "InsightMart" if told.change is IncidentChange.OPENED else f"InsightMart: {state.lower()}"
    return IncidentMessage(sender, subject, title, text, html, level)


def how_much(problem: Problem, currency: str) -> str:
    """Rows, money and stores that a problem keeps back, as far as they are known."""
    found = [
        amount(problem.rows, "row") if problem.rows else "",
        f"{money(problem.money)} {currency}" if problem.money is not None else "",
        amount(len(problem.stores), "store"),
    ]
    known = [text for text in found if text]
    return listed(known) if known else "not known"


def _since(told: Told, as_of: datetime) -> str:
    opened = told.incident.opened_at
    lasted = _lasting(as_of - opened)
    if told.change is IncidentChange.RECOVERED:
        return f"Over as of {spoken(as_of)}, after {lasted}; it began {spoken(opened)}."
    if told.change is IncidentChange.AGAIN:
        times = told.incident.returns
        return f"Since {spoken(opened)}. It had been over; this is the {times + 1}. time within a day."
    return f"Since {spoken(opened)}{f', for {lasted}' if told.change is not IncidentChange.OPENED else ''}."


def _lasting(time: timedelta) -> str:
    hours = round(time.total_seconds() / 3600)
    if hours < 1:
        return "less than an hour"
    return amount(hours, "hour") if hours < 48 else amount(hours // 24, "day")


def _next_time(told: Told) -> str:
    if told.change is IncidentChange.RECOVERED:
        return "You hear of it again when it comes back."
    gap = REMINDERS[min(told.incident.reminders, len(REMINDERS) - 1)]
    return f"You hear of it when it becomes worse, when it is over, and otherwise in {_lasting(gap)}."
