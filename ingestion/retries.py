"""What is asked of somebody once more is in the log: whom, why, and after how long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from tenacity import RetryCallState

AGAIN = "asked again"  # the event of its line
_WHY = "insightmart_why"


def told_of(whom: str) -> Callable[[RetryCallState], None]:
    """For ``before_sleep`` of tenacity: a line in the log before each further attempt.

    Args:
        whom: who is asked, as people call it.
    """

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = round(state.next_action.sleep, 1) if state.next_action else 0.0
        _line(whom, _reason(error), state.attempt_number, seconds=seconds)

    return tell


def tell_of_s3(
    attempts: int, request_dict: dict[str, Any], caught_exception: Exception | None = None, **_: Any
) -> None:
    """For botocore's event ``needs-retry``, which comes with each answer: a line for those to further attempts.

    Whether there is one is not known before it: why the one before failed is kept with the request until then.
    """
    context = request_dict["context"]
    if attempts > 1:
        _line("S3", context.get(_WHY, _reason(None)), attempts - 1)
    context[_WHY] = _reason(caught_exception)


def _line(whom: str, why: str, attempt: int, **more: float) -> None:
    structlog.get_logger().info(AGAIN, whom=whom, why=why, attempt=attempt, **more)


def _reason(error: BaseException | None) -> str:
    """An error's kind alone: its words may quote an address, and with it a secret."""
    return type(error).__name__.strip("_") if error else "no good answer"
