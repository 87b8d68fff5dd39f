"""`insightmart setup`: the tables of raw and ops and SQLMesh's state, as this code needs them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime

import click

from ingestion.migrations import Applied, Migration, applied, migrations
from ingestion.warehouse import Warehouse
from insightmart.commands.options import as_of_option
from insightmart.commands.session import acting_instant, writing
from insightmart.console_tables import print_table
from insightmart.gateway import open_to_read, open_warehouse
from insightmart.progress import step
from insightmart.recorded_settings import keep_or_refuse, refuse_recorded_others
from insightmart.schema_version import bring_up, due
from insightmart.settings import Settings, load_settings
from insightmart.transform.state_versions import StateVersions, migrate, open_state, state_versions

_STATE_WORDS = {
    "missing": ("empty: its tables would be created", "created"),
    "older": ("would be migrated", "migrated"),
    "current": ("as it should be", "as it should be"),
}


@dataclass
class SetUp:
    """What a set-up found, and what it did or would do.

    Attributes:
        had: migrations that the warehouse had had before, by version.
        due: migrations that it lacked, in order.
        state: SQLMesh's state; None where the local one does not exist.
        is_done: whether what was due was done.
    """

    had: dict[int, Applied] = field(default_factory=dict)
    due: list[Migration] = field(default_factory=list)
    state: StateVersions | None = None
    is_done: bool = False

    @property
    def is_nothing_to_do(self) -> bool:
        """Whether everything was as it should be."""
        return not self.due and self.state is not None and self.state.standing == "current"

    def summary(self) -> dict[str, object]:
        """For ops.runs, and for other programs."""
        return {
            "from_version": max(self.had, default=0),
            "to_version": migrations()[-1].version,
            "migrations": {migration.version: migration.name for migration in self.due},
            "state": asdict(self.state) if self.state else None,
        }


@click.command()
@click.option("--plan", "--dry-run", "is_plan", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@as_of_option
def setup_command(is_plan: bool, as_json: bool, as_of: datetime | None) -> int:
    """Make a warehouse ready for this version of the code: a new one, or one of an earlier version.

    Run it once when the account is new (docs/snowflake-account.md), and after every update of the code before the next
    cycle. It brings the tables of raw and ops up by the migrations that are missing (ingestion/sql, one file a
    version, kept in ops.schema_version), records the settings that shape figures, and creates or migrates SQLMesh's
    state as `sqlmesh migrate` does. Safe to repeat, and to run again after it was killed: there is nothing to do then.

    On Snowflake a cycle creates nothing of this; it looks at the version, and refuses to go on with another one. On
    the local gateway any command that writes brings the tables up by itself, and `setup` is needed only after an
    update of SQLMesh.

    It works with the roles of the pipeline (SNOWFLAKE_ROLE, and SNOWFLAKE_LOAD_ROLE for raw), which own the tables
    that they create. Database, schemas, roles and warehouses are created by deploy/snowflake, by an administrator.

    \b
    Examples:
      insightmart setup --plan
      insightmart setup

    Exit codes: 0 done, or nothing to do; 1 a statement failed; 2 the warehouse or the state was made by a later
    version, or with other settings; 75 a cycle is at work.
    """
    settings = load_settings()
    now = acting_instant(settings, as_of)
    found = _planned(settings) if is_plan else _done(settings, now)
    if as_json:
        click.echo(json.dumps(found.summary() | {"done": found.is_done}, default=str, indent=2))
    else:
        _show(found)
    return 0


def _planned(settings: Settings) -> SetUp:
    is_local = settings.gateway == "local"
    with open_to_read(settings, is_whole=True) if is_local else open_warehouse(settings) as warehouse:
        refuse_recorded_others(warehouse, settings)
        found = _looked_at(warehouse)
    if is_local and not (settings.home / "state.duckdb").exists():  # to look would be to create it
        return found
    with step("SQLMesh's state") as progress, open_state(settings) as context:
        found.state = state_versions(context)
        progress.outcome = _STATE_WORDS[found.state.standing][0]
    return found


def _done(settings: Settings, now: datetime) -> SetUp:
    with writing(settings, "setup", sets_up=True) as session:
        refuse_recorded_others(session.warehouse, settings)
        found = _looked_at(session.warehouse)
        with step("SQLMesh's state") as progress, open_state(settings) as context:
            found.state = state_versions(context)  # before anything is changed: a later one is refused
            if found.state.standing != "current":
                migrate(context)
            progress.outcome = _STATE_WORDS[found.state.standing][1]
        with step("Tables of raw and ops") as progress:
            bring_up(session.warehouse, settings)
            keep_or_refuse(session.warehouse, settings)
            progress.outcome = f"{len(found.due)} migrations applied" if found.due else "nothing to do"
        with session.recorded_run(now) as run:
            run.summary = found.summary()
    found.is_done = True
    return found


def _looked_at(warehouse: Warehouse) -> SetUp:
    had = applied(warehouse)
    return SetUp(had, due(had))


def _show(found: SetUp) -> None:
    missing = {migration.version for migration in found.due}
    rows: list[list[object]] = []
    for migration in migrations():
        if migration.version in missing:
            said = "applied" if found.is_done else "would be applied"
        else:
            before = found.had[migration.version]
            said = f"since {before.applied_at:%Y-%m-%d %H:%M} UTC{f' by {before.actor}' if before.actor else ''}"
        rows.append(["raw and ops", migration.version, migration.name, len(migration.statements), said])
    state = found.state
    said = _STATE_WORDS[state.standing][found.is_done] if state else "none yet: it would be created"
    was = f", was: {state.kept}" if state and state.standing == "older" else ""
    rows.append(["SQLMesh's state", None, state.installed + was if state else None, None, said])
    print_table("Set-up" if found.is_done else "What a set-up would do", _COLUMNS, rows)
    if found.is_nothing_to_do:
        click.echo("Nothing to do.")


_COLUMNS = ["of", "version>", "what", "statements>", "state"]
