"""`python -m bench.ingestion.first_load`: a first load of many orders, killed in the middle, and run once more.

The orders are made by SQL in a PostgreSQL server of its own. `insightmart ingest` reads them, gets SIGKILL when half of
them are in, and is started again. Then raw has to hold every order once: count, distinct keys and sum are
compared with the source.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import psycopg

from bench.ingestion.costs import CommandFailed, Cost
from bench.ingestion.hours import HISTORY_START, NOW
from bench.ingestion.results import MEGABYTE, machine
from bench.ingestion.services import environment, postgres_server
from ingestion.postgres.first_load import PIECE_ROWS
from ingestion.warehouse import open_duckdb

_ORDERS = """
    INSERT INTO orders
    SELECT n, n %% 40000000, n %% 500 + 1, (ARRAY['store', 'phone'])[n %% 2 + 1], 'completed', n %% 1000 = 0, 'USD', at,
        (n %% 700) * 0.01, (n %% 900) * 0.01, (n %% 3) * 4.95, (n %% 100000) * 0.01 + 1, at + interval '7 minutes'
    FROM generate_series(1, %(rows)s) AS n,
        LATERAL (SELECT timestamptz '2024-01-01Z' + n * (interval '790 days' / %(rows)s)) AS placed (at)
"""
_FIGURES = "SELECT COUNT(*), COUNT(DISTINCT order_id), SUM(total_amount) FROM {}"


class WrongResult(Exception):
    """Raw does not hold what the source holds: the time means nothing."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rows", type=click.IntRange(2 * PIECE_ROWS), default=20_000_000, show_default=True, help="Orders.")
def main(rows: int) -> None:
    """Measure the first load of ROWS orders into a local warehouse, with a SIGKILL when half of them are in."""
    with tempfile.TemporaryDirectory(prefix="insightmart-first-load-") as place:
        directory = Path(place)
        with postgres_server(directory) as (admin_dsn, reader_dsn):
            say(f"making {rows:,} orders")
            expected = fill(admin_dsn, rows)
            home = directory / "home"
            settings = environment(
                {
                    "INSIGHTMART_GATEWAY": "local",
                    "INSIGHTMART_START": f"{HISTORY_START:%Y-%m-%d}",
                    "INSIGHTMART_HOME": str(home),
                    "OLTP_DSN": reader_dsn,
                }
            )
            killed = load(settings, directory / "killed.log", kill_after=rows // 2)
            ended = load(settings, directory / "ended.log")
            with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
                landed = warehouse.rows(_FIGURES.format("raw.oltp_orders"))[0]
            if landed != expected:
                raise WrongResult(f"the source holds {expected}, raw {landed} (rows, keys, sum)")
    click.echo(f"{rows:,} orders, sum {expected[2]:,}: each of them once after a kill and one more run")
    for name, cost in (("until the kill", killed), ("from there on", ended)):
        peak = cost.peak_bytes / MEGABYTE
        click.echo(f"{name}: {cost.seconds:,.0f} s, {cost.cpu_seconds:,.0f} s of CPU, peak {peak:,.0f} MB")
    click.echo(f"{rows / (killed.seconds + ended.seconds):,.0f} orders/s, start-up and the killed piece included")
    about = machine()
    click.echo(f"{about['processor']}, {about['cores']} cores, load average {about['load_average']} at the end")


def say(line: str) -> None:
    """One line for whoever watches, with the load average."""
    click.echo(f"{line} (load average {os.getloadavg()[0]:.1f})", err=True)


def fill(admin_dsn: str, rows: int) -> tuple[int, int, object]:
    """Make the orders; how many there are, how many keys, and their sum."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute("DROP INDEX orders_updated_at, orders_key")
        connection.execute(_ORDERS, {"rows": rows})
        connection.execute("CREATE INDEX orders_updated_at ON orders (updated_at)")
        connection.execute("CREATE INDEX orders_key ON orders (order_id)")
        connection.execute("VACUUM (FREEZE, ANALYZE) orders")
        found = connection.execute(_FIGURES.format("orders")).fetchone()
    assert found is not None
    return found[0], found[1], found[2]


def load(settings: dict[str, str], log: Path, kill_after: int | None = None) -> Cost:
    """Run `insightmart ingest oltp` to its end, or until it says that so many rows are in.

    Raises:
        CommandFailed: it ended by itself before it was to be killed, or with another code than 0.
    """
    command = [sys.executable, "-m", "insightmart.cli", "ingest", "oltp", "--as-of", NOW.isoformat()]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=settings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    with log.open("w") as copy:
        for line in process.stdout:
            copy.write(line)
            if found := re.search(r"([\d,]+) of about", line):
                say(line.strip())
                if kill_after is not None and int(found[1].replace(",", "")) >= kill_after:
                    process.kill()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != (0 if kill_after is None else -9):
        raise CommandFailed(f"insightmart ended with {process.returncode}: {log.read_text()[-500:]}")
    return Cost(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


if __name__ == "__main__":
    main()
