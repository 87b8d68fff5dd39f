"""One state database and several machines: whoever dies, another one takes over, and figures are exact."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest

from insightmart.gateway import open_warehouse
from insightmart.settings import load_settings
from insightmart.tie_out import tie_out
from tests.support.built_homes import copy_home, new_home
from tests.support.snowflake_account import ACCOUNT
from tests.support.whole_cycles import DISAGREEING, FIRST_CYCLE, Sandbox

pytestmark = pytest.mark.slow
NEXT_CYCLE = "2026-03-06T01:05"


@pytest.mark.parametrize(
    "engine",
    [
        "duckdb",
        pytest.param(
            "snowflake",
            marks=pytest.mark.skipif(
                "TWO_MACHINES_ON_SNOWFLAKE" not in os.environ, reason="minutes: TWO_MACHINES_ON_SNOWFLAKE=1 runs it"
            ),
        ),
    ],
)
def test_another_machine_takes_over_wherever_the_writer_dies(
    engine: str,
    sandbox: Sandbox,
    first_cycle: Callable[[Sandbox], Path],
    cycle_at: Callable[..., int],
    fake_account: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An hour with late corrections, in which one machine after the other is killed, each in a later phase.

    Each has a home of its own, without what dlt and SQLMesh had in that of the one before. On DuckDB the warehouse is
    handed from home to home, as if machines could share it, and the lease is held all the same. How long the next one
    watches the lease of a dead one is cut short here: tests/insightmart/test_lease.py has what that bound is for.
    """
    folder, state = sandbox.home.parent, sandbox.add_state("writers")
    settings = {**sandbox.settings, **state, "PYTHON_DOTENV_DISABLED": "1"}
    settings |= ACCOUNT if engine == "snowflake" else {"INSIGHTMART_GATEWAY": "local"}
    account = folder / "account" if engine == "snowflake" else None
    homes: list[Path] = []

    def killed_in(step: str | None, as_of: str) -> int:
        homes.append(new_home(sandbox.factory, folder / f"machine-{len(homes)}"))
        for file in homes[-2].glob("*.duckdb*") if len(homes) > 1 else ():
            file.rename(homes[-1] / file.name)
        return cycle_at({**settings, "INSIGHTMART_HOME": str(homes[-1])}, as_of, step, 1, str(account or ""))

    if account:
        account.mkdir()
        codes = [killed_in(step, FIRST_CYCLE) for step in ("load", "plan", "run", None)]
        assert codes == [-signal.SIGKILL] * 3 + [0]
    else:
        homes.append(copy_home(first_cycle(sandbox) / "home", folder / "machine-0"))
    sandbox.call("advance", "--hours", "1")
    codes = [killed_in(step, NEXT_CYCLE) for step in ("load", "views", "run", "reconcile", "report", None)]
    assert codes == [-signal.SIGKILL] * 5 + [0]

    with psycopg.connect(
        host=state["STATE_HOST"],
        port=state["STATE_PORT"],
        user=state["STATE_USER"],
        password=state["STATE_PASSWORD"],
        dbname=state["STATE_DATABASE"],
    ) as connection:
        known = connection.execute("SELECT token, released_at IS NOT NULL FROM insightmart.writer").fetchall()
    assert known == [(len(homes) - (0 if account else 1), True)]
    truth = json.loads(sandbox.call("truth", "--json"))
    for name, value in {**settings, "INSIGHTMART_HOME": str(homes[-1])}.items():
        monkeypatch.setenv(name, value)
    with fake_account(account / "stages", account) if account else nullcontext(), open_warehouse(load_settings()) as at:
        assert [tie for tie in tie_out(at, truth) if not tie.exact] == []
        assert at.rows(DISAGREEING) == []
        runs = [status for (status,) in at.rows("SELECT status FROM ops.runs ORDER BY started_at")]
        first = [*["killed"] * 3, "succeeded"] if account else ["succeeded"]
        # the one that died while it told people had ended its run
        assert runs == [*first, *["killed"] * 4, *["succeeded"] * 2]
        assert at.rows("SELECT DISTINCT status FROM ops.correction_windows") == [("closed",)]
