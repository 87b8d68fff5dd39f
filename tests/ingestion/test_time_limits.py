"""A source that falls silent, drips or never answers costs its own limit, once: the others are in, it comes later."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingestion.contracts import SOURCES
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart import sources
from insightmart.settings import Settings
from insightmart.sources import Ingested, ingest
from tests.faults.proxy import Fault, Proxy

if TYPE_CHECKING:
    from conftest import Trade

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ends")]

FIRST_DAY, NEXT_DAY = datetime(2026, 3, 5, 10), datetime(2026, 3, 6, 10)
State = Callable[[Path, str], dict[str, Any]]
SEED = int(os.environ.get("SEED", "1"))
OLTP, SHOP, S3 = "oltp", "shopify", "stores"


@pytest.fixture(scope="module")
def proxies(trade: Trade) -> Iterator[dict[str, Proxy]]:
    """A proxy before each source."""
    ports = {
        OLTP: int(str(conninfo_to_dict(trade.settings["OLTP_DSN"])["port"])),
        SHOP: urlsplit(trade.settings["SHOPIFY_URL"]).port or 0,
        S3: urlsplit(os.environ["AWS_ENDPOINT_URL"]).port or 0,
    }
    with Proxy(ports[OLTP]) as oltp, Proxy(ports[SHOP]) as shop, Proxy(ports[S3]) as s3:
        yield {OLTP: oltp, SHOP: shop, S3: s3}


@pytest.fixture(scope="module")
def settings_of(trade: Trade, proxies: dict[str, Proxy]) -> Callable[[Path], Settings]:
    def of(home: Path) -> Settings:
        through = {
            "OLTP_DSN": make_conninfo(trade.settings["OLTP_DSN"], port=proxies[OLTP].port),
            "SHOPIFY_URL": f"http://127.0.0.1:{proxies[SHOP].port}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxies[S3].port}",
            "SOURCE_SILENCE_LIMIT": 4,
        }
        return Settings(home=home, start=date(2026, 3, 1), _env_file=None, **trade.settings | through)  # type: ignore[arg-type]

    return of


def load(warehouse: Warehouse, settings: Settings, as_of: datetime) -> dict[str, Ingested]:
    return {result.source: result for result in ingest(warehouse, settings, as_of)}


@pytest.fixture(scope="module")
def homes(
    trade: Trade, settings_of: Callable[[Path], Settings], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A home with the first day, and one with both, of sources that had no faults; the sources have the second day."""
    first, both = (tmp_path_factory.mktemp(name) / "home" for name in ("first", "both"))
    trade.first_day()
    with open_duckdb(settings_of(first).database_path) as warehouse:
        create_tables(warehouse)
        assert [one.problem for one in load(warehouse, settings_of(first), FIRST_DAY).values()] == [None] * 3
    shutil.copytree(first, both)
    trade.next_day()
    with open_duckdb(settings_of(both).database_path) as warehouse:
        create_tables(warehouse)
        assert [one.problem for one in load(warehouse, settings_of(both), NEXT_DAY).values()] == [None] * 3
    return first, both


@pytest.mark.parametrize(
    ("hanging", "fault", "limit", "said"),
    [
        ([OLTP], Fault.drawn("stall", SEED, within=40_000), 60, {OLTP: "has sent nothing for 4 s"}),
        ([SHOP, S3], Fault.drawn("stall", SEED, within=20_000), 60, {SHOP: "ReadTimeout", S3: "timeout"}),
        ([*SOURCES], Fault("deaf"), 60, {OLTP: "timeout expired", SHOP: "ReadTimeout", S3: "timeout"}),
        ([*SOURCES], Fault("drip", 3_000), 6, dict.fromkeys(SOURCES, "was not read within 6 s")),
    ],
)
def test_a_source_that_hangs_costs_its_limit_once_and_keeps_nothing_else_back(
    homes: tuple[Path, Path],
    proxies: dict[str, Proxy],
    settings_of: Callable[[Path], Settings],
    state: State,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hanging: list[str],
    fault: Fault,
    limit: float,
    said: dict[str, str],
) -> None:
    monkeypatch.setattr(sources, "GRACE", 0.5)
    first, both = homes
    home = tmp_path / "home"
    shutil.copytree(first, home)
    settings = settings_of(home)
    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        for source in hanging:
            proxies[source].set(fault)
        # a day is missing, so a source has 24 times its limit
        found = load(warehouse, settings.model_copy(update={"source_limit": limit / 24}), NEXT_DAY)
        for source in hanging:
            proxies[source].set(Fault())
        problems = {name: result.problem.line for name, result in found.items() if result.problem}
        assert sorted(problems) == sorted(hanging), problems
        assert all(said[source] in line for source, line in problems.items()), problems
        # what was given up and hangs no more changes nothing: only the others are in
        for thread in [thread for thread in threading.enumerate() if thread.name in hanging]:
            thread.join()
        for name in SOURCES:
            there = bool(
                warehouse.value(
                    "SELECT COUNT(*) FROM ops.loads WHERE source = ? AND loaded_at = ? AND status <> 'failed'",
                    [name, NEXT_DAY],
                )
            )
            assert there == (name not in hanging)
        assert [one.problem for one in load(warehouse, settings, NEXT_DAY).values()] == [None] * 3
    for name in SOURCES:
        expected, there = state(both, name), state(home, name)
        for one in (expected, there):  # which hours had been released by then is another matter
            del one["ops.correction_windows"]
        assert there == expected
