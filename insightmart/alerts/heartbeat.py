"""A sign of life after each good cycle, for whoever watches from outside: a machine that is off sends no mail."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from ingestion.encryption import refuse_plain_request
from ingestion.retries import told_of
from insightmart.logs import silenced
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import AlertSettings
from insightmart.watchdog import within

TIMEOUT = 5  # seconds to connect, and as many for each word of the answer
SECONDS = 30.0  # for all of it, however slowly it comes
ATTEMPTS = 2


def beat(settings: AlertSettings, pause: float = 1.0) -> RunProblem | None:
    """GET the address of HEARTBEAT_URL, once more after ``pause`` seconds if that failed. Nothing is raised.

    Returns:
        What kept it from arriving, for people; the address, which is a secret, is not in it. None: it arrived, or
        there is nobody to send it to.
    """
    if settings.heartbeat_url is None:
        return None
    address = settings.heartbeat_url.get_secret_value()
    retrying = Retrying(
        retry=retry_if_exception_type(httpx.HTTPError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_fixed(pause),
        before_sleep=told_of("the heartbeat's address"),
        reraise=True,
    )
    try:
        with silenced("httpx"):  # which would log the address
            hooks = [] if "HEARTBEAT_URL" in settings.allowed_plain else [refuse_plain_request]
            within(SECONDS, lambda: retrying(_get, address, hooks))
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        return RunProblem(
            ProblemKind.REPORT,
            "heartbeat",
            f"the heartbeat did not arrive: {_reason(error)}",
            "Check HEARTBEAT_URL; nothing else depends on it",
        )
    return None


def _get(address: str, hooks: list[Callable[[httpx.Request], None]]) -> None:
    with httpx.Client(event_hooks={"request": hooks}, timeout=TIMEOUT, follow_redirects=True) as client:
        client.get(address).raise_for_status()


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"it was answered with {error.response.status_code}"
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return "nobody answers there"
    return type(error).__name__
