"""A cycle that is past its time is ended: it is asked to first, and where nothing in it hears that, the process ends.

It is asked by a signal, which interrupts whatever the main thread is at: a statement of DuckDB's, a wait for a source
or for another thread. On Snowflake a statement that other threads wait for is stopped by the account, when the session
that sent it is gone (ABORT_DETACHED_QUERY) or its own limit is reached. What happened is then recorded, told and shown
as ever, and the next cycle does what is left.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from insightmart.errors import FAILED
from insightmart.logs import kept, put_within
from insightmart.progress import under_way

T = TypeVar("T")

SIGNAL = signal.SIGUSR2  # no library here uses it; Ctrl-C and `kill` mean what they always do
AGAIN = 2.0  # seconds until a cycle is asked once more: a library may have taken it for a failure of a statement
GRACE = 120.0  # seconds after its limit in which a cycle has to record and to tell what happened
RECORDING = 5.0  # seconds of them to record that it could not
LOGGING = 10.0  # seconds beyond it for the log to be put at KEPT_URL

_left_alone: list[threading.Thread] = []


class TimeIsUp(BaseException):
    """The cycle's time is over; raised where the main thread stands."""


def _nothing() -> None:
    pass


class Watchdog:
    """The time of a cycle; made by ``watched``.

    Attributes:
        at: the steps that were under way when the time was over.
    """

    def __init__(self) -> None:
        self.at: list[str] = []
        self._timers: list[threading.Timer] = []
        self._is_asking = False
        self._stop: Callable[[], None] = _nothing

    def begin(
        self, seconds: float | None, record: Callable[[], None] = _nothing, stop: Callable[[], None] = _nothing
    ) -> None:
        """A cycle begins.

        Args:
            seconds: that it has; None: as long as it takes.
            record: writes down that the process had to be ended, on a connection of its own.
            stop: stops the statements under way: DuckDB's own threads go on with one that a signal has interrupted.
        """
        self.end()
        self._stop = stop
        if seconds is not None and threading.current_thread() is threading.main_thread():
            self._is_asking = True
            self._after(seconds, self._ask)
            self._after(seconds + GRACE, lambda: self._end_process(record))

    def is_up(self, error: BaseException) -> bool:
        """Whether an error says that the time is over, or is what a library has made of that. It is not asked again."""
        caused: BaseException | None = error
        while caused is not None and not isinstance(caused, TimeIsUp):
            caused = caused.__cause__ or caused.__context__
        if caused is not None:
            self.conclude()
        return caused is not None

    def conclude(self) -> None:
        """Only what has to be recorded and told is left, which may take the rest of the time and the grace."""
        self._is_asking = False

    def end(self) -> None:
        """The cycle is over."""
        self._is_asking = False
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    def interrupt(self, *_: object) -> None:
        """What the signal does, in the main thread.

        Raises:
            TimeIsUp: unless nobody is asked any more.
        """
        if self._is_asking:
            self.at = self.at or under_way()
            with suppress(Exception):  # what could not be stopped is waited for, until the process is ended
                self._stop()
            raise TimeIsUp

    def _after(self, seconds: float, work: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, work)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _ask(self) -> None:
        if self._is_asking:
            signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)
            self._after(AGAIN, self._ask)

    def _end_process(self, record: Callable[[], None]) -> None:
        writing = threading.Thread(target=_quietly, args=[record], daemon=True)
        writing.start()
        writing.join(RECORDING)
        kept("ended", exit_code=FAILED, error="the cycle's time was over and it did not end by itself")
        with suppress(OSError, ValueError):
            print(
                "insightmart: the cycle's time was over and it did not end by itself: the process ends", file=sys.stderr
            )
            sys.stderr.flush()
        with suppress(Exception):
            put_within(LOGGING)
        os._exit(FAILED)


def within(seconds: float, work: Callable[[], T]) -> T:
    """What the work returns; for what has limits for each wait, and no sum of them. What takes longer is left alone.

    Raises:
        TimeoutError: it took longer.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def do() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 raised for whoever waits
            failed.append(error)

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        leave_alone(thread)
        raise TimeoutError
    return done[0]


def leave_alone(thread: threading.Thread) -> None:
    """Nobody waits for it any more; nor must the process, when it ends."""
    _left_alone.append(thread)


def is_kept_waiting() -> bool:
    """Whether Python would wait for something at its end that nobody waits for."""
    return any(thread.is_alive() for thread in _left_alone)


def _quietly(record: Callable[[], None]) -> None:
    with suppress(Exception):  # the next cycle finds a run that was killed
        record()


@contextmanager
def watched() -> Iterator[Watchdog]:
    """A watchdog for the cycles that begin inside. It does nothing outside of the main thread, which gets signals."""
    watchdog = Watchdog()
    if threading.current_thread() is not threading.main_thread():
        yield watchdog
        return
    before = signal.signal(SIGNAL, watchdog.interrupt)
    try:
        yield watchdog
    finally:
        watchdog.end()
        signal.signal(SIGNAL, before)
