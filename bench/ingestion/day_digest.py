"""What the daily comparison of whole content costs a primary: the digest of a day's orders against a plain COPY of it.

    python -m bench.ingestion.day_digest [ORDERS]

Both read the same day over ``updated_at`` on a server of its own, in turns; the better of three counts.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql
from tenacity import Retrying, stop_after_delay, wait_fixed

from ingestion.contracts import entity
from ingestion.loading.context import Window
from ingestion.postgres.compare import source_days
from ingestion.postgres.schema import copy_query
from ingestion.postgres.snapshot import OltpSource, Snapshot, changed_in
from sandbox.servers import postgres as server

ORDERS, TIMES = 250_000, 3
DAY = Window(datetime(2026, 3, 5), datetime(2026, 3, 6))
GENERATED = (
    "INSERT INTO orders SELECT n, n % 90000, 1 + n % 120, 'store', 'completed', false, 'USD', at, n % 7, n % 5, 0,"
    " 10 + n % 500, at FROM (SELECT n, '2026-03-05Z'::timestamptz + n * %s::interval AS at"
    " FROM generate_series(0, %s - 1) AS n) AS generated"
)


def main(orders: int = ORDERS) -> None:
    """Print seconds of each, and the ratios to a plain COPY: of the comparison, and of the COPY that loads use."""
    place = Path(tempfile.mkdtemp(prefix="day-digest-"))
    directory, owner = server.choose_directory(place / "postgres"), secrets.token_hex(8)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server.initialise(directory, owner, place / "log")
    process = server.start(directory, port, place / "log", None)
    try:
        dsn = f"postgresql://postgres:{owner}@127.0.0.1:{port}/shop"
        for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.05), reraise=True):
            with attempt:
                psycopg.connect(server.server_dsn(dsn)).close()
        server.create_database(dsn, secrets.token_hex(8))
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(GENERATED.replace(" % ", " %% "), [timedelta(days=1) / orders, orders])
            admin.execute("VACUUM ANALYZE orders")
        plain, hashed, compared = _measured(OltpSource(dsn))
        print(f"{orders:,} orders: plain COPY {plain:.2f} s")
        print(f"  COPY with the hash of each row: {hashed / plain:.2f} of it")
        print(f"  comparison: {compared / plain:.2f} of it")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        shutil.rmtree(directory)
        shutil.rmtree(place, ignore_errors=True)


def _measured(source: OltpSource) -> tuple[float, float, float]:
    item = entity("oltp", "orders")
    plain = sql.SQL("SELECT * FROM orders WHERE {}").format(changed_in(DAY))
    hashed = copy_query(item, (), changed_in(DAY))
    with Snapshot(source) as snapshot:

        def copy(query: sql.Composable) -> None:
            for _ in snapshot.copy(query):
                pass

        works = (lambda: copy(plain), lambda: copy(hashed), lambda: source_days(snapshot, item, DAY, DAY.end))
        times = [[_seconds(work) for work in works] for _ in range(TIMES)]
    first, second, third = (min(found) for found in zip(*times, strict=True))
    return first, second, third


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:]))
