"""What tests of several folders share."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

# SQLMesh loads models in forked processes, which costs more than it saves where tests keep every core busy already.
# It is read when SQLMesh is imported.
os.environ.setdefault("MAX_FORK_WORKERS", "1")

# The longest scenes come first, so that the test processes end together: one that is free takes over from the end of
# another's list.
LONGEST_FIRST = (
    "test_cycle.py",
    "test_calendar.py",
    "test_homeless_day.py",
    "test_healing.py",
    "test_cycle_limits.py",
    "test_damage.py",
    "test_two_machines.py",
    "test_whole_project.py",
    "test_rule_change.py",
    "test_restore_and_cycle.py",
    "test_arrival.py",
    "test_promote.py",
    "test_history.py",
    "test_business_cases.py",
    "test_extremes.py",
)

# Fixtures that start a server: PostgreSQL, S3, the shop, a whole sandbox.
SERVICES = {"oltp_dsns", "endpoint", "online", "own_home"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What meets a real server is slow, whether or not its file says so; the longest tests begin."""
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))
    for item in items:
        if SERVICES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def fake_account() -> Any:
    """``fakesnow_session.fake_account``: a Snowflake account in this process."""
    path = Path(__file__).parent / "support" / "fakesnow_session.py"
    spec = importlib.util.spec_from_file_location("fakesnow_session", path)
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fake_account


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """A command in this process points the log at the streams of its test, which are closed afterwards."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def ends() -> Iterator[None]:
    """For tests of what may hang: one that does has failed after two minutes."""

    def fail(*_: Any) -> None:
        pytest.fail("it hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
