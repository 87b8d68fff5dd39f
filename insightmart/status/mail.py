"""Delivery of one message over SMTP: plain, STARTTLS or TLS, with or without a login."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import getaddresses
from urllib.parse import unquote, urlsplit

from tenacity import Retrying, retry_if_exception, retry_if_exception_type, stop_after_attempt, wait_exponential

from insightmart.errors import ConfigurationError, InsightMartError

TIMEOUT = 10  # seconds for every answer of the server
ATTEMPTS = 3
PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


@dataclass(frozen=True)
class MailServer:
    """Where and how to deliver; out of ``SMTP_URL``, for example ``smtp+starttls://user:password@mail.example.com``."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Host and port, without the login."""
        return f"{self.host}:{self.port}"


def mail_server(url: str) -> MailServer:
    """Read an SMTP URL: ``smtp``, ``smtp+starttls`` or ``smtps``, with an optional percent-encoded login.

    Raises:
        ConfigurationError: it is none; the message does not repeat it, since it may hold a password.
    """
    form = "Use smtp://host:25, smtp+starttls://user:password@host:587 or smtps://user:password@host:465"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError("SMTP_URL is no URL", form) from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ConfigurationError("SMTP_URL names no mail server", form)
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if (user is None) != (password is None):
        raise ConfigurationError("SMTP_URL has a user without a password, or the reverse", form)
    return MailServer(parts.scheme, parts.hostname, port or PORTS[parts.scheme], user, password)


def addresses(text: str, setting: str) -> list[str]:
    """The mail addresses of a comma separated list.

    Raises:
        ConfigurationError: one of them is no address; ``setting`` is the name to put right.
    """
    found = [address for _, address in getaddresses([text])]
    plain = all(address.count("@") == 1 and address.isprintable() and " " not in address for address in found)
    if not found or not plain or any(character in text for character in "\r\n"):
        raise ConfigurationError(
            f"{setting} is no list of mail addresses", f"Set {setting} to a@example.com,b@example.com"
        )
    return found


def connect(server: MailServer, timeout: float = TIMEOUT) -> smtplib.SMTP:
    """An open, authenticated session; the caller ends it. ``timeout`` is in seconds, for every answer.

    Raises:
        OSError: the server cannot be reached, or its certificate is not valid for its name.
        smtplib.SMTPException: it refuses the session, the encryption or the login.
    """
    context = ssl.create_default_context()
    session: smtplib.SMTP
    if server.scheme == "smtps":
        session = smtplib.SMTP_SSL(server.host, server.port, timeout=timeout, context=context)
    else:
        session = smtplib.SMTP(server.host, server.port, timeout=timeout)
    try:
        if server.scheme == "smtp+starttls":
            session.starttls(context=context)
        if server.user and server.password:
            try:
                session.login(server.user, server.password)
            except smtplib.SMTPServerDisconnected:
                raise smtplib.SMTPAuthenticationError(535, "closed at login") from None  # how some servers say no
    except BaseException:
        session.close()
        raise
    return session


def deliver(server: MailServer, message: EmailMessage, recipients: list[str], retry_wait: float = 1.0) -> None:
    """Hand a message to the server. Passing failures are tried again; the Message-ID stays, so a copy is recognised.

    Args:
        server: where to deliver.
        message: with all its headers.
        recipients: envelope addresses.
        retry_wait: first of the doubling pauses between attempts, seconds.

    Raises:
        InsightMartError: the server did not take it for every recipient.
    """

    def attempt() -> None:
        with connect(server) as session:
            refused = session.send_message(message, to_addrs=recipients)
        if refused:
            raise smtplib.SMTPRecipientsRefused(refused)

    retrying = Retrying(
        retry=retry_if_exception_type((OSError, smtplib.SMTPException)) & retry_if_exception(_is_passing),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=retry_wait),
        reraise=True,
    )
    try:
        retrying(attempt)
    except (OSError, smtplib.SMTPException) as error:
        raise InsightMartError(
            f"mail server {server.name} did not take the report: {reason(error)}",
            "Check SMTP_URL, REPORT_FROM and REPORT_TO; `insightmart report --email` tries again",
        ) from None


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, ssl.SSLError):
        return False
    if isinstance(error, smtplib.SMTPResponseException):
        return 400 <= error.smtp_code < 500
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(400 <= code < 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPServerDisconnected) or not isinstance(error, smtplib.SMTPException)


def reason(error: BaseException) -> str:
    """Why, in one line, without what was sent: a server's refusal may quote it."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"it refused the login (code {error.smtp_code})"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"it refused {', '.join(error.recipients)}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answered with code {error.smtp_code}"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "it offers no STARTTLS or no login"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "it closed the connection"
    if isinstance(error, ssl.SSLError):
        return f"its certificate or encryption is not accepted ({error.reason or type(error).__name__})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or type(error).__name__
