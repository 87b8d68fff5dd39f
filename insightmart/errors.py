"""What goes wrong in a way the user can act on: one line with the cause and the cure."""

from __future__ import annotations

from datetime import datetime

DONE = 0
FAILED = 1  # a gate, a source or a step failed
USAGE = 2  # wrong usage or configuration
LOCKED = 75  # another cycle holds the lock, or may by now


def sentence(cause: str, cure: str = "") -> str:
    """Cause and cure as people read them, in one line."""
    return f"{cause.rstrip('.')}. {cure}" if cure else cause


class InsightMartError(Exception):
    """An expected failure.

    Args:
        cause: what happened, without secrets.
        cure: what to do about it.
        exit_code: one of DONE, FAILED, USAGE, LOCKED.
    """

    def __init__(self, cause: str, cure: str = "", exit_code: int = FAILED) -> None:
        super().__init__(sentence(cause, cure))
        self.cause = cause
        self.cure = cure
        self.exit_code = exit_code


class ConfigurationError(InsightMartError):
    """A setting is missing or makes no sense."""

    def __init__(self, cause: str, cure: str = "") -> None:
        super().__init__(cause, cure, USAGE)


class LockedError(InsightMartError):
    """Another process holds the lock; ``since``: UTC, by the real clock; None: nobody knows."""

    def __init__(self, who: str, since: datetime | None) -> None:
        super().__init__(who, "Try again when it has finished", LOCKED)
        self.since = since


class GateError(InsightMartError):
    """A critical check failed, or a scan could not run; nothing below the gate is published."""
