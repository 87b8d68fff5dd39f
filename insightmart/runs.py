"""Runs as evidence: one row in ops.runs a command, and the run id that every log line and check result carries."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.settings import PROJECT, Settings

CI_ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID")  # GitHub, GitLab, Jenkins

_current: str | None = None


def current_run_id() -> str:
    """Id of the run this process is in; a plain `sqlmesh` command gets one of its own."""
    global _current
    if _current is None:
        _current = f"sqlmesh-{uuid.uuid4().hex[:12]}"
    return _current


@dataclass
class Run:
    """A command under way. Set `status`, `summary` and, where it applied a plan, `plan_id` before it ends."""

    run_id: str
    command: str
    as_of: datetime
    status: str = "succeeded"
    error: str | None = None
    plan_id: str | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def recorded_run(warehouse: Warehouse, settings: Settings, command: str, as_of: datetime) -> Iterator[Run]:
    """Record a command in ops.runs: a row when it starts, completed when it ends, also when it fails.

    Call it with the writer lock held: a run that still stands as running was killed.
    """
    global _current
    run = Run(f"{command}-{as_of:%Y%m%dT%H%M}-{uuid.uuid4().hex[:8]}", command, as_of)
    _current = run.run_id
    warehouse.execute("UPDATE ops.runs SET status = 'killed', error = 'killed' WHERE status = 'running'")
    warehouse.insert(
        "ops.runs",
        [
            {
                "run_id": run.run_id,
                "command": command,
                "as_of": as_of,
                "git_sha": git_sha(),
                "gateway": settings.gateway,
                "environment": "prod",
                "status": "running",
                "started_at": utc_now(),
                "actor": actor(settings),
            }
        ],
    )
    try:
        yield run
    except BaseException as error:
        run.status, run.error = "failed", f"{type(error).__name__}: {error}"[:1000]
        raise
    finally:
        warehouse.execute(
            "UPDATE ops.runs SET status = ?, error = ?, plan_id = ?, ended_at = ?, summary = ? WHERE run_id = ?",
            [run.status, run.error, run.plan_id, utc_now(), json.dumps(run.summary, default=str), run.run_id],
        )
        _current = None


def actor(settings: Settings) -> str:
    """Who acts: INSIGHTMART_ACTOR, else whom a CI job runs for, else the operating system's user."""
    from_ci = next((os.environ[name] for name in CI_ACTORS if os.environ.get(name)), None)
    if named := settings.actor or from_ci:
        return named
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return f"uid {os.getuid()}"


def git_sha() -> str | None:
    """Commit of the checkout this runs from, None where there is none."""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=10
    )
    return found.stdout.strip() or None
