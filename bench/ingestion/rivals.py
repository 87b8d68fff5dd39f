"""Other loaders beside ours, each in a process of an environment of its own, over the same rows and files."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from bench.ingestion import oltp_rows
from bench.ingestion.costs import CommandFailed, Cost
from bench.ingestion.hours import EARLIER, NOW
from bench.ingestion.prepared import Prepared
from bench.ingestion.results import MEGABYTE, Measured

REQUIREMENTS = Path(__file__).with_name("rivals.txt")
CHILD = Path(__file__).with_name("rival_child.py")
OF_DATABASES = ("ADBC", "ConnectorX", "dlt, connectorx", "dlt, pyarrow", "dlt, sqlalchemy")
OF_FILES = ("dlt, filesystem",)
# These make a Python object of each value: 100,000 rows take half a minute and more.
ROW_BY_ROW, ROWS_AT_MOST = ("dlt, sqlalchemy", "dlt, filesystem"), 500_000


def of_databases(hour: Prepared, python: Path, say: Callable[[str], None]) -> list[Measured]:
    """Each of ``OF_DATABASES`` once: the hour's rows of PostgreSQL into a DuckDB file.

    They keep no rejects, no load records and no watermark of ours; a number of rows other than the source's is said.
    """
    expected = sum(hour.expected["oltp"].values())
    queries = {
        table: f"SELECT * FROM {table} WHERE updated_at >= '{EARLIER.isoformat()}Z'"
        f" AND updated_at < '{NOW.isoformat()}Z'"
        for table in oltp_rows.TABLES
    }
    told = {"dsn": url_of(hour.admin_dsn), "queries": queries, **_window(EARLIER, NOW)}
    found = []
    for what in OF_DATABASES:
        item = _measured(f"{what}: PostgreSQL", hour.sizes["oltp"], told | {"what": what}, python, expected, say)
        found += [item] if item else []
    return found


def of_files(hour: Prepared, python: Path, say: Callable[[str], None]) -> list[Measured]:
    """Each of ``OF_FILES`` once: the hour's store files, given to it unpacked and as UTF-8, every cell a text."""
    expected = sum(hour.expected["stores"].values())
    told = {"folder": str(hour.plain)}
    items = [
        _measured(f"{what}: store files", hour.sizes["stores"], told | {"what": what}, python, expected, say)
        for what in OF_FILES
    ]
    return [item for item in items if item]


def url_of(dsn: str) -> str:
    """A DSN in words of libpq as the URL that the others want."""
    known = conninfo_to_dict(dsn)
    return f"postgresql://{known['user']}:{known['password']}@{known['host']}:{known['port']}/{known['dbname']}"


def _window(since: datetime, until: datetime) -> dict[str, str]:
    return {"since": since.isoformat(), "until": until.isoformat()}


def _measured(
    name: str, size: int, told: dict[str, Any], python: Path, expected: int, say: Callable[[str], None]
) -> Measured | None:
    if told["what"] in ROW_BY_ROW and expected > ROWS_AT_MOST:
        say(f"{told['what']} is left out at this scale: it makes a Python object of each value")
        return None
    with tempfile.TemporaryDirectory() as directory:
        told = told | {"database": f"{directory}/rival.duckdb"}
        try:
            found = loaded(python, told)
        except CommandFailed as error:
            say(f"{name} failed: {error}")
            return None
    rows = sum(found["rows"].values())
    say(f"{name}: {found['seconds']:.2f} s, {rows:,} rows{'' if rows == expected else f' of {expected:,}'}")
    item = Measured(f"{name}, {rows:,} rows", size / MEGABYTE, "MB")
    item.ours.append(Cost(found["seconds"], found["cpu_seconds"], found["peak_bytes"]))
    item.loads.append(0.0)
    return item


def loaded(python: Path, told: dict[str, Any]) -> dict[str, Any]:
    """Run a loader to its end; what it printed.

    Raises:
        CommandFailed: it ended with another code than 0.
    """
    done = subprocess.run(
        [str(python), "-I", str(CHILD), json.dumps(told)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason"]
        raise CommandFailed(lines[-1][:300])
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
