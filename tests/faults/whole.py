"""Is everything as it should be? What certified holds against the truth, the evidence against itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ingestion.warehouse import open_duckdb
from insightmart.closing.close import closed_months
from insightmart.ledger.kept_heads import Outside
from insightmart.ledger.verification import verify
from insightmart.tie_out import tie_out
from sandbox.state import SandboxState
from sandbox.truth import certified
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
    state = SandboxState.load(Path(environment["INSIGHTMART_HOME"]))
    return certified.truth(state.seed, state.size, state.start, state.clock)


def faults_of(home: Path, expected: Mapping[str, Any], *, is_caught_up: bool = True) -> list[str]:
    """What is not as it should be in a home whose cycles have caught up, one line each.

    Args:
        home: nobody is at work in it.
        expected: the truth of the hour.
        is_caught_up: whether nothing may be left to do.
    """
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        found = [
            f"{tie.what}: {tie.certified} for {tie.truth}" for tie in tie_out(warehouse, expected) if not tie.exact
        ]
        if differing := warehouse.rows(DISAGREEING):
            found.append(f"{len(differing)} figures are not what the journal adds up to")
        left = _LEFT if is_caught_up else {}
        found += [f"{number} {what}" for what, query in left.items() if (number := warehouse.value(query))]
        months = [one for one in closed_months(warehouse) if not one.agrees]
        found += [f"closed and adjusted, {one.month:%Y-%m} is not what is certified" for one in months]
    return found


def unsound(home: Path, environment: Mapping[str, str], since: datetime | None = None) -> list[str]:
    """What the ledger of a home says of itself, if it is damaged.

    Args:
        home: nobody is at work in it.
        environment: settings of the pipeline; heads are kept nowhere else by them.
        since: only evidence entered since (UTC by the clock); the entries are all looked at.
    """
    assert not environment.get("EVIDENCE_URL")
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        found = verify(warehouse, lambda _: Outside(), lambda _: None, since)
    return [] if found.is_sound else [f"ledger: {one.table} {one.message}" for one in found.damage[:5]]


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
