"""`python -m tests.faults.soak`: weeks of a business, an hour a cycle, with faults at random; a seed plays the same.

After each cycle that says all is published, certified is held against the truth of the hour, the journal against
certified and the ledger against its evidence. A cycle that a fault was meant to break may fail; what it left must be
made good by the next ones, and nobody helps.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import click

from bench.business import PRELOADED, Business, as_of, open_business
from insightmart.console_tables import print_table
from tests.faults.proxy import Fault, Proxy
from tests.faults.whole import REPOSITORY, faults_of, insightmart, instant, truth, unsound

Settings = Mapping[str, str]
PLANTED = "what the business plants"  # such as an hour that a gate refuses until its source is mended
NOBODY = "127.0.0.1:9"  # where no service listens
ADDRESSES = {"PostgreSQL": "OLTP_DSN", "S3": "AWS_ENDPOINT_URL", "the shop": "SHOPIFY_URL"}


@dataclass(frozen=True)
class Trouble:
    """What goes wrong in one cycle.

    Attributes:
        name: for the report.
        play: runs the cycle with it, and returns its exit code: settings, arguments, chance.
        is_harmless: whether the cycle is to publish its hour all the same.
    """

    name: str
    play: Callable[[Settings, tuple[str, ...], random.Random], int]
    is_harmless: bool = False


@dataclass
class Soak:
    """How a play went.

    Attributes:
        cycles: that were started.
        certified: hours after whose cycle certified held the truth of the hour.
        second: hours that were published by a later cycle than their own -> the fault that was played last before.
        healed_after: by fault, how many cycles it took until all was published again, each time.
        wrong: what did not hold, with the hour.
    """

    cycles: int = 0
    certified: int = 0
    second: dict[int, str] = field(default_factory=dict)
    played: Counter[str] = field(default_factory=Counter)
    healed_after: dict[str, list[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def _plain(environment: Settings, cycle: tuple[str, ...], chance: random.Random) -> int:
    return insightmart(environment, *cycle)[0]


def _killed(environment: Settings, cycle: tuple[str, ...], chance: random.Random) -> int:
    """Ended by SIGKILL before one of its statements to DuckDB, anywhere in it."""
    arguments = [sys.executable, "-m", "tests.faults.killed_before", str(chance.randrange(1, 900)), *cycle]
    return subprocess.run(
        arguments, cwd=REPOSITORY, env=dict(environment), capture_output=True, check=False, timeout=900
    ).returncode


def _without(**settings: str) -> Callable[[Settings, tuple[str, ...], random.Random], int]:
    """With services that are not there."""
    return lambda environment, cycle, chance: insightmart({**environment, **settings}, *cycle)[0]


def _on_the_way(kind: str, setting: str) -> Callable[[Settings, tuple[str, ...], random.Random], int]:
    """With a network between us and a source that does this after a number of bytes."""

    def play(environment: Settings, cycle: tuple[str, ...], chance: random.Random) -> int:
        address = environment[setting]
        port = urlsplit(address).port
        assert port
        with Proxy(port) as proxy:
            proxy.set(Fault(kind, chance.randrange(30_000)))
            own = {setting: address.replace(f":{port}", f":{proxy.port}"), "SOURCE_SILENCE_LIMIT": "5"}
            return insightmart({**environment, **own}, *cycle)[0]

    return play


def _homeless(environment: Settings, cycle: tuple[str, ...], chance: random.Random) -> int:
    """What can be made again is gone: on another machine it would be."""
    home = Path(environment["INSIGHTMART_HOME"])
    for name in ("dlt", "cache", "readers"):
        shutil.rmtree(home / name, ignore_errors=True)
    return insightmart(environment, *cycle)[0]


def _damaged(environment: Settings, cycle: tuple[str, ...], chance: random.Random) -> int:
    """Some working files hold garbage."""
    home = Path(environment["INSIGHTMART_HOME"])
    files = sorted(path for name in ("dlt", "cache") for path in (home / name).rglob("*") if path.is_file())
    for path in chance.sample(files, min(3, len(files))):
        path.write_bytes(chance.randbytes(chance.choice((0, 40))))
    return insightmart(environment, *cycle)[0]


def _twice(environment: Settings, cycle: tuple[str, ...], chance: random.Random) -> int:
    """Cron starts it twice: one of them works, the other one says that it does."""
    arguments = [sys.executable, "-m", "insightmart.cli", *cycle]
    both = [
        subprocess.Popen(
            arguments, cwd=REPOSITORY, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    codes = sorted(process.wait(timeout=900) for process in both)
    return 0 if codes in ([0, 0], [0, 75]) else max(codes)


def _missed(environment: Settings, cycle: tuple[str, ...], chance: random.Random) -> int:
    """The machine is off."""
    return 1


TROUBLES = (
    Trouble("killed", _killed),
    Trouble("machine off", _missed),
    Trouble("PostgreSQL is down", _without(OLTP_DSN=f"postgresql://nobody@{NOBODY}/shop?connect_timeout=2")),
    Trouble("the shop is down", _without(SHOPIFY_URL=f"http://{NOBODY}")),
    Trouble("S3 is down", _without(AWS_ENDPOINT_URL=f"http://{NOBODY}")),
    Trouble("mail is down", _without(SMTP_URL=f"smtp://{NOBODY}"), is_harmless=True),
    Trouble("working files are gone", _homeless, is_harmless=True),
    Trouble("working files are damaged", _damaged, is_harmless=True),
    *(
        Trouble(f"{source}: {kind}", _on_the_way(kind, setting))
        for source, setting in ADDRESSES.items()
        for kind in ("stall", "cut")
    ),
    Trouble("started twice", _twice, is_harmless=True),
)
NOTHING = Trouble("nothing", _plain, is_harmless=True)


def soak(business: Business, first: int, hours: int, seed: int, share: float, told: Callable[[str], None]) -> Soak:
    """Play hours of a business, the first one and the last three without trouble.

    Args:
        business: whose sources hold all before the first hour.
        first: the first hour, counted from the beginning of the business.
        hours: how many cycles.
        seed: chooses faults and what they hit.
        share: of the cycles that have trouble.
        told: called with a line for each cycle.
    """
    chance, result = random.Random(seed), Soak()
    home = Path(business.environment["INSIGHTMART_HOME"])
    waiting: list[int] = []
    last = PLANTED
    for hour in range(first, first + hours):
        if hour > first:
            business.advance()
        calm = hour == first or hour >= first + hours - 3
        fault = NOTHING if calm or chance.random() >= share else chance.choice(TROUBLES)
        result.played[fault.name] += 1
        last = fault.name if fault is not NOTHING else last
        waiting.append(hour)
        code = fault.play(business.environment, ("cycle", "--as-of", instant(as_of(hour))), chance)
        result.cycles += 1
        wrong: list[str] = []
        if code == 0:
            wrong = faults_of(home, truth(business.environment)) + unsound(home, business.environment)
            if not wrong:
                result.certified += len(waiting)
                result.second |= dict.fromkeys(waiting[:-1], last)
                if len(waiting) > 1:
                    result.healed_after.setdefault(last, []).append(len(waiting) - 1)
                waiting.clear()
                last = PLANTED
        result.wrong += [f"hour {hour}, {fault.name}: {line}" for line in wrong]
        told(f"{hour:5} {fault.name:26} {code:4} {'; '.join(wrong) or ('exact' if code == 0 else 'not all published')}")
    result.wrong += [f"hour {hour} was never published" for hour in waiting]
    return result


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--hours", type=click.IntRange(5), default=720, show_default=True, help="How many hourly cycles.")
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses the faults and what they hit.")
@click.option("--share", type=click.FloatRange(0, 1), default=0.4, show_default=True, help="Of cycles with a fault.")
@click.option("--size", default="tiny", show_default=True, help="Of the business.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the result here.")
def main(hours: int, seed: int, share: float, size: str, json_file: Path | None) -> None:
    """Play a business for weeks, with faults at random, and hold certified against the truth after every cycle."""
    with tempfile.TemporaryDirectory(prefix="soak-") as directory, open_business(Path(directory), size) as business:
        result = soak(business, PRELOADED, hours, seed, share, lambda line: click.echo(line, err=True))
    print_table(
        f"{result.cycles} cycles, {result.certified} hours certified as the truth has them, seed {seed}",
        ("Fault", "Played>", "Hours that waited for a later cycle>", "Most cycles until all was published>"),
        [
            [
                name,
                number,
                sum(1 for fault in result.second.values() if fault == name),
                max(result.healed_after.get(name, [0])),
            ]
            for name, number in result.played.most_common()
        ],
        "",
    )
    if json_file:
        json_file.write_text(json.dumps(vars(result), indent=1, default=str) + os.linesep, encoding="utf-8")
    for line in result.wrong:
        click.echo(line)
    if result.wrong:
        click.echo(f"again: python -m tests.faults.soak --hours {hours} --seed {seed} --share {share} --size {size}")
    raise SystemExit(1 if result.wrong else 0)


if __name__ == "__main__":
    main()
