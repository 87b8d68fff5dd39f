"""The measurement of the ingestion at a tiny size: it runs, checks every row, and says so. No figure is checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.ingestion import rivals
from bench.ingestion.costs import CommandFailed
from bench.ingestion.rival_child import LOADERS
from insightmart.settings import PROJECT


@pytest.mark.slow
def test_a_tiny_hour_is_measured_and_exact(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["--scale", "0.0005", "--repeat", "1", "--json", str(figures)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.ingestion", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    names = ["PostgreSQL", "Store files", "Shopify", "Shopify", "The hour"]
    title, header, *rows = done.stdout.splitlines()
    assert title == "One production hour at scale 0.0005: median of 1 (lowest-highest)"
    assert header.split()[:2] == ["Measured", "Amount"]
    assert [row.partition(",")[0] for row in rows[: len(names)]] == names
    measured = json.loads(figures.read_text())["measured"]
    assert [(item["name"].partition(",")[0], len(item["ours"])) for item in measured] == [(name, 1) for name in names]
    assert [len(item["limits"]) for item in measured] == [1, 1, 1, 1, 0]


def test_help_says_what_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.ingestion", "--help"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert "limit: psql, COPY of the same rows" in done.stdout


def test_every_other_loader_that_is_measured_is_there() -> None:
    assert {*rivals.OF_DATABASES, *rivals.OF_FILES} == set(LOADERS)
    assert (
        rivals.url_of("host=127.0.0.1 port=5433 user=a password=b dbname=shop")
        == "postgresql://a:b@127.0.0.1:5433/shop"
    )


def test_a_loader_that_fails_says_why_in_a_line() -> None:
    with pytest.raises(CommandFailed, match="KeyError: 'none'"):
        rivals.loaded(Path(sys.executable), {"what": "none"})
