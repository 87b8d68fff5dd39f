"""Delivery over real SMTP."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from insightmart.alerts.mail import deliver, mail_server
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.settings import Settings
from tests.support.inbox import Inbox, free_port

PASSWORD = "s3cret/pass word"


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
        port=free_port(),
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


@pytest.mark.parametrize(
    "url", ["http://mail:25", "smtp://", "smtp://user@mail", "smtp://mail:port", "smtp://[::1", "x"]
)
def test_an_unusable_mail_url_is_a_configuration_error_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        mail_server(url)
    assert url not in str(caught.value).replace("smtp://host", "")
