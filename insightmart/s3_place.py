"""A place in S3 that a setting names, where something of ours is put: its client, its failures in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from insightmart.errors import ConfigurationError, InsightMartError

TIMEOUT = 5  # seconds for a connection, and for an answer


class S3Place:
    """A prefix of a bucket.

    Args:
        setting: the variable that names it, for messages.
        url: ``s3://BUCKET/PREFIX``.
        rights: what the credentials need, for messages.
        endpoint_url: another S3 endpoint than AWS's own.
        attempts: how often a request is tried.

    Raises:
        ConfigurationError: the URL is no S3 location.
    """

    def __init__(self, setting: str, url: str, rights: str, endpoint_url: str | None = None, attempts: int = 2) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc:
            raise ConfigurationError(f"{setting} is no S3 location", f"Set {setting} to s3://BUCKET/PREFIX")
        self.setting, self.rights = setting, rights
        self.url, self.bucket = url.rstrip("/"), parts.netloc
        self.prefix = f"{parts.path.strip('/')}/" if parts.path.strip("/") else ""
        self.client = _client(endpoint_url, attempts)

    @contextmanager
    def explained(self, done: str) -> Iterator[Any]:
        """Failures of the bucket in words; hands out the class of those that are answers.

        Args:
            done: what was tried, as in ``cannot be written to``.

        Raises:
            InsightMartError: it does not answer, or refuses.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield ClientError
        except ClientError as error:
            cure = f"Check {self.setting}, AWS_ENDPOINT_URL and the credentials; they need {self.rights}"
            raise InsightMartError(f"{self.url} cannot be {done} ({code_of(error)})", cure) from None
        except (BotoCoreError, ValueError) as error:
            said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            cure = f"Check {self.setting}, AWS_ENDPOINT_URL, AWS_DEFAULT_REGION and the credentials"
            raise InsightMartError(f"{self.url} cannot be {done}: {said}", cure) from None


def code_of(error: Any) -> str:
    """What S3 calls a failure."""
    return str(error.response["Error"].get("Code", "unknown"))


def _client(endpoint_url: str | None, attempts: int) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=TIMEOUT,
        read_timeout=TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": attempts},
        signature_version="s3v4",
    )
    return boto3.client("s3", endpoint_url=endpoint_url, config=config)
