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


def as_of(hour: int) -> datetime:
    """When cron starts the cycle of an hour, counted from ``START``."""
    return START + timedelta(hours=hour, minutes=5)


@contextmanager
def open_business(home: Path, size: str) -> Iterator[Business]:
    """Start a sandbox in a folder, with ``PRELOADED`` hours in its sources; stop it at the end."""
    environment = {**os.environ, "INSIGHTMART_HOME": str(home)}
    _sandbox(environment, "up", "--size", size, "--preload-hours", str(PRELOADED), "--parent", str(os.getpid()))
    try:
        yield Business({**environment, **json.loads(_sandbox(environment, "env", "--json"))})
    finally:
        _sandbox(environment, "down")


def _sandbox(environment: dict[str, str], *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments], env=environment, check=True, capture_output=True, text=True
    ).stdout
