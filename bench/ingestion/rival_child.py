"""Another loader reads the hour into a DuckDB file, by the interpreter of its own environment: imports nothing of ours.

One argument, JSON: ``what`` (a name of ``LOADERS``), ``dsn`` and ``queries`` (table -> query) or ``folder`` of files,
``since`` and ``until`` of the hour, ``database`` to be made. Prints JSON: what it cost and how many rows are in.
Imports come before the clock starts, as in what is measured of ours.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

Told = dict[str, Any]
COSTS: dict[str, float] = {}
NUMBERS = "discount_amount <> 'NaN'"  # of orders; all but ADBC end at a number that is none


@contextmanager
def clock() -> Iterator[None]:
    """What is done inside counts."""
    cpu, started = time.process_time(), time.perf_counter()
    yield
    COSTS.update(seconds=time.perf_counter() - started, cpu_seconds=time.process_time() - cpu)


def by_dlt(told: Told, backend: Any) -> None:
    """dlt's own source of databases, with one of its backends, appending what changed in the hour."""
    import dlt
    import sqlalchemy
    from dlt.sources.sql_database import sql_database

    if backend == "connectorx":
        import connectorx  # noqa: F401
    url = told["dsn"].replace("postgresql:", "postgresql+psycopg2:")  # SQLAlchemy would look for another driver

    def numbers(query: Any, table: Any) -> Any:
        return query.where(sqlalchemy.text(NUMBERS)) if table.name == "orders" else query

    source = sql_database(
        url, table_names=list(told["queries"]), backend=backend, chunk_size=50_000, query_adapter_callback=numbers
    )
    for table in source.resources.values():
        since, until = (datetime.fromisoformat(f"{told[name]}+00:00") for name in ("since", "until"))
        table.apply_hints(incremental=dlt.sources.incremental("updated_at", initial_value=since, end_value=until))
    with clock():
        _pipeline(told).run(source)


def by_dlt_files(told: Told) -> None:
    """dlt's own source of files, read by its CSV reader on DuckDB."""
    from dlt.sources.filesystem import filesystem, read_csv_duckdb

    files = filesystem(bucket_url=Path(told["folder"]).as_uri(), file_glob="*")
    with clock():
        _pipeline(told).run((files | read_csv_duckdb(all_varchar=True)).with_name("files"))


def by_connectorx(told: Told) -> None:
    """ConnectorX as a plain reader: Arrow in memory, then into DuckDB."""
    import connectorx
    import duckdb

    with clock(), duckdb.connect(told["database"]) as connection:
        connection.execute("CREATE SCHEMA loaded")
        for table, query in told["queries"].items():
            numbers = f"{query} AND {NUMBERS}" if table == "orders" else query
            rows = connectorx.read_sql(told["dsn"], numbers, return_type="arrow")  # noqa: F841  found by its name
            connection.execute(f"CREATE TABLE loaded.{table} AS SELECT * FROM rows")


def by_adbc(told: Told) -> None:
    """ADBC, which reads binary COPY, as a plain reader: batches of Arrow into DuckDB as they come."""
    import adbc_driver_postgresql.dbapi
    import duckdb

    with (
        clock(),
        duckdb.connect(told["database"]) as connection,
        adbc_driver_postgresql.dbapi.connect(told["dsn"]) as db,
    ):
        connection.execute("CREATE SCHEMA loaded")
        for table, query in told["queries"].items():
            with db.cursor() as cursor:
                cursor.execute(query)
                rows = cursor.fetch_record_batch()  # noqa: F841  found by its name
                connection.execute(f"CREATE TABLE loaded.{table} AS SELECT * FROM rows")


LOADERS: dict[str, Callable[[Told], None]] = {
    "dlt, sqlalchemy": lambda told: by_dlt(told, "sqlalchemy"),
    "dlt, pyarrow": lambda told: by_dlt(told, "pyarrow"),
    "dlt, connectorx": lambda told: by_dlt(told, "connectorx"),
    "dlt, filesystem": by_dlt_files,
    "ConnectorX": by_connectorx,
    "ADBC": by_adbc,
}


def _pipeline(told: Told) -> Any:
    import dlt

    return dlt.pipeline(
        "rival",
        pipelines_dir=f"{told['database']}.work",
        destination=dlt.destinations.duckdb(told["database"]),
        dataset_name="loaded",
    )


def main() -> None:
    """Load, count, print."""
    import duckdb

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    told = json.loads(sys.argv[1])
    LOADERS[told["what"]](told)
    peak = int(re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024
    with duckdb.connect(told["database"], read_only=True) as connection:
        tables = [*told.get("queries", ()), *(["files"] if "folder" in told else [])]
        rows = {name: connection.execute(f"SELECT COUNT(*) FROM loaded.{name}").fetchone() for name in tables}
    counted = {name: row[0] for name, row in rows.items() if row}
    print(json.dumps({**COSTS, "peak_bytes": peak, "rows": counted}))


if __name__ == "__main__":
    main()
