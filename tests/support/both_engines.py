"""An empty warehouse of either engine, for what has to be the same on both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.gateway import OPTIONS
from insightmart.settings import Settings
from insightmart.snowflake_sessions import connect
from tests.support.fakesnow_session import fake_account
from tests.support.snowflake_account import ACCOUNT

ENGINES = ["duckdb", "snowflake"]


@contextmanager
def opened(engine: str, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """An empty warehouse below a folder; fakesnow stands in for the account, behind the real connector."""
    if engine == "duckdb":
        with open_duckdb(folder / "INSIGHTMART.duckdb") as warehouse:
            yield warehouse
        return
    for name, value in ACCOUNT.items():
        patch.setenv(name, value)
    with fake_account(folder / "stages"):
        settings = Settings(_env_file=None)  # type: ignore[call-arg]
        with Warehouse(connect(settings, "transform", **OPTIONS), "snowflake") as warehouse:
            yield warehouse
