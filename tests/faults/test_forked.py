"""A forked command is as one that was started: environment, folder, streams, end."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.forked import PROJECT, commands

TELLS = """
import atexit, os, sys, threading
atexit.register(print, "at the end")
threading.Timer(0.05, print, ["of a thread"]).start()
print(sys.argv, os.environ["GIVEN"], os.environ.get("HOME"), os.getcwd(), sys.stdin.read())
print("a warning", file=sys.stderr)
sys.exit(int(os.environ["GIVEN"]))
"""


def python(text: str, *arguments: str, seconds: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
    return commands().call("python", "-c", text, *arguments, environment=environment, seconds=seconds)


def test_it_has_what_a_process_that_was_started_has() -> None:
    done = python(TELLS, "one", GIVEN="7")
    told = f"['-c', 'one'] 7 None {PROJECT} \nof a thread\nat the end\n"
    assert (done.returncode, done.stdout, done.stderr) == (7, told, "a warning\n")


def test_it_leaves_nothing_to_the_next_one() -> None:
    assert python("import os, sys; os.environ['LEFT'] = '1'; os.chdir('/'); sys.left = 1").returncode == 0
    assert python("import os, sys; print('LEFT' in os.environ, hasattr(sys, 'left'))").stdout == "False False\n"


def test_its_end_is_told() -> None:
    assert python("import os; os.kill(os.getpid(), 9)").returncode == -signal.SIGKILL
    failed = python("1 / 0")
    assert (failed.returncode, failed.stderr.splitlines()[-1]) == (1, "ZeroDivisionError: division by zero")
    with pytest.raises(subprocess.TimeoutExpired):
        python("import threading; threading.Event().wait()", seconds=0.5)
    assert python("print('again')").stdout == "again\n"


def test_libraries_call_nobody_also_there() -> None:
    """Variables that a package sets when it is imported are set, though it has been imported before."""
    assert python("import os; print(os.environ['RUNTIME__DLTHUB_TELEMETRY'])").stdout == "false\n"


def test_programs_say_what_they_are_called(tmp_path: Path) -> None:
    environment = {**os.environ, "INSIGHTMART_HOME": str(tmp_path)}
    for program in ("insightmart", "sqlmesh"):
        done = commands().call(program, "--help", environment=environment)
        assert done.stdout.startswith(f"Usage: {program} [OPTIONS] COMMAND")
    none = commands().call("sandbox", "env", environment=environment)
    assert (none.returncode, none.stderr.count("\n")) == (1, 1)
