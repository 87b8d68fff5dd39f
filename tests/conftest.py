"""What tests of several folders share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def fake_account() -> Any:
    """``fakesnow_session.fake_account``: a Snowflake account in this process."""
    path = Path(__file__).parent / "fakesnow_session.py"
    spec = importlib.util.spec_from_file_location("fakesnow_session", path)
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fake_account
