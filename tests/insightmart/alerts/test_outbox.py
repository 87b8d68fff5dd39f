"""Messages that nobody took yet: in a bucket they outlive the disk; a spoilt one is said."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from ingestion.clock import utc_now
from ingestion.retries import AGAIN
from insightmart.alerts import not_running
from insightmart.alerts.outbox import Outbox, Parcel
from insightmart.alerts.post import keep, send_out
from insightmart.doctor.findings import Flaw
from insightmart.doctor.remote import REMOTE
from insightmart.settings import Settings
from tests.support.inbox import Inbox
from tests.support.kept_bucket import KeptBucket


def parcel(name: str, minutes: int = 0) -> Parcel:
    mail = f"From: a@example.com\nTo: b@example.com\nSubject: {name}\nMessage-ID: <{name}@example.com>\n\nhello\n"
    return Parcel(name=name, put_at=utc_now() - timedelta(minutes=minutes), mail=mail, recipients=["b@example.com"])


@pytest.fixture
def bucket(endpoint: str, aws: None, settings: Settings) -> KeptBucket:
    made = KeptBucket(endpoint)
    made.serve(settings)
    return made


def lose_the_disk(settings: Settings) -> None:
    shutil.rmtree(settings.home)
    settings.home.mkdir()


def subjects(inbox: Inbox) -> list[str]:
    return [str(message["Subject"]) for message in inbox.messages]


def test_what_was_not_taken_goes_out_from_another_disk_in_order_and_once(
    settings: Settings, inbox: Inbox, bucket: KeptBucket
) -> None:
    inbox.answers = ["450 later"] * 4
    keep(settings, [parcel("first", 9), parcel("second")])
    with capture_logs() as logged:
        assert [problem.subject for problem in send_out(settings, pause=0)] == ["mail", "mail"]
    assert [line["whom"] for line in logged if line["event"] == AGAIN] == ["the mail server"]
    lose_the_disk(settings)
    keep(settings, [parcel("second")])  # by a cycle that is repeated
    assert len(bucket.files()) == 2
    assert send_out(settings, pause=0) == []
    assert subjects(inbox) == ["first", "second"]
    lose_the_disk(settings)
    assert send_out(settings, pause=0) == []
    assert subjects(inbox) == ["first", "second"]
    assert bucket.versions() == set()


def test_a_bucket_that_does_not_answer_delays_no_message_and_what_waits_is_put_there_later(
    settings: Settings, inbox: Inbox, bucket: KeptBucket
) -> None:
    settings.kept_url = "s3://nowhere-at-all/home"
    inbox.answers = ["250 ok", "450 later", "450 later"]
    keep(settings, [parcel("taken", 9), parcel("waits")])
    problems = send_out(settings, pause=0)
    assert [problem.subject for problem in problems] == ["mail", "outbox"]
    assert "s3://nowhere-at-all/home cannot be listed (NoSuchBucket)" in problems[-1].message
    assert subjects(inbox) == ["taken"]
    bucket.serve(settings)
    inbox.answers = ["450 later", "450 later"]
    send_out(settings, pause=0)
    lose_the_disk(settings)
    assert send_out(settings, pause=0) == []
    assert subjects(inbox) == ["taken", "waits"]


@pytest.mark.parametrize("content", [b"", b"\xff\x00garbage"])
def test_a_spoilt_message_is_put_aside_and_said_and_the_others_go_out(
    settings: Settings, inbox: Inbox, bucket: KeptBucket, content: bytes
) -> None:
    keep(settings, [parcel("sound")])
    outbox = Outbox(settings.home)
    (outbox.folder / "20260306T100500000000-000_spoilt.json").write_bytes(content)
    [problem] = send_out(settings, pause=0)
    assert "cannot be read, so that nobody gets it: 20260306T100500000000-000_spoilt.json" in problem.message
    assert subjects(inbox) == ["sound"]
    assert list(bucket.files()) == ["outbox/undeliverable/20260306T100500000000-000_spoilt.json"]
    with pytest.raises(Flaw, match="1 of the messages in it were never taken"):
        REMOTE["kept"](settings)
    assert send_out(settings, pause=0) == []


def test_names_in_the_bucket_shape_no_path(settings: Settings, inbox: Inbox, bucket: KeptBucket) -> None:
    for name in ("outbox/../../outside.json", "outbox/a b.json", "outbox/deep/er.json", "outbox/.hidden.json"):
        bucket.put(name, parcel("evil").model_dump_json().encode())
    assert send_out(settings, pause=0) == []
    assert subjects(inbox) == []
    assert list(settings.home.parent.rglob("outside.json")) == []


def test_a_cycle_that_cannot_run_is_told_once_though_each_has_another_disk(
    settings: Settings, inbox: Inbox, bucket: KeptBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.smtp_url is not None
    monkeypatch.setenv("SMTP_URL", settings.smtp_url.get_secret_value())
    monkeypatch.setenv("REPORT_TO", "data@example.com")
    monkeypatch.setenv("PYTHON_DOTENV_DISABLED", "1")
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        with pytest.raises(ValueError, match="x"), not_running.telling_if_it_cannot_run(None):
            raise ValueError("x")
        lose_the_disk(settings)
    with not_running.telling_if_it_cannot_run(None):
        pass
    opened, over = inbox.messages
    assert over["In-Reply-To"] == opened["Message-ID"]
    assert list(bucket.files()) == ["cannot_run.json"]


@pytest.mark.parametrize("content", [b"", b"\xff\x00garbage", b"[]"])
def test_a_damaged_memory_of_what_was_told_costs_one_more_message(
    settings: Settings, inbox: Inbox, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.smtp_url is not None
    monkeypatch.setenv("SMTP_URL", settings.smtp_url.get_secret_value())
    monkeypatch.setenv("REPORT_TO", "data@example.com")
    monkeypatch.setenv("PYTHON_DOTENV_DISABLED", "1")
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), not_running.telling_if_it_cannot_run(None):
            raise ValueError("x")
        if len(inbox.messages) == 1:
            (settings.home / not_running.FILE).write_bytes(content)
    assert len(inbox.messages) == 2
