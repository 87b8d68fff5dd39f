"""Killed at any step, started once more: raw and its records are those of a load that was never killed.

Each cell of the matrix is a real process on real sources, ended by SIGKILL at the step (killed.py).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import ENTITIES, REJECTS_TABLE
from ingestion.warehouse import open_duckdb

if TYPE_CHECKING:
    from conftest import Trade

pytestmark = pytest.mark.slow

FIRST_DAY, NEXT_DAY = "2026-03-05T10:00", "2026-03-06T10:00"
SOURCES = ("stores", "oltp", "shopify")
STEPS = (
    "before reading",
    "between two batches",
    "before normalizing",
    "before loading",
    "after the first file",
    "before recording",
    "before the commit",
    "after the commit",
)
Run = Callable[..., int]
State = Callable[[Path, str], dict[str, Any]]


@pytest.fixture(scope="module")
def run(trade: Trade) -> Iterator[Run]:
    """``run(home, as_of, source, step=None, window=None)`` loads in a process of its own; its exit code."""
    command = [sys.executable, str(Path(__file__).parents[2] / "support" / "killed.py")]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], env=dict(os.environ), **pipes) as server:
        assert server.stdin
        assert server.stdout

        def one(
            home: Path,
            as_of: str,
            source: str,
            step: str | None = None,
            window: list[str] | None = None,
            piece_rows: int | None = None,
            pieces: int = 0,
        ) -> int:
            job = {"home": str(home), "as_of": as_of, "source": source, "where": trade.where[source], "step": step}
            job |= {"window": window, "piece_rows": piece_rows, "pieces": pieces}
            print(json.dumps(job), file=server.stdin, flush=True)
            return int(server.stdout.readline())

        yield one
        server.stdin.close()


@pytest.fixture(scope="module")
def before_and_after(trade: Trade, run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The first day loaded, and, never killed, the next one too."""
    first, second = tmp_path_factory.mktemp("first") / "home", tmp_path_factory.mktemp("second") / "home"
    trade.first_day()
    assert [run(first, FIRST_DAY, source) for source in SOURCES] == [0, 0, 0]
    trade.next_day()
    shutil.copytree(first, second)
    assert [run(second, NEXT_DAY, source) for source in SOURCES] == [0, 0, 0]
    return first, second


def test_what_is_to_be_recovered_is_worth_it(before_and_after: tuple[Path, Path]) -> None:
    with open_duckdb(before_and_after[1] / "INSIGHTMART.duckdb") as warehouse:
        tables = [*(item.table for item in ENTITIES), REJECTS_TABLE]
        empty = [table for table in tables if not warehouse.value(f"SELECT COUNT(*) FROM raw.{table}")]
        queued = warehouse.rows("SELECT DISTINCT source, entity FROM ops.correction_windows ORDER BY ALL")
    assert empty == []
    assert queued == [("oltp", "sales"), ("shopify", "inventory"), ("shopify", "sales"), ("stores", "inventory")]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_and_one_more_run_end_where_no_kill_ends(
    before_and_after: tuple[Path, Path], run: Run, state: State, tmp_path: Path, source: str, step: str
) -> None:
    first, second = before_and_after
    home = tmp_path / "home"
    shutil.copytree(first, home)
    assert run(home, NEXT_DAY, source, step) == -signal.SIGKILL
    assert run(home, NEXT_DAY, source) == 0
    assert state(home, source) == state(second, source)


@pytest.fixture(scope="module")
def first_in_pieces(before_and_after: tuple[Path, Path], run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both days of the database loaded at once, in pieces, never killed."""
    home = tmp_path_factory.mktemp("pieces") / "home"
    assert run(home, NEXT_DAY, "oltp", piece_rows=250) == 0
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        pieces = warehouse.rows(
            "SELECT b.entity, COUNT(*), SUM(p.rows) FROM ops.backfill_pieces AS p JOIN ops.backfills AS b"
            " USING (backfill_id) WHERE b.status = 'complete' GROUP BY 1 ORDER BY 1"
        )
        orders = warehouse.rows("SELECT COUNT(*), COUNT(DISTINCT order_id) FROM raw.oltp_orders")
    assert pieces == [("order_lines", 6, 1000), ("orders", 4, 501)]
    assert orders == [(498, 498)]  # three are rejected; the one without updated_at is read once
    return home


@pytest.mark.parametrize(
    ("pieces", "step"),
    [
        (1, "before the commit"),
        (2, "after the first file"),
        (5, "between two batches"),
        (6, "after the commit"),
    ],
)
def test_a_first_load_in_pieces_goes_on_after_a_kill(
    first_in_pieces: Path, run: Run, state: State, tmp_path: Path, pieces: int, step: str
) -> None:
    home = tmp_path / "home"
    assert run(home, NEXT_DAY, "oltp", step, piece_rows=250, pieces=pieces) == -signal.SIGKILL
    assert run(home, NEXT_DAY, "oltp", piece_rows=250) == 0
    assert state(home, "oltp") == state(first_in_pieces, "oltp")
