"""A cycle that cannot run, through the command: who hears of it, how often, and that it is over."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from ingestion.clock import utc_now
from insightmart.alerts import not_running
from insightmart.settings import Settings
from tests.support.inbox import Inbox
from tests.support.workshop import CommandLine


@pytest.fixture
def mailed(settings: Settings, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    """The inbox, as a process of its own finds it."""
    assert settings.smtp_url is not None
    monkeypatch.setenv("SMTP_URL", settings.smtp_url.get_secret_value())
    monkeypatch.setenv("REPORT_TO", "data@example.com")
    monkeypatch.setenv("STATUS_ADDRESS", "https://status.example.com")
    monkeypatch.setenv("PYTHON_DOTENV_DISABLED", "1")
    return inbox


def _subjects(inbox: Inbox) -> list[str]:
    return [f"{str(message['From']).partition(' <')[0]} {message['Subject']}" for message in inbox.messages]


def test_settings_that_make_no_sense_are_told_once_and_then_ever_less_often(
    mailed: Inbox, insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("INSIGHTMART_CURRENCY", "gold")
    for hour in range(6):
        code, _, said = insightmart("cycle", "--as-of", f"2026-03-06T{hour + 10}:05")
        assert code == 2
        assert "INSIGHTMART_CURRENCY cannot be used" in said
    assert _subjects(mailed) == [
        "InsightMart [InsightMart] The hourly cycle cannot run: the settings",
        '"InsightMart: still open" Re: [InsightMart] The hourly cycle cannot run: the settings',
        '"InsightMart: still open" Re: [InsightMart] The hourly cycle cannot run: the settings',
    ]
    text = mailed.messages[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "INSIGHTMART_CURRENCY cannot be used: String should match pattern" in text
    assert "Set INSIGHTMART_CURRENCY in the environment or in .env" in text
    assert "https://status.example.com/index.html" in text
    assert "#problem" not in text  # the page has not heard of it
    assert (settings.home / "cannot_run.json").stat().st_mode & 0o777 == 0o600


def test_a_warehouse_that_cannot_be_opened_is_told(mailed: Inbox, insightmart: CommandLine, settings: Settings) -> None:
    settings.database_path.write_bytes(b"no database " * 2000)
    code, _, _ = insightmart("cycle", "--as-of", "2026-03-06T10:05")
    assert code == 1
    assert len(mailed.messages) == 1
    assert "cannot run" in mailed.messages[0]["Subject"]


@pytest.mark.parametrize(("hours", "mails"), [(1, 0), (3, 1)])
def test_another_command_at_work_is_an_alarm_after_two_hours(
    mailed: Inbox, insightmart: CommandLine, settings: Settings, hours: int, mails: int
) -> None:
    since = f"{utc_now() - timedelta(hours=hours):%Y-%m-%d %H:%M:%S}"
    (settings.home / "writer.json").write_text(f'{{"command": "backfill", "pid": 7, "since": "{since}"}}')
    with FileLock(settings.home / "writer.lock"):
        code, _, said = insightmart("cycle", "--as-of", "2026-03-06T10:05")
    assert code == 75
    assert "`insightmart backfill` (process 7) has been writing since" in said
    assert len(mailed.messages) == mails
    if mails:
        assert mailed.messages[0]["Subject"] == "[InsightMart] The hourly cycle cannot run: the lock"


def test_a_cycle_that_runs_again_is_told_in_the_same_thread_and_a_bug_without_secrets(
    mailed: Inbox, settings: Settings
) -> None:
    url = str(settings.smtp_url and settings.smtp_url.get_secret_value())
    with pytest.raises(KeyError), not_running.telling_if_it_cannot_run(None):
        raise KeyError(f"what {url}")
    for _ in range(2):
        with not_running.telling_if_it_cannot_run(None):
            pass
    opened, over = mailed.messages
    assert over["In-Reply-To"] == opened["Message-ID"]
    assert str(over["From"]).startswith('"InsightMart: recovered"')
    text = opened.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "unexpected KeyError" in text
    assert url not in text


def test_where_the_home_cannot_be_written_the_same_is_still_not_told_every_hour(
    mailed: Inbox, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("INSIGHTMART_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for _ in range(2):
        with pytest.raises(ValueError, match="x"), not_running.telling_if_it_cannot_run(None):
            raise ValueError("x")
    assert len(mailed.messages) == 1


def test_why_nobody_is_told_is_said(
    mailed: Inbox, insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("INSIGHTMART_CURRENCY", "gold")
    (settings.home / "outbox").write_text("no folder")
    _, _, said = insightmart("cycle", "--as-of", "2026-03-06T10:05")
    [line] = [line for line in said.splitlines() if line.startswith("nobody was told by mail: ")]
    assert str(settings.home / "outbox") in line
    assert mailed.messages == []
