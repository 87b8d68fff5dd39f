"""Every command finds its home empty, on both gateways: figures are the truth's, to the last decimal.

On Snowflake the home is deleted as a whole. On DuckDB the warehouse and SQLMesh's state are files in it: there all but
those two is. Two hours of the day are played, with late corrections, a file that cannot be read until the encoding of
its store is declared, and a mail server that is down at the first report; with `HOMELESS_DAY=FILE` all 24, of which
FILE gets a line for each cycle.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.homeless import Gateway, PlayedDay
from tests.support.inbox import free_port
from tests.support.snowflake_account import ACCOUNT
from tests.support.spoilt_file import SpoiltFile
from tests.support.whole_cycles import FIRST_CYCLE

pytestmark = pytest.mark.slow

LINES = os.environ.get("HOMELESS_DAY")
HOURS = range(1, 25) if LINES else range(1, 3)
SPOILT = 1  # the hour whose cycle meets the file, which is read again after it
HELD_BACK = range(17, 22)  # hours in whose cycles a bad hour of sales is held back by its gate, until it is mended
OF_STOCK = ("fct_inventory", "agg_inventory_daily")


def test_every_figure_is_exact_though_the_home_is_lost_before_each_command(
    day: PlayedDay,
    gateway: Callable[[dict[str, str]], Gateway],
    local: Gateway,
    fake_account: Any,
    tmp_path: Path,
) -> None:
    snowflake = gateway({**ACCOUNT, **day.sandbox.add_state("homeless")})
    both = (local, snowflake)
    with fake_account(tmp_path / "stages") as session:
        assert snowflake.run("setup", "--as-of", FIRST_CYCLE)[0] == 0
        if LINES:
            assert snowflake.run("cycle", "--as-of", FIRST_CYCLE)[0] == 0
        for hour in HOURS:
            truth = day.advance(hour)
            if hour == SPOILT:
                spoilt = SpoiltFile(day.sandbox.settings)
            for one in both:
                one.lose_the_home(is_cache_shared=not LINES)
                began, sent = time.monotonic(), len(session.statements)
                down = {"SMTP_URL": f"smtp://127.0.0.1:{free_port()}"} if hour == SPOILT else {}
                code, said = one.run("cycle", "--as-of", day.now, **down)
                wrong = one.inexact(truth)
                if LINES:
                    with Path(LINES).open("a") as file:
                        took = f"{time.monotonic() - began:.0f} s, {len(session.statements) - sent} statements"
                        line = f"{day.now} {one.gateway}: exit {code}, {took}, inexact: {sorted(wrong) or 'none'}"
                        print(line, *said.splitlines()[-4:], sep="\n    ", file=file)
                if hour == SPOILT:
                    assert {what.partition(":")[0] for what in wrong} <= set(OF_STOCK), said
                    is_read_again(one, spoilt, day, tmp_path)
                elif hour not in HELD_BACK:
                    assert (code, wrong) == (0, set()), said
            if hour == SPOILT:
                what_outlives_the_home(snowflake, spoilt, waiting=0 if LINES else 1)  # its first report, which waits
    for one in both:
        what_outlives_the_home(one, spoilt, waiting=0)


def is_read_again(one: Gateway, spoilt: SpoiltFile, day: PlayedDay, folder: Path) -> None:
    """The encoding is declared, and the file is gone from where the store had put it: its original is not."""
    declared = folder / "declared.yml"
    declared.write_text(spoilt.declaration, encoding="utf-8")
    spoilt.is_gone()
    one.lose_the_home(is_cache_shared=not LINES)
    replay = ("quarantine", "replay", "--json", "--as-of", day.now)
    code, said = one.run(*replay, STORE_DECLARATIONS=str(declared))
    assert code == 0, said
    spoilt.is_there_again()  # for the other gateway


def what_outlives_the_home(one: Gateway, spoilt: SpoiltFile, waiting: int) -> None:
    kept = one.bucket.files()
    assert kept[f"quarantine/{hashlib.sha256(spoilt.content).hexdigest()}"] == spoilt.content
    assert sum(name.startswith("logs/") for name in kept) == one.commands
    assert sum(name.startswith("outbox/") for name in kept) == waiting
