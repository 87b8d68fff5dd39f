"""The sandbox's services through their public door: `python -m sandbox`, and the protocols they speak."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import psutil
import psycopg
import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).resolve().parents[3]
PORT_SETTINGS = ("OLTP_DSN", "AWS_ENDPOINT_URL", "SHOPIFY_URL", "SMTP_URL")
# The contract of the OLTP source, column by column.
COLUMNS = {
    "customers": "customer_id bigint, email text, first_name text, last_name text, phone text, city text, region text, "
    "country character(2), postal_code text, loyalty_tier text, marketing_opt_in boolean, "
    "created_at timestamp with time zone, updated_at timestamp with time zone",
    "products": "sku text, name text, category text, brand text, unit_cost numeric(12,2), list_price numeric(12,2), "
    "is_active boolean, updated_at timestamp with time zone",
    "orders": "order_id bigint, customer_id bigint, store_id integer, channel text, status text, is_test boolean, "
    "currency character(3), ordered_at timestamp with time zone, discount_amount numeric(12,2), "
    "tax_amount numeric(12,2), shipping_amount numeric(12,2), total_amount numeric(12,2), "
    "updated_at timestamp with time zone",
    "order_lines": "order_id bigint, line_number integer, sku text, quantity integer, unit_price numeric(12,4), "
    "discount_amount numeric(12,2), tax_amount numeric(12,2), updated_at timestamp with time zone",
    "refunds": "refund_id bigint, order_id bigint, line_number integer, quantity integer, amount numeric(14,4), "
    "reason text, refunded_at timestamp with time zone, updated_at timestamp with time zone",
}


class Home:
    """An INSIGHTMART_HOME and the sandbox commands run in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files = directory / "sandbox"

    def start(self, *arguments: str, preexec: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=REPOSITORY,
            env=os.environ | {"INSIGHTMART_HOME": str(self.directory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=preexec,
        )

    def run(self, *arguments: str, preexec: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, preexec=preexec) as process:
            stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def up(self, parent: int | None = None) -> None:
        result = self.run("up", "--empty", "--parent", str(parent or os.getpid()))
        assert result.returncode == 0, result.stderr

    def env(self) -> dict[str, str]:
        result = self.run("env", "--json")
        assert result.returncode == 0, result.stderr
        settings: dict[str, str] = json.loads(result.stdout)
        return settings

    def state(self) -> dict[str, Any]:
        """The state file; empty when there is none."""
        with suppress(FileNotFoundError):
            state: dict[str, Any] = json.loads((self.files / "sandbox.json").read_text())
            return state
        return {}

    def processes(self) -> list[psutil.Process]:
        """Every process of the running sandbox: those on record and all below them."""
        recorded = [psutil.Process(mark["pid"]) for mark in self.state()["processes"].values()]
        return list({*recorded, *(child for process in recorded for child in process.children(recursive=True))})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with an empty sandbox that stays up for the whole module."""
    running = Home(tmp_path_factory.mktemp("shared"))
    running.up()
    yield running
    assert running.run("down").returncode == 0


@pytest.fixture(scope="module")
def settings(home: Home) -> dict[str, str]:
    """What `env` says of the shared sandbox."""
    return home.env()


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Home]:
    """A home without a sandbox, whatever the test leaves in it."""
    own = Home(tmp_path / "home with 'quotes'")
    yield own
    assert own.run("down").returncode == 0


def eventually(condition: Callable[[], bool]) -> bool:
    patience = Retrying(
        retry=retry_if_result(lambda value: not value),
        stop=stop_after_delay(30),
        wait=wait_fixed(0.05),
        retry_error_callback=lambda _: False,
    )
    return bool(patience(condition))


def ports(settings: dict[str, str]) -> list[int]:
    return [port for name in PORT_SETTINGS if (port := urlsplit(settings[name]).port)]


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended; one that nobody has reaped yet has."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_an_empty_sandbox_takes_ones_own_rows_and_no_other_change(settings: dict[str, str]) -> None:
    with psycopg.connect(settings["OLTP_DSN"], autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
        connection.execute("INSERT INTO orders (order_id) VALUES (1)")
        connection.execute("DELETE FROM orders")
        refuse(connection, "CREATE TABLE mine (x int)", "CREATE TEMPORARY TABLE mine (x int)", "DROP TABLE orders")


def refuse(connection: psycopg.Connection[tuple[Any, ...]], *statements: str) -> None:
    for statement in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_postgres_asks_for_a_password(settings: dict[str, str]) -> None:
    url = urlsplit(settings["OLTP_DSN"])
    for user in ("insightmart_reader", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host="127.0.0.1", port=url.port, dbname="shop", user=user, password="guess")


def test_the_tables_have_the_promised_columns_and_promise_nothing_else(settings: dict[str, str]) -> None:
    query = """
        SELECT relname, string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum > 0
        GROUP BY relname
    """
    constraints = """
        SELECT (SELECT count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
               (SELECT count(*) FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
                WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND attnotnull)
    """
    with psycopg.connect(settings["OLTP_DSN"]) as connection:
        assert dict(connection.execute(query).fetchall()) == COLUMNS
        assert connection.execute(constraints).fetchone() == (0, 0)


def test_s3_gives_back_what_was_put_and_keeps_what_was_overwritten(settings: dict[str, str]) -> None:
    bucket = urlsplit(settings["STORES_URL"]).netloc
    client = boto3.client(
        "s3",
        endpoint_url=settings["AWS_ENDPOINT_URL"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        region_name=settings["AWS_DEFAULT_REGION"],
    )
    key = "drops/inventory/2026/03/05/00/store_001.csv"
    client.put_object(Bucket=bucket, Key=key, Body=b"first")
    client.put_object(Bucket=bucket, Key=key, Body="späte Korrektur".encode("latin-1"))

    assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == b"sp\xe4te Korrektur"
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert len(client.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]) == 2


def test_a_mail_lands_as_an_eml_file(home: Home, settings: dict[str, str]) -> None:
    message = EmailMessage()
    message["From"] = "pipeline@insightmart.example"
    message["To"] = settings["REPORT_TO"]
    message["Subject"] = "Daily report \N{EN DASH} 2026-03-05: ../all/good?"
    message.set_content("Net sales: 12,345.67 €\n.\nA line of its own above.\n")
    with smtplib.SMTP("127.0.0.1", urlsplit(settings["SMTP_URL"]).port or 0, timeout=30) as client:
        client.send_message(message)
        client.sendmail("pipeline@insightmart.example", [settings["REPORT_TO"]], b"no headers at all")

    first, second = sorted((home.files / "inbox").iterdir())
    assert (first.name, second.name) == ("0001-daily-report-2026-03-05-all-good.eml", "0002-no-subject.eml")
    received = message_from_bytes(first.read_bytes())
    assert received["To"] == settings["REPORT_TO"]
    body = received.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().replace("\r\n", "\n") == message.get_content()


def test_the_shop_answers_only_those_who_have_its_token(settings: dict[str, str]) -> None:
    url = f"{settings['SHOPIFY_URL']}/admin/api/2026-10/graphql.json"
    query = {"query": "{ ordersCount(limit: null) { count } }"}
    answer = httpx.post(url, json=query, headers={"X-Shopify-Access-Token": settings["SHOPIFY_TOKEN"]}, trust_env=False)
    assert (answer.status_code, answer.json()["data"]) == (200, {"ordersCount": {"count": 0}})
    assert httpx.post(url, json=query, trust_env=False).status_code == 401


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
