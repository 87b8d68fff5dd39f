"""An SMTP server's handler for tests, and a port for it."""

from __future__ import annotations

import email
import email.policy
import socket
from email.message import EmailMessage
from pathlib import Path
from typing import Any


class Inbox:
    """What an SMTP server on loopback took in; ``answers`` are given, one a message, before it takes anything."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.envelopes: list[Any] = []
        self.answers: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.answers and not (answer := self.answers.pop(0)).startswith("250"):
            return answer
        self.envelopes.append(envelope)
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))  # type: ignore[arg-type]
        return "250 OK"


def received(folder: Path) -> list[EmailMessage]:
    """The mails that the sandbox's server has put into a folder, in order of their arrival."""
    read = email.message_from_bytes
    return [read(path.read_bytes(), policy=email.policy.default) for path in sorted(folder.glob("*.eml"))]  # type: ignore[misc]


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
