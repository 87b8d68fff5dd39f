"""Secrets of the settings hidden in texts for people and for keeps: errors, log lines, tracebacks, evidence.

Who writes a message leaves secrets out of it; this is for what others wrote, who quote what they were sent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from insightmart.secrets_manager import is_named
from insightmart.settings import Settings, last_read

HIDDEN = "***"
_OF_AWS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_IN_DSN = re.compile(r"(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)")
_NAMES = [str(field.alias) for field in Settings.model_fields.values() if "SecretStr" in str(field.annotation)]
_LINE = 32  # characters from which on a line of a secret is one by itself, such as of a private key


def without_secrets(value: Any, settings: Settings | None = None) -> Any:
    """A value with every secret of the settings hidden, in whatever text it stands.

    Args:
        value: a text, or mappings and lists of texts; anything else is given back as it is.
        settings: None: those that this process read last, and its environment.
    """
    if isinstance(value, str):
        for secret in secret_texts(settings):
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {str(without_secrets(name, settings)): without_secrets(item, settings) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item, settings) for item in value]
    return value


def secret_texts(settings: Settings | None = None) -> list[str]:
    """The secrets, the passwords in those that are addresses, long lines of those that have several, and the keys of
    AWS; the longest first, so that none stays in part."""
    found = {os.environ.get(name, "") for name in _OF_AWS}
    for secret in _stated(settings):
        found |= {secret, *(line for line in secret.splitlines() if len(line) >= _LINE), *_passwords(secret)}
    return sorted(filter(None, found), key=len, reverse=True)


def _stated(settings: Settings | None) -> list[str]:
    """Of the settings, else of those that were read last and of the environment: a log line is written anywhere, also
    where settings are being read, and must not have them read."""
    if settings is not None:
        return settings.secrets
    known = last_read()
    return [
        *(known.secrets if known else []),
        *(value for name in _NAMES if not is_named(value := os.environ.get(name, ""))),
    ]


def _passwords(secret: str) -> set[str]:
    try:
        password = urlsplit(secret).password or ""
    except ValueError:
        password = ""
    stated = {one.strip("'").replace("\\", "") for one in _IN_DSN.findall(secret)} if "://" not in secret else set()
    return {password, unquote(password), *stated}
