"""A sandbox of a test's own, driven through its command line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from tests.support.forked import commands

REPOSITORY = Path(__file__).resolve().parents[2]
PORT_SETTINGS = ("OLTP_DSN", "AWS_ENDPOINT_URL", "SHOPIFY_URL", "SMTP_URL")
# The contract of the OLTP source, column by column.
COLUMNS = {
    "customers": "customer_id bigint, email text, first_name text, last_name text, phone text, city text, region text, "
    "country character(2), postal_code text, loyalty_tier text, marketing_opt_in boolean, "
    "created_at timestamp with time zone, updated_at timestamp with time zone",
    "products": "sku text, name text, category text, brand text, unit_cost numeric(12,2), list_price numeric(12,2), "
    "is_active boolean, updated_at timestamp with time zone",
    "orders": "order_id bigint, customer_id bigint, store_id integer, channel text, status text, is_test boolean, "
    "currency character(3), ordered_at timestamp with time zone, discount_amount numeric(12,2), "
    "tax_amount numeric(12,2), shipping_amount numeric(12,2), total_amount numeric(12,2), "
    "updated_at timestamp with time zone",
    "order_lines": "order_id bigint, line_number integer, sku text, quantity integer, unit_price numeric(12,4), "
    "discount_amount numeric(12,2), tax_amount numeric(12,2), updated_at timestamp with time zone",
    "refunds": "refund_id bigint, order_id bigint, line_number integer, quantity integer, amount numeric(14,4), "
    "reason text, refunded_at timestamp with time zone, updated_at timestamp with time zone",
}


class Home:
    """An INSIGHTMART_HOME and the sandbox commands run in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files = directory / "sandbox"

    def start(self, *arguments: str, preexec: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=REPOSITORY,
            env=os.environ | {"INSIGHTMART_HOME": str(self.directory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=preexec,
        )

    def run(self, *arguments: str, preexec: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
        if preexec is None:
            environment = os.environ | {"INSIGHTMART_HOME": str(self.directory)}
            return commands().call("sandbox", *arguments, environment=environment, seconds=120)
        with self.start(*arguments, preexec=preexec) as process:
            stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def up(self, parent: int | None = None) -> None:
        result = self.run("up", "--empty", "--parent", str(parent or os.getpid()))
        assert result.returncode == 0, result.stderr

    def env(self) -> dict[str, str]:
        result = self.run("env", "--json")
        assert result.returncode == 0, result.stderr
        settings: dict[str, str] = json.loads(result.stdout)
        return settings

    def state(self) -> dict[str, Any]:
        """The state file; empty when there is none."""
        with suppress(FileNotFoundError):
            state: dict[str, Any] = json.loads((self.files / "sandbox.json").read_text())
            return state
        return {}

    def processes(self) -> list[psutil.Process]:
        """Every process of the running sandbox: those on record and all below them."""
        recorded = [psutil.Process(mark["pid"]) for mark in self.state()["processes"].values()]
        return list({*recorded, *(child for process in recorded for child in process.children(recursive=True))})


def eventually(condition: Callable[[], bool]) -> bool:
    patience = Retrying(
        retry=retry_if_result(lambda value: not value),
        stop=stop_after_delay(30),
        wait=wait_fixed(0.05),
        retry_error_callback=lambda _: False,
    )
    return bool(patience(condition))


def ports(settings: dict[str, str]) -> list[int]:
    return [port for name in PORT_SETTINGS if (port := urlsplit(settings[name]).port)]


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended; one that nobody has reaped yet has."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def refuse(connection: psycopg.Connection[tuple[Any, ...]], *statements: str) -> None:
    for statement in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
