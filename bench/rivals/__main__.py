"""`python -m bench.rivals`: the comparison from the command line."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import click

from bench.environments import environment
from bench.rivals.play import DBT, play
from bench.rivals.results import COLUMNS, DOES, DOES_COLUMNS, as_json, table_rows
from insightmart.console_tables import print_table

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--hours", type=click.IntRange(1), default=6, show_default=True, help="Hours of business after a day.")
@click.option("--size", default="tiny", show_default=True, help="Size of the simulated business.")
@click.option("--repeat", type=click.IntRange(1), default=1, show_default=True,
              help="How often each builds each hour, in turn, from where it was.")  # fmt: skip
@click.option("--dbt-environment", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Folder of an environment with dbt, made if it is not there; else dbt is left out.")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write every run here.")
def main(hours: int, size: str, repeat: int, dbt_environment: Path | None, json_file: Path | None) -> None:
    """Build the same tables hour by hour by our cycle, by a plain SQLMesh project and by dbt, in processor seconds.

    \b
    InsightMart     a cycle without its loads, up to the evidence of its gates; below it with reconciliation and page
    plain SQLMesh   the same model files and audits: no gate, no evidence, no change to the library
    dbt             the same SQL as incremental models (delete the window, append) with its not_null and unique tests
    imports         the limit beside each: importing its libraries, in a process that does nothing else

    Both rivals are generated from our own models. Raw is loaded once an hour by our ingestion and brought to all; the
    hours that late rows correct are rebuilt by all: by restatement plans, and by dbt invocations that are told them.
    After each hour all certified tables are compared row by row; any difference ends the run with 1.

    Processor seconds include the processes that are started. It takes about two minutes an hour of business and
    repetition, leaves nothing behind but dbt's environment, and needs nothing from outside but to make that.

    \b
    Examples:
      python -m bench.rivals
      python -m bench.rivals --hours 8 --repeat 3 --dbt-environment ~/dbt --json figures.json
    """
    python = environment(dbt_environment, REQUIREMENTS) if dbt_environment else None
    if python is None:
        click.echo("dbt is left out: name a folder for its environment with --dbt-environment DIR", err=True)
    with tempfile.TemporaryDirectory(prefix="bench-rivals-") as directory:
        measured = play(Path(directory), hours, size, repeat, python, lambda line: click.echo(line, err=True))
    print_table("The same tables, in processor seconds", COLUMNS, table_rows(measured))
    shown = slice(None) if python else slice(0, DOES_COLUMNS.index(DBT))
    print_table("\nWhat each of them does", DOES_COLUMNS[shown], [row[shown] for row in DOES])
    if json_file:
        json_file.write_text(json.dumps(as_json(measured), indent=1) + "\n", encoding="utf-8")
    for number, table, who, rows in measured.differences:
        click.echo(f"hour {number}: {rows:,} rows of {table} are not the same by {who}", err=True)
    rows_in_all = sum(measured.compared.values())
    click.echo(f"{len(measured.compared)} certified tables of {rows_in_all:,} rows compared after each hour")
    if measured.differences:
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
