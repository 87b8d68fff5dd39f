"""What our cycle and a plain SQLMesh project do in an hour, each in a process of its own: ``python -m ... JSON``.

Imports stand inside the functions: a process imports what it needs, and nothing else is measured. A plain project must
not meet our changes to SQLMesh.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

FAILED = 3


def our_cycle(told: dict[str, Any]) -> None:
    """`insightmart cycle` as it is, but for its loads. ``told["reached"]`` gets the processor seconds and the peak of
    memory from the start of the process to the end of models, gates and their evidence: before reconciliation and page.
    """
    from insightmart import cli
    from insightmart.commands import cycle

    reconcile = cycle._reconcile

    def reconcile_later(*given: Any) -> None:
        used, by_children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        seconds = sum(found.ru_utime + found.ru_stime for found in (used, by_children))
        reached = {"seconds": seconds, "peak_bytes": used.ru_maxrss * 1024}
        Path(told["reached"]).write_text(json.dumps(reached))
        reconcile(*given)

    sys.argv = ["insightmart", "cycle", "--json", "--as-of", told["as_of"]]
    with patch.object(cycle, "_load"), patch.object(cycle, "_reconcile", reconcile_later):
        cli.main()


def plain_sqlmesh(told: dict[str, Any]) -> None:
    """`sqlmesh plan` the first time, restatement plans for corrections, `sqlmesh run`."""
    from sqlmesh import Context
    from sqlmesh.utils import CompletionStatus

    context = Context(paths=told["project"])
    quietly: dict[str, Any] = {"auto_apply": True, "no_prompts": True, "skip_tests": True}
    if told["first"]:
        context.plan("prod", execution_time=told["as_of"], **quietly)
    if told["restatements"]:  # new time zones of stores first, as ours does
        context.run("prod", execution_time=told["as_of"], select_models=["core.dim_stores"], skip_janitor=True)
    for wanted in told["restatements"]:
        context.plan(
            "prod",
            restate_models=wanted["models"],
            start=wanted["start"],
            end=wanted["end"],
            execution_time=told["as_of"],
            **quietly,
        )
    done = context.run("prod", execution_time=told["as_of"], skip_janitor=True)
    if done == CompletionStatus.FAILURE:
        raise SystemExit(FAILED)
    if patched := [name for name in sys.modules if name == "insightmart.transform.sqlmesh_patches"]:
        raise RuntimeError(f"a plain project has met {patched[0]}")


if __name__ == "__main__":
    {"our_cycle": our_cycle, "plain_sqlmesh": plain_sqlmesh}[sys.argv[1]](json.loads(sys.argv[2]))
