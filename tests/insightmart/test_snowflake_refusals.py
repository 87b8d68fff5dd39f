"""What Snowflake refuses ends in one line with cause and cure, and in nothing half done.

The connector is real; the account is a server on loopback that speaks its protocol and answers with Snowflake's texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from psycopg.conninfo import conninfo_to_dict
from snowflake.connector.errors import ProgrammingError

from insightmart import snowflake_sessions
from insightmart.cli import cli
from insightmart.errors import InsightMartError
from insightmart.settings import load_settings
from insightmart.snowflake_sessions import close_waiting, connect
from sandbox.servers.postgres import server_dsn
from tests.support.postgres_server import running_postgres
from tests.support.snowflake_server import Account, refusing_account

PEM = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)
SETTINGS = {
    "INSIGHTMART_GATEWAY": "snowflake",
    "SNOWFLAKE_ACCOUNT": "acme-one",
    "SNOWFLAKE_USER": "PIPELINE",
    "SNOWFLAKE_ROLE": "TRANSFORMER",
    "SNOWFLAKE_WAREHOUSE": "TRANSFORM",
    "SNOWFLAKE_PRIVATE_KEY": PEM,
}
TOKEN = "0ce9eb56-821d-4ca9-a774-04ae89a0cf5a"

LOGINS = [
    ("390144", f"JWT token is invalid. [{TOKEN}]", 2, f"the key is not one of user PIPELINE of.*acme-one.*{TOKEN}"),
    ("390100", "Incorrect username or password was specified.", 2, "SNOWFLAKE_USER and SNOWFLAKE_PASSWORD"),
    ("390101", "User access disabled. Contact your local system administrator.", 1, "PIPELINE is disabled.*ALTER USER"),
    (
        "390102",
        "Your user account has been temporarily locked due to too many failed attempts. Try again after 15 minutes or"
        " contact your account administrator for assistance.",
        1,
        "PIPELINE is locked .*Wait 15 minutes",
    ),
    (
        "390422",
        "Incoming request with IP/Token 203.0.113.7 is not allowed to access Snowflake. Contact your account"
        " administrator.",
        1,
        r"network policy of.*\(203\.0\.113\.7\)\. Add the address",
    ),
    (
        "390189",
        "Role 'TRANSFORMER' specified in the connect string does not exist or not authorized. Contact your local system"
        " administrator, or attempt to login with another role, e.g. PUBLIC.",
        2,
        "role TRANSFORMER does not exist .*SNOWFLAKE_ROLE",
    ),
    (
        "390201",
        "The requested warehouse does not exist or not authorized.",
        2,
        "warehouse TRANSFORM does not exist .*SNOWFLAKE_WAREHOUSE",
    ),
    ("390201", "The requested database does not exist or not authorized.", 2, "no database INSIGHTMART"),
    ("390913", "Your free trial has ended and all of your virtual warehouses have been suspended.", 1, "is suspended"),
    (
        "394400",
        "Authentication attempt rejected by the current authentication policy.",
        2,
        "not let user PIPELINE in by this kind of login. Use a key pair",
    ),
]  # fmt: skip
STATEMENTS = [
    (
        ("000606", "57P03", "No active warehouse selected in the current session.  Select an active warehouse with the"
         " 'use warehouse' command."),
        2,
        "warehouse TRANSFORM does not exist.*grants",
    ),
    (
        ("090073", "22000", "Warehouse 'TRANSFORM' cannot be resumed because resource monitor 'MONTHLY' has exceeded"
         " its quota."),
        1,
        "the budget of warehouse TRANSFORM is spent.*5_budget.sql",
    ),
    (
        ("000607", "57P03", "Warehouse 'TRANSFORM' is suspended. Use 'alter warehouse TRANSFORM resume;' command if you"
         " need to use it again."),
        1,
        "TRANSFORM is suspended and may not resume.*AUTO_RESUME",
    ),
    (
        ("090105", "22000", "Cannot perform SELECT. This session does not have a current database. Call 'USE DATABASE',"
         " or use a qualified name."),
        2,
        "no database INSIGHTMART",
    ),
]  # fmt: skip


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Account]:
    for name, value in {**SETTINGS, "INSIGHTMART_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    for name in ("REPORT_TO", "SMTP_URL", "SNOWFLAKE_PASSWORD", "SNOWFLAKE_AUTHENTICATOR"):
        monkeypatch.delenv(name, raising=False)
    with refusing_account(monkeypatch) as made:
        yield made
        close_waiting()


def examined() -> dict[str, Any]:
    """What `insightmart doctor` says of the warehouse, and its exit code."""
    run = CliRunner().invoke(cli, ["doctor", "warehouse", "--json"], standalone_mode=False)
    assert run.exception is None, run.exception
    (found,) = json.loads(run.stdout)
    return {"code": run.return_value, "said": f"{found['detail']}. {found['cure']}"}


@pytest.mark.parametrize(("code", "message", "exit_code", "said"), LOGINS, ids=[text[:30] for _, text, *_ in LOGINS])
def test_a_login_that_is_refused_is_explained(
    account: Account, code: str, message: str, exit_code: int, said: str
) -> None:
    account.login = (code, "08001", message)
    with pytest.raises(InsightMartError, match=said) as refused:
        connect(load_settings(), "transform")
    assert (refused.value.exit_code, account.logins) == (exit_code, 1)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("status", [403, 404])
def test_an_account_that_does_not_exist(account: Account, status: int) -> None:
    account.status = status
    found = examined()
    assert found["code"] == 2
    assert found["said"].startswith(
        "there is no Snowflake account acme-one. Set SNOWFLAKE_ACCOUNT to ORGANISATION-ACCOUNT"
    )


def test_an_account_that_does_not_answer_is_given_up(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snowflake_sessions, "LOGIN_TIMEOUT", 1)
    account.status = 503
    found = examined()
    assert found["code"] == 1
    assert found["said"].startswith("Snowflake account acme-one does not answer. Check SNOWFLAKE_ACCOUNT")


@pytest.mark.parametrize(("refused", "exit_code", "said"), STATEMENTS, ids=[one[0][2][:30] for one in STATEMENTS])
def test_a_statement_that_may_not_compute_is_explained(
    account: Account, refused: tuple[str, str, str], exit_code: int, said: str
) -> None:
    account.statement = refused
    with (
        pytest.raises(InsightMartError, match=said) as error,
        connect(load_settings(), "transform").cursor() as cursor,
    ):
        cursor.execute("SELECT 1")
    assert error.value.exit_code == exit_code


def test_a_statement_that_is_wrong_itself_is_left_to_who_sent_it(account: Account) -> None:
    account.statement = ("002003", "42S02", "SQL compilation error:\nObject 'T' does not exist or not authorized.")
    with (
        pytest.raises(ProgrammingError, match="Object 'T' does not exist"),
        connect(load_settings(), "transform").cursor() as cursor,
    ):
        cursor.execute("SELECT * FROM t")


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ("role", "role TRANSFORMER does not exist in Snowflake account acme-one, or is not granted"),
        (
            "warehouse",
            "warehouse TRANSFORM does not exist in Snowflake account acme-one, or role TRANSFORMER may not use",
        ),
        ("database", "Snowflake account acme-one has no database INSIGHTMART that role TRANSFORMER may use"),
    ],
)
def test_a_login_that_is_silent_about_what_is_missing(account: Account, lacking: str, said: str) -> None:
    account.lacks = (lacking,)
    found = examined()
    assert found["code"] == 2
    assert found["said"].startswith(said)
    assert account.statements == []


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A state database, in which the writer's lock is."""
    with running_postgres(tmp_path_factory.mktemp("state")) as dsn:
        found = conninfo_to_dict(server_dsn(dsn))
        named = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "DATABASE": "dbname"}
        yield {f"STATE_{name}": str(found[key]) for name, key in named.items()}


@pytest.mark.slow
@pytest.mark.parametrize("case", ["key", "budget", "warehouse"])
def test_a_cycle_that_is_refused_says_so_in_a_line_and_sends_nothing(
    account: Account, state: dict[str, str], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    for name, value in state.items():
        monkeypatch.setenv(name, value)
    if case == "key":
        account.login = ("390144", "08001", f"JWT token is invalid. [{TOKEN}]")
    elif case == "warehouse":
        account.lacks = ("warehouse",)
    else:
        account.statement = STATEMENTS[1][0]
    run = CliRunner().invoke(cli, ["cycle"], standalone_mode=False)
    assert isinstance(run.exception, InsightMartError)
    assert run.exception.exit_code == (1 if case == "budget" else 2)
    assert "\n" not in str(run.exception)
    assert run.exception.cure
    assert len(account.statements) == (1 if case == "budget" else 0)  # the first is refused, and no other one follows
    assert PEM.splitlines()[1] not in run.output
