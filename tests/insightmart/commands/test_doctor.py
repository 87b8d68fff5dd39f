"""`insightmart doctor`: every check on its own, the cure beside the cause, no secret anywhere."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from insightmart.cli import cli
from insightmart.doctor.examination import examine
from insightmart.doctor.findings import Finding, exit_code
from insightmart.errors import DONE, FAILED, USAGE
from insightmart.settings import Settings
from sandbox.shopify.shop import Shop
from sandbox.state import SandboxState
from tests.support.built_homes import new_home
from tests.support.forked import commands

PASSWORD = "hunter2-never-shown"


def _found(settings: Settings, *names: str) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(settings, names)}


@pytest.fixture
def nowhere() -> str:
    """Host and port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["ok", "note"], DONE),
        (["ok", "failed"], FAILED),
        (["failed", "not configured"], USAGE),
        (["not configured"], USAGE),
    ],
)
def test_the_exit_code_is_of_the_worst_finding(statuses: list[str], code: int) -> None:
    assert exit_code([Finding("x", status, "") for status in statuses]) == code


def test_what_is_not_set_is_named_with_the_value_to_set(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    new_home(tmp_path_factory, settings.home)
    found = _found(settings)
    assert {name for name, finding in found.items() if finding.status == "not configured"} == {
        "oltp",
        "stores",
        "shopify",
    }
    assert "OLTP_DSN is not set" in found["oltp"].detail
    assert "s3://BUCKET/PREFIX" in found["stores"].cure
    assert found["mail"].status == "note"
    for name in ("python", "packages", "home", "warehouse"):
        assert found[name].status == "ok", found[name]
    assert "the first cycle creates it" in found["warehouse"].detail
    assert "no environment prod yet" in found["project"].detail
    assert not settings.database_path.exists()  # looking creates nothing


def test_services_that_do_not_answer_fail_each_on_its_own_without_their_secrets(
    settings: Settings, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.oltp_dsn = SecretStr(f"postgresql://reader:{PASSWORD}@{nowhere}/shop")
    settings.stores_url, settings.aws_endpoint_url = "s3://bucket/drops", f"http://{nowhere}"
    settings.shopify_url, settings.shopify_token = f"http://{nowhere}", SecretStr(PASSWORD)
    settings.smtp_url, settings.report_to = SecretStr(f"smtp://reporter:{PASSWORD}@{nowhere}"), "a@example.com"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    found = _found(settings, "python", "oltp", "stores", "shopify", "mail", "clock")
    for name in ("oltp", "stores", "shopify", "mail"):
        assert found[name].status == "failed", found[name]
        assert found[name].cure
    assert found["clock"].status == "note"
    assert found["python"].status == "ok"
    assert PASSWORD not in json.dumps([vars(finding) for finding in found.values()])


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("oltp_dsn", SecretStr(f"not a dsn {PASSWORD}"), "oltp"),
        ("stores_url", "/local/folder", "stores"),
        ("smtp_url", SecretStr(f"http://u:{PASSWORD}@mail"), "mail"),
    ],
)
def test_a_setting_that_makes_no_sense_is_a_configuration_problem(
    settings: Settings, name: str, value: object, check: str
) -> None:
    settings.report_to = "a@example.com"
    setattr(settings, name, value)
    finding = _found(settings, check)[check]
    assert finding.status == "not configured", finding
    assert PASSWORD not in finding.detail + finding.cure


def test_who_cannot_be_told_is_named_and_no_address_of_a_chat(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_DOTENV_DISABLED", "1")
    assert _found(settings, "alerts")["alerts"].status == "note"
    settings.report_to = "data@example.com, nobody"
    monkeypatch.setenv("CHAT_URL", f"no-such-service://{PASSWORD}")
    routes = "routes:\n - {name: shop, to: ['shop@'], apprise: [CHAT_URL, NOT_SET]}\n"
    (settings.home / "routes.yml").write_text(routes, encoding="utf-8")
    finding = _found(settings, "alerts")["alerts"]
    assert finding.status == "failed"
    assert finding.detail == (
        "REPORT_TO: 'nobody' is no mail address; routes.yml: route 'shop': 'shop@' is no mail address;"
        " routes.yml: route 'shop': the variable NOT_SET is not set; CHAT_URL holds no address that apprise knows,"
        " or a plain one (docs/security.md)"
    )
    assert PASSWORD not in finding.detail + finding.cure
    settings.report_to = "data@example.com"
    (settings.home / "routes.yml").unlink()
    assert _found(settings, "alerts")["alerts"].detail == "no file of routes; mail addresses: 1, chats: 0"


def test_a_warehouse_that_another_process_has_open_is_said_so(settings: Settings) -> None:
    duckdb.connect(str(settings.database_path)).close()
    code = f"import duckdb; c = duckdb.connect({str(settings.database_path)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        finding = _found(settings, "warehouse")["warehouse"]
        holder.communicate("\n")
    assert finding.status == "failed"
    assert "open in another process" in finding.detail


def test_the_command_prints_one_line_a_check_and_json(settings: Settings) -> None:
    plain = CliRunner().invoke(cli, ["doctor", "python", "oltp"], standalone_mode=False)
    assert plain.return_value == USAGE, plain.output
    first, second = plain.output.splitlines()
    assert first.startswith("ok    python     3.1")
    assert second.startswith("SET   oltp       OLTP_DSN is not set. Set it to postgresql://")
    as_json = CliRunner().invoke(cli, ["doctor", "--json", "oltp"], standalone_mode=False)
    assert [finding["status"] for finding in json.loads(as_json.output)] == ["not configured"]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running sandbox, as the environment of a command."""
    home = tmp_path_factory.mktemp("sandbox")
    environment = {**os.environ, "INSIGHTMART_HOME": str(home)}

    def run(*arguments: str) -> str:
        done = commands().call("sandbox", *arguments, environment=environment)
        done.check_returncode()
        return done.stdout

    run("up", "--size", "tiny", "--preload-hours", "1", "--parent", str(os.getpid()))
    yield {**environment, **json.loads(run("env", "--json"))}
    run("down")


@pytest.mark.slow
def test_all_is_fine_on_the_sandbox(
    sandbox: dict[str, str], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environment = sandbox | {"INSIGHTMART_HOME": str(new_home(tmp_path_factory, tmp_path))}
    done = commands().call("insightmart", "doctor", "--json", environment=environment)
    found = {finding["check"]: finding for finding in json.loads(done.stdout)}
    # the sandbox has no bucket that nobody can delete from, none for pages and none for what outlives the home
    expected = {**dict.fromkeys(found, "ok"), "evidence": "note", "kept": "note", "pages": "note"}
    assert {name: finding["status"] for name, finding in found.items()} == expected, found
    assert done.returncode == 0
    assert "role insightmart_reader reads 5 tables and cannot write" in found["oltp"]["detail"]
    assert found["shopify"]["detail"].endswith("API 2026-10, scopes granted")


@pytest.mark.slow
def test_a_table_that_is_not_of_the_contract_is_named(sandbox: dict[str, str], settings: Settings) -> None:
    import psycopg

    state = SandboxState.load(Path(sandbox["INSIGHTMART_HOME"]))
    assert state is not None
    settings.oltp_dsn = SecretStr(sandbox["OLTP_DSN"])
    with psycopg.connect(state.admin_dsn) as admin:
        admin.execute("ALTER TABLE refunds RENAME COLUMN reason TO why")
        admin.execute("REVOKE SELECT ON products FROM insightmart_reader")
    finding = _found(settings, "oltp")["oltp"]
    with psycopg.connect(state.admin_dsn) as admin:
        admin.execute("ALTER TABLE refunds RENAME COLUMN why TO reason")
        admin.execute("GRANT SELECT ON products TO insightmart_reader")
    assert finding.status == "failed"
    assert "public.refunds lacks reason" in finding.detail
    assert "public.products may not be read" in finding.detail


@pytest.mark.slow
def test_a_token_that_may_not_read_reports_is_a_note_with_its_cure(sandbox: dict[str, str], settings: Settings) -> None:
    state = SandboxState.load(Path(sandbox["INSIGHTMART_HOME"]))
    assert state is not None
    settings.shopify_url, settings.shopify_token = state.shopify_url, SecretStr(state.shopify_token)
    shop = Shop(state.shop_path)
    shop.set_fault("lost_scopes", {"handles": ["read_reports"]})
    finding = _found(settings, "shopify")["shopify"]
    shop.set_fault("lost_scopes", None)
    assert finding.status == "note"
    assert "without read_reports online sales are not reconciled with the shop's own sales report" in finding.detail
    assert "level 2 access to protected customer data" in finding.cure
