"""`insightmart restore`: the last good copy of warehouse and state, put back together."""

from __future__ import annotations

import json
from datetime import datetime

import click

from insightmart.backups.lost_since import LostSince, lost_since
from insightmart.backups.manifest import Manifest
from insightmart.backups.restoring import chosen, enter_in, fetch, needs_migration, nobody_else, put_in_place
from insightmart.backups.shelf import Shelf
from insightmart.backups.unfinished import note_ended
from insightmart.commands.options import as_of_option
from insightmart.commands.session import acting_instant, opened_to_write
from insightmart.console_tables import print_table
from insightmart.errors import USAGE, ConfigurationError
from insightmart.lock import writer_lock
from insightmart.progress import step
from insightmart.settings import load_settings

ON_SNOWFLAKE = ConfigurationError(
    "nothing is put back here on Snowflake: the warehouse keeps its own past, and the state is PostgreSQL's",
    "Put both back to one moment, by Time Travel or a clone and by pg_restore: docs/operations.md, On Snowflake",
)


@click.command()
@click.option("--from", "place", metavar="PLACE[/NAME]", help="Where the copies are, or one of them.")
@click.option("--list", "is_listed", is_flag=True, help="Show the copies, and change nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--json", "as_json", is_flag=True, help="With --list: print JSON.")
@as_of_option
def restore_command(place: str | None, is_listed: bool, yes: bool, as_json: bool, as_of: datetime | None) -> int:
    """Put the latest copy of warehouse and state back, whichever of the two is damaged or lost.

    Without --from it is taken from where `insightmart backup` puts it. Each file is compared with its digest first. A
    copy whose manifest cannot be read is left out, and one of another warehouse has to be named in full.
    What is replaced is moved to replaced/ in the home, never deleted; caches are made anew. The ledger goes on from the
    last entry of the copy, and says who put it back, and what is lost by it. Then `insightmart cycle` loads and builds
    everything since, from the sources.

    \b
    Examples:
      insightmart restore --list
      insightmart restore
      insightmart restore --from s3://insightmart-backups/prod/20260306T020500Z

    \b
    Exit codes: 0 put back, or shown; 1 there is no good copy; 2 wrong usage, or the answer was no; 75 another command
    is writing.
    """
    settings = load_settings()
    if settings.gateway != "local":
        raise ON_SNOWFLAKE
    now = acting_instant(settings, as_of)
    if is_listed:
        shelf, copies = chosen(settings, place)
        _show(shelf, copies, as_json)
        _tell_spoilt(shelf)
        return 0
    with writer_lock(settings, "restore"):
        shelf, copies = chosen(settings, place)
        _tell_spoilt(shelf)
        if not copies:
            raise ConfigurationError(
                f"there is no copy in {place or shelf.where}",
                "Name another place with --from. Without any copy move INSIGHTMART.duckdb and state.duckdb away:"
                " `insightmart cycle` then builds all anew from the sources, and ledger and journal begin again",
            )
        manifest = copies[0]
        with nobody_else(settings):
            pass
        lost = lost_since(settings, manifest)
        if lost.other and not (place or "").rstrip("/").endswith(manifest.name):
            raise ConfigurationError(
                f"the copy {manifest.name} in {shelf.where} is of another warehouse than {lost.other}",
                "Name another place with --from; to have this one take its place all the same, name it with --from"
                " PLACE/NAME",
            )
        _tell(manifest, lost)
        if not yes and not click.confirm("Put it in place?"):
            return USAGE
        with step("Fetching and comparing") as progress:
            incoming = fetch(settings, shelf, manifest)
            progress.outcome = f"{manifest.size / 2**20:,.1f} MiB as they were copied"
        with step("Putting it in place") as progress, nobody_else(settings):
            aside, begun = put_in_place(settings, manifest, incoming, lost)
            progress.outcome = f"what was there is in {aside}"
        with opened_to_write(settings, "restore") as session, session.recorded_run(now) as run:
            run.summary = enter_in(session.warehouse, settings, manifest, begun, aside, run.run_id, now)
        note_ended(settings.home)
    setup = "`insightmart setup`, then " if needs_migration(manifest) else ""
    click.echo(f"The copy {manifest.name} is in place. Next: {setup}`insightmart cycle`, which catches up.")
    return 0


def _tell_spoilt(shelf: Shelf) -> None:
    for error in shelf.spoilt.values():
        click.echo(f"Left out: {error.cause}", err=True)


def _tell(manifest: Manifest, lost: LostSince) -> None:
    through = f"{manifest.certified_through:%Y-%m-%d %H:%M} UTC" if manifest.certified_through else "nothing"
    click.echo(f"The copy {manifest.name} of {manifest.copied_at}, certified through {through}.")
    if gone := lost.highest - manifest.ledger_sequence:
        click.echo(f"Lost with what it replaces: {gone:,} entries of the ledger, up to {lost.highest:,}.")
    if lost.other:
        click.echo(f"It is of another warehouse than {lost.other}.")
    if not lost.read_from:
        click.echo(
            "What people did since cannot be read: what was promoted, closed, answered or erased after the copy has to"
            " be done again."
        )
    for line in lost.done:
        click.echo(f"  {line}")


def _show(shelf: Shelf, copies: list[Manifest], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([manifest.model_dump(mode="json") for manifest in copies], indent=2))
        return
    if not copies:
        click.echo(f"There is no copy in {shelf.where}.")
        return
    columns = ["copy", "made (UTC)", "by", "certified through (UTC)", "entries>", "bytes>", "commit"]
    rows = [
        [
            manifest.name,
            manifest.made_at,
            manifest.made_by,
            manifest.certified_through,
            manifest.ledger_sequence,
            manifest.size,
            (manifest.git_sha or "")[:10],
        ]
        for manifest in copies
    ]
    print_table(f"Copies in {shelf.where}, the latest first", columns, rows)
