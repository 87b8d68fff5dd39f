"""Reports by mail: when one is due, what it says, and its way over real SMTP."""

from __future__ import annotations

import email
import email.policy
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from click.testing import CliRunner
from pydantic import SecretStr

from insightmart.cli import cli
from insightmart.errors import USAGE, ConfigurationError, InsightMartError
from insightmart.runs import Run
from insightmart.settings import Settings
from insightmart.status.facts import RunState, gather
from insightmart.status.mail import deliver, mail_server
from insightmart.status.report import Occasion, compose, make_report, send_if_due, send_report, should_send

if TYPE_CHECKING:
    from conftest import Business

AS_OF = datetime(2026, 3, 6, 17, 5)
PASSWORD = "s3cret/pass word"


def _run(status: str, as_of: datetime = AS_OF, error: str | None = None) -> RunState:
    return RunState(f"cycle-{as_of:%d%H}", "cycle", as_of, status, error)


class Inbox:
    """What an SMTP server on loopback took in; ``answers`` are given, one a message, before it takes anything."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.envelopes: list[Any] = []
        self.answers: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.envelopes.append(envelope)
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))  # type: ignore[arg-type]
        return "250 OK"


@pytest.fixture
def inbox(settings: Settings) -> Iterator[Inbox]:
    """A running server that the settings point at."""
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=_free_port())
    controller.start()
    settings.smtp_url = SecretStr(f"smtp://127.0.0.1:{controller.port}")
    settings.report_to = "finance@example.com, Data Team <data@example.com>"
    settings.report_from = "insightmart@example.com"
    yield inbox
    controller.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("previous", "current", "expected"),
    [
        (None, _run("succeeded"), Occasion.DAILY),
        (_run("succeeded", AS_OF - timedelta(hours=1)), _run("succeeded"), None),
        (_run("succeeded", AS_OF - timedelta(days=1)), _run("succeeded"), Occasion.DAILY),
        (_run("failed", AS_OF - timedelta(hours=1)), _run("succeeded"), Occasion.RECOVERED),
        (_run("failed", AS_OF - timedelta(days=1)), _run("succeeded"), Occasion.RECOVERED),
        (_run("killed", AS_OF - timedelta(hours=1)), _run("succeeded"), Occasion.RECOVERED),
        (_run("succeeded", AS_OF - timedelta(hours=1)), _run("failed"), Occasion.FAILED),
        (_run("failed", AS_OF - timedelta(hours=1)), _run("failed"), Occasion.FAILED),
        (None, _run("failed"), Occasion.FAILED),
    ],
)
def test_when_a_mail_is_due(previous: RunState | None, current: RunState, expected: Occasion | None) -> None:
    assert should_send(previous, current) == expected


def test_the_subject_says_what_is_held_back_and_since_when(business: Business, settings: Settings) -> None:
    business.refuse("sales__oltp", since=datetime(2026, 3, 6, 16))
    facts = gather(business.warehouse, settings, AS_OF)
    failed = make_report(facts, Occasion.FAILED, _run("failed", error="gate.sales__oltp: few order lines"))
    assert failed.subject == "[InsightMart] HELD BACK sales (store and phone) since 2026-03-06 16:00 UTC"
    daily = make_report(facts, Occasion.DAILY, None)
    assert daily.subject == "[InsightMart] daily: HELD BACK sales (store and phone) since 2026-03-06 16:00 UTC"


@pytest.mark.parametrize(
    ("occasion", "subject"),
    [
        (Occasion.DAILY, "[InsightMart] daily: all certified through 2026-03-06 17:00 UTC"),
        (Occasion.RECOVERED, "[InsightMart] RECOVERED: all certified through 2026-03-06 17:00 UTC"),
        (Occasion.FAILED, "[InsightMart] FAILED shopify: HTTP 503 (and 1 more)"),
    ],
)
def test_the_subject_of_a_warehouse_that_is_certified(
    business: Business, settings: Settings, occasion: Occasion, subject: str
) -> None:
    facts = gather(business.warehouse, settings, AS_OF)
    assert make_report(facts, occasion, _run("failed", error="shopify: HTTP 503. Check it; oltp: x")).subject == subject


def test_both_parts_say_what_failed_what_it_holds_back_and_what_to_do(business: Business, settings: Settings) -> None:
    business.refuse()
    business.quarantined("oltp_order_lines", "unit_price_negative", datetime(2026, 3, 6, 16, 20))
    report = make_report(gather(business.warehouse, settings, AS_OF), Occasion.FAILED, _run("failed", error="x"))
    for part in (report.text, report.html):
        assert "few order lines are rejected (found 41.18, allowed" in part
        assert "insightmart quarantine list --entity oltp_order_lines" in part
        assert "Not affected: sales (online), inventory (stores)" in part
        assert "The unit price is below zero" in part
    assert "allowed <= 20" in report.text
    assert "allowed &lt;= 20" in report.html
    assert "https://" not in report.html
    assert "<img" not in report.html


def test_a_recovery_names_what_it_recovered_from(business: Business, settings: Settings) -> None:
    facts = gather(business.warehouse, settings, AS_OF)
    before = _run("failed", AS_OF - timedelta(hours=1), "gate.sales__oltp: no negative price")
    report = make_report(facts, Occasion.RECOVERED, _run("succeeded"), before)
    assert "The cycle as of 2026-03-06 16:05 UTC had failed: gate.sales__oltp: no negative price" in report.text
    killed = make_report(
        facts, Occasion.RECOVERED, _run("succeeded"), _run("killed", AS_OF - timedelta(hours=1), "killed")
    )
    assert "The cycle as of 2026-03-06 16:05 UTC was killed\n" in killed.text


def test_a_mail_arrives_with_both_parts_and_proper_headers(
    business: Business, settings: Settings, inbox: Inbox
) -> None:
    business.refuse()
    subject = send_report(business.warehouse, settings, AS_OF, _run("failed", error="gate refused"), Occasion.FAILED)
    (message,) = inbox.messages
    assert message["Subject"] == subject
    assert message["From"] == "insightmart@example.com"
    assert inbox.envelopes[0].rcpt_tos == ["finance@example.com", "data@example.com"]
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Date"].datetime.tzinfo is not None
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    text, html = (part.get_content() for part in message.iter_parts())  # type: ignore[attr-defined]
    assert text.startswith("Sales (store and phone): held back")
    assert "<table" in html


def test_an_error_cannot_inject_headers(business: Business, settings: Settings, inbox: Inbox) -> None:
    nasty = "shopify: bad\r\nBcc: victim@example.com\r\n\r\n<b>body</b>\x00"
    send_report(business.warehouse, settings, AS_OF, _run("failed", error=nasty), Occasion.FAILED)
    (message,) = inbox.messages
    assert message["Bcc"] is None
    assert message["Subject"].startswith("[InsightMart] FAILED shopify: bad Bcc: victim@example.com")
    assert inbox.envelopes[0].rcpt_tos == ["finance@example.com", "data@example.com"]
    text, html = (part.get_content() for part in message.iter_parts())  # type: ignore[attr-defined]
    assert "<b>body</b>" not in html
    assert "\x00" not in text


def test_a_passing_refusal_is_tried_again_and_arrives_once(
    business: Business, settings: Settings, inbox: Inbox
) -> None:
    inbox.answers = ["451 come back later", "451 come back later"]
    message, recipients = compose(
        settings, make_report(gather(business.warehouse, settings, AS_OF), Occasion.DAILY, None)
    )
    assert settings.smtp_url is not None
    deliver(mail_server(settings.smtp_url.get_secret_value()), message, recipients, retry_wait=0)
    assert [m["Message-ID"] for m in inbox.messages] == [message["Message-ID"]]


def test_a_lasting_refusal_is_not_tried_again(business: Business, settings: Settings, inbox: Inbox) -> None:
    inbox.answers = ["554 spam", "554 spam"]
    with pytest.raises(InsightMartError, match=r"mail server 127\.0\.0\.1:\d+ did not take the report: .*554"):
        send_report(business.warehouse, settings, AS_OF, None)
    assert inbox.answers == ["554 spam"]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_login_is_used_and_a_wrong_one_is_not_shown(settings: Settings) -> None:
    taken: list[str] = []

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        taken.append(data.password.decode())
        return AuthResult(success=data.password.decode() == PASSWORD, handled=True)

    inbox = Inbox()
    controller = Controller(
        inbox,
        hostname="127.0.0.1",
        port=_free_port(),
        authenticator=authenticate,
        auth_require_tls=False,
        auth_required=True,
    )
    controller.start()
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "x"
    try:
        right = mail_server(f"smtp://reporter:s3cret%2Fpass%20word@127.0.0.1:{controller.port}")
        deliver(right, message, ["b@example.com"])
        wrong = mail_server(f"smtp://reporter:wr0ng@127.0.0.1:{controller.port}")
        with pytest.raises(InsightMartError) as caught:
            deliver(wrong, message, ["b@example.com"])
    finally:
        controller.stop()
    assert len(inbox.messages) == 1
    assert PASSWORD in taken
    assert "refused the login" in str(caught.value)
    assert "wr0ng" not in str(caught.value) + repr(wrong)


def test_encryption_that_was_asked_for_is_never_left_out(inbox: Inbox, settings: Settings) -> None:
    assert settings.smtp_url is not None
    server = mail_server(settings.smtp_url.get_secret_value().replace("smtp://", "smtp+starttls://"))
    message = EmailMessage()
    message["From"], message["To"] = "a@example.com", "b@example.com"
    with pytest.raises(InsightMartError, match="no STARTTLS"):
        deliver(server, message, ["b@example.com"], retry_wait=0)
    assert inbox.messages == []


def test_a_server_that_is_not_there_is_named_without_the_login(business: Business, settings: Settings) -> None:
    port = _free_port()
    settings.smtp_url = SecretStr(f"smtp://reporter:hunter2@127.0.0.1:{port}")
    settings.report_to = "finance@example.com"
    message, recipients = compose(
        settings, make_report(gather(business.warehouse, settings, AS_OF), Occasion.DAILY, None)
    )
    with pytest.raises(InsightMartError) as caught:
        deliver(mail_server(settings.smtp_url.get_secret_value()), message, recipients, retry_wait=0)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "url", ["http://mail:25", "smtp://", "smtp://user@mail", "smtp://mail:port", "smtp://[::1", "x"]
)
def test_an_unusable_mail_url_is_a_configuration_error_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        mail_server(url)
    assert url not in str(caught.value).replace("smtp://host", "")


@pytest.mark.parametrize("value", ["nobody", "a@example.com\nBcc: b@example.com", "", "a@b@c"])
def test_an_unusable_recipient_is_a_configuration_error(business: Business, settings: Settings, value: str) -> None:
    settings.report_to = value
    report = make_report(gather(business.warehouse, settings, AS_OF), Occasion.DAILY, None)
    with pytest.raises(ConfigurationError, match="REPORT_TO"):
        compose(settings, report)


def test_after_a_cycle_the_previous_one_is_looked_up(business: Business, settings: Settings, inbox: Inbox) -> None:
    business.ran("cycle-1", AS_OF - timedelta(hours=2), "failed", "gate.sales__oltp: no negative price")
    business.ran("cycle-2", AS_OF - timedelta(hours=1), "succeeded")
    recovered = Run("cycle-2", "cycle", AS_OF - timedelta(hours=1))
    subject = send_if_due(business.warehouse, settings, recovered, AS_OF - timedelta(hours=1))
    assert subject is not None
    assert subject.startswith("[InsightMart] RECOVERED")
    assert "no negative price" in inbox.messages[0].get_body().get_content()  # type: ignore[union-attr]
    business.ran("cycle-3", AS_OF, "succeeded")
    assert send_if_due(business.warehouse, settings, Run("cycle-3", "cycle", AS_OF), AS_OF) is None
    assert len(inbox.messages) == 1


def test_without_a_mail_server_nothing_is_sent_and_nothing_fails(business: Business, settings: Settings) -> None:
    business.ran("cycle-1", AS_OF, "failed", "x")
    assert send_if_due(business.warehouse, settings, Run("cycle-1", "cycle", AS_OF, "failed"), AS_OF) is None


def test_the_command_prints_the_text(business: Business, settings: Settings) -> None:
    business.refuse()
    business.warehouse.close()
    result = CliRunner().invoke(cli, ["report", "--as-of", "2026-03-06T17:05"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Sales (store and phone): held back\n")
    assert "sales (store and phone)    2026-03-06 16:00  held back" in result.output


def test_the_command_refuses_to_mail_where_mail_is_not_configured(business: Business, settings: Settings) -> None:
    business.warehouse.close()
    result = CliRunner().invoke(cli, ["report", "--email"])
    assert isinstance(result.exception, ConfigurationError)
    assert result.exception.exit_code == USAGE
