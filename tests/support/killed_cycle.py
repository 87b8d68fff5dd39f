"""A cycle that is killed in a phase: a program for tests (tests/support/forked.py), not imported by any.

Its argument is a JSON object: ``as_of``, ``step`` (a key of ``STEPS``; null: not killed), ``account`` (a folder: that
of a Snowflake account, which fakesnow keeps in files there; empty: DuckDB, and where a state database is set a lease is
held there, as if other machines could reach the file) and ``quiet`` (seconds until a dead one's lease is taken over).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from itertools import count
from pathlib import Path

from sqlmesh.core.plan.evaluator import BuiltInPlanEvaluator
from sqlmesh.core.snapshot.evaluator import SnapshotEvaluator

from ingestion.loading import package as loads
from insightmart import lease, lock
from insightmart.commands import cycle
from insightmart.errors import InsightMartError
from insightmart.gateway import open_warehouse
from insightmart.logs import configure_logging
from insightmart.reconciliation import reconcile
from insightmart.runs import plan_under_way
from insightmart.schema_version import bring_up
from insightmart.settings import load_settings
from insightmart.transform import sqlmesh_patches
from tests.support.fakesnow_session import fake_account
from tests.support.killed import after, before

assert sqlmesh_patches

STEPS: dict[str, Callable[[], None]] = {
    "load": lambda: after(loads, "_verify"),
    "plan": lambda: after(BuiltInPlanEvaluator, "visit_environment_record_update_stage"),
    "views": lambda: before(BuiltInPlanEvaluator, "visit_finalize_environment_stage"),
    "run": lambda: _in_the_middle_of_a_run(),
    "reconcile": lambda: after(reconcile, "_compare"),
    "report": lambda: before(cycle, "tell"),
}


def _in_the_middle_of_a_run() -> None:
    calls = count(1)
    after(SnapshotEvaluator, "evaluate", lambda *_, **__: plan_under_way() is None and next(calls) == 12)


def run(as_of: str, step: str | None, account: str, quiet: float) -> int:
    lease.QUIET = quiet
    if not account and "STATE_HOST" in os.environ:
        lock.is_shared = lambda _: True
    if step is not None:
        STEPS[step]()
    configure_logging()
    reached = fake_account(Path(account) / "stages", Path(account)) if account else nullcontext()
    with reached:
        if account:  # as `insightmart setup` does
            with open_warehouse(load_settings()) as warehouse:
                bring_up(warehouse, load_settings())
        with cycle.open_cycles(load_settings()) as cycle_at:
            result = cycle_at(datetime.fromisoformat(as_of))
    for line in result.errors:
        print(line, file=sys.stderr)
    return bool(result.errors)


def main() -> None:
    try:
        sys.exit(run(**json.loads(sys.argv[1])))
    except InsightMartError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
