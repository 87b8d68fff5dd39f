"""Is everything as it should be? What certified holds against the truth, the evidence against itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ingestion.warehouse import open_duckdb
from insightmart.tie_out import tie_out
from tests.support.whole_cycles import DISAGREEING

REPOSITORY = Path(__file__).resolve().parents[2]
# What nothing may be left of when a run has ended.
_LEFT = {
    "windows that are not in the journal": "SELECT COUNT(*) FROM ops.unpublished_windows",
    "runs that seem to go on": "SELECT COUNT(*) FROM ops.runs WHERE status = 'running'",
    "loads that seem to go on": "SELECT COUNT(*) FROM ops.loads WHERE status = 'running'",
    "corrections that wait": "SELECT COUNT(*) FROM ops.correction_windows WHERE status = 'open'",
}


def truth(environment: Mapping[str, str]) -> dict[str, Any]:
    """What certified must hold at the hour that the sandbox has reached, worked out from its events."""
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "truth", "--json"],
        cwd=REPOSITORY,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def faults_of(home: Path, expected: Mapping[str, Any]) -> list[str]:
    """What is not as it should be in a home whose cycles have caught up, one line each.

    Args:
        home: nobody is at work in it.
        expected: the truth of the hour.
    """
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        found = [
            f"{tie.what}: {tie.certified} for {tie.truth}" for tie in tie_out(warehouse, expected) if not tie.exact
        ]
        if differing := warehouse.rows(DISAGREEING):
            found.append(f"{len(differing)} figures are not what the journal adds up to")
        found += [f"{number} {what}" for what, query in _LEFT.items() if (number := warehouse.value(query))]
    return found


def unsound(home: Path, environment: Mapping[str, str]) -> list[str]:
    """What the ledger says of itself, if it is damaged."""
    code, said = insightmart({**environment, "INSIGHTMART_HOME": str(home)}, "ledger", "verify")
    return [f"ledger verify: {said}"] if code else []


def insightmart(
    environment: Mapping[str, str], *arguments: str, seconds: float = 600, folder: Path = REPOSITORY
) -> tuple[int, str]:
    """Run a command of the pipeline in a process of its own: exit code, and the end of what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "insightmart.cli", *arguments],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return done.returncode, " | ".join((done.stdout + done.stderr).strip().splitlines()[-4:])[:600]


def instant(text: datetime) -> str:
    """An instant as the command line takes it."""
    return f"{text:%Y-%m-%dT%H:%M:%S}"
