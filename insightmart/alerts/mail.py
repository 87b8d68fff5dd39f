"""Delivery of one message over SMTP: plain, STARTTLS or TLS, with or without a login."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import getaddresses
from urllib.parse import unquote, urlsplit

from tenacity import Retrying, retry_if_exception, retry_if_exception_type, stop_after_attempt, wait_exponential

from ingestion.retries import told_of
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.settings import AlertSettings
from insightmart.watchdog import within

TIMEOUT = 10  # seconds for every answer of the server
ATTEMPTS = 3
SESSION = 60  # seconds for all the messages of a session, however slowly the server answers
_LINE_ENDS = frozenset("\r\n")
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
    """The mail addresses of a comma separated list, without what is none.

    Raises:
        ConfigurationError: none of them is an address; ``setting`` is the name to put right.
    """
    found, _ = readable_addresses(text)
    if not found:
        raise ConfigurationError(
            f"{setting} is no list of mail addresses", f"Set {setting} to a@example.com,b@example.com"
        )
    return found


def readable_addresses(text: str) -> tuple[list[str], list[str]]:
    """The mail addresses of a comma separated list, and what stands in it and is none."""
    whole = [address for _, address in getaddresses([text])]
    if all(map(_is_address, whole)) and not _LINE_ENDS & set(text):
        return whole, []
    found: list[str] = []
    wrong = []
    for piece in text.split(","):
        addressed = [address for _, address in getaddresses([piece])]
        if len(addressed) == 1 and _is_address(addressed[0]) and not _LINE_ENDS & set(piece.strip()):
            found += addressed
        elif piece.strip():
            wrong.append(piece.strip())
    return found, wrong


def sender_of(settings: AlertSettings) -> str:
    """REPORT_FROM; where that is no address its default, so that what is to be told does not wait for it."""
    found, _ = readable_addresses(settings.report_from)
    return found[0] if found else str(AlertSettings.model_fields["report_from"].default)


def _is_address(text: str) -> bool:
    name, _, domain = text.partition("@")
    return bool(name and domain) and "@" not in domain and text.isprintable() and " " not in text


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


@contextmanager
def bounded_session(server: MailServer, timeout: float | None = None, limit: float = SESSION) -> Iterator[smtplib.SMTP]:
    """As ``connect``, and ended after ``limit`` seconds, also for a server that answers bit by bit.

    Raises:
        OSError, smtplib.SMTPException: as ``connect``; a session that was ended raises one of them where it stands.
    """
    with within(limit, lambda: connect(server, TIMEOUT if timeout is None else timeout)) as session:
        watch = threading.Timer(limit, _end, [session])
        watch.daemon = True
        watch.start()
        try:
            yield session
        finally:
            watch.cancel()


def _end(session: smtplib.SMTP) -> None:
    with suppress(OSError, AttributeError):  # closed meanwhile
        session.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]


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
        with bounded_session(server) as session:
            refused = session.send_message(message, to_addrs=recipients)
        if refused:
            raise smtplib.SMTPRecipientsRefused(refused)

    retrying = Retrying(
        retry=retry_if_exception_type((OSError, smtplib.SMTPException)) & retry_if_exception(is_passing),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=retry_wait),
        before_sleep=told_of("the mail server"),
        reraise=True,
    )
    try:
        retrying(attempt)
    except (OSError, smtplib.SMTPException) as error:
        raise InsightMartError(
            f"mail server {server.name} did not take the report: {reason(error)}",
            "Check SMTP_URL, REPORT_FROM and REPORT_TO; `insightmart report --email` tries again",
        ) from None


def is_passing(error: BaseException) -> bool:
    """Whether the same may be taken a moment later."""
    if isinstance(error, ssl.SSLError) or _is_silence(error):  # who hangs is not asked again at once
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
    if _is_silence(error):
        return "no answer in time"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "it closed the connection"
    if isinstance(error, ssl.SSLError):
        return f"its certificate or encryption is not accepted ({error.reason or type(error).__name__})"
    return getattr(error, "strerror", None) or type(error).__name__


def _is_silence(error: BaseException) -> bool:
    """smtplib calls a server that does not answer in time one that has closed the connection."""
    return isinstance(error, TimeoutError) or (
        isinstance(error, smtplib.SMTPServerDisconnected) and isinstance(error.__context__, TimeoutError)
    )
