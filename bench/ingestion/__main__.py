"""`python -m bench.ingestion`: the measurement from the command line."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import click

from bench.environments import environment
from bench.ingestion import children, rivals
from bench.ingestion.costs import CommandFailed, Cost, in_child
from bench.ingestion.hours import NOW
from bench.ingestion.prepared import Prepared, prepared
from bench.ingestion.results import COLUMNS, MEGABYTE, MEMORY_AIM, Measured, machine, table_rows
from insightmart.console_tables import print_table
from sandbox.state import SandboxError

PARTS = {"postgres": ("oltp",), "stores": ("stores",), "shopify": ("shopify",), "hour": ("oltp", "stores", "shopify")}
STARTED = time.monotonic()


class WrongResult(Exception):
    """A load did not leave in raw exactly what was generated: its time means nothing."""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--scale", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
              help="Part of a production hour (625 MB). Small ones show start-up costs, not speed.")  # fmt: skip
@click.option("--only", multiple=True, type=click.Choice(list(PARTS)), help="Measure just this; may be repeated.")
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True,
              help="Runs of each, the limit and ours in turn; the table has medians.")  # fmt: skip
@click.option("--rivals", "rivals_environment", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Other loaders, too, once each, by the environment in DIR, made if it is not there.")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write every run here.")
def main(
    scale: float, only: Sequence[str], repeat: int, rivals_environment: Path | None, json_file: Path | None
) -> None:
    """Measure the ingestion of one production hour, each source beside the limit of this machine.

    \b
    postgres  orders, lines, refunds   limit: psql, COPY of the same rows > /dev/null
    stores    120 files on S3          limit: pyarrow reads them as text, one thread
    shopify   pages of orders          limit: orjson parses the same answers
    hour      all three: `insightmart ingest`, from its start to its end

    Sources are real ones on loopback (the shop: its kept answers), filled before the clock starts with the same rows
    every time, and removed at the end. Each run has a process and a warehouse of its own; the warehouse holds an
    earlier load, so that what is measured is an hour and not a first load. Every row is counted afterwards: a load that
    is not exact is an error, not a result. At scale 1 it needs 3 GB of disk and 10 minutes on an idle machine.

    With --rivals also dlt's own sources of databases (by their backends) and of files, ADBC and ConnectorX. They load
    into a new DuckDB file, without rejects, records and corrections; if rows are not those of the source, it is told.

    \b
    Examples:
      python -m bench.ingestion
      python -m bench.ingestion --scale 0.1 --only postgres --json figures.json
    """
    parts = list(only) or list(PARTS)
    try:
        python = environment(rivals_environment, rivals.REQUIREMENTS) if rivals_environment else None
        measured = measure(parts, scale, repeat, python)
    except (WrongResult, CommandFailed, SandboxError, BrokenProcessPool, RuntimeError) as error:
        click.echo(f"bench: {error}", err=True)
        raise SystemExit(1) from None
    facts = machine()
    busiest = max(load for item in measured for load in item.loads)
    print_table(
        f"One production hour at scale {scale:g}: median of {repeat} (lowest-highest)",
        COLUMNS,
        table_rows(measured),
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gb']} GB; load average up to {busiest:.1f}; "
        f"Python {facts['python']}, " + ", ".join(f"{name} {version}" for name, version in facts["packages"].items()),
    )
    for item in measured:
        if item.limit_name:
            click.echo(f"limit of {item.name}: {item.limit_name}")
    highest = max(item.peak_bytes for item in measured)
    click.echo(f"peak memory {highest / MEGABYTE:,.0f} MB, aim under {MEMORY_AIM / MEGABYTE:,.0f} MB")
    if json_file:
        result = {"scale": scale, "repeat": repeat, "machine": facts, "measured": [item.as_json() for item in measured]}
        json_file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def measure(parts: Sequence[str], scale: float, repeat: int, python: Path | None = None) -> list[Measured]:
    """Measure some of ``PARTS``, and other loaders if an interpreter that has them is given.

    Raises:
        WrongResult: a load was not exact.
        CommandFailed, SandboxError, RuntimeError: something could not be run.
    """
    sources = [source for source in PARTS["hour"] if any(source in PARTS[part] for part in parts)]
    measurements = {"postgres": _postgres, "stores": _stores, "shopify": _shopify, "hour": _hour}
    with tempfile.TemporaryDirectory(prefix="insightmart-bench-") as directory:
        Path(directory).chmod(0o711)  # PostgreSQL may have to run as another account
        with prepared(Path(directory), scale, sources, _say) as hour:
            measured = [item for part in PARTS if part in parts for item in measurements[part](hour, repeat)]
            if python and "postgres" in parts:
                measured += rivals.of_databases(hour, python, _say)
            if python and "stores" in parts:
                measured += rivals.of_files(hour, python, _say)
            return measured


def _postgres(hour: Prepared, repeat: int) -> list[Measured]:
    size = hour.sizes["oltp"] / MEGABYTE
    rows = sum(hour.expected["oltp"].values())
    item = Measured(f"PostgreSQL, {rows:,} rows", size, "MB", "psql, COPY of the same rows > /dev/null", ("ratio", 1.5))
    _in_turn(item, repeat, hour.copy_to_null, lambda: _ingest(hour, "oltp"))
    return [item]


def _stores(hour: Prepared, repeat: int) -> list[Measured]:
    rows = sum(hour.expected["stores"].values())
    item = Measured(
        f"Store files, {rows:,} rows",
        hour.sizes["stores"] / MEGABYTE,
        "MB",
        "pyarrow reads the same files as text, one thread",
        ("rate", 60),
    )
    _in_turn(item, repeat, lambda: in_child(children.read_as_text, hour.plain), lambda: _ingest(hour, "stores"))
    return [item]


def _shopify(hour: Prepared, repeat: int) -> list[Measured]:
    orders = hour.expected["shopify"]["shopify_orders"]
    size, name = f"{hour.sizes['shopify'] / MEGABYTE:,.1f} MB", "orjson parses the same answers"
    flattening = Measured(f"Shopify, {size} flattened", orders, "orders", name, ("rate", 20_000))
    loading = Measured(f"Shopify, {size} loaded", orders, "orders", name)

    def limit() -> Cost:
        return in_child(children.parse_json, hour.answers)

    _in_turn(flattening, repeat, limit, lambda: in_child(children.flatten_json, hour.answers))
    _in_turn(loading, repeat, limit, lambda: _ingest(hour, "shopify"))
    return [flattening, loading]


def _hour(hour: Prepared, repeat: int) -> list[Measured]:
    item = Measured("The hour, `insightmart ingest`", sum(hour.sizes.values()) / MEGABYTE, "MB", aim=("seconds", 90))

    def ours() -> Cost:
        with hour.home() as home:
            cost = hour.ingest(home, NOW.isoformat(), [])
            _check(hour, list(hour.expected), in_child(children.landed, home))
            return cost

    _in_turn(item, repeat, None, ours)
    return [item]


def _in_turn(item: Measured, repeat: int, limit: Callable[[], Cost] | None, ours: Callable[[], Cost]) -> None:
    for number in range(1, repeat + 1):
        if limit:
            item.limits.append(limit())
        item.loads.append(os.getloadavg()[0])
        item.ours.append(ours())
        beside = f", limit {item.limits[-1].seconds:.2f} s" if limit else ""
        _say(f"{item.name}: run {number} of {repeat}: {item.ours[-1].seconds:.2f} s{beside}")


def _ingest(hour: Prepared, source: str) -> Cost:
    with hour.home() as home:
        cost, landed = in_child(children.ingest_source, hour.environment, source, home)
    _check(hour, [source], landed)
    return cost


def _check(hour: Prepared, sources: Sequence[str], landed: Mapping[str, int]) -> None:
    expected = {name: count for source in sources for name, count in hour.expected[source].items() if count}
    if landed != expected:
        raise WrongResult(f"the load left {landed} in raw, the sources held {expected}")


def _say(line: str) -> None:
    click.echo(f"{time.monotonic() - STARTED:6.0f} s  {line}", err=True)


if __name__ == "__main__":
    sys.exit(main())
