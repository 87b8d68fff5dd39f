"""What the template hands to the task is a configuration that ``insightmart doctor`` accepts: in moto's account, with a
real PostgreSQL for sources and state, the sandbox's shop and mail server, and fakesnow in place of Snowflake.

Replaced is only what no such place has: the addresses of RDS and of Shopify, and the home on the task's disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from insightmart.cli import cli
from insightmart.snowflake_sessions import close_waiting
from sandbox.state import SandboxState
from tests.deploy.conftest import PARAMETERS
from tests.ingestion.conftest import set_aws
from tests.support.cloudformation import Account, Stack, deploy
from tests.support.sandbox_home import Home

pytestmark = pytest.mark.slow
PASSPHRASE = 'pass "phrase"'
KEY = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode()))
    .decode()
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("sources"))
    home.up()
    yield home
    home.run("down")


@pytest.fixture(scope="module")
def production(empty: Account, sources: Home) -> Stack:
    """The stack with the secrets that its operator puts in."""
    given, made = sources.env(), empty.client("secretsmanager")
    passphrase = made.create_secret(Name="production/passphrase", SecretString=PASSPHRASE)["ARN"]
    parameters = {**PARAMETERS, "ShopifyUrl": given["SHOPIFY_URL"], "SnowflakeKeyPassphraseSecretArn": passphrase}
    stack = deploy(empty, "production", "cycle.yaml", {**empty.network, **parameters})
    state = {"username": "insightmart_state", "password": 'made "by\\RDS'}
    values = {
        "OLTP_DSN": given["OLTP_DSN"],
        "SHOPIFY_TOKEN": given["SHOPIFY_TOKEN"],
        "SMTP_URL": given["SMTP_URL"],
        "SNOWFLAKE_PRIVATE_KEY": KEY,
        "STATE_PASSWORD": json.dumps(state),
    }
    for one in container_of(stack)["secrets"]:
        if one["name"] in values:
            made.put_secret_value(SecretId=arn_and_key(one["valueFrom"])[0], SecretString=values[one["name"]])
    with psycopg.connect(SandboxState.load(sources.directory).admin_dsn, autocommit=True) as admin:
        password = sql.Literal(state["password"])
        admin.execute(sql.SQL("CREATE ROLE insightmart_state LOGIN PASSWORD {}").format(password))
        admin.execute("CREATE DATABASE sqlmesh OWNER insightmart_state")
    return stack


def container_of(stack: Stack) -> dict[str, Any]:
    task = stack.account.client("ecs").describe_task_definition(taskDefinition=stack.resources["Task"])
    (one,) = task["taskDefinition"]["containerDefinitions"]
    return {**one, "secrets": [secret for secret in one["secrets"] if secret]}  # moto keeps what no condition wants


def arn_and_key(value_from: str) -> tuple[str, str]:
    """What ECS reads of ``ARN`` and of ``ARN:KEY::``."""
    if value_from.endswith("::"):
        arn, key, *_ = value_from.rsplit(":", 3)
        return arn, key
    return value_from, ""


def as_ecs_hands_over(stack: Stack) -> dict[str, str]:
    """The values of the secrets."""
    made, found = stack.account.client("secretsmanager"), {}
    for one in container_of(stack)["secrets"]:
        arn, key = arn_and_key(one["valueFrom"])
        text = made.get_secret_value(SecretId=arn)["SecretString"]
        found[one["name"]] = json.loads(text)[key] if key else text
    return found


def by_name(stack: Stack) -> dict[str, str]:
    """The names of the secrets, for InsightMart to read itself."""
    found = {one["name"]: arn_and_key(one["valueFrom"]) for one in container_of(stack)["secrets"]}
    return {name: f"secretsmanager:{arn}#{key}".removesuffix("#") for name, (arn, key) in found.items()}


@pytest.fixture
def task(
    production: Stack, sources: Home, fake_account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Mapping[str, str]], None]]:
    """``task(secrets)`` makes this process the task: its environment, and nothing else that is a setting."""
    server = conninfo_to_dict(SandboxState.load(sources.directory).admin_dsn)
    elsewhere = {
        "INSIGHTMART_HOME": str(tmp_path),
        "STATE_HOST": str(server["host"]),
        "STATE_PORT": str(server["port"]),
        "AWS_ENDPOINT_URL": production.account.endpoint,
    }

    def become(secrets: Mapping[str, str]) -> None:
        set_aws(monkeypatch)
        plain = {one["name"]: one["value"] for one in container_of(production)["environment"]}
        for name, value in {**plain, **secrets, **elsewhere}.items():
            monkeypatch.setenv(name, value)

    with fake_account(tmp_path / "stages"):
        yield become
        close_waiting()


def examined(*checks: str) -> tuple[Any, dict[str, dict[str, str]]]:
    run = CliRunner().invoke(cli, ["doctor", *checks, "--json"], standalone_mode=False)
    assert run.exception is None, run.exception
    return run.return_value, {one["check"]: one for one in json.loads(run.stdout)}


def test_the_doctor_accepts_what_the_template_hands_over(
    task: Callable[[Mapping[str, str]], None], production: Stack
) -> None:
    task(as_ecs_hands_over(production))
    code, found = examined()
    assert {name: one for name, one in found.items() if one["status"] not in ("ok", "note")} == {}
    assert code == 0
    said, _, lacks = found["warehouse"]["detail"].partition("; this warehouse is")
    assert said == (
        "Snowflake organisation-account answers user INSIGHTMART_PIPELINE as INSIGHTMART_LOADER on INSIGHTMART_LOAD;"
        " as INSIGHTMART_PIPELINE on INSIGHTMART_TRANSFORM, INSIGHTMART_GATE, INSIGHTMART_REPORT"
    )
    assert "it lacks 1 (tables)" in lacks and "insightmart setup" in found["warehouse"]["cure"]
    assert " models" in found["project"]["detail"]
    assert "user insightmart_state answers" in found["state"]["detail"]
    for name in ("stores", "shopify", "oltp", "mail", "pages", "evidence"):
        assert found[name]["status"] in ("ok", "note")
    assert PASSPHRASE not in json.dumps(found)


def test_it_accepts_the_names_of_the_secrets_as_well(
    task: Callable[[Mapping[str, str]], None], production: Stack
) -> None:
    task(by_name(production))
    code, found = examined("state", "warehouse", "shopify", "mail")
    assert found.pop("warehouse")["status"] == "note"  # nobody has set it up yet
    assert (code, {one["status"] for one in found.values()}) == (0, {"ok"}), found
    # a command of SQLMesh that does not load the project, which plain `sqlmesh` has no value for
    done = CliRunner().invoke(cli, ["sqlmesh", "migrate"], standalone_mode=False)
    assert (done.exit_code, done.exception) == (0, None), (done.output, done.exception)
