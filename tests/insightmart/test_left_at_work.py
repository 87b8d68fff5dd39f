"""After a take-over nothing of the dead writer is at work on Snowflake: a real PostgreSQL and real processes that are
killed, and a stand-in for the account that keeps what is at work in tables (``tests.support.fakesnow_session``)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from fakesnow.cursor import FakeSnowflakeCursor

from ingestion.warehouse import Warehouse
from insightmart import left_at_work
from insightmart.doctor.findings import Flaw
from insightmart.doctor.writer import STATE
from insightmart.errors import InsightMartError
from insightmart.gateway import open_warehouse
from insightmart.lock import _identity, writer_lock
from insightmart.settings import Settings, load_settings
from insightmart.snowflake_sessions import may_be_at_work
from sandbox.servers import postgres as server
from tests.support.fakesnow_session import AT_WORK, TRANSACTIONS, Session
from tests.support.fakesnow_session import fake_account as account_of
from tests.support.machines import Machines
from tests.support.postgres_server import running_postgres
from tests.support.snowflake_account import ACCOUNT

pytestmark = pytest.mark.slow


class Account:
    """What is at work in the account, and what it was asked."""

    def __init__(self, session: Session, warehouse: Warehouse) -> None:
        self.session, self._warehouse = session, warehouse

    def send(self, tag: dict[str, str], *, status: str = "running", session: int = 1, will_not: bool = False) -> str:
        """A statement of somebody's; its id."""
        name = str(uuid4())
        values = [name, session, json.dumps(tag, separators=(",", ":")), status, will_not]
        self._warehouse.execute(f"INSERT INTO {AT_WORK} VALUES (?, ?, ?, ?, ?)", values)
        return name

    def begin(self, number: int, session: int) -> None:
        self._warehouse.execute(f"INSERT INTO {TRANSACTIONS} VALUES (?, ?)", [number, session])

    def let_go(self) -> None:
        self._warehouse.execute(f"UPDATE {AT_WORK} SET will_not = FALSE")

    @property
    def at_work(self) -> set[str]:
        ended = "('success', 'failed_with_error')"
        rows = self._warehouse.rows(f"SELECT query_id FROM {AT_WORK} WHERE execution_status NOT IN {ended}")
        return {name for (name,) in rows}

    @property
    def transactions(self) -> set[int]:
        return {int(number) for (number,) in self._warehouse.rows(f"SELECT id FROM {TRANSACTIONS}")}

    @property
    def asked(self) -> list[str]:
        """What was asked about what is at work, and what was stopped."""
        signs = ("QUERY_HISTORY_BY_USER", "SHOW TRANSACTIONS", "SYSTEM$")
        return [said for said in self.session.statements if any(sign in said for sign in signs)]


@pytest.fixture(scope="module")
def admin_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_postgres(tmp_path_factory.mktemp("state")) as dsn:
        yield server.server_dsn(dsn)


@pytest.fixture
def machines(admin_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    machines = Machines(admin_dsn, tmp_path, f"of_{uuid4().hex[:12]}")
    for name, value in {**machines.settings("first"), **ACCOUNT}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(left_at_work, "PAUSE", 0.05)
    yield machines
    machines.end_all()


@pytest.fixture
def settings(machines: Machines) -> Settings:
    return load_settings()


@pytest.fixture
def account(settings: Settings, tmp_path: Path) -> Iterator[Account]:
    with account_of(tmp_path / "stages") as session, open_warehouse(settings) as warehouse:
        yield Account(session, warehouse)


def killed(machines: Machines, name: str, *more: str, says: str = "holds\n") -> str:
    """A writer of the same home that is killed while it holds the lease: what its statements have in their tag."""
    process = machines.start(name, *more, home="first")
    assert process.stdout
    assert process.stdout.readline() == says
    process.kill()
    process.wait()
    [(mark,)] = machines.ask("SELECT mark FROM insightmart.writer")
    return str(mark)


def unsettled(machines: Machines) -> list[object]:
    [(found,)] = machines.ask("SELECT unsettled FROM insightmart.writer")
    assert isinstance(found, list)
    return [one["mark"] for one in found]


def test_nothing_of_the_dead_one_is_at_work_before_the_next_one_writes(
    machines: Machines, settings: Settings, account: Account
) -> None:
    mark = killed(machines, "one")
    tag = {"app": "insightmart", "run": "cycle-20260306T1005-0a1b2c3d", "writer": mark}
    for status in ("running", "queued", "blocked", "resuming_warehouse", "a new status"):
        account.send(tag, status=status)
    account.send(tag, status="success", session=2)
    account.begin(11, session=1)
    account.begin(12, session=2)
    others = {account.send({"app": "insightmart", "writer": mark[1:]}, session=3), account.send({}, session=4)}
    account.begin(13, session=3)
    with writer_lock(settings, "cycle"):
        assert account.at_work == others
        assert account.transactions == {13}
        assert unsettled(machines) == []
        before = len(account.asked)
    assert before == 2 + 2 + 5 + 2 + 2  # history and transactions, all that is stopped, and both once more, twice
    with writer_lock(settings, "cycle"):
        pass
    assert len(account.asked) == before  # who gives it back in order leaves nothing to be asked


def test_what_will_not_end_keeps_the_next_one_from_writing(
    machines: Machines, settings: Settings, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_at_work, "LIMIT", 0.3)
    mark = killed(machines, "one")
    name = account.send({"writer": mark}, will_not=True)
    for _ in range(2):  # it is not forgotten by who was refused
        with pytest.raises(InsightMartError) as refused, writer_lock(settings, "cycle"):
            pytest.fail("it wrote")
        assert refused.value.cause == (
            "1 statements or transactions of `insightmart cycle`, which has died, are still at work on Snowflake after"
            f" 0 s ({name}); nothing was written"
        )
        assert unsettled(machines) == [mark]
    with pytest.raises(Flaw, match="`insightmart cycle` was killed, and what it has sent to Snowflake may still"):
        STATE["state"](settings)
    account.let_go()
    with writer_lock(settings, "cycle"):
        assert (account.at_work, unsettled(machines)) == (set(), [])
    assert STATE["state"](settings).endswith("answers; nobody is writing")


def test_who_is_killed_before_it_has_stopped_anything_leaves_it_to_the_next_one(
    machines: Machines, settings: Settings, account: Account
) -> None:
    marks = [killed(machines, "one"), killed(machines, "two", "stuck", says="waits\n")]
    for mark in marks:
        account.send({"writer": mark})
    with writer_lock(settings, "cycle"):
        assert account.at_work == set()


def test_a_writer_of_an_earlier_version_is_known_by_its_run(
    machines: Machines, settings: Settings, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease of one that knew of no marks, and stands as it left it."""
    run = "cycle-20260306T1005-0a1b2c3d"
    with psycopg.connect(machines.dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA insightmart")
        connection.execute(
            "CREATE TABLE insightmart.writer (is_only boolean PRIMARY KEY DEFAULT TRUE, token bigint, beats bigint,"
            " command text, host text, process integer, lock_file text, run_id text, since timestamptz,"
            " alive_at timestamptz, released_at timestamptz)"
        )
        values = "(3, 9, 'insightmart cycle', 'gone', 1, %s, %s, now(), now() - interval '1 hour')"
        named = "(token, beats, command, host, process, lock_file, run_id, since, alive_at)"
        with writer_lock(settings.model_copy(update={"gateway": "local"}), "cycle"):
            here = _identity(settings.home / "writer.lock")
        connection.execute(f"INSERT INTO insightmart.writer {named} VALUES {values}", [here, run])  # type: ignore[call-overload]
    account.send({"app": "insightmart", "run": run})
    other = account.send({"app": "insightmart", "run": f"{run}0"}, session=2)
    with writer_lock(settings, "cycle"):
        assert account.at_work == {other}


def test_what_another_user_has_sent_is_waited_for(
    machines: Machines, settings: Settings, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sees or stops another user's statements: Snowflake aborts them when nobody has waited for so long."""
    slept: list[float] = []
    monkeypatch.setattr(left_at_work.time, "sleep", slept.append)
    killed(machines, "one")
    machines.tell("UPDATE insightmart.writer SET sends_as = 'ANA', alive_at = now() - interval '100 seconds'")
    with writer_lock(settings, "cycle"):
        pass
    assert 180 < max(slept) <= 230
    assert not [said for said in account.asked if "SYSTEM$" in said]


def test_a_statement_that_nobody_has_waited_for_is_left_to_the_next_one(
    machines: Machines, settings: Settings, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cycle whose time is over gives the lease back, and a thread of it may still be sending."""
    goes_on, own = threading.Event(), open_warehouse(settings)
    with writer_lock(settings, "cycle"), monkeypatch.context() as patch:
        [(mark,)] = machines.ask("SELECT mark FROM insightmart.writer")
        patch.setattr(FakeSnowflakeCursor, "execute", lambda *_, **__: goes_on.wait())
        thread = threading.Thread(target=own.execute, args=["SELECT 1"])
        thread.start()
        while not may_be_at_work():
            pass
    try:
        assert unsettled(machines) == [mark]
        run = "cycle-20260306T1005-0a1b2c3d"
        machines.tell(f"UPDATE insightmart.writer SET unsettled = jsonb_set(unsettled, '{{0,run}}', '\"{run}\"')")
        account.send({"run": run, "writer": str(mark)})
        living = account.send({"run": run}, session=2)  # what the process goes on with, in the same run
        account.begin(12, session=2)
    finally:
        goes_on.set()
        thread.join()
        own.close()
    with writer_lock(settings, "cycle"):
        assert account.at_work == {living}
        assert account.transactions == {12}
