"""The sources of a measurement on loopback, each in processes of its own: PostgreSQL, an S3 endpoint, a shop."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from tenacity import Retrying, stop_after_delay, wait_fixed

from sandbox.servers import postgres

STOP_SECONDS = 30


@contextmanager
def postgres_server(directory: Path) -> Iterator[tuple[str, str]]:
    """A server with the empty OLTP tables; DSNs of their owner and of the pipeline's reader."""
    data = postgres.choose_directory(directory / "postgres")
    log = directory / "postgres.log"
    owner, reader = secrets.token_hex(8), secrets.token_hex(8)
    try:
        postgres.initialise(data, owner, log)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        process = postgres.start(data, port, log, None)
        try:
            admin_dsn = f"postgresql://postgres:{owner}@127.0.0.1:{port}/shop"
            for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.05), reraise=True):
                with attempt:
                    psycopg.connect(postgres.server_dsn(admin_dsn)).close()
            postgres.create_database(admin_dsn, reader)
            yield admin_dsn, f"postgresql://insightmart_reader:{reader}@127.0.0.1:{port}/shop"
        finally:
            process.send_signal(signal.SIGINT)  # does not wait for clients
            process.wait(timeout=STOP_SECONDS)
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def s3_server(directory: Path) -> Iterator[str]:
    """An S3 endpoint without any bucket; its URL."""
    with _server("sandbox.servers.s3", [], directory / "s3.log") as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def shop_server(directory: Path, shop: Path, token: str) -> Iterator[str]:
    """The sandbox's simulator of the shop in this SQLite file; its URL."""
    token_file = directory / "shopify-token"
    token_file.touch(0o600)
    token_file.write_text(token)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    arguments = ["--shop", str(shop), "--token-file", str(token_file), "--port", str(port)]
    with _process("sandbox.shopify.server", arguments, directory / "shopify.log"):
        for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.05), reraise=True):
            with attempt:
                socket.create_connection(("127.0.0.1", port)).close()
        yield f"http://127.0.0.1:{port}"


@contextmanager
def page_server(directory: Path, behind: str, keep: Path) -> Iterator[str]:
    """The server of kept answers before a shop; its URL."""
    keep.mkdir()
    arguments = ["--behind", behind, "--keep", str(keep)]
    with _server("bench.ingestion.page_server", arguments, directory / "pages.log") as port:
        yield f"http://127.0.0.1:{port}"


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a measured process: ours, without any of the developer's own sources."""
    foreign = ("INSIGHTMART_", "OLTP_", "STORES_", "SHOPIFY_", "SNOWFLAKE_", "STATE_", "SMTP_", "REPORT_", "AWS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "PYTHON_DOTENV_DISABLED": "1", **settings}


@contextmanager
def _server(module: str, arguments: Sequence[str], log: Path) -> Iterator[int]:
    """A module of ours that serves on a socket it inherits; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        fd = listener.fileno()
        with _process(module, ["--fd", str(fd), *arguments], log, pass_fds=[fd]):
            yield listener.getsockname()[1]


@contextmanager
def _process(module: str, arguments: Sequence[str], log: Path, pass_fds: Sequence[int] = ()) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=STOP_SECONDS)
