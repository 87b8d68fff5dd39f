"""Runs loads in processes of their own, and kills them at a step: a server for tests, not imported by any.

It reads one JSON object a line: ``home``, ``as_of``, ``source``, ``where`` (arguments of the source's class), ``step``
(a key of ``STEPS``; null: not killed), ``window`` (two instants: a backfill; null: what is new), ``piece_rows`` (of a
first load of the database; null: as it is) and ``pieces`` (so many are let in before the step counts). For each it
forks, does the load in the child, and writes the child's exit code (minus the signal) as a line. It has imported
everything and loaded once, so that a child need not, and holds nothing open: children share no thread, lock or
connection.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dlt
import pyarrow as pa
from dlt.destinations.impl.duckdb.duck import DuckDbCopyJob

from ingestion.contracts import raw_tables
from ingestion.loading import package as loads
from ingestion.loading import records
from ingestion.loading.backfill import Backfill
from ingestion.loading.context import IngestContext, Window
from ingestion.ops_tables import create_tables
from ingestion.postgres import first_load as postgres_first
from ingestion.postgres import source as postgres
from ingestion.shopify import source as shopify
from ingestion.stores import source as stores
from ingestion.warehouse import Warehouse, open_duckdb

MODULES = {"oltp": postgres, "shopify": shopify, "stores": stores}
SOURCES = {"oltp": postgres.OltpSource, "shopify": shopify.ShopifySource, "stores": stores.StoreDrops}
HISTORY_START = datetime(2026, 3, 1)


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str) -> None:
    """Die where this would be called."""
    setattr(owner, name, die)


def after(owner: Any, name: str, only: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Die when this has returned, if ``only`` says so of its arguments."""
    original = getattr(owner, name)

    def then_die(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        return die() if only(*arguments, **named) else result

    setattr(owner, name, then_die)


def between_batches() -> None:
    original = loads._Stream._pairs

    def pairs(stream: Any) -> Any:
        given = False
        for table, batch in original(stream):
            if given:
                die()
            given = batch.num_rows > 0
            yield table, batch
        die()

    loads._Stream._pairs = pairs  # type: ignore[method-assign]


def at_commit(die_before: bool) -> None:
    """Around the commit of the transaction that records the load."""
    recorded: list[Any] = []
    load_row, execute = records._load_row, Warehouse.execute

    def noted(*arguments: Any) -> Any:
        recorded.append(arguments)
        return load_row(*arguments)

    def execute_or_die(warehouse: Warehouse, sql: str, params: Any = ()) -> None:
        ends = sql == "COMMIT" and bool(recorded)
        if ends and die_before:
            die()
        execute(warehouse, sql, params)
        if ends:
            die()

    records._load_row = noted
    Warehouse.execute = execute_or_die  # type: ignore[method-assign]


STEPS: dict[str, Callable[[], None]] = {
    "before reading": lambda: before(loads._Stream, "__iter__"),
    "between two batches": between_batches,
    "before normalizing": lambda: before(dlt.Pipeline, "normalize"),
    "before loading": lambda: before(dlt.Pipeline, "load"),
    "after the first file": lambda: after(DuckDbCopyJob, "run"),
    "before recording": lambda: after(loads, "_verify"),
    "before the commit": lambda: at_commit(die_before=True),
    "after the commit": lambda: at_commit(die_before=False),
}


def once_pieces_are_in(pieces: int, step: Callable[[], None]) -> None:
    """Take the step when so many pieces of long readings are in."""
    left = iter(range(pieces - 1, -1, -1))
    complete_piece = Backfill.add

    def add(*arguments: Any) -> None:
        complete_piece(*arguments)
        if next(left, None) == 0:
            armed.append(True)

    armed: list[bool] = []
    execute = Warehouse.execute

    def execute_and_arm(warehouse: Warehouse, sql: str, params: Any = ()) -> None:
        execute(warehouse, sql, params)
        if sql == "COMMIT" and armed:
            armed.clear()
            Warehouse.execute = execute  # type: ignore[method-assign]
            step()

    Backfill.add = add  # type: ignore[method-assign]
    Warehouse.execute = execute_and_arm  # type: ignore[method-assign]


def run(
    home: str,
    as_of: str,
    source: str,
    where: dict[str, Any],
    step: str | None,
    window: list[str] | None,
    piece_rows: int | None,
    pieces: int,
) -> None:
    if piece_rows is not None:
        postgres_first.PIECE_ROWS = piece_rows
    if step is not None and pieces:
        once_pieces_are_in(pieces, STEPS[step])
    elif step is not None:
        STEPS[step]()
    path = Path(home) / "INSIGHTMART.duckdb"
    with open_duckdb(path) as warehouse:
        create_tables(warehouse)
        destination = dlt.destinations.duckdb(str(path))
        now = datetime.fromisoformat(as_of)
        context = IngestContext(warehouse, Path(home), now, HISTORY_START, lambda line: None, destination)
        reached = SOURCES[source](**where)
        if window is None:
            MODULES[source].ingest(context, reached)
        else:
            MODULES[source].backfill(context, reached, Window(*map(datetime.fromisoformat, window)))


def warm_up() -> None:
    """One load: the first one of a process takes dlt seconds."""
    with TemporaryDirectory() as home, open_duckdb(Path(home) / "INSIGHTMART.duckdb") as warehouse:
        create_tables(warehouse)
        destination = dlt.destinations.duckdb(f"{home}/INSIGHTMART.duckdb")
        context = IngestContext(warehouse, Path(home), HISTORY_START, HISTORY_START, lambda line: None, destination)
        columns = raw_tables()["oltp_orders"][:-2]
        nothing = pa.table([pa.nulls(1, column.type) for column in columns], schema=pa.schema(columns))
        loads.load(context, "oltp", {"oltp_orders": [nothing]})
    assert threading.active_count() == 1


def main() -> None:
    warm_up()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                run(**json.loads(line))
            except BaseException:  # noqa: BLE001 - this process is a copy: nothing above may go on in it
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
