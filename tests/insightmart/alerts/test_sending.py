"""Reports on their way: as messages, when one is due, by the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from insightmart.alerts.mail import deliver, mail_server
from insightmart.alerts.sending import compose, send_report
from insightmart.cli import cli
from insightmart.errors import USAGE, ConfigurationError, InsightMartError
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import Settings
from insightmart.status.facts import gather
from insightmart.status.report import Occasion, make_report
from tests.insightmart.test_poisoned_texts import POISONS
from tests.support.inbox import Inbox, free_port
from tests.support.status_facts import AS_OF, cycle

if TYPE_CHECKING:
    from conftest import Business

HEADERS = {"Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
GATE = RunProblem(ProblemKind.MODEL, "gate.sales__oltp", "gate.sales__oltp: no negative price")


def test_a_mail_arrives_with_both_parts_and_proper_headers(
    business: Business, settings: Settings, inbox: Inbox
) -> None:
    business.refuse()
    subject = send_report(business.warehouse, settings, AS_OF, cycle(GATE))
    (message,) = inbox.messages
    assert message["Subject"] == subject
    assert message["From"] == "InsightMart <insightmart@example.com>"
    assert inbox.envelopes[0].rcpt_tos == ["finance@example.com", "data@example.com"]
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Date"].datetime.tzinfo is not None
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    text, html = (part.get_content() for part in message.iter_parts())  # type: ignore[attr-defined]
    assert text.startswith("Sales (store and phone): held back")
    assert "<table" in html


def test_an_error_cannot_inject_headers(business: Business, settings: Settings, inbox: Inbox) -> None:
    text = "shopify: bad\r\nBcc: victim@example.com\r\n\r\n<b>body</b>\x00"
    nasty = RunProblem(ProblemKind.SOURCE, "shopify", text)
    send_report(business.warehouse, settings, AS_OF, cycle(nasty))
    (message,) = inbox.messages
    assert message["Bcc"] is None
    assert message["Subject"].startswith("[InsightMart] FAILED shopify: bad Bcc: victim@example.com")
    assert inbox.envelopes[0].rcpt_tos == ["finance@example.com", "data@example.com"]
    text, html = (part.get_content() for part in message.iter_parts())  # type: ignore[attr-defined]
    assert "<b>body</b>" not in html
    assert "\x00" not in text


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
def test_whatever_a_source_says_a_mail_has_its_own_headers_and_runs_nothing(
    business: Business, settings: Settings, inbox: Inbox, poison: str
) -> None:
    for subject in ("shopify", poison):
        send_report(business.warehouse, settings, AS_OF, cycle(RunProblem(ProblemKind.SOURCE, subject, poison, poison)))
    assert len(inbox.messages) >= 1
    for message in inbox.messages:
        assert set(message.keys()) <= HEADERS
        assert message["To"] == "finance@example.com, data@example.com"
        assert "\n" not in message["Subject"]
        _, html = (part.get_content() for part in message.iter_parts())  # type: ignore[attr-defined]
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "<b>body</b>" not in html
        assert "href=http://x" not in html
    assert {tuple(one.rcpt_tos) for one in inbox.envelopes} == {("finance@example.com", "data@example.com")}


def test_a_passing_refusal_is_tried_again_and_arrives_once(
    business: Business, settings: Settings, inbox: Inbox
) -> None:
    inbox.answers = ["451 come back later", "451 come back later"]
    message = compose(settings, make_report(gather(business.warehouse, settings, AS_OF), Occasion.DAILY, None))
    assert settings.smtp_url is not None
    deliver(mail_server(settings.smtp_url.get_secret_value()), message, ["finance@example.com"], retry_wait=0)
    assert [m["Message-ID"] for m in inbox.messages] == [message["Message-ID"]]


def test_a_lasting_refusal_is_not_tried_again(business: Business, settings: Settings, inbox: Inbox) -> None:
    inbox.answers = ["554 spam", "554 spam"]
    with pytest.raises(InsightMartError, match=r"mail server 127\.0\.0\.1:\d+ did not take the report: .*554"):
        send_report(business.warehouse, settings, AS_OF, None)
    assert inbox.answers == ["554 spam"]


def test_a_server_that_is_not_there_is_named_without_the_login(business: Business, settings: Settings) -> None:
    port = free_port()
    settings.smtp_url = SecretStr(f"smtp://reporter:hunter2@127.0.0.1:{port}")
    settings.report_to = "finance@example.com"
    message = compose(settings, make_report(gather(business.warehouse, settings, AS_OF), Occasion.DAILY, None))
    with pytest.raises(InsightMartError) as caught:
        deliver(mail_server(settings.smtp_url.get_secret_value()), message, ["finance@example.com"], retry_wait=0)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("value", ["nobody", "a@example.com\nBcc: b@example.com", "", "a@b@c"])
def test_an_unusable_recipient_is_a_configuration_error(business: Business, settings: Settings, value: str) -> None:
    settings.report_to = value
    report = make_report(gather(business.warehouse, settings, AS_OF), Occasion.DAILY, None)
    with pytest.raises(ConfigurationError, match="REPORT_TO"):
        compose(settings, report)


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
