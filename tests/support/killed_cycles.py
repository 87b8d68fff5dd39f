"""Runs cycles in processes of their own, and kills them in a phase: a server for tests, not imported by any.

It reads one JSON object a line: ``settings`` (of the environment), ``as_of``, ``step`` (a key of ``STEPS``; null: not
killed) and ``account`` (a folder: that of a Snowflake account, which fakesnow keeps in files there; null: there is
none). For each it forks, runs the cycle in the child, and writes the child's exit code (minus the signal) as a line. It
has imported everything, so that a child need not, and holds nothing open.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from sqlmesh.core.plan.evaluator import BuiltInPlanEvaluator
from sqlmesh.core.snapshot.evaluator import SnapshotEvaluator

from ingestion.loading import package as loads
from insightmart import lease
from insightmart.commands import cycle
from insightmart.logs import configure_logging
from insightmart.reconciliation import reconcile
from insightmart.settings import load_settings
from insightmart.transform import sqlmesh_patches
from tests.support.fakesnow_session import fake_account
from tests.support.killed import after, before
from tests.support.lease_holder import BOUNDS

assert sqlmesh_patches

STEPS: dict[str, Callable[[], None]] = {
    "load": lambda: after(loads, "_verify"),
    "plan": lambda: after(BuiltInPlanEvaluator, "visit_environment_record_update_stage"),
    "views": lambda: before(BuiltInPlanEvaluator, "visit_finalize_environment_stage"),
    "run": lambda: _after_the(12, SnapshotEvaluator, "evaluate"),
    "reconcile": lambda: after(reconcile, "_compare"),
    "report": lambda: before(cycle, "tell"),
}


def _after_the(number: int, owner: Any, name: str) -> None:
    calls = count(1)
    after(owner, name, lambda *_: next(calls) == number)


def run(settings: dict[str, str], as_of: str, step: str | None, account: str | None, speed: float) -> int:
    os.environ.update(settings)
    for bound in BOUNDS:
        setattr(lease, bound, getattr(lease, bound) / speed)
    if step is not None:
        STEPS[step]()
    configure_logging()
    reached = fake_account(Path(account) / "stages", Path(account)) if account else nullcontext()
    with reached, cycle.open_cycles(load_settings()) as cycle_at:
        result = cycle_at(datetime.fromisoformat(as_of))
    for line in result.errors:
        print(line, file=sys.stderr)
    return bool(result.errors)


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                os._exit(run(**json.loads(line)))
            except BaseException as error:  # noqa: BLE001 - this process is a copy: nothing above may go on in it
                traceback.print_exc()
                os._exit(getattr(error, "exit_code", 1))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
