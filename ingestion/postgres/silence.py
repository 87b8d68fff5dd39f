"""A connection to the OLTP on which nothing is heard: a server that is at work is left in peace, a dead one given up.

A server says nothing while it looks for rows, for as long as its statement limit allows. So when a connection has been
silent for long the server is asked on another one what the first is at: only one that is computing is waited for. A
server that does not answer there either, that waits for us to take what never arrives, or has nothing left to do, will
never be heard of on the first one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from time import monotonic
from typing import Any, TypeVar

import asyncpg
import psycopg

T = TypeVar("T")

LOOK_SECONDS = 5.0  # that the server has for saying what a connection is at
PROBES = 3  # that TCP sends in vain before it takes a connection for dead


class SilenceError(psycopg.OperationalError):
    """Nothing more will come on this connection."""


class AttendedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection of psycopg's that is not waited for in vain. Set both attributes once it is open.

    Attributes:
        patience: seconds of silence before ``look`` is called; None: none is too long.
        look: returns where the server is at work, and raises SilenceError where it is not.
    """

    patience: float | None = None
    look: Callable[[], None]

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **named: Any) -> T:
        """Wait for what a statement of ours is answered."""
        return super().wait(gen if self.patience is None else self._attended(gen, self.patience), *arguments, **named)

    def _attended(self, gen: Generator[Any, Any, T], patience: float) -> Generator[Any, Any, T]:
        heard = monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = monotonic()
                elif monotonic() - heard >= patience:
                    self.look()
                    heard = monotonic()
                wanted = gen.send(ready)
        except StopIteration as done:
            result: T = done.value
            return result


def keepalives(patience: float) -> dict[str, int]:
    """What libpq is told, so that TCP notices a machine that is gone, and no firewall forgets a quiet connection."""
    idle, interval = _probing(patience)
    return {
        "keepalives": 1,
        "keepalives_idle": idle,
        "keepalives_interval": interval,
        "keepalives_count": PROBES,
        "tcp_user_timeout": round(patience * 1000),
    }


def keep_alive(connection: asyncpg.Connection, patience: float) -> None:
    """The same for asyncpg 0.32, which has no setting for it."""
    opened = connection._transport.get_extra_info("socket")
    if opened is None or opened.family == socket.AF_UNIX:
        return
    idle, interval = _probing(patience)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {"TCP_KEEPIDLE": idle, "TCP_KEEPINTVL": interval, "TCP_KEEPCNT": PROBES}.items():
        if hasattr(socket, name):  # not on every system
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _probing(patience: float) -> tuple[int, int]:
    """After how many seconds TCP looks whether the other side is there, and how often then."""
    return max(1, round(patience / 2)), max(1, round(patience / 2 / PROBES))


def look_beside(dsn: str, other: psycopg.Connection, pid: int, patience: float) -> None:
    """Ask the server, on a new connection, what one that is silent is at; return where it is computing.

    Args:
        dsn: of the source.
        other: a connection that was opened with it, to know which of several hosts was taken.
        pid: of the server's process behind the silent connection.
        patience: for how many seconds it has been silent.

    Raises:
        SilenceError: nothing more will come on it.
    """
    silent = f"the server has sent nothing for {patience:g} s"

    def give_up() -> None:
        raise SilenceError(f"{silent}, and does not say why on another connection either")

    try:
        with AttendedConnection.connect(
            dsn,
            host=other.info.host,
            port=other.info.port,
            connect_timeout=round(LOOK_SECONDS),
            application_name="insightmart",
        ) as beside:
            beside.patience, beside.look = min(patience, LOOK_SECONDS), give_up
            found = beside.execute(
                "SELECT state, COALESCE(wait_event_type, '') FROM pg_stat_activity WHERE pid = %s", [pid]
            ).fetchone()
    except SilenceError:
        raise
    except psycopg.Error as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise SilenceError(f"{silent}, and cannot be asked why: {why}") from None
    if found is None or str(found[0]).startswith("idle"):
        raise SilenceError(f"{silent} on a connection that it has no work left for: the connection is dead")
    if found[1] == "Client":
        raise SilenceError(f"{silent} that arrived: it waits for us to take its rows, and the connection is dead")
