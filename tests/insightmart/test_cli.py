"""Wrong input at the command line: one clear line, the documented exit code, no secret, nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from insightmart.settings import load_settings
from tests.support.built_homes import new_home
from tests.support.forked import commands
from tests.support.workshop import CommandLine

PROJECT = Path(__file__).resolve().parents[2]
INSIGHTMART = Path(sys.executable).parent / "insightmart"
SETTINGS = ("OLTP_DSN", "STORES_URL", "SHOPIFY_URL", "SHOPIFY_TOKEN", "SMTP_URL", "AWS_ENDPOINT_URL")


def process(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment = {name: value for name, value in environment.items() if not name.startswith("INSIGHTMART_")}
    environment |= {"INSIGHTMART_HOME": str(home), "PYTHON_DOTENV_DISABLED": "1", **settings}
    return commands().call("insightmart", *arguments, environment=environment, seconds=120)


def test_help_teaches_and_lists_every_command() -> None:
    done = subprocess.run([str(INSIGHTMART), "--help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    for command in (
        "demo",
        "sandbox",
        "ingest",
        "backfill",
        "cycle",
        "restate",
        "promote",
        "quarantine",
        "deletions",
        "reconcile",
        "report",
        "status",
        "doctor",
    ):
        assert f"\n  {command} " in done.stdout
    assert "75 another cycle" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (["ingest"], {}, "no source is configured"),
        (["cycle", "--as-of", "yesterday"], {}, "is not a timestamp"),
        (["cycle", "--as-of", "2999-03-05"], {}, "--as-of 2999-03-05 00:00 lies in the future"),
        (["report", "--as-published", "2999-03-05"], {}, "--as-published 2999-03-05 00:00 lies in the future"),
        (["sql", "SELECT 1", "--as-published", "2999-03-05"], {}, "--as-published 2999-03-05 00:00 lies in the future"),
        (["ingest", "--from", "2026-03-05"], {}, "--from and --to belong together"),
        (["ingest", "oltp", "--from", "2026-03-06", "--to", "2026-03-05"], {}, "--to must be later than --from"),
        (["ingest", "oltp", "--from", "2999-03-06", "--to", "2999-03-07"], {}, "--from lies in the future"),
        (
            ["backfill", "oltp", "--from", "0206-03-05", "--to", "2026-03-06"],
            {},
            "lies before 1970: is the year mistyped",
        ),
        (["reconcile", "--from", "2999-03-06"], {}, "--from lies in the future"),
        (["reconcile", "--to", "2025-03-06"], {}, "--to lies before the first day of history, 2026-01-01"),
        (["ingest"], {"INSIGHTMART_HOME": "/tmp/who's [1]"}, "a path with ' [ ] cannot be used"),
        (["ingest", "postgres"], {}, "'postgres' is not one of"),
        (["backfill", "oltp", "--from", "2026-03-05"], {}, "Missing option '--to'"),
        (["backfill", "oltp", "--from", "2026-03-05", "--to", "2026-03-05"], {}, "--to must be later than --from"),
        (["backfill", "--from", "2026-03-05", "--to", "2026-03-06"], {}, "Missing argument"),
        (
            ["backfill", "stores", "--from", "2026-03-05", "--to", "2026-03-06", "--entity", "orders"],
            {},
            "stores has no 'orders'; it has inventory, reference, tills",
        ),
        (["backfill", "oltp", "--from", "2026-03-05", "--to", "2026-03-06"], {}, "OLTP_DSN not set"),
        (["ingest"], {"INSIGHTMART_TIMEZONE": "Mars/Olympus"}, "INSIGHTMART_TIMEZONE cannot be used"),
        (["ingest"], {"INSIGHTMART_GATEWAY": "oracle"}, "INSIGHTMART_GATEWAY cannot be used"),
        (["ingest"], {"INSIGHTMART_START": "soon"}, "INSIGHTMART_START cannot be used"),
        (["restate", "staging._oltp_orders", "--from", "2026-03-06", "--to", "2026-03-05"], {}, "--to must be later"),
        (["fly"], {}, "No such command"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    tmp_path: Path,
    insightmart: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    settings: dict[str, str],
    said: str,
) -> None:
    for name in os.environ:
        if name in SETTINGS or name.startswith("INSIGHTMART_"):
            monkeypatch.delenv(name)
    for name, value in {"INSIGHTMART_HOME": str(tmp_path), "PYTHON_DOTENV_DISABLED": "1", **settings}.items():
        monkeypatch.setenv(name, value)
    code, _, err = insightmart(*arguments)
    assert code == 2
    assert said in err


def test_an_unreachable_database_is_named_without_its_password(tmp_path: Path) -> None:
    dsn = "postgresql://reader:open-sesame@127.0.0.1:9/shop"
    done = process(tmp_path, "ingest", "oltp", "--as-of", "2026-03-06", OLTP_DSN=dsn)
    assert done.returncode == 1
    assert "oltp:" in done.stderr
    assert "open-sesame" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_second_writer_is_told_who_is_at_work(tmp_path: Path) -> None:
    with FileLock(tmp_path / "writer.lock"):
        (tmp_path / "writer.json").write_text(
            '{"command": "cycle", "pid": 4711, "since": "2026-03-06 10:05:00"}', encoding="utf-8"
        )
        done = process(tmp_path, "cycle", "--as-of", "2026-03-06", OLTP_DSN="postgresql://127.0.0.1:9/shop")
    assert done.returncode == 75
    assert "`insightmart cycle` (process 4711) has been writing since 2026-03-06 10:05:00 UTC" in done.stderr


def test_an_unknown_model_is_refused_with_a_suggestion(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = new_home(tmp_path_factory, tmp_path)
    done = process(home, "restate", "core.fct_orders", "--from", "2026-03-05", "--to", "2026-03-06", "--yes")
    assert done.returncode == 2
    assert "core.fct_orders__oltp" in done.stderr


def test_settings_are_read_from_their_own_variables_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHON_DOTENV_DISABLED", "1")
    for name in ("INSIGHTMART_HOME", "INSIGHTMART_START", "INSIGHTMART_GATEWAY"):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere/else")
    monkeypatch.setenv("START", "2020-01-01")
    settings = load_settings()
    assert settings.home == tmp_path.resolve() / "var"
    assert settings.start.isoformat() == "2026-01-01"


def test_a_shell_is_told_how_to_complete_and_a_prompt_completes(tmp_path: Path) -> None:
    done = process(tmp_path, "completion", "bash")
    assert done.returncode == 0
    assert "_insightmart_completion" in done.stdout
    asked = process(
        tmp_path, _INSIGHTMART_COMPLETE="bash_complete", COMP_WORDS="insightmart quarantine show s", COMP_CWORD="3"
    )
    names = [line.partition(",")[2] for line in asked.stdout.splitlines()]
    assert "stores_inventory" in names
    assert "oltp_orders" not in names


def test_ui_says_where_everything_is(tmp_path: Path) -> None:
    page = tmp_path / "status" / "index.html"
    page.parent.mkdir()
    page.write_text("")
    done = process(tmp_path, "ui", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status page"] == str(page)
    assert "sqlmesh ui" in done.stdout
