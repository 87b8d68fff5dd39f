"""Sandboxes for whole cycles, and the first cycle of one, which is played once for all."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.built_homes import copy_home, once_a_run
from tests.support.forked import commands
from tests.support.whole_cycles import FIRST_CYCLE, Sandbox, played


@pytest.fixture
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = Sandbox(tmp_path_factory, "sandbox")
    yield running
    running.call("down")


@pytest.fixture(scope="module")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox in which no time passes: for tests that only read what is there."""
    running = Sandbox(tmp_path_factory, "first-day")
    yield running
    running.call("down")


@pytest.fixture(scope="session")
def first_cycle(tmp_path_factory: pytest.TempPathFactory, set_up_home: Path) -> Callable[[Sandbox], Path]:
    """``first_cycle(sandbox)``: a folder with the ``home`` that the first cycle leaves and what it ``played``.

    Every sandbox begins with the same day, so the first that asks plays it for all.
    """

    def folder(sandbox: Sandbox) -> Path:
        def build(folder: Path) -> None:
            home = copy_home(set_up_home, folder / "home")
            local = {**sandbox.settings, "INSIGHTMART_HOME": str(home), "INSIGHTMART_GATEWAY": "local"}
            (folder / "played").write_bytes(pickle.dumps(played(local, FIRST_CYCLE)))

        return once_a_run(tmp_path_factory, "first_cycle", build)

    return folder


@pytest.fixture(scope="session")
def cycle_at() -> Callable[..., int]:
    """``cycle_at(settings, as_of, step, quiet)``: the exit code of a cycle in a process of its own
    (tests/support/killed_cycle.py)."""

    def run(settings: Mapping[str, str], as_of: str, step: str | None, quiet: float = 30, account: str = "") -> int:
        asked = json.dumps({"as_of": as_of, "step": step, "account": account, "quiet": quiet})
        done = commands().call("killed_cycle", asked, environment={**os.environ, **settings})
        print(done.stdout, done.stderr)  # shown where a test fails
        return done.returncode

    return run
