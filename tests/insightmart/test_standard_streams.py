"""Whatever becomes of what a command prints to, its work is done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "insightmart.cli"]


def call(home: Path, shell: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command of a process of its own, as a shell starts it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INSIGHTMART_")}
    environment |= {"INSIGHTMART_HOME": str(home), "PYTHON_DOTENV_DISABLED": "1", **settings}
    line = ["sh", "-c", f'"$@" {shell}', "sh", *COMMAND, *arguments]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("shell", ["2> /dev/full", "2>&-", "2>&- <&-"])
def test_a_note_is_entered_though_nobody_can_read_what_is_said(tmp_path: Path, shell: str) -> None:
    """The lines of a step go to standard error: of a ledger that is verified, as of a cycle."""
    assert call(tmp_path, shell, "ledger", "note", "the log is full").returncode == 0
    done = call(tmp_path, shell, "ledger", "verify", "--json")
    assert (done.returncode, json.loads(done.stdout)["entries"]) == (0, 2)


def test_a_result_that_cannot_be_written_is_an_error_with_its_cure(tmp_path: Path) -> None:
    done = call(tmp_path, "> /dev/full", "ledger", "head")
    assert done.returncode == 1
    assert "No space left on device. Make room on that disk" in done.stderr


def test_csv_has_any_character_wherever_it_goes(tmp_path: Path) -> None:
    call(tmp_path, "", "ledger", "note", "a warehouse to ask")
    done = call(tmp_path, "", "sql", "--csv", "SELECT chr(9731) AS snow", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stdout) == (0, "snow\n\u2603\n"), done.stderr
