"""The private key that the pipeline signs on to Snowflake with, whichever way it is handed over."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

from insightmart.errors import ConfigurationError

if TYPE_CHECKING:
    from insightmart.settings import Settings

KEY, PATH, PASSPHRASE = "SNOWFLAKE_PRIVATE_KEY", "SNOWFLAKE_PRIVATE_KEY_PATH", "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"
SMALLEST = 2048  # bits; Snowflake takes none below
MAKE_ONE = "openssl genrsa 2048 | openssl pkcs8 -topk8 -inform PEM makes one"

_PEM = re.compile(r"-----BEGIN (?P<kind>[A-Z0-9 ]+)-----(?P<body>.*?)-----END (?P=kind)-----", re.S)


def private_key(settings: Settings) -> bytes | None:
    """The private key, PKCS #8 in DER without encryption, as the connector takes it; None where a password is used.

    Taken are PEM, PEM whose line ends were lost or became ``\\n`` on the way, and PEM or DER in base64.

    Raises:
        ConfigurationError: it cannot be read, is none, or its passphrase is missing or wrong.
    """
    given, path = settings.snowflake_private_key, settings.snowflake_private_key_path
    if given and path:
        raise ConfigurationError(f"{KEY} and {PATH} are both set", "Set one of them")
    if given:
        return _opened(KEY, given.get_secret_value(), settings)
    if path is None:
        return None
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{PATH}: {path} cannot be read ({type(error).__name__})", "Name a PEM file that this user may read"
        ) from None
    return _opened(f"{PATH}: {path}", text, settings)


def _opened(name: str, text: str, settings: Settings) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    kind, content = _content(text)
    secret = settings.snowflake_private_key_passphrase
    passphrase = secret.get_secret_value().encode() if secret else None
    load: Any = serialization.load_pem_private_key if kind else serialization.load_der_private_key
    try:
        key = load(content, passphrase)
    except TypeError:  # a passphrase is missing, or there is nothing to use it for
        if passphrase:
            raise ConfigurationError(f"{PASSPHRASE} is set, and {name} is not encrypted", "Unset it") from None
        raise ConfigurationError(f"{name} is encrypted, and {PASSPHRASE} is not set", "Set it") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(*_why(name, kind, content, str(error))) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < SMALLEST:
        raise ConfigurationError(f"{name} is no RSA key of at least {SMALLEST} bits, as Snowflake asks", MAKE_ONE)
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _content(text: str) -> tuple[str, bytes]:
    """The kind that PEM says it is, nothing for DER; and the bytes to load."""
    text = text.replace("\\r", "").replace("\\n", "\n").strip().strip("\"'")
    if "-----BEGIN" not in text:
        try:
            decoded = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            return "", b""
        if b"-----BEGIN" not in decoded:
            return "", decoded
        text = decoded.decode("ascii", errors="replace")
    found = _PEM.search(text)
    if found is None:
        return "", b""
    body = found["body"]
    lines = body if "\n" in body.strip() else "\n".join(["", *body.split(), ""])
    return found["kind"], f"-----BEGIN {found['kind']}-----{lines}-----END {found['kind']}-----\n".encode()


def _why(name: str, kind: str, content: bytes, error: str) -> tuple[str, str]:
    """Why nothing could be loaded; never a word of what it is."""
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    is_public = "PUBLIC" in kind or "CERTIFICATE" in kind
    if not kind:
        try:
            is_public = bool(load_der_public_key(content))
        except ValueError:
            is_public = False
    if is_public:
        return f"{name} is the public key, which the user in Snowflake has", "Hand over the private one"
    if "password" in error.lower() or "decrypt" in error.lower():
        return f"{PASSPHRASE} does not open {name}", "Set the passphrase that the key was encrypted with"
    return f"{name} is no private key in PEM, or in DER as base64", f"Hand over all of the file; {MAKE_ONE}"
