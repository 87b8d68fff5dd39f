"""The lines of a command in a bucket, when it has ended, however it ended."""

from __future__ import annotations

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
