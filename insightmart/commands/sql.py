"""`insightmart sql`: one question to the warehouse; the whole answer, and nothing but reading."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import click

from insightmart.commands.options import Instant, has_been
from insightmart.console_tables import print_table, without_control, without_formula
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.journal.as_published import shown_at
from insightmart.read_only import answer
from insightmart.settings import load_settings


@click.command()
@click.argument("query")
@click.option("--limit", type=click.IntRange(1), help="At most so many rows (default: all).")
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON list of rows; decimals are texts, so that they stay exact."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV; an empty field is NULL.")
@click.option(
    "--as-published",
    type=Instant(),
    callback=has_been,
    help="Read certified.agg_sales_daily as it was shown at this UTC instant; of certified.agg_inventory_daily the"
    " sums of each date and store.",
)
def sql_command(query: str, limit: int | None, as_json: bool, as_csv: bool, as_published: datetime | None) -> None:
    """Ask the warehouse one QUERY, or the one on standard input (-). It cannot change anything.

    The dialect is the warehouse's own: DuckDB's locally, Snowflake's there. Values are printed as they are, in full
    width; NULL says so.

    \b
    Examples:
      insightmart sql "SELECT business_date, SUM(net_sales) FROM certified.agg_sales_daily GROUP BY 1 ORDER BY 1"
      insightmart sql --csv - < question.sql > answer.csv
      insightmart sql --as-published 2026-03-06T09:00 "SELECT SUM(net_sales) FROM certified.agg_sales_daily"

    Exit codes: 0 done; 1 the warehouse refused the query; 2 it is not a query that only reads.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if query == "-":
        query = sys.stdin.read()
    settings = load_settings()
    if settings.gateway == "local" and not settings.database_path.exists():
        raise ConfigurationError(
            f"there is no warehouse at {settings.database_path}", "Set INSIGHTMART_HOME, or run `insightmart cycle`"
        )
    if as_published:
        query = shown_at(query, as_published, "duckdb" if settings.gateway == "local" else "snowflake")
    names, rows, left_out = answer(settings, query, limit)
    note = f"Only the first {len(rows):,} rows." if left_out else ""
    if as_json:
        names = _distinct(names)
        click.echo(json.dumps([dict(zip(names, map(_plain, row), strict=True)) for row in rows], indent=2))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([_safe(name) for name in names])
        writer.writerows([[_safe(value) for value in row] for row in rows])
    else:
        titles = [
            f"{name}>" if _is_number(place, rows) else name for place, name in enumerate(map(without_control, names))
        ]
        print_table(
            "", titles, [[_text(value) for value in row] for row in rows], f"{len(rows):,} rows" if not note else ""
        )
    if note:
        click.echo(note, err=True)


def _plain(value: Any) -> Any:
    """A value for JSON: a number only where JSON's readers keep it as it is."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return _spelled(value)


def _spelled(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return str(value)


def _text(value: Any) -> str:
    return "NULL" if value is None else without_control(_spelled(value))


def _safe(value: Any) -> str | None:
    """A field of CSV: numbers as they are, negative ones too; a text never a formula."""
    if value is None or isinstance(value, bool | int | float | Decimal):
        return None if value is None else _spelled(value)
    text = without_formula(_spelled(value))
    return without_control(text) if sys.stdout.isatty() else text  # a file has what the warehouse has


def _is_number(place: int, rows: Sequence[Sequence[Any]]) -> bool:
    values = [row[place] for row in rows if row[place] is not None]
    return bool(values) and all(
        isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in values
    )


def _distinct(names: Sequence[str]) -> list[str]:
    """Two columns of one name would hide each other.

    Raises:
        InsightMartError: there are such.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InsightMartError(f"two columns are named {', '.join(twice)}", "Name them apart with AS")
    return list(names)
