"""Chat and paging through apprise: its addresses stand in the environment, and are secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingestion.encryption import is_local
from insightmart.alerts.routes import chat_address
from insightmart.logs import silenced

if TYPE_CHECKING:
    import apprise

TIMEOUT = 15  # seconds for one message, whatever the other end does


def can_be_used(name: str) -> bool:
    """Whether a variable holds an address that apprise knows, with an end that is encrypted and judged."""
    with silenced("apprise"):
        return _channel(name) is not None


def _channel(name: str) -> apprise.Apprise | None:
    """What apprise makes of the address; None where it goes over the network unencrypted, or checks no certificate."""
    import apprise

    channel = apprise.Apprise()
    if not channel.add(chat_address(name) or ""):
        return None
    for end in channel:
        is_plain = bool(end.protocol) and not end.secure  # what has no plain form is encrypted always
        if (is_plain or not end.verify_certificate) and not is_local(end.host):
            return None
    return channel


def say(name: str, title: str, text: str, level: str) -> bool:
    """Hand a message to the address in a variable; whether it was taken. Nothing of the address is ever said."""
    import apprise

    kinds = {
        "good": apprise.NotifyType.SUCCESS,
        "note": apprise.NotifyType.INFO,
        "warning": apprise.NotifyType.WARNING,
        "bad": apprise.NotifyType.FAILURE,
    }
    with silenced("apprise"):
        channel = _channel(name)
        return bool(
            channel
            and channel.notify(
                title=title, body=text, notify_type=kinds[level], body_format=apprise.NotifyFormat.TEXT, timeout=TIMEOUT
            )
        )
