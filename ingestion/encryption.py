"""What leaves this machine is encrypted, and the other end shows a certificate that is valid for its name: the rule.

Plain connections are for this machine itself: loopback, or a socket in its file system.
"""

from __future__ import annotations

import os
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

VERIFIED = "verify-full"  # sslmode of PostgreSQL: encrypted, by a certificate that is trusted, of the host's name
_PLAIN = frozenset({"http", "smtp"})


def is_local(host: str | None) -> bool:
    """Whether a host, as a setting has it, is this machine: loopback, a socket in the file system, or none named."""
    name = (host or "").strip("[]").rstrip(".").lower()
    if not name or name[0] in "/@" or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def goes_plain(address: str) -> bool:
    """Whether what is sent to an address leaves this machine unencrypted; what is no address does not."""
    try:
        parts = urlsplit(address.strip())
        return parts.scheme.lower() in _PLAIN and not is_local(parts.hostname)
    except ValueError:
        return False


def refuse_plain_request(request: httpx.Request) -> None:
    """For the hooks of an HTTP client: no redirect leads from an encrypted address to a plain one elsewhere.

    Raises:
        httpx.UnsupportedProtocol: the request would go there.
    """
    if goes_plain(str(request.url)):
        import httpx

        raise httpx.UnsupportedProtocol("it leads to an address that is not encrypted")


def trusted_roots() -> str:
    """The file of certificates by which a PostgreSQL server is judged: PGSSLROOTCERT, root.crt in ~/.postgresql, else
    what this machine trusts."""
    stated = os.environ.get("PGSSLROOTCERT", "")
    own = Path("~/.postgresql/root.crt").expanduser()
    if stated and stated != "system":  # asyncpg does not know that word
        return stated
    if not stated and own.is_file():
        return str(own)
    return ssl.get_default_verify_paths().cafile or str(own)


class UnverifiedError(Exception):
    """A connection string of PostgreSQL that asks for less than a verified connection."""


def verified(dsn: str) -> str:
    """The connection string, such that a server elsewhere has to show a certificate; one of this machine as it is.

    Raises:
        UnverifiedError: it asks for something weaker itself (``sslmode``).
        psycopg.ProgrammingError: it is no connection string.
    """
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    stated = conninfo_to_dict(dsn)
    environment = {"hostaddr": "PGHOSTADDR", "host": "PGHOST", "sslmode": "PGSSLMODE", "service": "PGSERVICE"}
    found = {name: str(stated.get(name) or os.environ.get(variable, "")) for name, variable in environment.items()}
    hosts = (found["hostaddr"] or found["host"]).split(",")
    if not found["service"] and all(map(is_local, hosts)):
        return dsn
    if found["sslmode"] not in ("", VERIFIED):
        raise UnverifiedError(found["sslmode"])
    roots = stated.get("sslrootcert")
    return make_conninfo(dsn, sslmode=VERIFIED, sslrootcert=trusted_roots() if roots in (None, "system") else roots)
