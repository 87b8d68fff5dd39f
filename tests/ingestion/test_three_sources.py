"""The three sources together: at once, traceable, reloaded; through the pipeline's own commands."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import SOURCES
from ingestion.loading.context import IngestContext, LoadResult
from ingestion.ops_tables import create_tables
from ingestion.warehouse import open_duckdb
from insightmart.settings import Settings
from insightmart.sources import ingest, load_each

if TYPE_CHECKING:
    from conftest import Trade

pytestmark = pytest.mark.slow

FIRST_DAY, NEXT_DAY = datetime(2026, 3, 5, 10), datetime(2026, 3, 6, 10)
State = Callable[[Path, str], dict[str, Any]]
ROUNDS = int(os.environ.get("ROUNDS", "3"))


def load(trade: Trade, home: Path, as_of: datetime, *, at_once: bool) -> None:
    """Load all sources, at once or one after the other."""
    settings = Settings(home=home, start=date(2026, 3, 1), _env_file=None, **trade.settings)  # type: ignore[call-arg]
    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        for sources in [SOURCES] if at_once else [[source] for source in SOURCES]:
            results = ingest(warehouse, settings, as_of, sources)
            assert [result.error for result in results] == [None] * len(sources)


def test_at_once_and_one_after_the_other_end_in_the_same_warehouse(trade: Trade, state: State, tmp_path: Path) -> None:
    homes = [tmp_path / name for name in ("in turn", *map(str, range(ROUNDS)))]
    for prepare, as_of in ((trade.first_day, FIRST_DAY), (trade.next_day, NEXT_DAY)):
        prepare()
        for home in homes:
            load(trade, home, as_of, at_once=home != homes[0])
    for source in SOURCES:
        expected = state(homes[0], source)
        windows = expected.pop("ops.correction_windows")
        assert len(windows) > 0
        for home in homes[1:]:
            found = state(home, source)
            assert {window[:4] for window in found.pop("ops.correction_windows")} == {window[:4] for window in windows}
            assert found == expected


def test_the_warehouse_keeps_its_memory_bounded_while_sources_are_read(trade: Trade, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, start=date(2026, 3, 1), _env_file=None, **trade.settings)  # type: ignore[call-arg]
    limits = []

    def look(context: IngestContext, source: str) -> list[LoadResult]:
        limits.append(context.warehouse.value("SELECT current_setting('memory_limit')"))
        return []

    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        usual = warehouse.value("SELECT current_setting('memory_limit')")
        load_each(warehouse, settings, FIRST_DAY, SOURCES, look)
        assert limits == ["600.0 MiB"] * len(SOURCES)
        assert warehouse.value("SELECT current_setting('memory_limit')") == usual != limits[0]
