"""A real PostgreSQL behind a proxy: who is at work is waited for, a connection that is dead is not."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingestion.postgres.silence import SilenceError
from ingestion.postgres.snapshot import OltpSource, Snapshot, server_time
from tests.faults.proxy import Fault, Proxy

if TYPE_CHECKING:
    from conftest import Oltp

pytestmark = pytest.mark.usefixtures("ends")

ROWS = sql.SQL("SELECT repeat('x', 1000) FROM generate_series(1, 2000)")


@pytest.fixture
def behind(oltp: Oltp) -> Iterator[tuple[Proxy, OltpSource]]:
    """A proxy before the database, and the source through it, which is waited for half a second."""
    with Proxy(int(str(conninfo_to_dict(oltp.source.dsn)["port"]))) as proxy:
        dsn = make_conninfo(oltp.source.dsn, port=proxy.port)
        yield proxy, replace(oltp.source, dsn=dsn, silence_limit=0.5)


def test_a_server_that_computes_for_long_is_waited_for(behind: tuple[Proxy, OltpSource]) -> None:
    _, source = behind
    with Snapshot(source) as snapshot:
        assert snapshot.rows("SELECT 7 FROM pg_sleep(2)") == [(7,)]
        slow = snapshot.copy(sql.SQL("SELECT n, pg_sleep(1.2) FROM generate_series(1, 2) AS n"))
        assert b"".join(slow) == b'1,""\n2,""\n'


def test_a_question_whose_answer_never_arrives_is_given_up(behind: tuple[Proxy, OltpSource]) -> None:
    proxy, source = behind
    with Snapshot(source) as snapshot:
        proxy.set(Fault("stall", 5_000, each=True))  # more than the server needs to say what it is at
        with pytest.raises(SilenceError, match="has no work left for"):
            snapshot.rows("SELECT repeat('x', 100000)")


def test_rows_that_stop_coming_are_given_up(behind: tuple[Proxy, OltpSource]) -> None:
    proxy, source = behind
    with Snapshot(source) as snapshot:
        proxy.set(Fault("stall", 200_000, each=True))
        many = snapshot.copy(sql.SQL("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        with pytest.raises(SilenceError, match="waits for us to take its rows"):
            for _ in many:
                pass


def test_a_server_that_is_gone_without_a_word_is_given_up(behind: tuple[Proxy, OltpSource]) -> None:
    proxy, source = behind
    with Snapshot(replace(source, connect_timeout=2)) as snapshot:
        proxy.set(Fault("stall", 50_000))
        with pytest.raises(SilenceError, match="cannot be asked why"):
            for _ in snapshot.copy(ROWS):
                pass


def test_both_connections_are_kept_alive(behind: tuple[Proxy, OltpSource]) -> None:
    _, source = behind
    with Snapshot(replace(source, silence_limit=60)) as snapshot:
        assert len(b"".join(snapshot.copy(ROWS))) == 2000 * 1001
        assert snapshot._receiver
        receiving = snapshot._receiver.connection._transport.get_extra_info("socket").fileno()
        for number in (snapshot.connection.fileno(), receiving):
            with socket.socket(fileno=os.dup(number)) as opened:
                assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


def test_the_server_tells_its_time(behind: tuple[Proxy, OltpSource]) -> None:
    assert abs(datetime.now(UTC).replace(tzinfo=None) - server_time(behind[1])) < timedelta(minutes=1)
