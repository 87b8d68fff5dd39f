"""What tests of the sandbox share."""

from __future__ import annotations

import pytest

from sandbox.business import Business
from tests.support.simulated import START


@pytest.fixture(scope="session")
def tiny() -> Business:
    return Business(1, "tiny", START)


@pytest.fixture(scope="session")
def demo() -> Business:
    return Business(1, "demo", START)
