"""What goes wrong in a way the user can act on: one line with the cause and the cure."""

from __future__ import annotations

import errno
import os
from datetime import datetime

DONE = 0
FAILED = 1  # a gate, a source or a step failed
USAGE = 2  # wrong usage or configuration
LOCKED = 75  # another cycle holds the lock, or may by now

_NOT_ALLOWED = (
    "Run it as the user whom the files belong to, or give this one the right to read and write them (a command that ran"
    " as root leaves files of root: `chown -R`)"
)
_NO_ROOM = "Make room on that disk; then the same command does what is left"
_NO_MEMORY = "Give the machine, container or user more memory (`ulimit -v`); then the same command does what is left"
_CURES = {
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: "Name a folder that can be written to",
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EMFILE: "Let this user open more files at once (`ulimit -n`)",
    errno.ENFILE: "Let this machine open more files at once",
}


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


def of_this_machine(error: BaseException) -> InsightMartError | None:
    """What is said of an error of this machine: no right, no room, no memory, too many files; None of any other error.

    DuckDB's own errors have no number, only the words of the system.
    """
    what = (str(error).splitlines() or [""])[0]
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryException":
        return InsightMartError(what or "there is no memory left", _NO_MEMORY)
    if isinstance(error, OSError):
        number = error.errno
    elif type(error).__name__ == "IOException":
        number = next((one for one in _CURES if os.strerror(one) in str(error)), None)
    else:
        return None
    if number not in _CURES:
        return None
    if isinstance(error, OSError):
        what = f"{error.filename or 'what is to be written'}: {os.strerror(number)}"
    return InsightMartError(what, _CURES[number])
