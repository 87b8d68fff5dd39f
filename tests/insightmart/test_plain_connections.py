"""Nothing leaves this machine in the clear, and nobody is spoken to who cannot show a certificate for his name."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr
from sqlmesh.core.config.connection import PostgresConnectionConfig

import insightmart.transform.sqlmesh_patches  # noqa: F401  which a project that loads imports itself
from ingestion.encryption import is_local, trusted_roots
from ingestion.loading.context import SourceError
from ingestion.postgres.snapshot import Receiver, Snapshot
from ingestion.shopify.client import ShopifyClient, ShopifySource
from insightmart.alerts.chat import can_be_used
from insightmart.alerts.heartbeat import beat
from insightmart.alerts.mail import deliver, mail_server
from insightmart.doctor.examination import examine
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.openlineage.delivery import Delivery
from insightmart.s3_place import S3Place
from insightmart.settings import Settings, load_alert_settings, load_settings
from insightmart.sources import source_of
from insightmart.state_connection import StateDatabase
from tests.ingestion.conftest import oltp_dsns, set_aws  # noqa: F401 fixtures
from tests.support.tls_proxy import TlsProxy
from tests.support.web_hook import web_hook

SECRET = "hunter2-never-shown"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]", "/run/postgresql", "", None])
def test_this_machine_needs_no_encryption(host: str | None) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host",
    ["db.example.com", "10.0.0.1", "127.0.0.1.example.com", "localhost.example.com", "0.0.0.0", "::ffff:10.0.0.1"],
)
def test_everybody_else_does(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize(
    ("setting", "plain", "encrypted"),
    [
        ("AWS_ENDPOINT_URL", "http://minio.example:9000", "https://minio.example:9000"),
        ("AWS_ENDPOINT_URL_S3", "http://minio.example:9000", "https://minio.example:9000"),
        ("HEARTBEAT_URL", f"HTTP://watch.example/{SECRET}", f"https://watch.example/{SECRET}"),
        ("OPENLINEAGE_URL", f"http://me:{SECRET}@lineage.example", f"https://me:{SECRET}@lineage.example"),
        ("SHOPIFY_URL", "http://shop.example", "https://shop.example"),
        ("SMTP_URL", f"smtp://me:{SECRET}@mail.example", f"smtp+starttls://me:{SECRET}@mail.example"),
    ],
)
def test_a_plain_address_elsewhere_is_refused_unless_it_is_allowed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, setting: str, plain: str, encrypted: str
) -> None:
    monkeypatch.setenv(setting, plain)
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert refused.value.cause == f"{setting} is not encrypted, and leaves this machine"
    assert SECRET not in str(refused.value)
    told = load_alert_settings()  # without it, so that somebody is told just that
    assert (told.smtp_url, told.heartbeat_url, told.aws_endpoint_url) == (None, None, None)
    allowed = setting.removesuffix("_S3")
    monkeypatch.setenv("PLAIN_CONNECTIONS", f"{allowed}, OLTP_DSN")
    if setting == "SHOPIFY_URL":  # which has no plain end
        with pytest.raises(ConfigurationError, match="PLAIN_CONNECTIONS: SHOPIFY_URL is none of"):
            load_settings()
    else:
        assert f"PLAIN_CONNECTIONS={allowed}" in refused.value.cure
        load_settings()
    monkeypatch.delenv("PLAIN_CONNECTIONS")
    for value in (encrypted, plain.lower().replace(".example", ".localhost")):
        monkeypatch.setenv(setting, value)
        load_settings()


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_a_dsn_that_asks_for_less_is_a_problem_of_its_source(settings: Settings, mode: str) -> None:
    settings.oltp_dsn = SecretStr(f"postgresql://reader:{SECRET}@db.example/shop?sslmode={mode}")
    with pytest.raises(SourceError) as refused:
        source_of(settings, "oltp")
    assert f"sslmode={mode}" in refused.value.cause
    assert "PLAIN_CONNECTIONS=OLTP_DSN" in refused.value.cure
    (finding,) = examine(settings, ["oltp"])
    assert (finding.status, finding.detail, finding.cure) == ("not configured", refused.value.cause, refused.value.cure)
    assert SECRET not in f"{refused.value}{finding}"
    settings.plain_connections = "OLTP_DSN"
    assert source_of(settings, "oltp").dsn == settings.oltp_dsn.get_secret_value()


def test_a_server_elsewhere_is_judged_though_nobody_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGSSLROOTCERT", "PGHOST", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)

    def asked(dsn: str) -> dict[str, Any]:
        settings.oltp_dsn = SecretStr(dsn)
        return conninfo_to_dict(source_of(settings, "oltp").dsn)

    told = asked("postgresql://reader@db.example/shop")
    assert (told["sslmode"], told["sslrootcert"]) == ("verify-full", trusted_roots())
    assert Path(trusted_roots()).is_file()
    told = asked("host=127.0.0.1,db.example dbname=shop sslrootcert=/etc/our.pem")
    assert (told["sslmode"], told["sslrootcert"]) == ("verify-full", "/etc/our.pem")
    assert asked("service=shop")["sslmode"] == "verify-full"  # which may name any host
    assert "sslmode" not in asked("postgresql://reader@localhost/shop")
    assert "sslmode" not in asked("dbname=shop")
    monkeypatch.setenv("PGHOST", "db.example")
    assert asked("dbname=shop")["sslmode"] == "verify-full"


# --- certificates ------------------------------------------------------------------------------------------------


@pytest.fixture
def unsigned(tmp_path: Path) -> TlsProxy:
    """An end whose certificate nobody vouches for that this machine trusts."""
    (tmp_path / "tls").mkdir()
    return TlsProxy(tmp_path / "tls")


def _mail(settings: Settings, port: int) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "a@example.com", "b@example.com"
    deliver(mail_server(f"smtps://me:{SECRET}@localhost:{port}"), message, ["b@example.com"], retry_wait=0)


def _heartbeat(settings: Settings, port: int) -> None:
    settings.heartbeat_url = SecretStr(f"https://localhost:{port}/{SECRET}")
    if problem := beat(settings, pause=0):
        raise InsightMartError(problem.line)


def _shop(settings: Settings, port: int) -> None:
    source = ShopifySource(f"https://localhost:{port}", SECRET, attempts=1, retry_budget=0)
    with ShopifyClient(source) as client:
        client.query("{ shop { name } }")


def _bucket(settings: Settings, port: int) -> None:
    place = S3Place("STATUS_URL", "s3://bucket/prefix", "", f"https://localhost:{port}", attempts=1)
    with place.explained("listed"):
        place.client.list_objects_v2(Bucket="bucket")


def _lineage(settings: Settings, port: int) -> None:
    settings.openlineage_url = SecretStr(f"https://localhost:{port}")
    delivery = Delivery(settings)
    delivery.put([_event()])
    if failure := delivery.finish():
        raise InsightMartError(failure)


def _event() -> Any:
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

    run = Run(runId="0195e3a8-7b1c-7000-8000-000000000000")
    return RunEvent(
        eventTime="2026-03-06T10:00:00Z", run=run, job=Job(namespace="x", name="y"), eventType=RunState.START
    )


@pytest.mark.parametrize("speak", [_mail, _heartbeat, _shop, _bucket, _lineage])
def test_who_shows_a_certificate_of_nobody_is_told_nothing(
    settings: Settings, unsigned: TlsProxy, monkeypatch: pytest.MonkeyPatch, speak: Callable[[Settings, int], None]
) -> None:
    set_aws(monkeypatch)
    with pytest.raises((InsightMartError, SourceError, smtplib.SMTPException)) as refused:
        speak(settings, unsigned.port)
    assert unsigned.let_in == 0
    assert SECRET not in str(refused.value)


def test_a_postgresql_server_is_known_by_its_certificate(
    settings: Settings,
    oltp_dsns: tuple[str, str],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {name: str(value) for name, value in conninfo_to_dict(oltp_dsns[0]).items()}
    right, other = tmp_path / "right", tmp_path / "other"
    right.mkdir()
    other.mkdir()
    proxy = TlsProxy(right, int(known["port"]))
    of_another_name = TlsProxy(other, int(known["port"]), "db.example")
    login = f"user={known['user']} password={known['password']} dbname={known['dbname']} host=localhost"

    def opened(port: int, root: Path) -> bool:
        settings.oltp_dsn = SecretStr(f"{login} port={port} sslmode=verify-full sslrootcert={root}")
        source = source_of(settings, "oltp")
        with Snapshot(source) as snapshot:
            [(exported,)] = snapshot.rows("SELECT pg_export_snapshot()")
            Receiver(source, snapshot.connection, exported).close()  # the same for the other driver
            return bool(snapshot.connection.pgconn.ssl_in_use)

    assert opened(proxy.port, proxy.root)
    for port, root in ((proxy.port, of_another_name.root), (of_another_name.port, of_another_name.root)):
        with pytest.raises(psycopg.OperationalError, match=r"certificate"):
            opened(port, root)

    # the state's: nobody but the rule asks for a certificate here, since every host is taken for another machine
    monkeypatch.setattr("insightmart.plain_connections.is_local", lambda _: False)
    monkeypatch.setenv("PGSSLROOTCERT", str(proxy.root))
    settings.state_host, settings.state_port, settings.state_user = "localhost", proxy.port, known["user"]
    settings.state_password, settings.state_database = SecretStr(known["password"]), known["dbname"]
    assert StateDatabase(settings).ask("SELECT 1") == [(1,)]
    state = {name: known[name] for name in ("user", "password")} | {"host": "localhost", "database": known["dbname"]}
    adapter = PostgresConnectionConfig(**state, port=proxy.port).create_engine_adapter()
    assert adapter.fetchone("SELECT 1") == (1,)
    adapter.close()
    settings.state_port = of_another_name.port
    with pytest.raises(InsightMartError, match="PGSSLROOTCERT=FILE"):
        StateDatabase(settings).ask("SELECT 1")
    with pytest.raises(Exception, match="certificate verify failed"):
        PostgresConnectionConfig(**state, port=of_another_name.port).create_engine_adapter().fetchone("SELECT 1")
    settings.state_port = int(known["port"])  # which speaks no TLS
    with pytest.raises(InsightMartError, match="Let the server offer TLS"):
        StateDatabase(settings).ask("SELECT 1")
    settings.plain_connections = "STATE_HOST"
    assert StateDatabase(settings).ask("SELECT 1") == [(1,)]


# --- redirects, chats --------------------------------------------------------------------------------------------


def test_no_redirect_leads_to_a_plain_address(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with web_hook() as hook:
        hook.location, hook.statuses = "http://elsewhere.invalid/", [302, 302]
        settings.heartbeat_url = SecretStr(f"http://{hook.at}/{SECRET}")
        missed = beat(settings, pause=0)
    assert missed is not None
    assert missed.message == "the heartbeat did not arrive: UnsupportedProtocol"


@pytest.mark.parametrize(
    ("address", "is_used"),
    [
        ("json://hook.example/x", False),
        ("jsons://hook.example/x", True),
        ("jsons://hook.example/x?verify=no", False),
        ("json://127.0.0.1/x", True),
        ("mailto://me:pw@mail.example", False),
        ("mailtos://me:pw@mail.example", True),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts", True),
    ],
)
def test_a_chat_is_encrypted_and_judged(address: str, is_used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT", address)
    assert can_be_used("CHAT") == is_used
