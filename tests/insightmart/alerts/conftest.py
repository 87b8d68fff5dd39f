"""A mail server on loopback that the settings point at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from insightmart.settings import Settings
from tests.support.inbox import Inbox, free_port


@pytest.fixture
def inbox(settings: Settings) -> Iterator[Inbox]:
    """A running server that the settings point at."""
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.smtp_url = SecretStr(f"smtp://127.0.0.1:{controller.port}")
    settings.report_to = "finance@example.com, Data Team <data@example.com>"
    settings.report_from = "insightmart@example.com"
    yield inbox
    controller.stop()
