"""What goes wrong in the cycles of a soak, and what people do meanwhile: a changed model, the close of a month."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults.proxy import Fault, Proxy
from tests.support.forked import PATIENCE, Commands

Settings = Mapping[str, str]
NOBODY = "127.0.0.1:9"  # where no service listens
ADDRESSES = {"PostgreSQL": "OLTP_DSN", "S3": "AWS_ENDPOINT_URL", "the shop": "SHOPIFY_URL"}
MODEL = "models/certified/fct_refunds__source.sql"
COLUMN = re.compile(r"^  .*::VARCHAR AS refund_id,", re.MULTILINE)
SAME = "  REPLACE(refund_id, '~{}', '')::VARCHAR AS refund_id,"  # no id has this: another version, the same figures


@dataclass(frozen=True)
class Cycle:
    """The cycle of an hour that is to be played.

    Attributes:
        commands: runs it.
        environment: settings of the pipeline.
        arguments: of ``insightmart``.
        chance: what is hit, and where.
    """

    commands: Commands
    environment: Settings
    arguments: tuple[str, ...]
    chance: random.Random

    def play(self, kill_before: int | None = None, **settings: str) -> int:
        """Run it, with some settings changed: its exit code."""
        return self.commands.run({**self.environment, **settings}, *self.arguments, kill_before=kill_before)[0]


@dataclass(frozen=True)
class Trouble:
    """What goes wrong in one cycle.

    Attributes:
        name: for the report.
        play: runs the cycle with it, and returns its exit code.
        is_harmless: whether the cycle is to publish its hour all the same.
        takes_the_copy: whether what it takes away is what readers read.
    """

    name: str
    play: Callable[[Cycle], int]
    is_harmless: bool = False
    takes_the_copy: bool = False


def _killed(cycle: Cycle) -> int:
    """Ended by SIGKILL before one of its statements to DuckDB, anywhere in it."""
    return cycle.play(kill_before=cycle.chance.randrange(1, 900))


def _on_the_way(kind: str, setting: str) -> Callable[[Cycle], int]:
    """With a network between us and a source that does this after a number of bytes."""

    def play(cycle: Cycle) -> int:
        address = cycle.environment[setting]
        port = urlsplit(address).port
        assert port
        with Proxy(port) as proxy:
            proxy.set(Fault(kind, cycle.chance.randrange(30_000)))
            own = {setting: address.replace(f":{port}", f":{proxy.port}"), "SOURCE_SILENCE_LIMIT": "5"}
            return cycle.play(**own)

    return play


def _homeless(cycle: Cycle) -> int:
    """What can be made again is gone: on another machine it would be."""
    for name in ("dlt", "cache", "readers"):
        shutil.rmtree(Path(cycle.environment["INSIGHTMART_HOME"]) / name, ignore_errors=True)
    return cycle.play()


def _damaged(cycle: Cycle) -> int:
    """Some working files hold garbage."""
    home = Path(cycle.environment["INSIGHTMART_HOME"])
    files = sorted(path for name in ("dlt", "cache") for path in (home / name).rglob("*") if path.is_file())
    for path in cycle.chance.sample(files, min(3, len(files))):
        path.write_bytes(cycle.chance.randbytes(cycle.chance.choice((0, 40))))
    return cycle.play()


def _twice(cycle: Cycle) -> int:
    """Cron starts it twice: one of them works, the other one says that it does."""
    arguments = [sys.executable, "-m", "insightmart.cli", *cycle.arguments]
    code, environment = cycle.commands.code, {**cycle.environment, "PYTHONPATH": str(cycle.commands.code)}
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    both = [subprocess.Popen(arguments, cwd=code, env=environment, **nowhere) for _ in range(2)]
    codes = sorted(process.wait(timeout=PATIENCE) for process in both)
    return 0 if codes in ([0, 0], [0, 75]) else max(codes)


TROUBLES = (
    Trouble("killed", _killed),
    Trouble("machine off", lambda cycle: 1),
    Trouble(
        "PostgreSQL is down",
        lambda cycle: cycle.play(OLTP_DSN=f"postgresql://nobody@{NOBODY}/shop?connect_timeout=2"),
    ),
    Trouble("the shop is down", lambda cycle: cycle.play(SHOPIFY_URL=f"http://{NOBODY}")),
    Trouble("S3 is down", lambda cycle: cycle.play(AWS_ENDPOINT_URL=f"http://{NOBODY}")),
    Trouble("mail is down", lambda cycle: cycle.play(SMTP_URL=f"smtp://{NOBODY}"), is_harmless=True),
    Trouble("working files are gone", _homeless, is_harmless=True, takes_the_copy=True),
    Trouble("working files are damaged", _damaged, is_harmless=True),
    *(
        Trouble(f"{source}: {kind}", _on_the_way(kind, setting))
        for source, setting in ADDRESSES.items()
        for kind in ("stall", "cut")
    ),
    Trouble("started twice", _twice, is_harmless=True),
)
NOTHING = Trouble("nothing", lambda cycle: cycle.play(), is_harmless=True)


def promote(commands: Commands, environment: Settings, number: int) -> list[str]:
    """Somebody changes a model, builds it beside prod and publishes it: what went wrong, if anything.

    Args:
        commands: of a copy of the project that may be changed.
        environment: settings of the pipeline, with the now of it.
        number: of the change; each makes another version, since going back to an earlier one is refused.
    """
    path = commands.code / MODEL
    text = path.read_text(encoding="utf-8")
    changed, places = COLUMN.subn(SAME.format(number), text)
    assert places == 1, MODEL
    path.write_text(changed, encoding="utf-8")
    plan = ("plan", "dev", "--auto-apply", "--no-prompts", "--skip-tests")
    built = subprocess.run(
        [str(Path(sys.executable).parent / "sqlmesh"), *plan],
        cwd=commands.code,
        env={**environment, "PYTHONPATH": str(commands.code)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if built.returncode:
        return [f"plan dev ended with {built.returncode}: {(built.stdout + built.stderr).strip()[-300:]}"]
    code, said = commands.run(environment, "promote", "dev", "--yes", "--allow-dirty", "a soak")
    return [f"promote ended with {code}: {said}"] if code else []


def copy_of_the_project(to: Path) -> Path:
    """All files of the project, as they are now."""
    named = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in filter(os.path.isfile, named.split("\0")):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, to / name)
    return to
