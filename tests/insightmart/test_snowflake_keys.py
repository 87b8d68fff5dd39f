"""The private key in every form that it is handed over in, and in those that are none."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from insightmart.errors import ConfigurationError
from insightmart.settings import load_settings
from insightmart.snowflake_keys import private_key
from insightmart.snowflake_sessions import credentials

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PLAIN = NoEncryption()
PASSPHRASE = 'quoted "and\\slashed'
ENCRYPTED = BestAvailableEncryption(PASSPHRASE.encode())


def pem(how: KeySerializationEncryption = PLAIN, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return KEY.private_bytes(Encoding.PEM, form, how).decode()


def der(how: KeySerializationEncryption = PLAIN) -> str:
    return base64.b64encode(KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, how)).decode()


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Sets the key, its passphrase and its path, and gives the settings."""

    def settings(key: str = "", passphrase: str = "", path: str = "") -> Any:
        monkeypatch.setenv("INSIGHTMART_HOME", str(tmp_path))
        monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "acme-one")
        monkeypatch.setenv("SNOWFLAKE_USER", "PIPELINE")
        monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY", key)
        monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", passphrase)
        monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PATH", path)
        return load_settings()

    return settings


@pytest.mark.parametrize(
    ("text", "passphrase"),
    [
        (pem(), ""),
        (pem(form=PrivateFormat.TraditionalOpenSSL), ""),
        (f"\n  {pem()}  \n", ""),
        (pem().replace("\n", "\\n"), ""),
        (pem().replace("\n", "\\r\\n"), ""),
        (pem().replace("\n", "\r\n"), ""),
        (pem().replace("\n", " "), ""),
        (f'"{pem()}"', ""),
        (der(), ""),
        (base64.b64encode(pem().encode()).decode(), ""),
        (pem(ENCRYPTED), PASSPHRASE),
        (pem(ENCRYPTED, PrivateFormat.TraditionalOpenSSL), PASSPHRASE),
        (pem(ENCRYPTED).replace("\n", "\\n"), PASSPHRASE),
        (der(ENCRYPTED), PASSPHRASE),
    ],
    ids=[
        "PEM",
        "PEM of OpenSSL",
        "spaces around",
        "\\n",
        "\\r\\n",
        "CRLF",
        "line ends lost",
        "in quotes",
        "DER",
        "PEM as base64",
        "encrypted",
        "encrypted, of OpenSSL",
        "encrypted, \\n",
        "encrypted DER",
    ],
)
def test_a_key_is_taken_in_every_form(handed_over: Any, tmp_path: Path, text: str, passphrase: str) -> None:
    settings = handed_over(text, passphrase)
    found = private_key(settings)
    assert found is not None
    assert load_der_private_key(found, None).private_numbers() == KEY.private_numbers()  # type: ignore[union-attr]
    assert credentials(settings)["private_key"] == found
    assert {text, passphrase} - {""} <= set(settings.secrets)

    (tmp_path / "key.p8").write_text(text, encoding="ascii")
    assert private_key(handed_over("", passphrase, str(tmp_path / "key.p8"))) == found


PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
WRONG = [
    ("encrypted, no passphrase", pem(ENCRYPTED), "", "is encrypted, and SNOWFLAKE_PRIVATE_KEY_PASSPHRASE is not set"),
    ("DER encrypted, no passphrase", der(ENCRYPTED), "", "is encrypted, and SNOWFLAKE_PRIVATE_KEY_PASSPHRASE is not"),
    ("wrong passphrase", pem(ENCRYPTED), "sesame", "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE does not open SNOWFLAKE_PRIVATE"),
    (
        "passphrase for nothing",
        pem(),
        "sesame",
        "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE is set, and SNOWFLAKE_PRIVATE_KEY is",
    ),
    ("public key", PUBLIC, "", "is the public key.* Hand over the private one"),
    ("public key in base64", "".join(PUBLIC.splitlines()[1:-1]), "", "is the public key"),
    ("certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "", "is the public key"),
    ("a part of it", pem()[:300], "", "is no private key in PEM"),
    ("garbage", "Tr0ub4dor&3", "", "is no private key in PEM"),
    ("garbage with a passphrase", "Tr0ub4dor&3", "sesame", "is no private key in PEM"),
    ("damaged", pem().replace("MII", "NII", 1), "", "is no private key in PEM"),
    (
        "too small",
        rsa.generate_private_key(public_exponent=65537, key_size=1024)
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode(),
        "",
        "is no RSA key of at least 2048 bits",
    ),
    (
        "of another kind",
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode(),
        "",
        "is no RSA key of at least 2048 bits",
    ),
]


@pytest.mark.parametrize(("text", "passphrase", "said"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_what_is_no_key_is_said_in_a_line_without_a_word_of_it(
    handed_over: Any, text: str, passphrase: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        credentials(handed_over(text, passphrase))
    line = str(refused.value)
    assert "\n" not in line
    assert not any(part in line for part in (*text.split(), passphrase) if len(part) > 12 and "-----" not in part)
    assert "Tr0ub4dor" not in line
    assert "sesame" not in line


def test_one_key_and_one_only(handed_over: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SNOWFLAKE_PRIVATE_KEY and SNOWFLAKE_PRIVATE_KEY_PATH are both set"):
        credentials(handed_over(pem(), "", str(tmp_path / "key.p8")))
    with pytest.raises(ConfigurationError, match="SNOWFLAKE_AUTHENTICATOR is snowflake_jwt, and there is no key"):
        credentials(handed_over())
