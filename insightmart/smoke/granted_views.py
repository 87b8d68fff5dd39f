"""Who may read a view after SQLMesh has replaced it, which every promotion does."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp
from sqlmesh.core.engine_adapter.snowflake import SnowflakeEngineAdapter

from ingestion.warehouse import DATABASE
from insightmart.definitions.reader_grants import ROLE
from insightmart.smoke.trial import DidNotHold, NotTried, Trial, check
from insightmart.transform.snowflake_adapter import open_session

AUDITOR = f"{DATABASE}_AUDITOR"
NO_RIGHTS = "it has no rights"


@check("readers and auditors may read what is certified", account_only=NO_RIGHTS)
def certified_views(trial: Trial) -> str:
    """Run it again after a promotion: the views are other ones then, and must be granted as before."""
    views = [
        name
        for (name,) in trial.warehouse.rows(
            "SELECT table_name FROM information_schema.views WHERE table_schema = 'CERTIFIED' ORDER BY table_name"
        )
    ]
    if not views:
        raise NotTried("nothing is certified yet: run the first cycle, then deploy/snowflake/readers.sql")
    wrong = []
    for name in views:
        trial.step.say(name)
        granted = _readers(trial, f"CERTIFIED.{name}")
        expected = {AUDITOR} if "__" in name else {AUDITOR, ROLE}  # parts of a table are not for readers
        wrong += [f"{role} may not read {name}" for role in sorted(expected - granted)]
        wrong += [f"{ROLE} may read {name}, a part" for _ in {ROLE} & granted - expected]
    if wrong:
        raise DidNotHold("; ".join(wrong))
    return f"{len(views)} views"


@check("a view that SQLMesh replaces keeps its readers", writes=True, account_only=NO_RIGHTS)
def replaced_view(trial: Trial) -> str:
    """A view created, granted and replaced as SQLMesh does it."""
    adapter = SnowflakeEngineAdapter(open_session, default_catalog=DATABASE)
    view = trial.table("promoted")
    try:
        for version in (1, 2):
            adapter.create_view(view, exp.select(exp.Literal.number(version).as_("VERSION")))
            if version == 1:
                trial.warehouse.execute(f"GRANT SELECT ON VIEW {view} TO ROLE {ROLE}")
    finally:
        adapter.close()
    if (found := trial.warehouse.value(f"SELECT version FROM {view}")) != 2:
        raise DidNotHold(f"the replaced view says {found}")
    if ROLE not in (granted := _readers(trial, view)):
        raise DidNotHold(f"after it was replaced {ROLE} may not read it, only {', '.join(sorted(granted))}")
    return f"{ROLE} may read it before and after"


def _readers(trial: Trial, view: str) -> set[str]:
    """Roles that may read a view."""
    cursor = trial.warehouse.connection.cursor().execute(f"SHOW GRANTS ON VIEW {view}")
    names: Sequence[str] = [column.name.lower() for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {row["grantee_name"] for row in rows if row["privilege"] in ("SELECT", "OWNERSHIP")}
