"""A PostgreSQL server of the tests' own, on a free port of loopback."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from tenacity import Retrying, stop_after_delay, wait_fixed

from sandbox.servers import postgres as server


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """The superuser's DSN for the database ``shop``, which is not there yet (``sandbox.servers.postgres``).

    Args:
        folder: an empty directory for what the server writes.
    """
    directory, log = server.choose_directory(folder / "postgres"), folder / "postgres.log"
    owner = secrets.token_hex(8)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server.initialise(directory, owner, log)
    process = server.start(directory, port, log, None)
    try:
        admin_dsn = f"postgresql://postgres:{owner}@127.0.0.1:{port}/shop"
        for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.05), reraise=True):
            with attempt:
                psycopg.connect(server.server_dsn(admin_dsn)).close()
        yield admin_dsn
    finally:
        process.send_signal(signal.SIGINT)  # do not wait for clients
        process.wait(timeout=30)
        shutil.rmtree(directory)
