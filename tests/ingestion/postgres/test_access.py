"""Who reads the PostgreSQL source, from where and for how long: the read-only role, replicas, time-outs."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tenacity import Retrying, stop_after_delay, wait_fixed

from ingestion.clock import utc_now
from ingestion.loading.context import IngestContext, SourceError
from ingestion.postgres import snapshot as postgres_snapshot
from ingestion.postgres.snapshot import Snapshot
from ingestion.postgres.source import OltpSource, ingest
from insightmart.settings import PROJECT, Settings
from insightmart.sources import source_of
from sandbox.servers import postgres as server

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]


@pytest.fixture
def reader(oltp: Oltp, oltp_dsns: tuple[str, str]) -> Iterator[str]:
    """DSN of a role made by deploy/postgres/reader.sql, under another name: the sandbox has that one."""
    script = (PROJECT / "deploy/postgres/reader.sql").read_text().replace("insightmart_reader", "role_of_the_script")
    oltp.admin.execute(script.encode())
    password = secrets.token_hex(8)
    oltp.admin.execute(f"ALTER ROLE role_of_the_script PASSWORD '{password}'")
    oltp.execute("GRANT CONNECT ON DATABASE shop TO role_of_the_script")  # the sandbox took it from the public
    oltp.execute("CREATE TABLE salaries (amount int)")
    yield make_conninfo(oltp_dsns[0], user="role_of_the_script", password=password)
    oltp.execute("DROP TABLE salaries")
    oltp.execute("DROP OWNED BY role_of_the_script")
    oltp.execute("DROP ROLE role_of_the_script")


def test_the_documented_role_is_enough_to_load_and_may_not_do_more(at: At, oltp: Oltp, reader: str) -> None:
    oltp.add("orders", order_id=1, total_amount=1, updated_at="2026-03-05 09:00+00")
    oltp.add("products", sku="A", updated_at="2026-03-05 09:00+00")
    results = ingest(at("2026-03-05T10:00"), replace(oltp.source, dsn=reader))
    assert [result.rows for result in results] == [1, 0, 0, 0, 1]
    with psycopg.connect(reader, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("INSERT INTO orders (order_id) VALUES (2)")
        connection.execute("SET default_transaction_read_only = off")
        for statement in (
            "INSERT INTO orders (order_id) VALUES (2)",
            "UPDATE orders SET status = 'x'",
            "DELETE FROM orders",
            "TRUNCATE orders",
            "CREATE TABLE mine (n int)",
            "SELECT * FROM salaries",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_time_out_of_the_settings_is_the_servers(oltp: Oltp, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, OLTP_DSN=oltp.source.dsn, OLTP_STATEMENT_TIMEOUT=17, _env_file=None)  # type: ignore[call-arg]
    with Snapshot(source_of(settings, "oltp")) as snapshot:
        assert snapshot.rows("SHOW statement_timeout") == [("17s",)]
        assert snapshot.rows("SHOW transaction_isolation") == [("repeatable read",)]
        assert snapshot.rows("SHOW transaction_read_only") == [("on",)]


def test_the_watermark_is_of_the_sources_clock(at: At, oltp: Oltp) -> None:
    """A machine that is ahead by ten minutes, and a row that is committed in the meantime."""
    now = utc_now()
    context = replace(at((now + timedelta(minutes=10)).isoformat()), is_now=True)
    oltp.add("orders", order_id=1, updated_at=(now - timedelta(minutes=1)).replace(tzinfo=UTC))
    oltp.add("orders", order_id=2, updated_at=(now + timedelta(minutes=5)).replace(tzinfo=UTC))
    (result,) = ingest(context, oltp.source, entities=["orders"])
    assert (result.rows, result.source_count) == (1, 1)
    assert result.covered_through is not None
    assert now <= result.covered_through <= utc_now()
    simulated = replace(context, is_now=False)  # a time that was asked for is nobody's clock
    (again,) = ingest(simulated, oltp.source, entities=["orders"])
    assert again.covered_through == context.as_of


def test_the_next_host_of_the_dsn_is_read_when_the_first_is_gone(at: At, oltp: Oltp) -> None:
    oltp.add("orders", order_id=1, total_amount=1, updated_at="2026-03-05 09:00+00")
    port = conninfo_to_dict(oltp.source.dsn)["port"]
    dsn = make_conninfo(
        oltp.source.dsn, host="127.0.0.1,127.0.0.1", port=f"1,{port}", target_session_attrs="prefer-standby"
    )
    (result,) = ingest(at("2026-03-05T10:00"), replace(oltp.source, dsn=dsn), entities=["orders"])
    assert result.rows == 1


# --- a real standby ----------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def connected(dsn: str) -> psycopg.Connection:
    for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.05), reraise=True):
        with attempt:
            return psycopg.connect(dsn, autocommit=True)
    raise AssertionError


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    """A primary with the OLTP tables and a streaming standby of it: connections of their superuser."""
    base, owner = tmp_path_factory.mktemp("replicated"), secrets.token_hex(8)
    directories = [server.choose_directory(base / name) for name in ("primary", "standby")]
    ports, log, running = [free_port(), free_port()], base / "postgres.log", []
    dsns = [f"postgresql://postgres:{owner}@127.0.0.1:{port}/shop" for port in ports]
    try:
        server.initialise(directories[0], owner, log)
        with (directories[0] / "data/postgresql.conf").open("a") as settings:
            settings.write("wal_level = replica\nmax_wal_senders = 2\n")
        running.append(server.start(directories[0], ports[0], log, None))
        connected(server.server_dsn(dsns[0])).close()
        server.create_database(dsns[0], owner)
        running[0].send_signal(signal.SIGINT)
        running[0].wait(timeout=30)
        shutil.copytree(directories[0] / "data", directories[1] / "data", symlinks=True)
        for wheel in directories[0].glob("wheel"):
            shutil.copytree(wheel, directories[1] / "wheel", symlinks=True)
        for path in directories[1].rglob("*"):
            shutil.chown(path, directories[0].stat().st_uid, directories[0].stat().st_gid)
        (directories[1] / "data/standby.signal").touch()
        with (directories[1] / "data/postgresql.conf").open("a") as settings:
            source = make_conninfo(server.server_dsn(dsns[0]))
            settings.write(f"hot_standby = on\nprimary_conninfo = '{source}'\n")
        running = [server.start(directories[n], ports[n], log, None) for n in (0, 1)]
        with connected(dsns[0]) as primary, connected(dsns[1]) as standby:
            yield primary, standby
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
        for directory in directories:
            shutil.rmtree(directory)


def until(condition: Callable[[], Any]) -> None:
    for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.05), reraise=True):
        with attempt:
            assert condition()


@pytest.mark.slow
def test_a_replica_that_lags_is_read_only_as_far_as_it_has_come(
    at: At, replicated: tuple[psycopg.Connection, psycopg.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, standby = replicated
    source = OltpSource(standby.info.dsn + f" password={primary.info.password}", attempts=1)

    def sell(order_id: int) -> None:
        primary.execute("INSERT INTO orders (order_id, updated_at) VALUES (%s, now() - interval '1 min')", [order_id])

    def arrived(column: str) -> bool:
        [(there,)] = primary.execute("SELECT pg_current_wal_insert_lsn()").fetchall()
        [(reached,)] = standby.execute(f"SELECT {column}() >= %s::pg_lsn", [there]).fetchall()
        return bool(reached)

    sell(1)
    until(lambda: arrived("pg_last_wal_replay_lsn"))
    with Snapshot(source) as snapshot:
        assert (
            snapshot.replica_lag == timedelta()
        )  # it is idle and has everything: not behind, however old the last change
    standby.execute("SELECT pg_wal_replay_pause()")
    [(shown,)] = standby.execute("SELECT pg_last_xact_replay_timestamp()").fetchall()
    sell(2)
    until(lambda: arrived("pg_last_wal_receive_lsn"))
    monkeypatch.setattr(postgres_snapshot, "CLOCK_TOLERANCE", timedelta())
    now = datetime.now(UTC)
    as_of = now.replace(tzinfo=None)
    context = at(as_of.isoformat())
    (result,) = ingest(context, source, entities=["orders"])
    assert result.rows == 1
    assert result.covered_through is not None
    assert as_of - result.covered_through >= now - shown > timedelta()
    standby.execute("SELECT pg_wal_replay_resume()")
    until(lambda: arrived("pg_last_wal_replay_lsn"))
    later = as_of + timedelta(hours=1)
    assert ingest(at(later.isoformat()), source, entities=["orders"])[0].rows == 2  # one of them again
    assert context.warehouse.rows("SELECT DISTINCT order_id FROM raw.oltp_orders ORDER BY 1") == [(1,), (2,)]


def test_a_replica_that_is_gone_is_explained(at: At) -> None:
    source = OltpSource("postgresql://x@127.0.0.1:1,127.0.0.1:2/shop", attempts=1)
    with pytest.raises(SourceError, match="Check OLTP_DSN"):
        ingest(at("2026-03-05T10:00"), source, entities=["orders"])


@pytest.mark.parametrize(("locked", "other"), [("orders", "customers"), ("customers", "orders")])
def test_what_cannot_be_read_of_one_keeps_no_other_back_and_is_read_by_the_next_cycle(
    at: At, oltp: Oltp, locked: str, other: str
) -> None:
    """Also what is read daily: it does not wait for the next day."""
    oltp.add("orders", order_id=1, updated_at="2026-03-05 00:01+00")
    oltp.add("customers", customer_id=7, updated_at="2026-03-05 00:01+00")
    ingest(at("2026-03-05T00:05"), oltp.source, entities=[locked, other])
    with oltp.admin.transaction():
        oltp.execute(f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SourceError, match="canceling statement due to statement timeout"):
            ingest(at("2026-03-06T00:05"), replace(oltp.source, statement_timeout=1), entities=[locked, other])
    again = at("2026-03-06T01:05")
    covered = dict(again.warehouse.rows("SELECT entity, covered_through FROM ops.source_watermarks"))
    assert covered == {other: datetime(2026, 3, 6, 0, 5), locked: datetime(2026, 3, 5, 0, 5)}
    results = {one.entity: one for one in ingest(again, oltp.source, entities=[locked, other])}
    assert results[locked].covered_through == again.as_of
