"""One writer: two cycles never overlap, and the second one says who holds the lock and since when."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ingestion.clock import utc_now
from insightmart.errors import LockedError
from insightmart.kept_private import make_home
from insightmart.lease import lease
from insightmart.settings import Settings

BOOT = Path("/proc/sys/kernel/random/boot_id")  # another one whenever a kernel starts


@contextmanager
def writer_lock(settings: Settings, command: str) -> Iterator[None]:
    """Hold the lock while writing to the warehouse: a file of this home and, where SQLMesh's state is in PostgreSQL, a
    lease there, so that no other machine writes either. Both end with the process.

    Raises:
        LockedError: another process holds it (exit code 75).
        ConfigurationError: the state database is not configured.
        InsightMartError: the state database cannot be used.
    """
    with (
        _lock_of_home(settings, command) as lock_file,
        lease(settings, f"insightmart {command}", lock_file) if is_shared(settings) else nullcontext(),
    ):
        yield


def is_shared(settings: Settings) -> bool:
    """Whether other machines reach the same warehouse, and SQLMesh's state is in PostgreSQL."""
    return settings.gateway != "local"


@contextmanager
def _lock_of_home(settings: Settings, command: str) -> Iterator[str]:
    """Hold the lock of this home, which the system releases when the process dies.

    Yields:
        A name of its file that no other file has, on any machine; empty where the system does not tell.
    """
    make_home(settings.home)
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
        except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged
            who = "another process is writing"
        raise LockedError(who, since) from None
    try:
        begun = f"{utc_now():%Y-%m-%d %H:%M:%S}"
        holder.write_text(json.dumps({"command": command, "pid": os.getpid(), "since": begun}), encoding="utf-8")
        yield _identity(Path(lock.lock_file))
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _identity(file: Path) -> str:
    """The kernel that runs here, and a file on it."""
    try:
        known = file.stat()
        return f"{BOOT.read_text(encoding='ascii').strip()}:{known.st_dev}:{known.st_ino}"
    except OSError:  # no Linux, or the home was deleted in this moment
        return ""
