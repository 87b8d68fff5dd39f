"""Which plain connections the settings allow, and the refusal of all others (``ingestion.encryption`` has the rule)."""

from __future__ import annotations

import os
from typing import Any

from ingestion.encryption import UnverifiedError, goes_plain, is_local, trusted_roots, verified
from insightmart.errors import ConfigurationError

SETTING = "PLAIN_CONNECTIONS"
# What may be named in it. Not Shopify: it has no plain end.
NAMES = frozenset({"AWS_ENDPOINT_URL", "HEARTBEAT_URL", "OLTP_DSN", "OPENLINEAGE_URL", "SMTP_URL", "STATE_HOST"})
_SERVICES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SECRETS_MANAGER")  # which boto3 reads by itself
_ENCRYPTED = {"SMTP_URL": "smtp+starttls:// or smtps://"}
DSN_FORM = "postgresql://user:password@host:5432/database"


def named(value: str) -> frozenset[str]:
    """The settings that a value of PLAIN_CONNECTIONS names.

    Raises:
        ConfigurationError: it names one that cannot be plain.
    """
    found = frozenset(name.strip() for name in value.split(",") if name.strip())
    if unknown := sorted(found - NAMES):
        raise ConfigurationError(f"{SETTING}: {unknown[0]} is none of {', '.join(sorted(NAMES))}", f"Correct {SETTING}")
    return found


def refuse_plain(setting: str, address: str, allowed: frozenset[str]) -> None:
    """Refuse an address under which something would leave this machine unencrypted.

    Raises:
        ConfigurationError: it does, and PLAIN_CONNECTIONS does not name the setting; the address is not repeated.
    """
    if setting not in allowed and goes_plain(address):
        raise ConfigurationError(f"{setting} is not encrypted, and leaves this machine", _cure(setting))


def refuse_plain_services(allowed: frozenset[str]) -> None:
    """The same for the endpoints of single services that boto3 finds in the environment.

    Raises:
        ConfigurationError: one is plain.
    """
    for name in _SERVICES:
        if "AWS_ENDPOINT_URL" not in allowed and goes_plain(os.environ.get(name, "")):
            raise ConfigurationError(f"{name} is not encrypted, and leaves this machine", _cure("AWS_ENDPOINT_URL"))


def verified_dsn(dsn: str, allowed: frozenset[str]) -> str:
    """OLTP_DSN, such that a server elsewhere has to show a certificate that is valid for its name.

    Raises:
        ConfigurationError: it is no connection string, or asks for less; no part of it is repeated.
    """
    from psycopg import ProgrammingError

    try:
        return verified(dsn) if "OLTP_DSN" not in allowed else dsn
    except ProgrammingError:
        raise ConfigurationError("OLTP_DSN is no PostgreSQL connection string", f"Use {DSN_FORM}") from None
    except UnverifiedError as error:
        raise ConfigurationError(
            f"OLTP_DSN asks for sslmode={error}, by which anybody may be the server",
            "Leave sslmode out, and name the certificate that signed the server's: sslrootcert=FILE, where this machine"
            f" does not trust it; or set {SETTING}=OLTP_DSN",
        ) from None


def tls_of_state(host: str | None, allowed: frozenset[str]) -> dict[str, Any]:
    """What a client of the state database is told of encryption; nothing for one on this machine."""
    if is_local(host) or "STATE_HOST" in allowed:
        return {}
    return {"sslmode": "verify-full", "sslrootcert": trusted_roots()}


def _cure(setting: str) -> str:
    wanted = f"Use {_ENCRYPTED.get(setting, 'https://')}"
    return f"{wanted}, or set {SETTING}={setting} where nobody listens on the way" if setting in NAMES else wanted
