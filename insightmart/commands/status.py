"""`insightmart status`: write the static status page."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from insightmart.commands.options import as_of_option, as_published_option
from insightmart.commands.session import acting_instant, reading
from insightmart.settings import load_settings
from insightmart.status.known_then import known_at, write_page_then
from insightmart.status.page import write_page


@click.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of the page (default: HOME/status)."
)
@as_published_option
@as_of_option
def status_command(out: Path | None, as_published: datetime | None, as_of: datetime | None) -> None:
    """Write the static status page: what can be trusted through when, what is held back and what to do.

    One HTML file that needs no server. The cycle writes it as well. With --as-published a page of the past, beside it:
    as-published-INSTANT.html.
    """
    settings = load_settings()
    now = acting_instant(settings, as_published or as_of)
    with reading(settings) as warehouse:
        if as_published:
            path = write_page_then(known_at(warehouse, settings, now), out or settings.home / "status")
        else:
            path = write_page(warehouse, settings, now, out)
    click.echo(path)
