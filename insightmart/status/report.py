"""The report: what failed, what it holds back, what to do; as text, or as a mail after a cycle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from enum import StrEnum

import structlog

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.certification.evidence import existing_tables
from insightmart.certification.verdict import Verdict, spoken
from insightmart.console_tables import without_control
from insightmart.errors import ConfigurationError
from insightmart.runs import Run
from insightmart.settings import Settings
from insightmart.status.facts import Facts, RunState, error_lines, gather, last_cycle
from insightmart.status.mail import addresses, deliver, mail_server
from insightmart.status.page import explanation, headline, level
from insightmart.status.rendering import NOTHING, render

log = structlog.get_logger()

SUBJECT_LENGTH = 150
UNFOLDED = SMTP.clone(max_line_length=998)  # what a line may have; folded subjects gain a space in some readers
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
    if run is None or not run.error:
        return ""
    first, *others = error_lines(run.error)
    return first.split(". ")[0] + (f" (and {len(others)} more)" if others else "")


def _one_line(text: str) -> str:
    """A header value: errors and file names may hold line ends and worse. ASCII, so that it needs no encoding."""
    line = without_control(" ".join(text.split())).encode("ascii", "backslashreplace").decode("ascii")
    return line if len(line) <= SUBJECT_LENGTH else f"{line[: SUBJECT_LENGTH - 3]}..."


def compose(settings: Settings, report: Report) -> tuple[EmailMessage, list[str]]:
    """The report as a message in plain text and HTML, and the addresses it goes to.

    Raises:
        ConfigurationError: REPORT_FROM or REPORT_TO is no address.
    """
    (sender,) = addresses(settings.report_from, "REPORT_FROM")[:1]
    recipients = addresses(settings.report_to or "", "REPORT_TO")
    message = EmailMessage(UNFOLDED)
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = report.subject
    message["Date"] = format_datetime(utc_now().replace(tzinfo=UTC))
    message["Message-ID"] = make_msgid("insightmart", sender.rsplit("@", 1)[1])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(report.text)
    message.add_alternative(report.html, subtype="html")
    return message, recipients


def is_configured(settings: Settings) -> bool:
    """Whether reports are mailed at all: SMTP_URL and REPORT_TO are set."""
    return settings.smtp_url is not None and bool(settings.report_to)


def send_report(
    warehouse: Warehouse, settings: Settings, as_of: datetime, run: RunState | None, occasion: Occasion = Occasion.ASKED
) -> str:
    """Mail a report on the state as of an instant; returns its subject.

    Raises:
        ConfigurationError: mail is not configured, or not usably.
        InsightMartError: the mail server did not take it; names the server, never the password.
    """
    if settings.smtp_url is None or not settings.report_to:
        raise ConfigurationError("mail is not configured", "Set SMTP_URL and REPORT_TO")
    facts = gather(warehouse, settings, as_of)
    previous = last_cycle(warehouse, existing_tables(warehouse), before=run.run_id) if run else None
    report = make_report(facts, occasion, run or facts.last_cycle, previous)
    message, recipients = compose(settings, report)
    deliver(mail_server(settings.smtp_url.get_secret_value()), message, recipients)
    return report.subject


def send_if_due(warehouse: Warehouse, settings: Settings, run: Run, as_of: datetime) -> str | None:
    """Mail a report after a cycle that failed, recovered, or was the first of its UTC day.

    Args:
        warehouse: open connection.
        settings: where mail goes; nothing is sent, and nothing fails, where that is not set.
        run: the cycle that has just ended.
        as_of: "now" of the cycle, UTC without a zone.

    Returns:
        The subject of the mail, or None when none was due or mail is not configured.

    Raises:
        InsightMartError: a mail was due and could not be sent.
    """
    current = RunState(run.run_id, run.command, run.as_of, run.status, run.error)
    previous = last_cycle(warehouse, existing_tables(warehouse), before=run.run_id)
    occasion = should_send(previous, current)
    if occasion is None:
        return None
    if not is_configured(settings):
        log.info("no report mailed: SMTP_URL or REPORT_TO is not set", occasion=str(occasion))
        return None
    return send_report(warehouse, settings, as_of, current, occasion)
