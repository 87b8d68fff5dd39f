"""A sandbox whose hours a test plays, and a gateway of which the home is lost between commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.warehouse import Warehouse
from insightmart.gateway import open_warehouse
from insightmart.settings import load_settings
from insightmart.snowflake_sessions import close_waiting
from insightmart.tie_out import tie_out
from tests.support.built_homes import copy_home, new_home
from tests.support.kept_bucket import KeptBucket
from tests.support.whole_cycles import FIRST_CYCLE, Sandbox
from tests.support.workshop import CommandLine

WAREHOUSE = ("INSIGHTMART.duckdb", "INSIGHTMART.duckdb.wal", "state.duckdb", "state.duckdb.wal")


class PlayedDay:
    """A sandbox, and how many hours of the day it has played."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.hour = sandbox, 0

    def advance(self, hour: int) -> dict[str, Any]:
        """Play until then; the truth of that hour."""
        if hour > self.hour:
            self.sandbox.call("advance", "--hours", str(hour - self.hour))
        self.hour = hour
        truth: dict[str, Any] = json.loads(self.sandbox.call("truth", "--json"))
        return truth

    @property
    def now(self) -> str:
        """What a cycle of this hour is told to be the time."""
        return f"{datetime.fromisoformat(FIRST_CYCLE) + timedelta(hours=self.hour):%Y-%m-%dT%H:%M}"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayedDay]:
    running = Sandbox(tmp_path_factory, "homeless")
    yield PlayedDay(running)
    running.call("down")


@dataclass
class Gateway:
    """Where commands run, with a bucket for what outlives the home."""

    home: Path
    environment: Mapping[str, str]
    bucket: KeptBucket
    insightmart: CommandLine
    factory: pytest.TempPathFactory
    commands: int = 0  # that were run

    @property
    def gateway(self) -> str:
        return self.environment["INSIGHTMART_GATEWAY"]

    def lose_the_home(self, *, is_cache_shared: bool) -> None:
        """Delete the home, on DuckDB all of it but the warehouse and its state.

        Args:
            is_cache_shared: link what is cached of the project's files alone, which all homes of a test run share.
        """
        for entry in [*self.home.iterdir()] if self.home.exists() else ():
            if self.gateway != "local" or entry.name not in WAREHOUSE:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if is_cache_shared:
            new_home(self.factory, self.home)
        elif self.gateway != "local":
            shutil.rmtree(self.home, ignore_errors=True)

    def run(self, *command: str, **settings: str) -> tuple[int, str]:
        """A command: its exit code, and what it says."""
        self.commands += 1
        with _set({**self.environment, **settings}):
            code, _, said = self.insightmart(*command)
            close_waiting()  # each is a process of its own
        return code, said

    @contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        with _set(self.environment), open_warehouse(load_settings()) as opened:
            yield opened

    def inexact(self, truth: dict[str, Any]) -> set[str]:
        """The totals of certified that are not the truth's."""
        with self.warehouse() as warehouse:
            return {tie.what for tie in tie_out(warehouse, truth) if not tie.exact}


@contextmanager
def _set(environment: Mapping[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def gateway(
    day: PlayedDay,
    tmp_path: Path,
    insightmart: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[dict[str, str]], Gateway]:
    """``gateway(environment)``: a home that is not there yet, the sandbox's sources, a bucket."""
    monkeypatch.delenv("INSIGHTMART_AS_OF", raising=False)
    for name, value in day.sandbox.settings.items():
        monkeypatch.setenv(name, value)

    def make(environment: dict[str, str]) -> Gateway:
        home = tmp_path / environment["INSIGHTMART_GATEWAY"]
        bucket = KeptBucket(day.sandbox.settings["AWS_ENDPOINT_URL"])
        own = {**environment, **bucket.environment, "INSIGHTMART_HOME": str(home)}
        return Gateway(home, own, bucket, insightmart, tmp_path_factory)

    return make


@pytest.fixture
def local(
    gateway: Callable[[dict[str, str]], Gateway],
    day: PlayedDay,
    first_cycle: Callable[[Sandbox], Path],
) -> Gateway:
    """DuckDB as the first cycle has left it."""
    made = gateway({"INSIGHTMART_GATEWAY": "local"})
    copy_home(first_cycle(day.sandbox) / "home", made.home)
    return made
