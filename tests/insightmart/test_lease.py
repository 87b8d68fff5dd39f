"""One writer on several machines: real processes and a real PostgreSQL; who is refused, who takes over, who ends."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr
from sqlmesh.core.context import GenericContext
from sqlmesh.core.plan.evaluator import BuiltInPlanEvaluator
from sqlmesh.utils.errors import SQLMeshError

from insightmart import lease
from insightmart.cli import cli
from insightmart.doctor.examination import examine
from insightmart.errors import ConfigurationError, InsightMartError, LockedError
from insightmart.lease import is_held
from insightmart.lock import writer_lock
from insightmart.settings import Settings, load_settings
from insightmart.state_connection import StateDatabase
from insightmart.transform import sqlmesh_patches
from insightmart.transform.alone_on_prod import planned_alone
from sandbox.servers import postgres as server
from tests.faults.proxy import Fault, Proxy
from tests.support.machines import Machines
from tests.support.postgres_server import running_postgres

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def admin_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_postgres(tmp_path_factory.mktemp("state")) as dsn:
        yield server.server_dsn(dsn)


def one_lives_and_one_dies(machines: Machines) -> None:
    first = machines.start("first")
    assert machines.holds(first)
    machines.ask(  # a connection that breaks costs nobody the lock
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    code, said = machines.ended(machines.start("second"))
    assert code == 75
    assert f"`insightmart cycle` (process {first.pid} on {socket.gethostname()}) has been writing since 2" in said
    assert first.poll() is None

    first.kill()
    heirs = [machines.start("third"), machines.start("fourth")]
    held = [machines.holds(heir) for heir in heirs]
    codes, told = zip(*(machines.ended(heir) for heir in heirs), strict=True)
    assert (sorted(held), sorted(codes)) == ([False, True], [0, 75]), told
    assert machines.order() in (["first", "third"], ["first", "fourth"])


def one_dies_and_its_machine_goes_on(machines: Machines) -> None:
    first = machines.start("first")
    assert machines.holds(first)
    first.kill()
    first.wait()
    # nothing else can have had the lock of this home: this one would wait for hours otherwise
    second = machines.start("second", home="first", speed=0.001)
    assert machines.holds(second)
    assert machines.ask("SELECT token FROM insightmart.writer") == [(2,)]


def one_hears_nothing_of_the_database(machines: Machines) -> None:
    with Proxy(int(conninfo_to_dict(machines.dsn)["port"])) as proxy:
        first = machines.start("first", port=proxy.port)
        assert machines.holds(first)
        proxy.set(Fault("deaf"))
        second = machines.start("second")
        assert machines.holds(second)
        code, said = machines.ended(first)
    assert code == 75
    assert "insightmart: the writer's lock could not be renewed for 4 s: the state database (127.0.0.1:" in said
    assert machines.ended(second)[0] == 0
    assert machines.order() == ["first", "second"]  # not one line after the other one's first


def one_is_stopped_and_wakes_later(machines: Machines) -> None:
    first = machines.start("first")
    assert machines.holds(first)
    first.send_signal(signal.SIGSTOP)
    second = machines.start("second")
    assert machines.holds(second)
    first.send_signal(signal.SIGCONT)
    assert machines.ended(first)[0] == -signal.SIGALRM
    assert machines.ended(second)[0] == 0
    assert machines.order() == ["first", "second"]


def one_has_slept_with_its_machine(machines: Machines) -> None:
    first = machines.start("first")
    assert machines.holds(first)
    first.send_signal(signal.SIGUSR1)  # its clock goes on by a minute, as after a sleep
    assert first.wait(timeout=60) == 75
    assert "could not be renewed for 4 s: the process stood still" in machines.ended(first)[1]


def test_of_all_who_want_to_write_one_does(admin_dsn: str, tmp_path: Path) -> None:
    """The scenes wait for bounds most of the time, so they play side by side."""
    scenes: list[Callable[[Machines], None]] = [
        one_lives_and_one_dies,
        one_dies_and_its_machine_goes_on,
        one_hears_nothing_of_the_database,
        one_is_stopped_and_wakes_later,
        one_has_slept_with_its_machine,
    ]
    machines = [Machines(admin_dsn, tmp_path, scene.__name__) for scene in scenes]
    try:
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(scene, own) for scene, own in zip(scenes, machines, strict=True)]:
                done.result()
    finally:
        for own in machines:
            own.end_all()


def test_plain_sqlmesh_keeps_off_prod_while_somebody_writes(
    admin_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What holds it off is what SQLMesh was given; what it would have done is none of this test's business."""
    machines = Machines(admin_dsn, tmp_path, "beside_sqlmesh")
    for name, value in machines.settings("sqlmesh").items():
        monkeypatch.setenv(name, value)
    prod, dev = (SimpleNamespace(environment=SimpleNamespace(name=name)) for name in ("prod", "dev"))
    planned = planned_alone(lambda _, plan: (plan.environment.name, is_held()))
    for place in (BuiltInPlanEvaluator.evaluate, GenericContext.run):
        assert place.changed_by == sqlmesh_patches.__name__  # type: ignore[attr-defined]
    assert (planned(None, prod), planned(None, dev)) == (("prod", True), ("dev", False))
    first = machines.start("first")
    try:
        assert machines.holds(first)
        with pytest.raises(SQLMeshError, match=rf"^`insightmart cycle` \(process {first.pid} on .* has been writing"):
            planned(None, prod)
        assert planned(None, dev) == ("dev", False)
    finally:
        assert machines.ended(first) == (0, "")


def test_commands_of_sqlmesh_that_write_keep_off_while_somebody_writes(
    admin_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = Machines(admin_dsn, tmp_path, "beside_its_commands")
    for name, value in machines.settings("sqlmesh").items():
        monkeypatch.setenv(name, value)
    first = machines.start("first")
    try:
        assert machines.holds(first)
        for words in (["--gateway", "snowflake", "janitor", "--ignore-ttl"], ["state", "import", "-i", "state.json"]):
            done = CliRunner().invoke(cli, ["sqlmesh", *words])
            assert isinstance(done.exception, LockedError), done.output
            assert f"`insightmart cycle` (process {first.pid} on" in str(done.exception)
    finally:
        assert machines.ended(first) == (0, "")
    # the others do not ask for the lock: the same lock file is held here
    with writer_lock(load_settings(), "cycle"):
        for words in (["janitor", "--help"], ["state", "--help"], ["--version"]):
            assert CliRunner().invoke(cli, ["sqlmesh", *words]).exit_code == 0
        assert isinstance(CliRunner().invoke(cli, ["sqlmesh", "migrate"]).exception, LockedError)
        elsewhere = CliRunner().invoke(cli, ["sqlmesh", "--gateway", "local", "janitor"]).exception
        assert str(elsewhere).startswith("the gateway is to be local, and INSIGHTMART_GATEWAY is snowflake. Set")


def test_a_holder_ends_before_another_one_takes_over() -> None:
    assert lease.BEAT + lease.ANSWER < lease.ENDED < lease.KILLED < lease.QUIET <= 60


def test_a_state_database_that_cannot_be_used_is_named_with_its_cure(admin_dsn: str, settings: Settings) -> None:
    at = conninfo_to_dict(admin_dsn)
    settings.gateway = "snowflake"

    def refused(**changed: object) -> InsightMartError:
        found = settings.model_copy(update=changed)
        with pytest.raises(InsightMartError) as error, writer_lock(found, "cycle"):
            pass
        assert "\n" not in str(error.value)
        assert not list(settings.home.glob("*.duckdb"))
        return error.value

    assert isinstance(refused(), ConfigurationError)  # STATE_HOST is not set
    here = {"state_host": "127.0.0.1", "state_port": int(at["port"]), "state_user": "postgres"}
    right = here | {"state_password": SecretStr(str(at["password"])), "state_database": "postgres"}
    reached = settings.model_copy(update=right)
    assert [one.detail.partition("; ")[2] for one in examine(reached, ["state"])] == ["nobody is writing"]
    with writer_lock(reached, "cycle"):
        (held,) = examine(reached, ["state"])
    assert (held.status, f"(process {os.getpid()} on" in held.detail) == ("ok", True)
    wrong = refused(**right | {"state_password": SecretStr("hunter2-never-shown")})
    assert "password authentication failed" in wrong.cause
    assert wrong.cure == "Check STATE_USER and STATE_PASSWORD"
    assert "hunter2" not in str(wrong)
    assert refused(**right | {"state_database": "nowhere"}).cure == "Check STATE_DATABASE"
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        silent = settings.model_copy(update=right | {"state_port": port})
        with pytest.raises(InsightMartError, match="no answer in 1 s"):
            StateDatabase(silent).ask("SELECT 1", seconds=1)
    gone = refused(**right | {"state_port": port})
    assert f"127.0.0.1:{port}" in gone.cause
    assert "Connection refused" in gone.cause
    assert "STATE_HOST and STATE_PORT" in gone.cure

    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE of_another")
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = {"state_user": "guest", "state_password": SecretStr("guest"), "state_database": "of_another"}
    denied = refused(**right | guest)
    assert "permission denied for database of_another" in denied.cause
    assert "create schemas" in denied.cure
