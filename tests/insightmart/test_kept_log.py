"""The lines of a command in a bucket, when it has ended, however it ended."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.insightmart.test_cli import PROJECT, process
from tests.support.kept_bucket import KeptBucket


def test_lines_are_put_by_day_also_of_a_command_that_failed_in_a_home_that_is_not_there(
    tmp_path: Path,
    endpoint: str,
    aws: None,
) -> None:
    bucket = KeptBucket(endpoint)
    missing = tmp_path / "none"
    done = process(missing, "sql", "SELECT 1", **bucket.environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert not missing.exists()
    [(name, content)] = bucket.files().items()
    assert re.fullmatch(r"logs/\d{4}/\d\d/\d\d/\d{6}-sql-[0-9a-f]{8}\.jsonl", name)
    began, failed = map(json.loads, content.decode().splitlines())
    assert (began["event"], began["command"]) == ("began", "sql")
    assert (failed["event"], failed["exit_code"]) == ("failed", 2)
    process(missing, "completion", "bash", **bucket.environment)
    process(missing, "../../secret", **bucket.environment)
    assert len(bucket.files()) == 1


def test_a_bucket_that_takes_nothing_is_said_and_the_command_ends_as_it_did(
    tmp_path: Path,
    endpoint: str,
    aws: None,
) -> None:
    nowhere = {"AWS_ENDPOINT_URL": endpoint, "KEPT_URL": "s3://nowhere-at-all/home"}
    done = process(tmp_path, "quarantine", "list", **nowhere)
    assert done.returncode == 0, done.stderr
    assert "the log of this command is in the home alone: s3://nowhere-at-all/home" in done.stderr
    refused = process(tmp_path, "sql", "SELECT 1", KEPT_URL="https://kept.example.com")
    assert refused.returncode == 2
    assert "KEPT_URL cannot be used: Value error, must be s3://BUCKET/PREFIX" in refused.stderr


# A source that hangs, with a thread of a library that Python waits for at its end.
HANGING = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from insightmart import cli, watchdog

def hang():
    ThreadPoolExecutor().submit(Event().wait)
    Event().wait()

source = Thread(target=hang, daemon=True)
source.start()
watchdog.leave_alone(source)
sys.argv = ["insightmart", *sys.argv[1:]]
cli.main()
"""


@pytest.mark.parametrize(("arguments", "code"), [(["quarantine", "list"], 0), (["sql", "SELECT 1"], 2)])
def test_a_command_that_leaves_a_source_behind_ends_and_its_lines_are_put(
    tmp_path: Path, endpoint: str, aws: None, arguments: list[str], code: int
) -> None:
    bucket = KeptBucket(endpoint)
    settings = {"INSIGHTMART_HOME": str(tmp_path / "none"), "PYTHON_DOTENV_DISABLED": "1", **bucket.environment}
    done = subprocess.run(
        [sys.executable, "-c", HANGING, *arguments],
        cwd=PROJECT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    [content] = bucket.files().values()
    assert json.loads(content.decode().splitlines()[-1])["exit_code"] == code


# A command that is ended from within, as the lease and the watchdog do it, or from outside.
ENDED = """
import os, signal, sys, threading
from insightmart import cli, lease, logs, watchdog

def hang():
    while True:
        try:
            threading.Event().wait(60)
        except BaseException:
            pass  # hears nothing

def past_its_time():
    watchdog.GRACE = 0.2
    with watchdog.watched() as dog:
        dog.begin(0.1)
        hang()

ends = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "taken over": lambda: lease._end("another process has taken over the writer's lock"),
    "not renewed": lambda: lease._end("the writer's lock could not be renewed", log_within=20),
    "past its time": past_its_time,
}
how = sys.argv.pop()
cli._run = lambda debug: ends[how]()
cli.main()
"""


def test_lines_of_a_command_that_was_ended_are_put_by_itself_or_by_the_next_one(
    tmp_path: Path, endpoint: str, aws: None
) -> None:
    bucket = KeptBucket(endpoint)
    settings = {"INSIGHTMART_HOME": str(tmp_path), "PYTHON_DOTENV_DISABLED": "1", **bucket.environment}

    def ended(how: str, **others: str) -> int:
        line, environment = [sys.executable, "-c", ENDED, "cycle", how], {**os.environ, **settings, **others}
        return subprocess.run(line, cwd=PROJECT, env=environment, timeout=60, check=False).returncode

    def kept() -> list[str]:
        return [str(json.loads(content.decode().splitlines()[-1])["event"]) for content in bucket.files().values()]

    assert (ended("not renewed"), kept()) == (75, ["failed"])
    assert (ended("past its time"), sorted(kept())) == (1, ["ended", "failed"])
    assert (ended("killed"), ended("taken over")) == (-9, 75)
    assert ended("not renewed", KEPT_URL="s3://nowhere-at-all/home") == 75
    assert len(bucket.files()) == 2
    left = list((tmp_path / "logs" / "unput").iterdir())
    assert [path.stat().st_mode & 0o777 for path in left] == [0o600] * 3
    with left[0].open() as at_work:  # of a command that is at work
        fcntl.flock(at_work, fcntl.LOCK_EX)
        process(tmp_path, "quarantine", "list", **bucket.environment)
        assert len(bucket.files()) == 2 + 1 + 2
    process(tmp_path, "quarantine", "list", **bucket.environment)
    assert sorted(kept()) == ["began", *["ended"] * 3, *["failed"] * 3]
    assert list((tmp_path / "logs" / "unput").iterdir()) == []
    assert all(
        re.fullmatch(r"logs/[\d/]{10}/\d{6}-(cycle|quarantine)-[0-9a-f]{8}\.jsonl", name) for name in bucket.files()
    )
