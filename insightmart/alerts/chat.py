"""Chat and paging through apprise: its addresses stand in the environment, and are secrets."""

from __future__ import annotations

from insightmart.alerts.routes import chat_address
from insightmart.logs import silenced

TIMEOUT = 15  # seconds for one message, whatever the other end does


def can_be_used(name: str) -> bool:
    """Whether a variable holds an address that apprise knows."""
    import apprise

    with silenced("apprise"):
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
    with silenced("apprise"):
        return bool(
            channel.add(chat_address(name) or "")
            and channel.notify(
                title=title, body=text, notify_type=kinds[level], body_format=apprise.NotifyFormat.TEXT, timeout=TIMEOUT
            )
        )
