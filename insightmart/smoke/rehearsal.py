"""Runs the checks one after the other; what they create lies in a schema of its own, which is dropped at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import uuid4

from ingestion.clock import utc_now
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.progress import Step, step
from insightmart.settings import Settings
from insightmart.smoke import (  # noqa: F401 each registers its checks
    bound_values,
    copied_files,
    dead_writers,
    explained,
    granted_views,
    partitions,
    replaced_schema,
    sessions,
    spoken_sql,
    transactions,
)
from insightmart.smoke.trial import CHECKS, Answer, DidNotHold, NotTried, SmokeCheck, Trial, Tried, in_a_line

GONE = "what this trial created is gone"


def rehearse(
    settings: Settings, names: Sequence[str] = (), *, writes: bool = False, keeps: bool = False
) -> list[Tried]:
    """Try what the pipeline needs of the account.

    Args:
        settings: of the account.
        names: only these checks, out of ``CHECKS``; none for all.
        writes: also run checks that create something, in a schema ``SMOKE_<instant>`` of their own.
        keeps: leave that schema for somebody to look at.

    Returns:
        What each check came to, in order; the last one is whether the schema was dropped, where there was one.

    Raises:
        ConfigurationError: the settings name no account.
        InsightMartError: the account cannot be reached, refuses the user, or the schema cannot be created.
    """
    if settings.gateway != "snowflake":
        raise ConfigurationError(
            f"the gateway is {settings.gateway}: there is no account to try", "Set INSIGHTMART_GATEWAY=snowflake"
        )
    chosen = [CHECKS[name] for name in names] or list(CHECKS.values())
    room = f"SMOKE_{utc_now():%Y%m%d_%H%M%S}_{uuid4().hex[:6]}".upper() if writes else None
    trial = Trial(settings, room, Step())
    tried: list[Tried] = []
    try:
        _begin(trial)
        try:
            tried.extend(_tried(one, trial) for one in chosen if writes or not one.writes)
        finally:
            if room is not None and not keeps:
                tried.append(_tried(SmokeCheck(GONE, _drop, writes=True, account_only=""), trial))
    finally:
        trial.close()
    return tried


def _begin(trial: Trial) -> None:
    """Open the trial's session, and make its schema."""
    from snowflake.connector.errors import Error

    opened = trial.warehouse
    if trial.room is None:
        return
    try:
        opened.execute(f'CREATE TRANSIENT SCHEMA "{trial.room}"')
    except Error as error:
        raise InsightMartError(
            f"the schema {trial.room} cannot be created: {in_a_line(error)}",
            "SNOWFLAKE_ROLE needs CREATE SCHEMA on the database, as INSIGHTMART_PIPELINE has it",
        ) from None


def _drop(trial: Trial) -> str:
    """Drop the trial's schema and those beside it, and name what other trials have left."""
    left = _schemas(trial)
    for name in left:
        if name.startswith(str(trial.room)):
            trial.warehouse.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
    others = [name for name in _schemas(trial) if not name.startswith(str(trial.room))]
    if len(others) < len(_schemas(trial)):
        raise DidNotHold(f"{trial.room} is still there")
    return f"{trial.room} dropped" + (
        f"; of other trials, drop them when nobody needs them: {', '.join(others)}" if others else ""
    )


def _schemas(trial: Trial) -> list[str]:
    """Schemas of this trial and of others."""
    found = trial.warehouse.rows(
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'SMOKE~_%' ESCAPE '~'"
        " ORDER BY schema_name"
    )
    return [name for (name,) in found]


def _tried(one: SmokeCheck, trial: Trial) -> Tried:
    """Run a check; whatever it raises is its verdict, and the others still run."""
    started = time.monotonic()
    trial.statement_id = None
    with step(one.name) as current:
        trial.step = current
        verdict, seen = _verdict(one, trial)
        current.outcome, current.failed = verdict, verdict == "did not hold"
    return Tried(one.name, verdict, seen, round(time.monotonic() - started, 1), trial.statement_id)


def _verdict(one: SmokeCheck, trial: Trial) -> tuple[Answer, str]:
    if one.account_only and (stand_in := trial.stand_in):
        return "could not be tried", f"{stand_in} stands in for the account: {one.account_only}"
    try:
        return "held", one.run(trial)
    except DidNotHold as seen:
        return "did not hold", str(seen)
    except NotTried as reason:
        return "could not be tried", str(reason)
    except InsightMartError as error:
        return "did not hold", str(error)
    except Exception as error:  # noqa: BLE001 what the account refuses is a finding, and the others still run
        return "did not hold", f"{type(error).__name__}: {in_a_line(error)}"
