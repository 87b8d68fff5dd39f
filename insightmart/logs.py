"""One logger for everything: structured lines with the run id, without secrets."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from insightmart.settings import load_settings

_QUIET = (
    "soda",
    "dlt",
    "sqlmesh",
    "botocore",
    "boto3",
    "urllib3",
    "snowflake",
    "httpx",
    "httpcore",
    "filelock",
    "asyncio",
)


def configure_logging(debug: bool = False) -> None:
    """Send our own lines to standard error; the libraries' lines only with `debug`."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.CRITICAL, stream=sys.stderr, force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.INFO if debug else logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_secrets,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    secrets = load_settings().secrets
    for key, value in event.items():
        if isinstance(value, str):
            for secret in secrets:
                value = value.replace(secret, "***")
            event[key] = value
    return event
