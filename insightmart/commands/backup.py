"""`insightmart backup`: a copy of the warehouse and of SQLMesh's state, of one moment."""

from __future__ import annotations

import json

import click

from insightmart.backups.making import make_copy
from insightmart.backups.shelf import shelf_of
from insightmart.errors import ConfigurationError
from insightmart.lock import writer_lock
from insightmart.progress import step
from insightmart.settings import load_settings

ON_SNOWFLAKE = ConfigurationError(
    "nothing is copied here on Snowflake: the warehouse keeps its own past, and the state is PostgreSQL's",
    "Between two cycles clone the database (CREATE DATABASE ... CLONE INSIGHTMART) and run pg_dump on STATE_DATABASE:"
    " docs/operations.md, On Snowflake",
)


@click.command()
@click.argument("place", required=False)
@click.option("--keep", type=click.IntRange(1), default=7, show_default=True, help="Keep so many copies, the latest.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def backup_command(place: str | None, keep: int, as_json: bool) -> int:
    """Copy the local warehouse and SQLMesh's state, both as they are at one moment, with their digests.

    PLACE is a folder or s3://BUCKET/PREFIX, of this warehouse alone; without it that of BACKUP_URL, else backups/ in
    the home, which a lost disk takes along. A copy is there as a whole or not at all, and only its owner may read it.
    No command can write meanwhile. Copies beyond --keep are deleted, the oldest first, once the new one is there.

    \b
    Examples:
      insightmart backup
      insightmart backup s3://insightmart-backups/prod --keep 14

    \b
    Exit codes: 0 copied; 1 a file is damaged or missing, or the place cannot be written; 2 wrong usage, or there is
    nothing to copy; 75 another command is writing.
    """
    settings = load_settings()
    if settings.gateway != "local":
        raise ON_SNOWFLAKE
    shelf = shelf_of(settings, place)
    with writer_lock(settings, "backup"), step("Copying") as progress:
        made, deleted = make_copy(settings, shelf, keep)
        progress.outcome = f"{made.size / 2**20:,.1f} MiB"
    for error in shelf.spoilt.values():
        click.echo(f"Neither counted nor deleted: {error.cause}", err=True)
    if as_json:
        click.echo(json.dumps(made.model_dump(mode="json") | {"place": shelf.where}, indent=2))
        return 0
    through = f"{made.certified_through:%Y-%m-%d %H:%M} UTC" if made.certified_through else "nothing"
    click.echo(f"{shelf.where.rstrip('/')}/{made.name}: certified through {through}, entry {made.ledger_sequence:,}")
    if deleted:
        click.echo(f"Deleted: {', '.join(manifest.name for manifest in deleted)}.")
    return 0
