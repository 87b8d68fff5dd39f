"""Messages as mails: their headers, their thread; and the report that somebody asked for."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, make_msgid

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.alerts.incident_words import IncidentMessage
from insightmart.alerts.incidents import Incident
from insightmart.alerts.mail import addresses, deliver, mail_server, sender_of
from insightmart.alerts.post import UNFOLDED
from insightmart.errors import ConfigurationError
from insightmart.settings import AlertSettings, Settings
from insightmart.status.facts import gather
from insightmart.status.recent_runs import RunState
from insightmart.status.report import Occasion, Report, make_report

NAME = "InsightMart"


def page_address(settings: AlertSettings) -> str:
    """Where the status page is read, with a slash at its end; empty where that is not set."""
    return f"{settings.status_address.rstrip('/')}/" if settings.status_address else ""


def place_of(settings: AlertSettings) -> str:
    """What tells this home from others, of ``a-z0-9``: their incidents are not one thread."""
    return hashlib.sha256(f"{socket.gethostname()} {settings.home}".encode()).hexdigest()[:8]


def compose(settings: AlertSettings, report: Report, recipients: Sequence[str] | None = None) -> EmailMessage:
    """The report as a message in plain text and HTML, to REPORT_TO or others.

    Raises:
        ConfigurationError: REPORT_TO holds no address.
    """
    to = addresses(settings.report_to or "", "REPORT_TO") if recipients is None else recipients
    message = _message(settings, NAME, to, report.subject, report.text, report.html)
    message["Message-ID"] = make_msgid("insightmart", _domain(settings))
    return message


def compose_incident(
    settings: AlertSettings, incident: Incident, said: IncidentMessage, recipients: Sequence[str]
) -> EmailMessage:
    """A message about an incident, in the thread of the incident."""
    message = _message(settings, said.sender, recipients, said.subject, said.text, said.html)
    first, last = (_message_id(settings, incident, number) for number in (1, incident.messages - 1))
    message["Message-ID"] = _message_id(settings, incident, incident.messages)
    if incident.messages > 1:
        message["In-Reply-To"] = first
        message["References"] = first if first == last else f"{first} {last}"
    return message


def _message_id(settings: AlertSettings, incident: Incident, number: int) -> str:
    return f"<{incident.thread}.{number}@{_domain(settings)}>"


def _domain(settings: AlertSettings) -> str:
    return sender_of(settings).rsplit("@", 1)[1]


def _message(
    settings: AlertSettings, name: str, recipients: Sequence[str], subject: str, text: str, html: str
) -> EmailMessage:
    message = EmailMessage(UNFOLDED)
    message["From"] = formataddr((name, sender_of(settings)))
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message["Date"] = format_datetime(utc_now().replace(tzinfo=UTC))
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text, cte="quoted-printable")  # plain characters in short lines: every server takes them
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    return message


def send_report(warehouse: Warehouse, settings: Settings, as_of: datetime, run: RunState | None) -> str:
    """Mail a report on the state as of an instant to REPORT_TO, at once; returns its subject.

    Raises:
        ConfigurationError: mail is not configured, or not usably.
        InsightMartError: the mail server did not take it; names the server, never the password.
    """
    if settings.smtp_url is None or not settings.report_to:
        raise ConfigurationError("mail is not configured", "Set SMTP_URL and REPORT_TO")
    facts = gather(warehouse, settings, as_of, is_report=True)
    report = make_report(facts, Occasion.ASKED, run or facts.last_cycle, page_address(settings))
    recipients = addresses(settings.report_to, "REPORT_TO")
    addresses(settings.report_from, "REPORT_FROM")
    server = mail_server(settings.smtp_url.get_secret_value())
    deliver(server, compose(settings, report, recipients), recipients)
    return report.subject
