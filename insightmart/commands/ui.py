"""`insightmart ui`: what there is to look at, and where."""

from __future__ import annotations

import json

import click

from insightmart.console_tables import print_table
from insightmart.settings import PROJECT, load_settings


@click.command()
@click.option("--print", "is_printed", is_flag=True, help="Say where, and open nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the places as JSON, and open nothing.")
def ui_command(is_printed: bool, as_json: bool) -> None:
    """Open the status page and the documentation in the browser, and say how to open the models.

    Models, columns, data and lineage are in SQLMesh's own interface, which holds the warehouse open while it runs: on
    DuckDB stop it before the next cycle.
    """
    home = load_settings().home.resolve()
    pages = {
        "status page": home / "status" / "index.html",
        "documentation": PROJECT / "var" / "site" / "index.html",
    }
    cures = {"status page": "`insightmart status` writes it", "documentation": "`make docs` builds it"}
    found = {name: str(path) if path.exists() else f"not there yet: {cures[name]}" for name, path in pages.items()}
    found["models, data and lineage"] = "sqlmesh ui, then http://127.0.0.1:8000 (stop it before the next cycle)"
    found["figures"] = str(home / "readers" / "INSIGHTMART.duckdb")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not is_printed:
        for path in pages.values():
            if path.exists():
                click.launch(path.as_uri())
    print_table("", ["what", "where"], [[name, place] for name, place in found.items()])
