"""Settings that AWS Secrets Manager keeps, read by boto3 from moto's server; ends that refuse or say nothing."""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from psycopg.conninfo import conninfo_to_dict
from sqlmesh.core.config.connection import PostgresConnectionConfig
from sqlmesh.utils.errors import ConfigError

import insightmart.transform.sqlmesh_patches  # noqa: F401  which a project that loads imports itself
from insightmart import secrets_manager
from insightmart.errors import ConfigurationError
from insightmart.settings import load_alert_settings, load_settings
from tests.ingestion.conftest import aws, oltp_dsns, set_aws  # noqa: F401 fixtures
from tests.support.forked import commands

VALUE = "hunter2-never-shown"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """Address of moto's server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def kept(service: str, aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:  # noqa: F811
    """``kept(SecretString=...)``: a new secret; gives its name. The settings find the service."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", service)
    monkeypatch.setenv("INSIGHTMART_HOME", str(tmp_path))
    client = boto3.client("secretsmanager", endpoint_url=service)

    def make(**content: Any) -> str:
        name = f"prod/{uuid.uuid4().hex}"
        client.create_secret(Name=name, **content)
        return name

    return make


def test_a_setting_is_a_secret_or_a_key_of_one(kept: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    dsn, login = "postgresql://reader:p%40ss@db:5432/shop", {"password": VALUE, "port": 5432, "user": "READER"}
    whole, part = kept(SecretString=f"{dsn}\n"), kept(SecretString=json.dumps(login))
    arn = boto3.client("secretsmanager", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).describe_secret(SecretId=part)
    monkeypatch.setenv("OLTP_DSN", f"secretsmanager:{whole}")
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", f"secretsmanager:{arn['ARN']}#password")
    monkeypatch.setenv("SNOWFLAKE_USER", f"secretsmanager:{part}#user")
    monkeypatch.setenv("DELETIONS_ROWS", f"secretsmanager:{part}#port")  # no secret, and a number
    settings = load_settings()
    assert (settings.snowflake_user, settings.deletions_rows) == ("READER", 5432)
    assert settings.oltp_dsn is not None
    assert settings.oltp_dsn.get_secret_value() == dsn
    assert {dsn, VALUE} <= set(settings.secrets)
    assert os.environ["OLTP_DSN"] == f"secretsmanager:{whole}"  # no child gets it from here
    assert VALUE not in json.dumps(dict(os.environ))

    monkeypatch.setattr(secrets_manager, "_answers", {})
    monkeypatch.delenv("OLTP_DSN")
    monkeypatch.delenv("DELETIONS_ROWS")
    monkeypatch.delenv("SNOWFLAKE_USER")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert load_settings().secrets == [VALUE]  # an ARN says where it is


def test_a_secret_is_read_once_a_process(kept: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    name = kept(SecretString="before")
    monkeypatch.setenv("SHOPIFY_TOKEN", f"secretsmanager:{name}")
    boto3.client("secretsmanager", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    first = load_settings().secrets
    boto3.client("secretsmanager", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).put_secret_value(
        SecretId=name, SecretString="after"
    )
    assert load_settings().secrets == first == ["before"]


def refused(setting: str, value: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What loading the settings says; a line that names the setting, and never a value."""
    monkeypatch.setenv(setting, value)
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    line = str(error.value)
    assert error.value.exit_code == 2
    assert "\n" not in line
    assert VALUE not in line
    assert line.startswith(setting)
    return line


def test_what_cannot_be_used_is_said_with_its_setting_and_its_name(
    kept: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(setting: str, value: str) -> str:
        return refused(setting, value, monkeypatch)

    text, empty = kept(SecretString=VALUE), kept(SecretString=" \n")
    binary, none = kept(SecretBinary=VALUE.encode()), kept()
    nested = kept(SecretString=json.dumps({"key": {"password": VALUE}}))
    assert says("OLTP_DSN", "secretsmanager:prod/none") == (
        "OLTP_DSN: the secret prod/none does not exist. Create it, or correct the name or AWS_DEFAULT_REGION"
    )
    assert f"the secret {none} has no value yet. Put the value of OLTP_DSN in it" in says(
        "OLTP_DSN", f"secretsmanager:{none}"
    )
    assert f"the secret {empty} is empty" in says("OLTP_DSN", f"secretsmanager:{empty}")
    assert f"the secret {binary} is binary" in says("OLTP_DSN", f"secretsmanager:{binary}")
    assert "is no JSON object, it has no key password" in says("OLTP_DSN", f"secretsmanager:{text}#password")
    assert "has no text with the key password" in says("OLTP_DSN", f"secretsmanager:{nested}#password")
    assert "has no text with the key key" in says("OLTP_DSN", f"secretsmanager:{nested}#key")
    assert says("OLTP_DSN", "secretsmanager:").startswith("OLTP_DSN names no secret")
    assert says("OLTP_DSN", f"secretsmanager:{nested}#").startswith("OLTP_DSN names no secret")
    boto3.client("secretsmanager", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).delete_secret(SecretId=binary)
    monkeypatch.setattr(secrets_manager, "_answers", {})
    assert "is marked for deletion. Restore it" in says("OLTP_DSN", f"secretsmanager:{binary}")
    monkeypatch.delenv("OLTP_DSN")
    assert "it cannot be kept in Secrets Manager" in says("INSIGHTMART_CURRENCY", f"secretsmanager:{text}")
    # people are told of it, by what is left
    assert load_alert_settings().report_from == "insightmart@localhost"


def test_no_region_and_no_credentials(kept: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    name, endpoint = kept(SecretString=VALUE), os.environ["AWS_ENDPOINT_URL"]
    for what, said in (
        (["AWS_DEFAULT_REGION"], "no region says where the secret"),
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "no credentials of AWS to read the secret"),
    ):
        for known in ("_answers", "_no_answer"):
            monkeypatch.setattr(secrets_manager, known, {})
        set_aws(monkeypatch)
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for variable in what:
            monkeypatch.delenv(variable)
        assert f"{said} {name}" in refused("OLTP_DSN", f"secretsmanager:{name}", monkeypatch)


@contextmanager
def answering(status: int, body: dict[str, str]) -> Iterator[str]:
    """An end that speaks the service's protocol and says one thing."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDeniedException", "may not be read with these credentials. Allow their role secretsmanager:GetSecret"),
        ("DecryptionFailure", "cannot be decrypted. Allow the role kms:Decrypt"),
        ("UnrecognizedClientException", r"cannot be read \(UnrecognizedClientException\). Check the credentials"),
    ],
)
def test_a_service_that_refuses(
    kept: Callable[..., str], monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    with answering(400, {"__type": code, "Message": f"no, {VALUE}"}) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(ConfigurationError, match=f"^OLTP_DSN: the secret one {said}") as error:
            monkeypatch.setenv("OLTP_DSN", "secretsmanager:one")
            load_settings()
    assert VALUE not in str(error.value)


def test_a_service_that_says_nothing_costs_its_limit_once(
    kept: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets_manager, "TIMEOUT", 0.2)
    monkeypatch.setattr(secrets_manager, "ATTEMPTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        for setting in ("OLTP_DSN", "SHOPIFY_TOKEN", "SNOWFLAKE_PASSWORD"):
            monkeypatch.setenv(setting, f"secretsmanager:{setting}")
        with pytest.raises(
            ConfigurationError, match=r"which keeps the secret \w+, does not answer \(ReadTimeoutError\)"
        ):
            load_settings()
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # nobody else has come
            silent.accept()


def test_a_command_ends_in_a_line(kept: Callable[..., str], tmp_path: Path) -> None:
    environment = {**os.environ, "OLTP_DSN": "secretsmanager:prod/none", "INSIGHTMART_HOME": str(tmp_path)}
    done = commands().call("insightmart", "doctor", environment=environment)
    said = "insightmart: OLTP_DSN: the secret prod/none does not exist. Create it, or correct the name or AWS_DEFAULT"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1


def test_sqlmesh_connects_to_its_state_with_what_is_kept_there(
    kept: Callable[..., str],
    oltp_dsns: tuple[str, str],  # noqa: F811
) -> None:
    known = {name: str(value) for name, value in conninfo_to_dict(oltp_dsns[0]).items()}
    name = kept(SecretString=json.dumps({"username": known["user"], "password": known["password"]}))

    def state(password: str) -> PostgresConnectionConfig:
        return PostgresConnectionConfig(
            host=known["host"],
            port=int(known["port"]),
            user=f"secretsmanager:{name}#username",
            password=password,
            database=known["dbname"],
        )

    adapter = state(f"secretsmanager:{name}#password").create_engine_adapter()
    assert adapter.fetchone("SELECT current_user::TEXT") == (known["user"],)
    adapter.close()
    with pytest.raises(ConfigError, match=r"STATE_PASSWORD: the secret prod/none does not exist\. Create it"):
        state("secretsmanager:prod/none").create_engine_adapter()
