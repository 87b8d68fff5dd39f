"""A small simulated business with real sources on loopback, whose hours a measurement plays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

START = datetime(2026, 3, 5)
PRELOADED = 24  # hours of business before the first one that is played


@dataclass(frozen=True)
class Business:
    """A sandbox that is up.

    Attributes:
        environment: the settings that point the pipeline at it; ``INSIGHTMART_HOME`` is its own folder.
    """

    environment: dict[str, str]

    def advance(self, hours: int = 1) -> None:
        """Let hours of business pass."""
        _sandbox(self.environment, "advance", "--hours", str(hours))


def as_of(hour: int, start: datetime = START) -> datetime:
    """When cron starts the cycle of an hour, counted from the start of the business."""
    return start + timedelta(hours=hour, minutes=5)


@contextmanager
def open_business(
    home: Path, size: str, hours: int = PRELOADED, start: datetime = START, seed: int = 1
) -> Iterator[Business]:
    """Start a sandbox in a folder, with so many hours since its start in its sources; stop it at the end."""
    environment = {**os.environ, "INSIGHTMART_HOME": str(home)}
    told = ("--size", size, "--preload-hours", str(hours), "--start", f"{start:%Y-%m-%d}", "--seed", str(seed))
    _sandbox(environment, "up", *told, "--parent", str(os.getpid()))
    try:
        yield Business({**environment, **json.loads(_sandbox(environment, "env", "--json"))})
    finally:
        _sandbox(environment, "down")


def _sandbox(environment: dict[str, str], *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments], env=environment, check=True, capture_output=True, text=True
    ).stdout
