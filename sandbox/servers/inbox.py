"""The mail server of the sandbox: it accepts every message and writes it as a file that any mail program opens."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
from collections.abc import Coroutine
from email import message_from_bytes
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

SLUG_LENGTH = 60


class Inbox:
    """Writes each message to `directory` as NNNN-<slug of the subject>.eml, numbered in order of arrival from 0001."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._numbers = itertools.count(1 + sum(1 for _ in directory.glob("*.eml")))

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Store one message; aiosmtpd calls this by name and sends back what it returns."""
        content = envelope.original_content or b""
        name = f"{next(self._numbers):04d}-{_slug(content)}.eml"
        scratch = self.directory / f".{name}.part"
        try:
            scratch.write_bytes(content)
            scratch.replace(self.directory / name)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            return f"452 cannot store the message: {error.strerror}"
        return f"250 stored as {name}"


class InboxServer(Controller):
    """Serves an Inbox over SMTP on a free port of 127.0.0.1, in a thread of its own; the port is `self.port`."""

    def __init__(self, inbox: Inbox) -> None:
        # Bound here: aiosmtpd wants the port beforehand, and a port that is only looked up may be taken by then.
        self._listener = socket.create_server(("127.0.0.1", 0))
        super().__init__(inbox, hostname="127.0.0.1", port=self._listener.getsockname()[1], data_size_limit=64 << 20)

    def _create_server(self) -> Coroutine[Any, Any, asyncio.AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._listener)


def _slug(content: bytes) -> str:
    """A file name's worth of the subject: lower-case ASCII words joined by hyphens."""
    header = message_from_bytes(content).get("Subject", "")
    try:
        subject = str(make_header(decode_header(header)))
    except (LookupError, ValueError):
        subject = str(header)
    words = re.findall(r"[a-z0-9]+", subject.lower())
    return "-".join(words)[:SLUG_LENGTH].strip("-") or "no-subject"
