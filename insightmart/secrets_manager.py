"""Values that AWS Secrets Manager keeps: a setting names one as ``secretsmanager:NAME``, or ``secretsmanager:NAME#KEY``
for a key of a secret that is JSON. NAME may be an ARN.

Each secret is read once a process. Its value stays in the memory of this process: it gets into no environment, so that
no child has it who does not need it.
"""

from __future__ import annotations

import json
import threading
from typing import Any

PREFIX = "secretsmanager:"
TIMEOUT, ATTEMPTS = 5, 2  # seconds for a connection, and for an answer; how often it is asked

_answers: dict[tuple[str, str | None], Any] = {}  # (secret, endpoint) -> its content, or why it cannot be read
_no_answer: dict[str | None, Exception] = {}  # endpoint -> why it is asked for no other secret either
_one_at_a_time = threading.Lock()

_CAUSES = {
    "AccessDeniedException": ("may not be read with these credentials", "Allow their role secretsmanager:GetSecretValue"
                              " on it, and kms:Decrypt where it has a key of its own"),
    "DecryptionFailure": ("cannot be decrypted", "Allow the role kms:Decrypt on the key of the secret"),
    "InvalidRequestException": ("is marked for deletion", "Restore it, or name another one"),
    "ResourceNotFoundException": ("does not exist", "Create it, or correct the name or AWS_DEFAULT_REGION"),
}  # fmt: skip


class SecretError(Exception):
    """A secret that cannot be used: cause and cure, which name the setting and the secret, never a value."""

    def __init__(self, cause: str, cure: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.cure = cure


def is_named(value: object) -> bool:
    """Whether a setting names a secret instead of holding its value."""
    return isinstance(value, str) and value.startswith(PREFIX)


def secret_value(setting: str, named: str, endpoint_url: str | None = None) -> str:
    """The value that a setting names.

    Args:
        setting: the variable, for messages.
        named: ``secretsmanager:NAME`` or ``secretsmanager:NAME#KEY``.
        endpoint_url: another endpoint than AWS's own.

    Raises:
        SecretError: there is no such secret or key, it may not be read, or nobody answers.
    """
    name, has_key, key = named.removeprefix(PREFIX).partition("#")
    if not name or (has_key and not key):
        raise SecretError(f"{setting} names no secret", f"Set it to {PREFIX}NAME or {PREFIX}NAME#KEY")
    with _one_at_a_time:
        if (name, endpoint_url) not in _answers:
            _answers[name, endpoint_url] = _ask(name, endpoint_url)
        answer = _answers[name, endpoint_url]
    if isinstance(answer, Exception):
        raise SecretError(*_why(setting, name, answer))
    text: str | None = answer.get("SecretString")
    if text is None:
        raise SecretError(f"{setting}: the secret {name} is binary", "Store it as text")
    if has_key:
        text = _part(setting, name, key, text)
    text = text.strip("\r\n")  # of the file that it was stored from
    if not text.strip():
        raise SecretError(f"{setting}: the secret {name} is empty", f"Store the value of {setting} in it")
    return text


def _ask(name: str, endpoint_url: str | None) -> Any:
    """What the service answers, or the error; once it was not reached, it is not asked again."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

    if endpoint_url in _no_answer:
        return _no_answer[endpoint_url]
    patience = Config(
        connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"mode": "standard", "total_max_attempts": ATTEMPTS}
    )
    region = name.split(":")[3] if name.startswith("arn:") and name.count(":") > 5 else None
    try:
        client = boto3.Session().client(
            "secretsmanager", region_name=region, endpoint_url=endpoint_url, config=patience
        )
        return client.get_secret_value(SecretId=name)
    except ClientError as error:
        return error
    except NoRegionError as error:  # an ARN says its region itself
        return error
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no address
        _no_answer[endpoint_url] = error
        return error


def _why(setting: str, name: str, error: Exception) -> tuple[str, str]:
    from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError

    if isinstance(error, NoRegionError):
        return f"{setting}: no region says where the secret {name} is", "Set AWS_DEFAULT_REGION, or name its ARN"
    if isinstance(error, NoCredentialsError):
        cure = "Give this process a role or a profile; it needs secretsmanager:GetSecretValue"
        return f"{setting}: no credentials of AWS to read the secret {name} with", cure
    if not isinstance(error, ClientError):
        cure = "Check the network (port 443, or an endpoint for it in the VPC), AWS_DEFAULT_REGION and AWS_ENDPOINT_URL"
        said = type(error).__name__
        return f"{setting}: Secrets Manager, which keeps the secret {name}, does not answer ({said})", cure
    code = str(error.response["Error"].get("Code", "unknown"))
    if code == "ResourceNotFoundException" and "staging label" in str(error):
        return f"{setting}: the secret {name} has no value yet", f"Put the value of {setting} in it"
    what, cure = _CAUSES.get(
        code, (f"cannot be read ({code})", "Check the credentials, AWS_DEFAULT_REGION and the name")
    )
    return f"{setting}: the secret {name} {what}", cure


def _part(setting: str, name: str, key: str, text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SecretError(f"{setting}: the secret {name} is no JSON object, it has no key {key}", "Leave out the key")
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SecretError(
            f"{setting}: the secret {name} has no text with the key {key}", "Correct the key or the secret"
        )
    return str(value)
