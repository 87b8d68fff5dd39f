"""Chat and paging through apprise: its addresses stand in the environment, and are secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from insightmart.alerts.routes import chat_address

TIMEOUT = 15  # seconds for one message, whatever the other end does


def can_be_used(name: str) -> bool:
    """Whether a variable holds an address that apprise knows."""
    import apprise

    with _quiet():
        return bool(apprise.Apprise().add(chat_address(name) or ""))


def say(name: str, title: str, text: str, level: str) -> bool:
    """Hand a message to the address in a variable; whether it was taken. Nothing of the address is ever said."""
    import apprise

    kinds = {
        "good": apprise.NotifyType.SUCCESS,
        "note": apprise.NotifyType.INFO,
        "warning": apprise.NotifyType.WARNING,
        "bad": apprise.NotifyType.FAILURE,
    }
    channel = apprise.Apprise()
    with _quiet():
        return bool(
            channel.add(chat_address(name) or "")
            and channel.notify(
                title=title, body=text, notify_type=kinds[level], body_format=apprise.NotifyFormat.TEXT, timeout=TIMEOUT
            )
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """apprise logs parts of addresses and answers, at every level."""
    logger = logging.getLogger("apprise")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
