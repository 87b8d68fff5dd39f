"""A cycle that is past its time: it is interrupted, whatever it is at, or its process ended; what happened is kept."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from ingestion.loading.context import IngestContext, LoadResult, TimeLimit
from ingestion.ops_tables import create_tables
from ingestion.warehouse import open_duckdb
from insightmart import sources
from insightmart.settings import PROJECT, Settings
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


def test_all_sources_are_given_up_though_the_wait_for_one_is_interrupted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cycle's time is over while one source writes and another one still reads: that one must not write later."""
    at_work, go_on = threading.Barrier(3), threading.Event()
    limits: dict[str, TimeLimit] = {}

    def load(context: IngestContext, source: str) -> list[LoadResult]:
        limits[source] = context.limit
        at_work.wait()
        go_on.wait()
        return []

    def interrupted(*_: object) -> None:
        at_work.wait()
        raise TimeIsUp

    def again(*_: object) -> None:
        raise TimeIsUp

    monkeypatch.setattr(sources._SourceLoad, "wait", interrupted)
    monkeypatch.setattr(sources._SourceLoad, "give_up", again)
    settings = Settings(home=tmp_path, STORES_URL="s3://shop/in", SHOPIFY_URL="http://127.0.0.1:9", _env_file=None)  # type: ignore[call-arg]
    with open_duckdb(tmp_path / "INSIGHTMART.duckdb") as warehouse:
        create_tables(warehouse)
        with pytest.raises(TimeIsUp):
            sources.load_each(warehouse, settings, datetime(2026, 3, 6), ("stores", "shopify"), load)
        assert {source: limit.is_given_up for source, limit in limits.items()} == {"stores": True, "shopify": True}
        go_on.set()
        for thread in threading.enumerate():
            if thread.name in limits:
                thread.join()
