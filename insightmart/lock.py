"""One writer: two cycles never overlap, and the second one says who holds the lock and since when."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from filelock import FileLock, Timeout

from ingestion.clock import utc_now
from insightmart.errors import LOCKED, InsightMartError
from insightmart.settings import Settings


class LockedError(InsightMartError):
    """Another process holds the lock; ``since``: UTC, by the real clock; None: nobody knows."""

    def __init__(self, who: str, since: datetime | None) -> None:
        super().__init__(who, "Try again when it has finished", LOCKED)
        self.since = since


@contextmanager
def writer_lock(settings: Settings, command: str) -> Iterator[None]:
    """Hold the lock of this home while writing to its warehouse. The system releases it when the process dies.

    Raises:
        LockedError: another process holds it (exit code 75).
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    holder = settings.home / "writer.json"
    lock = FileLock(settings.home / "writer.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        since = None
        try:
            known = json.loads(holder.read_text(encoding="utf-8"))
            who = (
                f"`insightmart {known['command']}` (process {known['pid']}) has been writing since {known['since']} UTC"
            )
            since = datetime.fromisoformat(known["since"])
        except (OSError, ValueError, KeyError):
            who = "another process is writing"
        raise LockedError(who, since) from None
    try:
        begun = f"{utc_now():%Y-%m-%d %H:%M:%S}"
        holder.write_text(json.dumps({"command": command, "pid": os.getpid(), "since": begun}), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
