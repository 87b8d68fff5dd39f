"""What waits in the outbox goes out, in order, once; what cannot go stays, and is said. It takes a bounded time."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterator
from email import message_from_string
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from tenacity import Retrying, retry_if_exception, retry_if_exception_type, stop_after_attempt, wait_fixed

from ingestion.retries import told_of
from insightmart.alerts.chat import say
from insightmart.alerts.mail import MailServer, bounded_session, is_passing, mail_server, reason, sender_of
from insightmart.alerts.outbox import Outbox, Parcel
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.kept_place import kept_place
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import AlertSettings

UNFOLDED = SMTP.clone(max_line_length=998)  # what a line may have; folded subjects gain a space in some readers
CHATS = 60.0  # seconds for all messages to chats
PAUSE = 1.0  # second before what was refused for now is offered once more


def keep(settings: AlertSettings, parcels: list[Parcel]) -> None:
    """Put messages into the outbox: from now on they are sent, now or later.

    Raises:
        InsightMartError: the home cannot be written.
    """
    try:
        Outbox(settings.home, kept_place(settings)).put(parcels)
    except OSError as error:
        raise InsightMartError(
            f"{settings.home / 'outbox'} cannot be written: {error.strerror}", "Give the user write access to the home"
        ) from None


def send_out(settings: AlertSettings, pause: float = PAUSE) -> list[RunProblem]:
    """Send what waits, the oldest first. Returns what could not be sent, and why; it goes out next time."""
    outbox = Outbox(settings.home, kept_place(settings))
    with outbox.alone() as is_alone:
        if not is_alone:
            return []
        outbox.bring()
        mails: list[tuple[Path, Parcel]] = []
        chats: list[tuple[Path, Parcel]] = []
        for path in outbox.waiting():
            if parcel := outbox.read(path):
                (chats if parcel.channel else mails).append((path, parcel))
        return [*_mail(outbox, mails, settings, pause), *_chat(outbox, chats), *_flaws(outbox)]


def _flaws(outbox: Outbox) -> Iterator[RunProblem]:
    """What is wrong with the outbox itself, and not with who is to take what is in it."""
    for name in outbox.spoilt:
        said = f"a message in the outbox cannot be read, so that nobody gets it: {name}"
        yield RunProblem(
            ProblemKind.REPORT, "mail", said, f"It lies in {outbox.aside}; `insightmart report` says it all"
        )
    if outbox.trouble is not None:
        said = f"what waits in the outbox is only on this disk, or comes twice: {outbox.trouble.cause}"
        yield RunProblem(ProblemKind.REPORT, "outbox", said, outbox.trouble.cure)


OFFERS = 2  # times that a mail is offered to a server that does not take it yet
TOO_LARGE = 552  # of SMTP


def _mail(outbox: Outbox, mails: list[tuple[Path, Parcel]], settings: AlertSettings, pause: float) -> list[RunProblem]:
    if not mails:
        return []
    found: list[RunProblem] = []
    try:
        if settings.smtp_url is None:
            raise ConfigurationError("SMTP_URL is not set", "Set SMTP_URL")
        server = mail_server(settings.smtp_url.get_secret_value())
    except ConfigurationError as error:
        return [_left(mails, error.cause, error.cure)]
    again = retry_if_exception_type(_NotYetError) | (
        retry_if_exception_type((OSError, smtplib.SMTPException)) & retry_if_exception(is_passing)
    )
    try:
        retrying = Retrying(
            stop=stop_after_attempt(OFFERS),
            wait=wait_fixed(pause),
            retry=again,
            before_sleep=told_of("the mail server"),
            reraise=True,
        )
        for attempt in retrying:
            with attempt:
                is_last = attempt.retry_state.attempt_number == OFFERS
                _offer_all(outbox, mails, found, server, sender_of(settings), is_last=is_last)
    except (OSError, smtplib.SMTPException) as error:
        cure = "Check SMTP_URL and REPORT_FROM"
        found.append(_left(mails, f"mail server {server.name}: {reason(error)}", cure))
    return found


def _offer_all(
    outbox: Outbox,
    mails: list[tuple[Path, Parcel]],
    found: list[RunProblem],
    server: MailServer,
    sender: str,
    *,
    is_last: bool,
) -> None:
    """Each mail once, in order; ``mails`` are left those that were not taken, ``found`` gets what is wrong with some.

    Raises:
        _NotYetError: the server does not take some of them yet, and this was not the last time.
    """
    later: list[tuple[Path, Parcel]] = []  # what the server does not take yet keeps nothing behind it back
    try:
        with bounded_session(server) as session:
            while mails:
                taken, told = _offer(outbox, *mails[0], session, sender, is_last=is_last)
                found += told
                later += [] if taken else [mails[0]]
                mails.pop(0)
    finally:
        mails[:0] = later
    if later and not is_last:
        raise _NotYetError


class _NotYetError(Exception):
    """The server takes mails, and some not yet."""


def _offer(
    outbox: Outbox, path: Path, parcel: Parcel, session: smtplib.SMTP, sender: str, *, is_last: bool
) -> tuple[bool, list[RunProblem]]:
    """One message to the server: whether it is done with, and what is wrong with it alone. What is wrong with the
    server is raised.

    Args:
        outbox: where it lies.
        path: its file.
        parcel: what is in it.
        session: with the server.
        sender: from whom.
        is_last: it is not offered again this time: say that it is kept.
    """
    message = message_from_string(parcel.mail or "", _class=EmailMessage, policy=UNFOLDED)
    try:
        refused = session.send_message(message, sender, parcel.recipients)
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except smtplib.SMTPDataError as error:
        if error.smtp_code < 500:
            return False, _kept(message, error) if is_last else []
        outbox.put_aside(path)
        return True, [_aside(message, outbox, reason(error))]
    except smtplib.SMTPSenderRefused as error:
        if error.smtp_code != TOO_LARGE:
            raise
        outbox.put_aside(path)
        return True, [_aside(message, outbox, "it is too large")]
    except smtplib.SMTPNotSupportedError as error:  # an address that this server cannot spell
        outbox.put_aside(path)
        return True, [_aside(message, outbox, reason(error))]
    later = [address for address, (code, _) in refused.items() if code < 500]
    if later:
        outbox.keep_for(path, later)
        if len(later) == len(parcel.recipients):
            return False, _kept(message, smtplib.SMTPRecipientsRefused(refused)) if is_last else []
    elif len(refused) == len(parcel.recipients):
        outbox.put_aside(path)
        return True, [_aside(message, outbox, reason(smtplib.SMTPRecipientsRefused(refused)))]
    else:
        outbox.taken(path)
    if not refused:
        return True, []
    return True, [
        RunProblem(
            ProblemKind.REPORT,
            "mail",
            f"the mail server refused {', '.join(refused)}; the others have the mail",
            "Correct REPORT_TO or the routes",
        )
    ]


def _kept(message: EmailMessage, error: smtplib.SMTPException) -> list[RunProblem]:
    said = f"the mail server does not take {message['Subject']!r} yet: {reason(error)}"
    cure = "It is kept, and the next cycle sends it; look at the mailbox if that goes on"
    return [RunProblem(ProblemKind.REPORT, "mail", said, cure)]


def _chat(outbox: Outbox, chats: list[tuple[Path, Parcel]]) -> list[RunProblem]:
    """To each channel in order; one that does not take a message is left alone until the next time."""
    until = time.monotonic() + CHATS
    silent: set[str] = set()
    for path, parcel in chats:
        channel = str(parcel.channel)
        if channel in silent or time.monotonic() > until:
            silent.add(channel)
        elif say(channel, parcel.title, parcel.text, parcel.level):
            outbox.taken(path)
        else:
            silent.add(channel)
    return [
        RunProblem(
            ProblemKind.REPORT,
            f"chat {channel}",
            f"the address in {channel} did not take a message; it is kept",
            f"Check {channel}: `insightmart doctor`; the next cycle sends it",
        )
        for channel in sorted(silent)
    ]


def _left(mails: list[tuple[Path, Parcel]], why: str, cure: str) -> RunProblem:
    count = "1 mail waits" if len(mails) == 1 else f"{len(mails)} mails wait"
    return RunProblem(
        ProblemKind.REPORT, "mail", f"{why}; {count} in the outbox", f"{cure}; the next cycle sends what waits"
    )


def _aside(message: EmailMessage, outbox: Outbox, why: str) -> RunProblem:
    return RunProblem(
        ProblemKind.REPORT,
        "mail",
        f"the mail server will never take {message['Subject']!r}: {why}",
        f"It lies in {outbox.aside}: read it there, and correct REPORT_TO or the routes",
    )
