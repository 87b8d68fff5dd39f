"""What a measurement needs before its clock starts: sources that hold the hour, a warehouse with its watermarks."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from bench.ingestion import children, oltp_rows, services
from bench.ingestion.costs import CommandFailed, Cost, cost_of_command, in_child
from bench.ingestion.hours import EARLIER, HISTORY_START, NOW
from sandbox.servers import postgres

BUCKET = "store-drops"
STORE_FILE_BYTES = 1_250_000  # at scale 1; 120 stores send one an hour
READ_BYTES = 1 << 20


@dataclass
class Prepared:
    """The hour at its sources.

    Attributes:
        directory: for everything temporary.
        environment: of the processes that ingest; ``INSIGHTMART_HOME`` is not in it.
        expected: by source what the load at ``NOW`` must leave in raw, in the form of ``children.landed``.
        sizes: by source the hour's size: as COPY writes it, the unpacked files, the JSON.
        admin_dsn: owner of the OLTP's tables.
        homes: how many warehouses were made so far.
    """

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    expected: dict[str, dict[str, int]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    admin_dsn: str = ""
    homes: int = 0

    @property
    def template(self) -> Path:
        """Home of a warehouse after the load at ``EARLIER``."""
        return self.directory / "template"

    @property
    def plain(self) -> Path:
        """The store files of the hour as plain UTF-8."""
        return self.directory / "plain"

    @property
    def answers(self) -> Path:
        """The answers of the shop to the load at ``NOW``."""
        return self.directory / "answers"

    @contextmanager
    def home(self) -> Iterator[Path]:
        """A copy of the template for one load."""
        self.homes += 1
        home = self.directory / f"home-{self.homes}"
        shutil.copytree(self.template, home)
        try:
            yield home
        finally:
            shutil.rmtree(home)

    def ingest(self, home: Path, as_of: str, sources: Collection[str]) -> Cost:
        """Run `insightmart ingest` as cron would: a process of its own, from start to end."""
        command = [sys.executable, "-m", "insightmart.cli", "ingest", *sources, "--as-of", as_of]
        return cost_of_command(
            command, self.environment | {"INSIGHTMART_HOME": str(home)}, self.directory / "ingest.log"
        )

    def copy_to_null(self) -> Cost:
        """COPY of the OLTP's rows through psql into nothing; CPU and memory are psql's."""
        command, environment = self._copy()
        return cost_of_command(command, environment, self.directory / "psql.log")

    def copied_bytes(self) -> int:
        """The size of the same rows. Raises CommandFailed."""
        command, environment = self._copy()
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            total = 0
            while chunk := process.stdout.read(READ_BYTES):
                total += len(chunk)
        if process.returncode:
            raise CommandFailed(f"psql ended with {process.returncode}")
        return total

    def _copy(self) -> tuple[list[str], dict[str, str]]:
        """psql's command, and its environment: a password among the arguments could be seen by everybody."""
        known = conninfo_to_dict(self.admin_dsn)
        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
        command = [str(postgres.wheel_binaries() / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
        command += [part for statement in oltp_rows.copy_statements() for part in ("--command", statement)]
        return command, {**os.environ, **{name: str(known[key]) for name, key in names.items()}}


@contextmanager
def prepared(directory: Path, scale: float, sources: Collection[str], say: Callable[[str], None]) -> Iterator[Prepared]:
    """Start the sources, fill them, and load what came before the hour.

    Args:
        directory: for everything temporary.
        scale: part of a production hour.
        sources: names out of ``oltp``, ``stores``, ``shopify``.
        say: takes a line for whoever watches.
    """
    hour = Prepared(directory)
    settings = {
        "INSIGHTMART_GATEWAY": "local",
        "INSIGHTMART_START": f"{HISTORY_START:%Y-%m-%d}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    with ExitStack() as running, ExitStack() as until_recorded:
        if "oltp" in sources:
            say("filling PostgreSQL")
            hour.admin_dsn, settings["OLTP_DSN"] = running.enter_context(services.postgres_server(directory))
            hour.expected["oltp"] = oltp_rows.fill(hour.admin_dsn, scale)
            hour.sizes["oltp"] = hour.copied_bytes()
        if "stores" in sources:
            say("filling the bucket")
            settings["AWS_ENDPOINT_URL"] = running.enter_context(services.s3_server(directory))
            settings["STORES_URL"] = f"s3://{BUCKET}"
            size = max(round(STORE_FILE_BYTES * scale), children.SMALL_FILE_BYTES)
            hour.expected["stores"] = in_child(children.publish_store_files, settings, BUCKET, size, hour.plain)
            hour.sizes["stores"] = _size(hour.plain)
        if "shopify" in sources:
            say("filling the shop")
            token, shop = f"shpat_{secrets.token_hex(16)}", directory / "shop.sqlite"
            hour.expected["shopify"] = in_child(children.fill_shop, shop, scale)
            simulator = until_recorded.enter_context(services.shop_server(directory, shop, token))
            settings["SHOPIFY_URL"] = running.enter_context(services.page_server(directory, simulator, hour.answers))
            settings["SHOPIFY_TOKEN"] = token
        hour.environment = services.environment(settings)
        say("loading what came before the hour")
        hour.ingest(hour.template, EARLIER.isoformat(), sources)
        if "shopify" in sources:
            say("keeping the shop's answers")
            for answer in hour.answers.iterdir():
                answer.unlink()
            with hour.home() as home:
                hour.ingest(home, NOW.isoformat(), ["shopify"])
            hour.sizes["shopify"] = _size(hour.answers)
        until_recorded.close()
        yield hour


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())
