"""`insightmart extract`: certified subjects as files for Tableau."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from insightmart.commands.session import reading
from insightmart.console_tables import print_table
from insightmart.extracts.extraction import extract
from insightmart.settings import load_settings


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--only", multiple=True, metavar="SUBJECT", help="Only this subject; may be given again.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First business date of the rows (default: all).")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of the files.")
def extract_command(folder: Path, only: tuple[str, ...], since: datetime | None, as_json: bool) -> None:
    """Write a file SUBJECT.hyper for Tableau into DIR for each subject: sales, orders, returns, inventory and so on.

    Each has the rows of a certified table with stores, calendar, products and customers joined to them, under the names
    that analysts know (docs/tableau.md). All files are written before the first one takes the place of its predecessor.

    \b
    Examples:
      insightmart extract /srv/tableau
      insightmart extract /srv/tableau --only orders --since 2026-01-01

    Exit codes: 0 done; 1 something cannot be read or written, and every file is as it was; 2 there is no such subject.
    """
    with reading(settings := load_settings()) as warehouse:
        written = extract(warehouse, folder, only, since.date() if since else None)
    if as_json:
        files = [
            {"subject": one.subject, "path": str(one.path), "rows": one.rows, "bytes": one.bytes} for one in written
        ]
        click.echo(json.dumps(files, indent=2))
        return
    rows = [[one.title, one.path.name, f"{one.rows:,}", f"{one.bytes / 2**20:,.1f} MiB"] for one in written]
    print_table(f"For Tableau, in {folder}", ["Subject", "File", "Rows>", "Size>"], rows, f"of {settings.gateway}")
