"""Runs as evidence: one row in ops.runs a command, one in ops.run_problems for each thing that went wrong in it.

The run id is on every log line and check result.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.checkout import look_at
from insightmart.errors import InsightMartError, of_this_machine, sentence
from insightmart.hidden_secrets import without_secrets
from insightmart.settings import Settings

CI_ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID")  # GitHub, GitLab, Jenkins
ERROR_LENGTH = 1000  # of ops.runs.error; ops.run_problems keeps everything

OF_SQLMESH = "sqlmesh-"  # begins the id of a run that is none of a command of ours

_current: str | None = None
_plan: str | None = None


def current_run_id() -> str:
    """Id of the run this process is in; a plain `sqlmesh` command gets one of its own."""
    global _current
    if _current is None:
        _current = f"{OF_SQLMESH}{uuid.uuid4().hex[:12]}"
    return _current


def run_under_way() -> str | None:
    """Id of the run this process is in, None where it is in none (yet)."""
    return _current


def command_under_way() -> bool:
    """Whether a command of ours is at work, and not SQLMesh by itself, which has an id as soon as somebody asks."""
    return _current is not None and not _current.startswith(OF_SQLMESH)


def plan_under_way() -> str | None:
    """Id of the plan that SQLMesh is applying in this process, None where it applies none."""
    return _plan


@contextmanager
def applying(plan_id: str) -> Iterator[None]:
    """What happens inside belongs to a plan of SQLMesh."""
    global _plan
    _plan = plan_id
    try:
        yield
    finally:
        _plan = None


class ProblemKind(StrEnum):
    """What a problem is of: what its subject is the name of."""

    SOURCE = "source"  # oltp, shopify or stores
    NOTICE = "notice"  # a raw table: something in it that should be looked at; the run has not failed by it
    DELETIONS = "deletions"  # rows of a source's entity that vanished, and wait for somebody to say whether for good
    MODEL = "model"  # a model that failed; a gate is one
    HELD_BACK = "held back"  # a certified table that was not built, because something above it failed
    RECONCILIATION = "reconciliation"  # totals that differ without an explanation
    PROMOTION = "promotion"  # an environment that prod is not pointed at
    REPORT = "report"  # the mail of a cycle
    EVIDENCE = "evidence"  # the bucket that heads of the ledger are kept in; the run has not failed by it
    LINEAGE = "lineage"  # events of lineage that nobody took; the run has not failed by it
    COST = "cost"  # what Snowflake will cost this month, or that nobody can tell; the run has not failed by it
    OVER_BUDGET = "over budget"  # the same, and it will be more than the month may cost
    READERS = "readers"  # the copy for readers, which is the one before; the run has not failed by it
    TIME_LIMIT = "time limit"  # the cycle: it was ended because its time was over
    CLOCK = "clock"  # this machine's clock, which is wrong; the run has not failed by it
    COMMAND = "command"  # the command itself: it ended in an error, or was killed


@dataclass(frozen=True)
class RunProblem:
    """Something that went wrong in a run: a row of ops.run_problems.

    Attributes:
        kind: what it is of.
        subject: name of that, for example ``shopify`` or ``gate.sales__oltp``.
        message: what happened, complete in itself, without secrets.
        cure: what to do about it; empty where there is no advice.
    """

    kind: ProblemKind
    subject: str
    message: str
    cure: str = ""

    def __post_init__(self) -> None:
        """What was said by others may quote what they were sent."""
        object.__setattr__(self, "message", without_secrets(self.message))

    @property
    def line(self) -> str:
        """What happened and what to do, for people."""
        return sentence(self.message, self.cure)

    @classmethod
    def of_error(cls, kind: ProblemKind, subject: str, error: BaseException) -> RunProblem:
        """Cause and cure of an expected failure; of any other one its type and what it says."""
        if isinstance(error, KeyboardInterrupt):  # dlt's own of a signal is one
            return cls(kind, subject, "it was interrupted", "Run it again: it does what is left")
        error = of_this_machine(error) or error
        if isinstance(error, InsightMartError):
            return cls(kind, subject, error.cause, error.cure)
        return cls(kind, subject, f"{type(error).__name__}: {error}"[:ERROR_LENGTH])


def problem_lines(problems: Iterable[RunProblem]) -> list[str]:
    """Problems for people, one a line: what several subjects share is said once, with their names."""
    problems = list(problems)
    lines = dict.fromkeys(problem.line for problem in problems if problem.kind is not ProblemKind.HELD_BACK)
    held = [problem.subject for problem in problems if problem.kind is ProblemKind.HELD_BACK]
    return [*lines, *([f"held back until then: {', '.join(held)}"] if held else [])]


class RunFailedError(InsightMartError):
    """A command that cannot go on, for one or more reasons; each is a row of ops.run_problems.

    Args:
        cause: what follows from them.
        problems: the reasons.
    """

    def __init__(self, cause: str, problems: Iterable[RunProblem]) -> None:
        self.problems = list(problems)
        super().__init__(f"{cause}: {'; '.join(problem_lines(self.problems))}")


@dataclass
class Run:
    """A command under way. Set `summary` and, where it applied a plan, `plan_id` before it ends."""

    run_id: str
    command: str
    as_of: datetime
    status: str = "succeeded"
    problems: list[RunProblem] = field(default_factory=list)
    notices: list[RunProblem] = field(default_factory=list)
    plan_id: str | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    models_hash: str | None = None  # fingerprint of the models in prod, of a command that has them open
    column_graph: Callable[[], Any] | None = None  # what their columns are made of (insightmart.lineage), when asked

    def fail(self, problems: Iterable[RunProblem]) -> None:
        """Add problems; with any of them the run has failed."""
        found = list(problems)
        self.problems += found
        if found:
            self.status = "failed"

    def note(self, notices: Iterable[RunProblem]) -> None:
        """Add what somebody should look at; the run has not failed by it."""
        self.notices += notices


@contextmanager
def recorded_run(warehouse: Warehouse, settings: Settings, command: str, as_of: datetime) -> Iterator[Run]:
    """Record a command in ops.runs: a row when it starts, completed when it ends, also when it fails.

    What it raises is a problem of the run too. Call it with the writer lock held: a run that still stands as running
    was killed.
    """
    global _current
    run = Run(f"{command}-{as_of:%Y%m%dT%H%M}-{uuid.uuid4().hex[:8]}", command, as_of)
    _current = run.run_id
    _bury_killed(warehouse)
    warehouse.insert(
        "ops.runs",
        [
            {
                "run_id": run.run_id,
                "command": command,
                "as_of": as_of,
                "git_sha": look_at().commit,
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
    except RunFailedError as error:
        run.fail(error.problems)
        raise
    except BaseException as error:
        run.fail([RunProblem.of_error(ProblemKind.COMMAND, command, error)])
        raise
    finally:
        record_problems(warehouse, run.run_id, [*run.problems, *run.notices])
        end_run(warehouse, run, run.status, "; ".join(problem_lines(run.problems)))
        _current = None


def end_run(warehouse: Warehouse, run: Run, status: str, error: str) -> None:
    """Complete the row of a run in ops.runs."""
    warehouse.execute(
        "UPDATE ops.runs SET status = ?, error = ?, plan_id = ?, ended_at = ?, summary = ? WHERE run_id = ?",
        [
            status,
            error[:ERROR_LENGTH] or None,
            run.plan_id,
            utc_now(),
            json.dumps(run.summary, default=str),
            run.run_id,
        ],
    )


def record_problems(warehouse: Warehouse, run_id: str, problems: Iterable[RunProblem]) -> None:
    """Write problems of a run to ops.run_problems."""
    warehouse.insert(
        "ops.run_problems",
        [
            {
                "run_id": run_id,
                "kind": str(problem.kind),
                "subject": problem.subject,
                "message": problem.message,
                "cure": problem.cure,
                "recorded_at": utc_now(),
            }
            for problem in problems
        ],
    )


def _bury_killed(warehouse: Warehouse) -> None:
    killed = warehouse.rows("SELECT run_id, command FROM ops.runs WHERE status = 'running'")
    for run_id, command in killed:
        record_problems(warehouse, run_id, [RunProblem(ProblemKind.COMMAND, command, "killed")])
    if killed:
        warehouse.execute("UPDATE ops.runs SET status = 'killed', error = 'killed' WHERE status = 'running'")


def actor(settings: Settings) -> str:
    """Who acts: INSIGHTMART_ACTOR, else whom a CI job runs for, else the operating system's user on this machine."""
    from_ci = next((os.environ[name] for name in CI_ACTORS if os.environ.get(name)), None)
    if named := settings.actor or from_ci:
        return named
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
