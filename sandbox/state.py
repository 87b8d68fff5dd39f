"""What a running sandbox is: one JSON file that every sandbox command reads.

The file holds passwords, so it is readable by its owner only (mode 0600), and it is replaced in one step, so that a
command killed half-way never leaves half a file.
"""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Literal, Self

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from sandbox.events.points_of_sale import POS_STORES

BUCKET = "insightmart-stores"
PREFIX = "drops"
REGION = "us-east-1"
DEFAULT_START = date(2026, 3, 5)
EMPTY_HISTORY_DAYS = 30
REPORT_TO = "stakeholders@insightmart.example"


class SandboxError(Exception):
    """A failure to show as one line: what went wrong, and what to do about it."""


class NotRunning(SandboxError):
    """There is no sandbox under this home."""


class ProcessMark(BaseModel):
    """A process we started: its pid and, since pids are reused, when it started.

    `started` counts seconds from boot, not from the epoch: setting the system's clock must not change it.
    """

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessMark:
        """The mark of a living process; raises psutil.NoSuchProcess."""
        return cls(pid=pid, started=_seconds_from_boot(psutil.Process(pid)))

    def process(self) -> psutil.Process | None:
        """The process, or None when it has ended or when another one has its pid now."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            same = abs(_seconds_from_boot(process) - self.started) < 1
            if same and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


def _seconds_from_boot(process: psutil.Process) -> float:
    return float(process.create_time() - psutil.boot_time())


class SandboxState(BaseModel):
    """Everything the sandbox commands and the generator need to know about the running sandbox.

    `phase` is "starting" while services come up, "loading" while the preload is written, then "ready".
    `processes` and `ports` are keyed by service: supervisor, postgres, s3, shopify (and smtp, a port only).
    `clock` is a whole UTC hour: events strictly before it have happened. `empty` means no generator.
    """

    model_config = ConfigDict(validate_assignment=True)

    home: Path
    phase: Literal["starting", "loading", "ready"] = "starting"
    processes: dict[str, ProcessMark] = {}
    ports: dict[str, int] = {}

    empty: bool = False
    size: str = "demo"
    seed: int = 1
    start: date = DEFAULT_START
    preload_hours: int = 24
    clock: datetime

    postgres_dir: Path
    admin_password: str
    reader_password: str
    aws_access_key_id: str
    aws_secret_access_key: str
    shopify_token: str

    @field_validator("home", "postgres_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("clock")
    @classmethod
    def _whole_utc_hour(cls, clock: datetime) -> datetime:
        if clock.tzinfo is None or (clock.minute, clock.second, clock.microsecond) != (0, 0, 0):
            raise ValueError(f"the sandbox clock stands on whole UTC hours, not on {clock.isoformat()}")
        return clock.astimezone(UTC)

    @classmethod
    def load(cls, home: Path) -> Self:
        """The sandbox under `home`. Raises NotRunning without one, SandboxError when the file cannot be read."""
        path = state_path(home)
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise NotRunning(f"no sandbox is running in {home}: start one with `insightmart sandbox up`") from None
        except (OSError, ValidationError) as error:
            cause = error.strerror if isinstance(error, OSError) else "it is not a state file of this version"
            raise SandboxError(
                f"cannot read {path}: {cause}. If no sandbox runs there, delete the file and start one with "
                "`insightmart sandbox up`"
            ) from None

    def save(self) -> None:
        """Write the state file, readable by its owner only. Raises SandboxError when it cannot be written."""
        path = state_path(self.home)
        scratch = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(self.model_dump_json(indent=1))
            scratch.replace(path)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise SandboxError(
                f"cannot write {path}: {error.strerror}. Make room, or set INSIGHTMART_HOME to another directory"
            ) from None

    @property
    def directory(self) -> Path:
        """Everything the sandbox writes, except what PostgreSQL may have to keep elsewhere (`postgres_dir`)."""
        return sandbox_directory(self.home)

    @property
    def shop_path(self) -> Path:
        """The SQLite file the Shopify simulator answers from (`sandbox.shopify.shop.Shop`)."""
        return self.directory / "shop.sqlite"

    @property
    def inbox(self) -> Path:
        """Where every received e-mail lands as an .eml file."""
        return self.directory / "inbox"

    @property
    def admin_dsn(self) -> str:
        """The superuser's DSN of the OLTP database: for the sandbox's own writes, never for the pipeline."""
        return self._dsn("postgres", self.admin_password)

    @property
    def oltp_dsn(self) -> str:
        """The DSN of the role that may only SELECT."""
        return self._dsn("insightmart_reader", self.reader_password)

    @property
    def s3_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    @property
    def shopify_url(self) -> str:
        """The shop's base; the Admin API is below it at /admin/api/VERSION/graphql.json."""
        return f"http://127.0.0.1:{self.ports['shopify']}"

    def _dsn(self, user: str, password: str) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.ports['postgres']}/shop"

    @property
    def supervisor(self) -> psutil.Process | None:
        """The living supervisor process, or None."""
        mark = self.processes.get("supervisor")
        return mark.process() if mark else None

    def require_ready(self) -> None:
        """Raise unless the sandbox answers and its preload is complete: NotRunning or SandboxError."""
        if self.supervisor is None:
            raise NotRunning(f"the sandbox in {self.home} has stopped: start a new one with `insightmart sandbox up`")
        if self.phase != "ready":
            raise SandboxError(
                f"the sandbox in {self.home} is still being filled, or was interrupted at it: "
                "wait until `up` returns, or run it again"
            )

    def environment(self) -> dict[str, str]:
        """The settings that point the pipeline at this sandbox, by environment variable name."""
        settings = {
            "INSIGHTMART_HOME": str(self.home),
            "OLTP_DSN": self.oltp_dsn,
            "STORES_URL": f"s3://{BUCKET}/{PREFIX}",
            "AWS_ENDPOINT_URL": self.s3_url,
            "AWS_ACCESS_KEY_ID": self.aws_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.aws_secret_access_key,
            "AWS_DEFAULT_REGION": REGION,
            "SHOPIFY_URL": self.shopify_url,
            "SHOPIFY_TOKEN": self.shopify_token,
            "SMTP_URL": f"smtp://127.0.0.1:{self.ports['smtp']}",
            "REPORT_TO": REPORT_TO,
            "SHOPIFY_POS_STORES": ",".join(f"{place}={store}" for place, store in POS_STORES.items() if store),
            "OLTP_DELETED_COLUMNS": "deleted_at",
            "INSIGHTMART_START": self.start.isoformat(),
            "INSIGHTMART_CURRENCY": "USD",
            "INSIGHTMART_TIMEZONE": "America/New_York",
        }
        if not self.empty:
            settings["INSIGHTMART_AS_OF"] = self.clock.strftime("%Y-%m-%dT%H:%M:%SZ")
        return settings | _around_proxy()


def _around_proxy() -> dict[str, str]:
    """Where this shell sends HTTP through a proxy: settings that keep 127.0.0.1 out of it, under both spellings."""
    if not any(os.environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")):
        return {}
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if "127.0.0.1" not in direct.split(","):
        direct = ",".join(filter(None, [direct, "127.0.0.1"]))
    return {"NO_PROXY": direct, "no_proxy": direct}


def home_directory() -> Path:
    """INSIGHTMART_HOME, or ./var."""
    return Path(os.environ.get("INSIGHTMART_HOME") or "var").expanduser().absolute()


def sandbox_directory(home: Path) -> Path:
    """The directory of a home that belongs to its sandbox."""
    return home / "sandbox"


def state_path(home: Path) -> Path:
    """The state file of a home's sandbox."""
    return sandbox_directory(home) / "sandbox.json"


def midnight(day: date) -> datetime:
    """The first instant of a day, UTC."""
    return datetime.combine(day, time(), tzinfo=UTC)


def this_hour() -> datetime:
    """The current whole UTC hour."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def default_start(empty: bool) -> date:
    """The first day of history: a fixed one for generated data, 30 days ago for one's own."""
    return datetime.now(UTC).date() - timedelta(days=EMPTY_HISTORY_DAYS) if empty else DEFAULT_START
