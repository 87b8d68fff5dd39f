"""The writer's lock in PostgreSQL, beside SQLMesh's state: a lease that its holder renews, and that ends with him.

The one row of ``insightmart.writer`` names the holder, who renews it every few seconds. Whoever wants to write and sees
it renewed is refused. Whoever sees it unchanged for ``QUIET`` seconds takes it over, and that is safe, because a holder
that could not renew it has ended himself by then, and because what he has sent to Snowflake is stopped there first
(``insightmart.left_at_work``). Nobody's clock is compared with another one's: each side counts seconds of its own, by a
clock that goes on while its machine sleeps.

Why no lock of a session (``pg_advisory_lock``): a restart or a failover of the server releases those at once, while
their holder still writes; any broken connection loses them, and with them a cycle of hours; and a pooler hands the
session to somebody else. A lease stands in a table, and is renewed over any connection.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

import structlog
from tenacity import Retrying, retry_if_result, wait_fixed

from insightmart.errors import LOCKED, InsightMartError, LockedError
from insightmart.left_at_work import DeadWriter, stop_what_is_left
from insightmart.logs import kept, put_within
from insightmart.runs import run_under_way
from insightmart.settings import Settings
from insightmart.snowflake_sessions import may_be_at_work, sending_as
from insightmart.state_connection import StateDatabase

BEAT = 5.0  # seconds between two renewals
ANSWER = 4.0  # seconds that one is waited for, before it is tried again over another connection
# Seconds since the last renewal that was confirmed, counted from when it was sent:
ENDED = 20.0  # the holder says so and ends himself
KILLED = 25.0  # where he cannot do even that, the kernel ends him, also a process that was stopped, when it wakes
QUIET = 30.0  # seconds that another one sees no renewal, before it takes over
LOOK = 1.0  # seconds between two looks at a lease

_TABLE = """
SELECT pg_advisory_xact_lock(hashtext('insightmart.writer'));
CREATE SCHEMA IF NOT EXISTS insightmart;
CREATE TABLE IF NOT EXISTS insightmart.writer (
    is_only boolean PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    token bigint NOT NULL, beats bigint NOT NULL,
    command text, host text, process integer, lock_file text, run_id text,
    since timestamptz, alive_at timestamptz, released_at timestamptz
);
ALTER TABLE insightmart.writer
    ADD COLUMN IF NOT EXISTS mark text, ADD COLUMN IF NOT EXISTS sends_as text,
    ADD COLUMN IF NOT EXISTS unsettled jsonb NOT NULL DEFAULT '[]';
INSERT INTO insightmart.writer (token, beats, released_at) VALUES (0, 0, clock_timestamp()) ON CONFLICT DO NOTHING
"""
# `unsettled`: holders of whom something may still be at work on Snowflake, until a later one has seen to it.
_LEFT = """
unsettled || jsonb_build_object(
    'command', command, 'mark', mark, 'run', run_id, 'user', sends_as, 'at', EXTRACT(EPOCH FROM alive_at)
)
"""
_IS_READY = "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('insightmart.writer') AND attname = 'unsettled'"
# Free, or of a process that is dead for certain, or seen for long enough without a renewal. Of two, one gets it.
_TAKE = f"""
UPDATE insightmart.writer
SET token = token + 1, beats = 0, command = %(command)s, host = %(host)s, process = %(process)s,
    lock_file = %(lock_file)s, run_id = NULL, since = clock_timestamp(), alive_at = clock_timestamp(),
    released_at = NULL, mark = %(mark)s, sends_as = %(sends_as)s,
    unsettled = CASE WHEN released_at IS NULL THEN {_LEFT} ELSE unsettled END
WHERE released_at IS NOT NULL OR lock_file = %(lock_file)s OR (token = %(token)s AND beats = %(beats)s)
RETURNING token, unsettled, EXTRACT(EPOCH FROM clock_timestamp())::float
"""
_RENEW = """
UPDATE insightmart.writer SET beats = beats + 1, alive_at = clock_timestamp(), run_id = %(run_id)s
WHERE token = %(token)s AND released_at IS NULL
RETURNING token
"""
_SETTLED = "UPDATE insightmart.writer SET unsettled = '[]' WHERE token = %(token)s"
_RELEASE = f"""
UPDATE insightmart.writer
SET released_at = clock_timestamp(), unsettled = CASE WHEN %(is_left)s THEN {_LEFT} ELSE unsettled END
WHERE token = %(token)s
"""
_HOLDER = """
SELECT command, host, process, since, EXTRACT(EPOCH FROM clock_timestamp() - alive_at)::float, token, beats
FROM insightmart.writer
WHERE released_at IS NULL
"""

log = structlog.get_logger()
_is_held = False


def is_held() -> bool:
    """Whether this process holds the lease."""
    return _is_held


@dataclass(frozen=True)
class Holder:
    """Who holds the lease.

    Attributes:
        command: what it runs, as it is typed: ``insightmart cycle``.
        host: its machine.
        process: its id there.
        since: when it took the lease, UTC, by the server's clock.
        silent_for: seconds since the last renewal.
        token: how often the lease has been taken.
        beats: how often this holder has renewed it.
    """

    command: str
    host: str
    process: int
    since: datetime
    silent_for: float
    token: int
    beats: int

    @property
    def words(self) -> str:
        """Who writes since when, for people."""
        who = f"`{self.command}` (process {self.process} on {self.host})"
        return f"{who} has been writing since {self.since:%Y-%m-%d %H:%M:%S} UTC"


def holder_of(database: StateDatabase) -> Holder | None:
    """Who holds the lease; None: nobody, also where nobody ever has.

    Raises:
        InsightMartError: the state database cannot be used.
    """
    if not database.ask("SELECT to_regclass('insightmart.writer') IS NOT NULL")[0][0]:
        return None
    for command, host, process, since, *counted in database.ask(_HOLDER):
        return Holder(command, host, process, since.astimezone(UTC).replace(tzinfo=None), *counted)
    return None


def unsettled_commands(database: StateDatabase) -> list[str]:
    """Commands of holders who died, of which something may still be at work on Snowflake: whoever takes the lease next
    stops it.

    Raises:
        InsightMartError: the state database cannot be used.
    """
    if not database.ask(_IS_READY):
        return []
    return [one["command"] for (found,) in database.ask("SELECT unsettled FROM insightmart.writer") for one in found]


def now() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine sleeps (`time.monotonic` does not)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@contextmanager
def lease(settings: Settings, command: str, lock_file: str) -> Iterator[None]:
    """Hold the lease while writing. A process that cannot renew it ends, without a word to its caller.

    What a holder who died has left at work on Snowflake is stopped first.

    Args:
        settings: where the state database is.
        command: what is run, as it is typed, for those who are refused.
        lock_file: names a file, and the running kernel that it is on, whose lock this process holds: a lease with the
            same one is of a process that is dead, and is taken over at once. Empty: there is no such file.

    Raises:
        LockedError: another process holds it, and is alive.
        InsightMartError: the state database cannot be used, or what a dead one has left cannot be stopped.
    """
    global _is_held
    database = StateDatabase(settings)
    mark = uuid.uuid4().hex[:16]
    try:
        taken = _take(database, command, lock_file, {"mark": mark, "sends_as": settings.snowflake_user})
        heart = _Heart(database, taken.token, taken.asked_at)
        _is_held = True
        with sending_as(mark):
            try:
                if taken.dead:
                    _settle(settings, taken)
                yield
            finally:
                _is_held = False
                heart.stop()
                _give_back(database, taken)
    finally:
        database.close()


@dataclass(frozen=True)
class _Taken:
    """A lease that was got: its token, when it was asked for, whom it was not given back by."""

    token: int
    asked_at: float
    dead: list[DeadWriter]


def _settle(settings: Settings, taken: _Taken) -> None:
    """Until it is noted as done, whoever comes next does it again. The heart beats on a connection of its own."""
    stop_what_is_left(settings, taken.dead)
    database = StateDatabase(settings)
    try:
        database.ask(_SETTLED, {"token": taken.token})
    finally:
        database.close()


def _give_back(database: StateDatabase, taken: _Taken) -> None:
    try:
        database.ask(_RELEASE, {"token": taken.token, "is_left": may_be_at_work()})
    except InsightMartError as error:
        log.warning("the writer's lock was not given back: the next one waits", seconds=QUIET, error=str(error))


def _take(database: StateDatabase, command: str, lock_file: str, sender: dict[str, str | None]) -> _Taken:
    if not database.ask(_IS_READY) or not database.ask("SELECT 1 FROM insightmart.writer"):
        database.ask(_TABLE)
    who = sender | {"command": command, "host": socket.gethostname(), "lock_file": lock_file or None}
    seen: Holder | None = None
    seen_at = 0.0

    def look() -> _Taken | None:
        nonlocal seen, seen_at
        asked_at = now()
        is_dead = seen is not None and asked_at - seen_at >= QUIET
        last = {"token": seen.token, "beats": seen.beats} if seen and is_dead else {"token": None, "beats": None}
        for token, unsettled, at in database.ask(_TAKE, who | {"process": os.getpid()} | last):
            dead = [
                DeadWriter(one["command"], one["mark"], one["run"], one["user"], at - (one["at"] or 0))
                for one in unsettled
            ]
            return _Taken(token, asked_at, dead)
        found = holder_of(database)
        if found and seen and (found.token, found.beats) != (seen.token, seen.beats):
            raise LockedError(found.words, found.since)
        if found and seen is None:
            seen, seen_at = found, now()
            if found.silent_for > BEAT + ANSWER:
                log.warning("no sign of life of the writer, whose lock is taken over", holder=found.words, within=QUIET)
        return None

    # it ends: within QUIET the lease is given back, renewed, or taken over
    taken = Retrying(retry=retry_if_result(lambda one: one is None), wait=wait_fixed(LOOK))(look)
    assert taken is not None
    return taken


class _Heart:
    """Renews a lease in a thread, and ends the process when it cannot."""

    def __init__(self, database: StateDatabase, token: int, asked_at: float) -> None:
        self._database = database
        self._token = token
        self._stopped = threading.Event()
        self._confirm(asked_at)
        self._thread = threading.Thread(target=self._live, name="writer's lock", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Renew it no more: there is nothing left to write."""
        self._stopped.set()
        self._thread.join()
        _let_the_kernel_end(None)

    def _live(self) -> None:
        due, reason = self._confirmed + BEAT, ""
        # after a sleep of the machine the rest of this wait comes first, so it is a short one
        while not self._stopped.wait(max(0.0, min(LOOK, due - now()))):
            asked_at = now()
            left = self._confirmed + ENDED - asked_at
            if left <= 0:
                said = (
                    f"the writer's lock could not be renewed for {ENDED:.0f} s: {reason or 'the process stood still'}"
                )
                _end(said, log_within=left + KILLED - ENDED - 1)  # the kernel waits no longer
            if asked_at < due:
                continue
            values = {"token": self._token, "run_id": run_under_way()}
            try:
                renewed = self._database.ask(_RENEW, values, seconds=min(ANSWER, left))
            except Exception as error:  # noqa: BLE001 whatever it is: the lease is not renewed
                reason = error.cause if isinstance(error, InsightMartError) else f"{type(error).__name__}: {error}"
                due = min(now() + LOOK, self._confirmed + ENDED)
                continue
            if not renewed:
                _end("another process has taken over the writer's lock")
            self._confirm(asked_at)
            due = now() + BEAT

    def _confirm(self, asked_at: float) -> None:
        self._confirmed = asked_at
        _let_the_kernel_end(asked_at + KILLED - now())


def _let_the_kernel_end(seconds: float | None) -> None:
    """End this process in so many seconds, whatever it does then; None: not any more.

    SIGALRM by its default needs no thread that gets its turn. Its seconds are those that the machine is awake: after a
    sleep the thread above is the first to see that it has been too long. A program that uses the signal for something
    else goes without.
    """
    if signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
        signal.setitimer(signal.ITIMER_REAL, 0 if seconds is None else max(seconds, 0.001))


def _end(why: str, log_within: float = 0) -> NoReturn:
    """End at once: an error raised here would reach nobody, and another process may write in a moment.

    Args:
        why: in words.
        log_within: seconds for the log to be put at KEPT_URL, which the next command does otherwise.
    """
    try:
        with suppress(Exception):
            said = f"{why}. This process ends, because another one may write from now on; the next cycle does the rest"
            os.write(2, f"insightmart: {said}\n".encode())
            kept("failed", error=said, exit_code=LOCKED)
            put_within(log_within)
    finally:
        os._exit(LOCKED)
