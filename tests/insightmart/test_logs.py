"""The log as JSON lines: what is in it, who may read it, that no secret is in it, and that it ends somewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from insightmart import logs
from insightmart.progress import step
from insightmart.settings import Settings
from tests.insightmart.test_cli import process


@pytest.fixture(autouse=True)
def _none_kept_after() -> Iterator[None]:
    yield
    logs.keep_log(None)


def _lines(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "logs" / "insightmart.jsonl").read_text().splitlines()]


def test_steps_and_lines_are_kept_with_what_only_debug_shows_and_without_secrets(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOPIFY_TOKEN", "shpat_very_secret")
    logs.configure_logging()
    logs.keep_log(settings.home)
    with pytest.raises(ZeroDivisionError), step("Dividing by shpat_very_secret"):
        raise ZeroDivisionError
    structlog.get_logger().debug("quiet", token="shpat_very_secret")
    structlog.get_logger().warning("loud", rows=7)
    divided, quiet, loud = _lines(settings.home)
    assert (divided["event"], divided["title"], divided["failed"]) == ("step", "Dividing by ***", True)
    assert divided["seconds"] >= 0
    assert (quiet["event"], quiet["token"], quiet["level"]) == ("quiet", "***", "debug")
    assert (loud["event"], loud["rows"], loud["process"]) == ("loud", 7, os.getpid())
    shown = capsys.readouterr().err
    assert "quiet" not in shown
    assert "loud" in shown
    assert (settings.home / "logs" / "insightmart.jsonl").stat().st_mode & 0o777 == 0o600
    assert (settings.home / "logs").stat().st_mode & 0o777 == 0o700


def test_lines_that_could_not_be_put_do_not_fill_the_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "UNPUT_KEPT", 2)
    logs.configure_logging()
    for number in range(5):  # each ends without putting its own
        logs.keep_log(settings.home, put_as=f"cycle{number}")
        logs.kept("something", number=number)
    last = [path.name.split("-")[0] for path in logs.unput_files(settings.home / logs.UNPUT)]
    assert last == ["cycle2", "cycle3", "cycle4"]


def test_a_full_file_is_followed_by_a_new_one(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 100)
    logs.configure_logging()
    logs.keep_log(settings.home)
    for number in range(12):
        logs.kept("x" * 100, number=number)
        logs.turn_over()
    files = sorted(path.name for path in (settings.home / "logs").iterdir())
    assert len(files) == logs.FILES_KEPT
    assert json.loads((settings.home / "logs" / "insightmart.jsonl.1").read_text())["number"] == 11


def test_a_command_says_when_it_began_and_how_it_ended_and_makes_no_home(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert process(missing, "sql", "SELECT 1").returncode == 2
    assert not missing.exists()
    process(tmp_path, "sql", "SELECT 1")
    began, failed = _lines(tmp_path)
    assert (began["event"], began["command"]) == ("began", "sql")
    assert (failed["event"], failed["exit_code"]) == ("failed", 2)
    assert "there is no warehouse at" in failed["error"]
    assert process(tmp_path, "lineage", "--help").returncode == 0
    assert _lines(tmp_path)[-1]["event"] == "ended"
