"""Sessions: what each kind is told, the role and the warehouses that it works with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from insightmart.errors import InsightMartError
from insightmart.gateway import OPTIONS
from insightmart.smoke.trial import DidNotHold, Trial, check
from insightmart.snowflake_destination import open_session_of_loads
from insightmart.snowflake_sessions import APPLICATION, SnowflakeSession, Workload, connect, session_parameters
from insightmart.transform.snowflake_adapter import open_session


@check("every session has the parameters that it is told")
def parameters(trial: Trial) -> str:
    """What SHOW PARAMETERS says of each kind of session: an account or a user may overrule what a client asks for."""
    expected = session_parameters(trial.settings)
    wrong = []
    opened = _kinds(trial)
    for kind, open_one in opened.items():
        session = trial.noted(open_one())
        try:
            found = _shown(session)
        finally:
            session.close()
        for name, value in expected.items():
            given = found.get(name)
            is_right = given is not None and (
                APPLICATION in given if name == "QUERY_TAG" else given.upper() == str(value).upper()
            )
            if not is_right:
                wrong.append(f"{kind}: {name} is {given}, not {value}")
    if wrong:
        raise DidNotHold("; ".join(wrong))
    return f"{len(expected)} parameters on sessions of {', '.join(opened)}"


@check("role and warehouse of each kind of work can be used")
def role_and_warehouses(trial: Trial) -> str:
    """A session opens with a warehouse that does not exist or may not be used, and fails at its first statement."""
    settings, used, wrong = trial.settings, [], []
    for workload in get_args(Workload):
        try:
            with trial.session(workload) as opened:
                [(role, warehouse)] = opened.rows("SELECT CURRENT_ROLE(), CURRENT_WAREHOUSE()")
                total = opened.value("SELECT SUM(n) FROM (VALUES (1), (2)) AS v(n)")
        except InsightMartError as refusal:
            wrong.append(f"{workload}: {refusal}")
            continue
        for kind, found, named in (
            ("role", role, settings.role_of(workload)),
            ("warehouse", warehouse, settings.warehouse_of(workload)),
        ):
            if _unquoted(found) != _unquoted(named):
                wrong.append(f"{workload}: the {kind} is {found}, not {named}")
        if total != 3:
            wrong.append(f"{workload}: 1 and 2 are {total} on {warehouse}")
        used.append(f"{workload} as {role} on {warehouse}")
    if wrong:
        raise DidNotHold("; ".join(wrong))
    return ", ".join(used)


def _kinds(trial: Trial) -> dict[str, Callable[[], SnowflakeSession]]:
    """Everyone who opens sessions. Soda scans on one of SQLMesh's or of the pipeline's own."""

    def own(workload: Workload) -> Callable[[], SnowflakeSession]:
        return lambda: connect(trial.settings, workload, **OPTIONS)

    return {
        **{f"the pipeline ({workload})": own(workload) for workload in get_args(Workload)},
        "SQLMesh": open_session,
        "dlt": lambda: open_session_of_loads(trial.settings),
    }


def _shown(session: Any) -> dict[str, str]:
    """Parameters of a session with their values."""
    return {row[0]: row[1] for row in session.cursor().execute("SHOW PARAMETERS IN SESSION").fetchall()}


def _unquoted(name: str | None) -> str | None:
    return None if name is None else name.strip('"').upper()
