"""Reports on their way: when one is due after a cycle, as which message, to whom."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

import structlog

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.certification.observations import existing_tables
from insightmart.errors import ConfigurationError
from insightmart.runs import Run
from insightmart.settings import Settings
from insightmart.status.facts import gather
from insightmart.status.mail import addresses, deliver, mail_server
from insightmart.status.recent_runs import RunState, last_cycle
from insightmart.status.report import Occasion, Report, make_report, should_send

log = structlog.get_logger()

UNFOLDED = SMTP.clone(max_line_length=998)  # what a line may have; folded subjects gain a space in some readers


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
    facts = gather(warehouse, settings, as_of, is_report=True)
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
    current = RunState(run.run_id, run.command, run.as_of, run.status, problems=tuple(run.problems))
    previous = last_cycle(warehouse, existing_tables(warehouse), before=run.run_id)
    occasion = should_send(previous, current)
    if occasion is None:
        return None
    if not is_configured(settings):
        log.info("no report mailed: SMTP_URL or REPORT_TO is not set", occasion=str(occasion))
        return None
    return send_report(warehouse, settings, as_of, current, occasion)
