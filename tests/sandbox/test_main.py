"""`python -m sandbox` from a shell: what its commands do, print, refuse and leave behind."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support.sandbox_home import PORT_SETTINGS, REPOSITORY, Home, eventually, is_gone, listens, ports, refuse

pytestmark = pytest.mark.slow


def test_env_can_be_evaluated_by_a_shell(home: Home, settings: dict[str, str]) -> None:
    lines = home.run("env").stdout
    names = [line.partition("=")[0].removeprefix("export ") for line in lines.splitlines()]
    script = lines + 'for name in "$@"; do eval "printf \'%s\\n\' \\"\\$$name\\""; done'
    values = subprocess.run(["sh", "-c", script, "sh", *names], capture_output=True, text=True, check=True).stdout
    assert dict(zip(names, values.splitlines(), strict=True)) == settings
    assert settings["INSIGHTMART_HOME"] == str(home.directory)
    assert "INSIGHTMART_AS_OF" not in names


def test_env_says_which_settings_of_the_shell_it_replaces(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLTP_DSN", "postgresql://secret@elsewhere/db")
    monkeypatch.setenv("INSIGHTMART_AS_OF", "2020-01-01")
    monkeypatch.delenv("INSIGHTMART_START", raising=False)
    said = home.run("env").stderr
    assert "replaces the value that this shell has for OLTP_DSN." in said and "secret" not in said
    monkeypatch.delenv("OLTP_DSN")
    assert "OLTP_DSN" not in home.run("env").stderr


def test_the_state_file_is_private_and_up_prints_no_secret(home: Home, settings: dict[str, str]) -> None:
    assert (home.files / "sandbox.json").stat().st_mode & 0o777 == 0o600
    printed = home.run("up", "--empty").stdout + home.run("status").stdout
    secrets = [settings["AWS_SECRET_ACCESS_KEY"], settings["SHOPIFY_TOKEN"], urlsplit(settings["OLTP_DSN"]).password]
    assert printed
    assert not [secret for secret in [*secrets, *map(str, ports(settings))] if str(secret) in printed]


def test_a_second_up_changes_nothing(home: Home, settings: dict[str, str]) -> None:
    state = (home.files / "sandbox.json").read_bytes()
    result = home.run("up", "--empty")
    assert (result.returncode, result.stderr) == (0, "")
    assert "already running" in result.stdout
    assert (home.files / "sandbox.json").read_bytes() == state
    assert all(map(listens, ports(settings)))


def test_advancing_an_empty_sandbox_moves_only_the_clock(home: Home, settings: dict[str, str]) -> None:
    def clock() -> str:
        return str(home.state()["clock"])

    before = clock()
    result = home.run("advance", "--hours", "24")
    assert result.returncode == 0
    assert clock()[:10] > before[:10]
    assert clock()[10:] == before[10:]
    with psycopg.connect(settings["OLTP_DSN"]) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_status_counts_what_is_there(home: Home) -> None:
    result = home.run("status")
    assert result.returncode == 0, result.stderr
    assert "PostgreSQL   answers" in result.stdout
    assert "0 PostgreSQL orders" in result.stdout


def test_up_fills_the_sources_and_advance_goes_on(own_home: Home) -> None:
    up = own_home.run("up", "--size", "tiny", "--preload-hours", "2", "--parent", str(os.getpid()))
    assert up.returncode == 0, up.stderr
    assert re.search(r"[1-9]\d* PostgreSQL customers, .*[1-9]\d* Shopify products, .*[1-9]\d* store files", up.stdout)
    assert own_home.env()["INSIGHTMART_AS_OF"] == "2026-03-05T02:00:00Z"
    assert own_home.env()["INSIGHTMART_START"] == "2026-03-05"

    advance = own_home.run("advance", "--hours", "1")
    assert advance.returncode == 0, advance.stderr
    settings = own_home.env()
    assert settings["INSIGHTMART_AS_OF"] == "2026-03-05T03:00:00Z"
    assert json.loads(own_home.run("truth").stdout)["clock"].startswith("2026-03-05T03:00:00")
    with psycopg.connect(settings["OLTP_DSN"], autocommit=True) as connection:
        row = connection.execute("SELECT count(*), max(updated_at) FROM customers").fetchone()
        refuse(connection, "INSERT INTO orders (order_id) VALUES (1)", "DELETE FROM orders", "TRUNCATE orders")
    assert row is not None
    assert row[0] > 0
    assert row[1] < datetime(2026, 3, 5, 3, tzinfo=UTC)


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_up_leaves_nothing_in_the_way(own_home: Home, request_to_end: signal.Signals) -> None:
    arguments = ["up", "--size", "tiny", "--preload-hours", "2000", "--parent", str(os.getpid())]
    with own_home.start(*arguments) as filling:
        assert eventually(lambda: own_home.state().get("phase") == "loading")
        processes = own_home.processes()
        assert own_home.run("advance", "--hours", "1").returncode == 1
        assert own_home.run("env").returncode == 1
        filling.send_signal(request_to_end)
    own_home.up()
    assert all(map(is_gone, processes))
    assert "INSIGHTMART_AS_OF" not in own_home.env()


def test_down_leaves_no_process_no_port_and_no_password(own_home: Home) -> None:
    own_home.up()
    settings, processes, cluster = own_home.env(), own_home.processes(), Path(own_home.state()["postgres_dir"])
    assert len(processes) >= 4  # supervisor, S3, Shopify and PostgreSQL, which has some of its own
    assert all(map(listens, ports(settings)))

    result = own_home.run("down")
    assert (result.returncode, result.stderr) == (0, "")
    assert [process for process in processes if not is_gone(process)] == []
    assert [port for port in ports(settings) if listens(port)] == []
    assert not cluster.exists()
    assert not [path for path in own_home.files.rglob("*") if path.suffix not in (".log", ".lock", "")]


def test_without_a_sandbox_down_is_quiet_and_env_says_what_to_do(own_home: Home) -> None:
    down, env = own_home.run("down"), own_home.run("env")
    assert (down.returncode, down.stdout, down.stderr) == (0, "", "")
    assert (env.returncode, env.stdout) == (1, "")
    assert env.stderr.count("\n") == 1
    assert "insightmart sandbox up" in env.stderr


def test_the_sandbox_ends_with_the_process_it_watches(own_home: Home) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        own_home.up(parent.pid)
        settings, processes = own_home.env(), own_home.processes()
        parent.kill()  # and not waited for: a zombie counts as gone
        assert eventually(lambda: all(map(is_gone, processes)))
    assert [port for port in ports(settings) if listens(port)] == []
    assert own_home.run("env").returncode == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent was killed")
def test_nothing_outlives_a_killed_supervisor_and_up_starts_afresh(own_home: Home) -> None:
    own_home.up()
    former, processes = own_home.env(), own_home.processes()
    os.kill(own_home.state()["processes"]["supervisor"]["pid"], signal.SIGKILL)
    assert eventually(lambda: all(map(is_gone, processes)))
    assert "has stopped" in own_home.run("env").stderr

    own_home.up()
    assert own_home.env()["OLTP_DSN"] != former["OLTP_DSN"]
    with psycopg.connect(own_home.env()["OLTP_DSN"]) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_an_unclean_home_does_not_stop_up(own_home: Home) -> None:
    (own_home.files / "postgres" / "data").mkdir(parents=True)
    (own_home.files / "postgres" / "data" / "PG_VERSION").write_text("9")
    own_home.up()
    assert len(ports(own_home.env())) == len(PORT_SETTINGS)


def test_a_postgres_that_cannot_write_is_one_line_that_names_its_log(own_home: Home) -> None:
    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))

    result = own_home.run("up", "--empty", preexec=no_large_files)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "PostgreSQL could not be set up: could not write" in result.stderr
    assert str(own_home.files / "postgres.log") in result.stderr
    assert not (own_home.files / "sandbox.json").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("up", "--size", "huge"), "no size 'huge'"),
        (("up", "--start", "yesterday"), "yesterday"),
        (("advance",), "--hours"),
        (("advance", "--hours", "0"), "0"),
        (("sideways",), "sideways"),
    ],
)
def test_wrong_usage_is_exit_2(own_home: Home, arguments: tuple[str, ...], complaint: str) -> None:
    result = own_home.run(*arguments)
    assert result.returncode == 2
    assert complaint in result.stderr


def test_failures_are_one_line_with_a_cure(own_home: Home, tmp_path: Path) -> None:
    blocked = Home(tmp_path / "file" / "home")
    (tmp_path / "file").touch()
    checkout = Home(REPOSITORY)
    nobody = own_home.run("up", "--empty", "--parent", str(2**31 - 1))
    for result, cure in (
        (blocked.run("up", "--empty"), "INSIGHTMART_HOME"),
        (checkout.run("up", "--empty"), "INSIGHTMART_HOME"),
        (nobody, "--parent"),
        (own_home.run("advance", "--hours", "1"), "insightmart sandbox up"),
        (own_home.run("truth"), "insightmart sandbox up"),
    ):
        assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
        assert cure in result.stderr


def test_truth_of_an_empty_sandbox_is_refused(home: Home) -> None:
    result = home.run("truth")
    assert result.returncode == 1
    assert "--empty" in result.stderr


def test_help_teaches_the_commands() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sandbox", "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for command in ("up", "env", "advance --hours 6", "truth", "down"):
        assert f"insightmart sandbox {command}" in result.stdout
