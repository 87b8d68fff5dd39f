"""What tests of the sandbox share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.business import Business
from tests.support.sandbox_home import Home
from tests.support.simulated import START


@pytest.fixture(scope="session")
def tiny() -> Business:
    return Business(1, "tiny", START)


@pytest.fixture(scope="session")
def demo() -> Business:
    return Business(1, "demo", START)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with an empty sandbox that stays up for the whole module."""
    running = Home(tmp_path_factory.mktemp("shared"))
    running.up()
    yield running
    assert running.run("down").returncode == 0


@pytest.fixture(scope="module")
def settings(home: Home) -> dict[str, str]:
    """What `env` says of the shared sandbox."""
    return home.env()


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Home]:
    """A home without a sandbox, whatever the test leaves in it."""
    own = Home(tmp_path / "home with 'quotes'")
    yield own
    assert own.run("down").returncode == 0
