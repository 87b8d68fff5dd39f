"""`insightmart status`: write the static status page."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from insightmart.commands.options import as_of_option, as_published_option
from insightmart.commands.session import acting_instant, reading
from insightmart.errors import ConfigurationError
from insightmart.pages.site import write_page
from insightmart.pages.upload import SETTING, upload
from insightmart.settings import load_settings
from insightmart.status.known_then import known_at, write_page_then


@click.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of the page (default: HOME/status)."
)
@click.option("--upload", "is_uploaded", is_flag=True, help="Put what changed to STATUS_URL as well.")
@as_published_option
@as_of_option
def status_command(out: Path | None, is_uploaded: bool, as_published: datetime | None, as_of: datetime | None) -> None:
    """Write the static status pages: what can be trusted through when, what is held back and what to do.

    A start page, index.html, and one a dataset, store and run, each with its JSON; they need no server and no network.
    The cycle writes and uploads them as well. With --as-published a page of the past, beside them:
    as-published-INSTANT.html.
    """
    settings = load_settings()
    now = acting_instant(settings, as_published or as_of)
    with reading(settings) as warehouse:
        if as_published:
            path = write_page_then(known_at(warehouse, settings, now), out or settings.home / "status")
        else:
            path = write_page(warehouse, settings, now, out)
    if is_uploaded:
        if not settings.status_url:
            raise ConfigurationError(f"{SETTING} is not set", f"Set {SETTING} to s3://BUCKET/PREFIX")
        click.echo(f"{upload(settings, path.parent)} files put to {settings.status_url}", err=True)
    click.echo(path)
