"""A cycle that is past its time: it is interrupted, whatever it is at, or its process ended; what happened is kept."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from insightmart.settings import PROJECT
from insightmart.watchdog import TimeIsUp, Watchdog, watched
from tests.support.built_homes import SHAPE, copy_home, project_in

pytestmark = pytest.mark.usefixtures("ends")
FOR_EVER = "SELECT SUM(HASH(range)) FROM range(100000000000)"


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    with watched() as opened:
        yield opened


def wait_for_a_thread() -> None:
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    thread.join()


def test_a_wait_is_interrupted(watchdog: Watchdog) -> None:
    watchdog.begin(0.1)
    with pytest.raises(TimeIsUp) as caught:
        wait_for_a_thread()
    assert watchdog.is_up(caught.value)


def test_a_statement_is_interrupted_and_its_connection_goes_on(watchdog: Watchdog) -> None:
    with duckdb.connect() as connection:
        watchdog.begin(0.5, stop=connection.interrupt)
        with pytest.raises(RuntimeError, match="interrupted") as caught:
            connection.execute(FOR_EVER)
        assert watchdog.is_up(caught.value)
        assert connection.execute("SELECT 7").fetchall() == [(7,)]


@pytest.mark.slow
def test_a_statement_of_sqlmesh_is_interrupted_and_its_connection_goes_on(
    watchdog: Watchdog, set_up_home: Path, tmp_path: Path
) -> None:
    with project_in(copy_home(set_up_home, tmp_path / "home"), SHAPE) as (_, transformer):
        adapter = transformer.context.engine_adapter
        watchdog.begin(0.5, stop=transformer.interrupt)
        with pytest.raises(RuntimeError) as caught, adapter.transaction():
            adapter.execute(FOR_EVER)
        assert watchdog.is_up(caught.value)
        assert adapter.fetchone("SELECT 7") == (7,)


def test_who_takes_it_for_a_failure_and_goes_on_is_asked_again(watchdog: Watchdog) -> None:
    watchdog.begin(0.1)
    for _ in range(2):
        with pytest.raises(TimeIsUp):
            wait_for_a_thread()
    watchdog.conclude()  # and whoever has heard is left in peace
    threading.Event().wait(2.5)


def test_another_error_is_not_taken_for_it(watchdog: Watchdog) -> None:
    watchdog.begin(60)
    assert not watchdog.is_up(ValueError("no"))


HANGS = """
import sys, threading, time
from insightmart import watchdog
watchdog.GRACE = 0.3
with watchdog.watched() as dog:
    dog.begin(0.2, lambda: print("recorded", flush=True))
    while True:
        try:
            threading.Event().wait(60)
        except BaseException:
            pass  # hears nothing
"""


def test_a_process_in_which_nothing_hears_is_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "recorded\n")
    assert "the process ends" in done.stderr
