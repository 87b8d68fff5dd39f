"""Every secret setting with a value that is known again, several failures at once, and ends that quote what they are
sent: the values are in no output, no file, no mail, no argument and no environment of a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import duckdb
import psutil
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from moto.server import ThreadedMotoServer
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from insightmart.hidden_secrets import without_secrets
from insightmart.settings import PROJECT, Settings
from tests.ingestion.conftest import oltp_dsns, set_aws  # noqa: F401 fixtures
from tests.support.built_homes import SHAPE, copy_home
from tests.support.inbox import Inbox, free_port

PLANTED = "hunter2"  # begins every one of them
CRASHES = """
import sys
import insightmart.commands.cycle as cycle
from insightmart.cli import main
from insightmart.settings import load_settings

def crash(*_, **__):
    import logging
    logging.getLogger("urllib3").warning("sending %s", load_settings().secrets)
    raise ZeroDivisionError("\\n".join(["first"] + load_settings().secrets))

if "crash" in sys.argv:
    sys.argv.remove("crash")
    cycle._reconcile = crash
main()
"""


def secret_settings() -> list[str]:
    """The names of all settings that are secret."""
    fields = Settings.model_fields.values()
    return [str(field.alias) for field in fields if "SecretStr" in str(field.annotation)]


class _Quotes(BaseHTTPRequestHandler):
    """Refuses, and quotes whatever it was sent, as some servers do."""

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        quoted = f"{self.path} {dict(self.headers)} {sent}"
        body = json.dumps({"errors": [{"message": quoted}]}).encode()
        is_shop = "/admin/api/" in self.path
        self.send_response(200 if is_shop else 400, "quoted" if is_shop else self.path)
        self.send_header("X-Shopify-API-Version", "2026-10")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def quoting() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Quotes) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int, list[str]]]:
    """A mail server with a login, its port, and the passwords that it was given."""
    taken: list[str] = []

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, data: Any) -> AuthResult:
        taken.append(data.password.decode())
        return AuthResult(success=True)

    inbox, port = Inbox(), free_port()
    how = {"authenticator": authenticate, "auth_require_tls": False, "auth_required": True}
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **how)  # type: ignore[arg-type]
    controller.start()
    yield inbox, port, taken
    controller.stop()


class Watched:
    """A command and what was seen of it: its output, and arguments and environments of it and its children."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.seen: set[str] = set()
        with subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            ended = threading.Event()
            watch = threading.Thread(target=self._look, args=(process.pid, ended))
            watch.start()
            self.stdout, self.stderr = process.communicate(timeout=120)
            ended.set()
            watch.join()
        self.code = process.returncode

    def _look(self, pid: int, ended: threading.Event) -> None:
        while not ended.wait(0.05):
            try:
                parent = psutil.Process(pid)
                for one in (parent, *parent.children(recursive=True)):
                    self.seen |= {*one.cmdline(), *one.environ().values()}
            except psutil.Error:
                continue


def test_every_secret_setting_is_one_that_is_hidden(settings: Settings) -> None:
    for name in secret_settings():
        field = next(name_ for name_, field in Settings.model_fields.items() if field.alias == name)
        value = f"https://{PLANTED}@{name}.example" if name == "OPENLINEAGE_URL" else f"{PLANTED}-{name}"
        found = settings.model_copy(update={field: SecretStr(value)})
        assert without_secrets(f"said {value}.", found) == "said ***.", name


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("postgresql://me:p%40ss-word@db/shop", "p@ss-word, p%40ss-word"),
        ("host=db user=me password='p@ss word' dbname=shop", "p@ss word"),
        ("host=db user=me password = p@ssword", "p@ssword"),
        ("-----BEGIN PRIVATE KEY-----\n" + "M" * 64 + "\n-----END PRIVATE KEY-----", "M" * 64),
    ],
)
def test_parts_of_a_secret_are_hidden_as_well(settings: Settings, secret: str, said: str) -> None:
    found = settings.model_copy(update={"oltp_dsn": SecretStr(secret)})
    assert set(without_secrets(said, found)) <= set("*, ")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_no_secret_is_in_anything_that_a_cycle_leaves(
    set_up_home: Path,
    oltp_dsns: tuple[str, str],  # noqa: F811
    quoting: str,
    inbox: tuple[Inbox, int, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_aws(monkeypatch)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{PLANTED}-AWS")
    messages, mail_port, logins = inbox
    at = conninfo_to_dict(oltp_dsns[1])
    values = {name: f"{PLANTED}-{name}" for name in secret_settings()}
    values |= {
        "OLTP_DSN": f"postgresql://{at['user']}:{PLANTED}-OLTP@127.0.0.1:{at['port']}/shop",
        "SMTP_URL": f"smtp://me:{PLANTED}-SMTP@127.0.0.1:{mail_port}",
        "HEARTBEAT_URL": f"{quoting}/{PLANTED}-HEARTBEAT",
        "OPENLINEAGE_URL": quoting.replace("//", f"//me:{PLANTED}-OPENLINEAGE@"),
        "SNOWFLAKE_PRIVATE_KEY": f"-----BEGIN PRIVATE KEY-----\n{PLANTED}{'M' * 64}\n-----END PRIVATE KEY-----\n",
    }
    service = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    service.start()
    host, port = service.get_host_and_port()
    client = boto3.client("secretsmanager", endpoint_url=f"http://{host}:{port}")
    client.create_secret(Name="prod/all", SecretString=json.dumps(values))
    home = copy_home(set_up_home, tmp_path / "home")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "INSIGHTMART"))},
        **SHAPE,
        **{name: f"secretsmanager:prod/all#{name}" for name in values},
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "INSIGHTMART_HOME": str(home),
        "SHOPIFY_URL": quoting,
        "STORES_URL": "s3://no-such-bucket/in",
        "REPORT_TO": "a@example.com",
        "PYTHON_DOTENV_DISABLED": "1",
        "PYTHONPATH": str(PROJECT),
    }
    environment["AWS_SECRET_ACCESS_KEY"] = f"{PLANTED}-AWS"
    when = ["--as-of", f"{SHAPE['INSIGHTMART_START']}T10:05"]
    failed = Watched([sys.executable, "-c", CRASHES, "--debug", "cycle", *when], environment)
    crashed = [
        Watched([sys.executable, "-c", CRASHES, *more, "cycle", "crash", *when], environment)
        for more in ([], ["--debug"])
    ]
    service.stop()

    assert failed.code == 1, failed.stderr
    for source in ("oltp: ", "shopify: ", "stores: "):
        assert source in failed.stderr + failed.stdout
    assert "password authentication failed" in failed.stderr + failed.stdout
    assert "X-Shopify-Access-Token" in failed.stderr + failed.stdout  # it was quoted
    assert all("ZeroDivisionError" in one.stderr for one in crashed), crashed[0].stderr
    assert "Traceback" in crashed[1].stderr
    assert logins
    assert f"{PLANTED}-SMTP" in logins  # it was used
    assert messages.messages

    def text_of(path: Path) -> str:
        if path.suffix == ".duckdb":  # whose texts are compressed
            with duckdb.connect(str(path), read_only=True) as warehouse:
                tables = warehouse.sql("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
                return "".join(str(warehouse.table(f'"{schema}"."{name}"').fetchall()) for schema, name in tables)
        return path.read_bytes().decode(errors="replace")

    found = {path.relative_to(home).as_posix(): text_of(path) for path in home.rglob("*") if path.is_file()}
    found |= {f"mail {number}": str(message) for number, message in enumerate(messages.messages)}
    for name, one in {"failed": failed, "crashed": crashed[0], "crashed with --debug": crashed[1]}.items():
        found |= {f"{name}, standard output": one.stdout, f"{name}, standard error": one.stderr}
        found[f"{name}, processes"] = "\n".join(one.seen - {f"{PLANTED}-AWS"})  # boto3 reads it there
    assert [(place, text[text.index(PLANTED) - 80 :][:160]) for place, text in found.items() if PLANTED in text] == []
    assert {"logs/insightmart.jsonl", "status/index.html", "INSIGHTMART.duckdb"} <= set(found)
