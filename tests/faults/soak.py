"""`python -m tests.faults.soak`: weeks of a business, an hour a cycle, with faults at random; a seed plays the same.

After each cycle that says all is published, certified is held against the truth of the hour, the journal against
certified and the ledger against its evidence. A cycle that a fault was meant to break may fail; what it left must be
made good by the next ones, and nobody helps. Beside each cycle a reader asks without a pause whether tables agree. With
a folder it can be played in several sittings: one that was stopped, by whatever, goes on with the hour it was at.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from pydantic import BaseModel

from bench.business import PRELOADED, START, Business, as_of, open_business
from ingestion.retries import AGAIN
from insightmart.read_copy import copy_path
from sandbox.publish import publish
from sandbox.state import SandboxState
from tests.faults.reader import Log, reading
from tests.faults.soak_report import as_json, print_report
from tests.faults.troubles import NOTHING, TROUBLES, Cycle, copy_of_the_project, promote
from tests.faults.whole import faults_of, instant, truth, unsound
from tests.support.forked import Commands

PLANTED = "what the business plants"  # such as an hour that a gate refuses until its source is mended
WHOLE_LEDGER = 24  # hours after which all evidence is compared, not only what is new
CLOSED_WITHIN = 48  # hours after its end a month must have been closed
AGAIN_AFTER = timedelta(minutes=10)  # of a cycle that failed, where a scheduler tries it again


class Soak(BaseModel):
    """A play, and how it went so far.

    Attributes:
        first: the first hour, counted from the start of the business, whose sources hold all before it.
        hours: how many cycles in all; the first and the last three have no trouble.
        seed: chooses troubles and what they hit.
        share: of the cycles that have trouble.
        again: share of the cycles that failed which are started again within the hour, as by a scheduler that retries.
        promote_every: hours after which somebody changes a model; 0: nobody does.
        done: hours that were played.
        certified: hours after whose cycle certified held the truth of the hour.
        repeated: cycles that were started again within their hour.
        held_back: cycles in which something was held back, and the rest was exact.
        waiting: hours that are not published yet, with what they wait for: a trouble of theirs, or an earlier one.
        played: cycles by trouble.
        healed_after: by trouble, how many cycles more it took until its hour was published; 0: its own did it.
        retries: by whom, how often somebody was asked once more within a cycle.
        second: hours that were published by a later cycle than their own, with what they waited for.
        slowest: by trouble, seconds of the longest cycle that had it.
        promoted: how often a changed model was published.
        closed: the hour in which the month was closed.
        not_closed: why not, last.
        verified_at: when all evidence was compared last, UTC by the clock.
        processor: seconds by what they were spent on.
        planted: what the business did by itself.
        moments: at which a reader asked beside a cycle whether tables agree.
        changes: of these, how many showed another state than the one before.
        wrong: what did not hold, with the hour.
    """

    first: int = PRELOADED
    hours: int
    seed: int
    share: float
    again: float = 0.3
    size: str = "tiny"
    start: datetime = START
    promote_every: int = 0
    done: int = 0
    certified: int = 0
    repeated: int = 0
    held_back: int = 0
    waiting: list[tuple[int, str]] = []
    played: dict[str, int] = {}
    healed_after: dict[str, list[int]] = {}
    retries: dict[str, int] = {}
    second: dict[int, str] = {}
    slowest: dict[str, float] = {}
    promoted: int = 0
    closed: int | None = None
    not_closed: str = ""
    verified_at: datetime | None = None
    processor: dict[str, float] = {}
    planted: list[str] = []
    moments: int = 0
    changes: int = 0
    wrong: list[str] = []

    @property
    def next_hour(self) -> int:
        """The hour that is played next."""
        return self.first + self.done

    @property
    def is_over(self) -> bool:
        """Whether all hours were played."""
        return self.done >= self.hours

    def spent(self, what: str, seconds: float) -> None:
        """Take in processor time."""
        self.processor[what] = self.processor.get(what, 0.0) + seconds


def play(soak: Soak, business: Business, commands: Commands, told: Callable[[str], None]) -> None:
    """Play the next hour, for which the sources stand.

    Args:
        soak: takes what came of it.
        business: whose sources are read.
        commands: run the pipeline.
        told: called with a line of it.
    """
    hour, home = soak.next_hour, Path(business.environment["INSIGHTMART_HOME"])
    now = as_of(hour, soak.start)
    chance = random.Random(f"{soak.seed} {hour}")
    is_calm = soak.done == 0 or soak.done >= soak.hours - 3
    fault = NOTHING if is_calm or chance.random() >= soak.share else chance.choice(TROUBLES)
    before = soak.waiting[-1][1] if soak.waiting else PLANTED
    soak.waiting.append((hour, before if fault is NOTHING else fault.name))
    began, spent = time.monotonic(), commands.seconds()
    log_path = home / "logs" / "insightmart.jsonl"
    logged = log_path.stat().st_size if log_path.exists() else 0
    is_read = copy_path(home).exists() and not fault.takes_the_copy
    with reading(home) if is_read else nullcontext(Log()) as log:
        code = fault.play(Cycle(commands, business.environment, ("cycle", "--as-of", instant(now)), chance))
        if code and chance.random() < soak.again:
            soak.repeated += 1
            code, _ = commands.run(business.environment, "cycle", "--as-of", instant(now + AGAIN_AFTER))
    soak.moments += log.moments
    soak.changes += log.changes
    soak.wrong += [f"hour {hour}, {fault.name}: a reader: {line}" for line in log.faults]
    soak.spent("cycles", commands.seconds() - spent)
    for whom in _asked_again(log_path, logged):
        soak.retries[whom] = soak.retries.get(whom, 0) + 1
    soak.played[fault.name] = soak.played.get(fault.name, 0) + 1
    soak.slowest[fault.name] = max(soak.slowest.get(fault.name, 0.0), round(time.monotonic() - began, 1))
    checked = time.process_time()
    wrong, said = [], "not all published"
    if code == 0:
        expected = truth(business.environment)
        soak.planted = [str(one["what"]) for one in expected["planted"]]
        wrong, said = [*faults_of(home, expected), *_ledger(soak, home, business)], "exact"
        if not wrong:
            _published(soak, fault.name)
    elif fault is NOTHING and not faults_of(home, truth(business.environment), is_caught_up=False):
        soak.held_back += 1
        said = "something held back, the rest exact"
    soak.spent("checks", time.process_time() - checked)
    if not soak.waiting and not wrong:
        wrong, done = _people(soak, business, commands, now)
        said += "".join(f", {one}" for one in done)
    soak.wrong += [f"hour {hour}, {fault.name}: {line}" for line in wrong]
    soak.done += 1
    if soak.is_over:
        soak.wrong += [f"hour {waiting} was never published" for waiting, _ in soak.waiting]
    told(f"{hour:5} {fault.name:26} {code:4} {'; '.join(wrong) or said}")


def _asked_again(log_path: Path, logged: int) -> list[str]:
    """Who was asked once more, by the lines of a log after so many bytes; all of them, where another one was begun."""
    if not log_path.exists():
        return []
    found = []
    with log_path.open("rb") as file:
        file.seek(logged if logged <= log_path.stat().st_size else 0)
        for text in (text for text in file if AGAIN.encode() in text):
            with suppress(ValueError):  # a line that a kill left half written
                line = json.loads(text)
                found += [line["whom"]] if line["event"] == AGAIN else []
    return found


def _published(soak: Soak, trouble: str) -> None:
    """All that waited is published, by a cycle that had this trouble."""
    *earlier, _ = soak.waiting
    soak.certified += len(soak.waiting)
    soak.second |= dict(earlier)
    for place, (_, waited_for) in enumerate(earlier):
        soak.healed_after.setdefault(waited_for, []).append(len(earlier) - place)
    soak.healed_after.setdefault(trouble, []).append(0)
    soak.waiting = []


def _ledger(soak: Soak, home: Path, business: Business) -> list[str]:
    """The ledger: all entries, and the evidence of the last hours; once a day and at the end that of all."""
    is_whole = soak.verified_at is None or soak.done % WHOLE_LEDGER == 0 or soak.done == soak.hours - 1
    at = datetime.now(UTC).replace(tzinfo=None)
    found = unsound(home, business.environment, None if is_whole else soak.verified_at)
    soak.verified_at = at if is_whole else soak.verified_at
    return found


def _people(soak: Soak, business: Business, commands: Commands, now: datetime) -> tuple[list[str], list[str]]:
    """What people do when all is published: change a model, close the month. What is wrong then, and what was done."""
    environment = {**business.environment, "INSIGHTMART_AS_OF": instant(now)}
    wrong: list[str] = []
    done: list[str] = []
    if soak.promote_every and soak.promoted < (soak.done + 1) // soak.promote_every:
        soak.promoted += 1
        wrong += promote(commands, environment, soak.promoted)
        done.append("a changed model promoted")
    month = soak.start.replace(day=1)
    ended = (month + timedelta(days=32)).replace(day=1) + timedelta(hours=12)
    if now >= ended and soak.closed is None:
        code, said = commands.run(environment, "close", f"{month:%Y-%m}", "--as-of", instant(now))
        soak.closed, soak.not_closed = (soak.next_hour, "") if code == 0 else (None, said)
        done.append(f"{month:%Y-%m} closed" if code == 0 else f"{month:%Y-%m} cannot be closed yet")
        if code and now >= ended + timedelta(hours=CLOSED_WITHIN):
            wrong.append(f"{month:%Y-%m} is not closed: {said}")
    if done:
        wrong += faults_of(Path(environment["INSIGHTMART_HOME"]), truth(environment))
    return wrong, done


def advance(environment: dict[str, str], hours: int = 1) -> None:
    """Let hours of business pass in a sandbox."""
    state = SandboxState.load(Path(environment["INSIGHTMART_HOME"]))
    upto = state.clock + timedelta(hours=hours)
    publish(state, upto)
    state.clock = upto
    state.save()


def _opened(folder: Path, asked: Soak) -> Soak:
    """The play that a folder holds, or a new one."""
    path = folder / "soak.json"
    if not path.exists():
        return asked
    found = Soak.model_validate_json(path.read_bytes())
    chosen = ("first", "hours", "seed", "share", "again", "size", "start", "promote_every")
    if differing := [name for name in chosen if getattr(found, name) != getattr(asked, name)]:
        raise click.UsageError(f"{folder} holds a soak with another {', '.join(differing)}: take another folder")
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--hours", type=click.IntRange(5), default=720, show_default=True, help="How many hourly cycles.")
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses the faults and what they hit.")
@click.option("--share", type=click.FloatRange(0, 1), default=0.4, show_default=True, help="Of cycles with a fault.")
@click.option(
    "--again",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="Of those that fail, started again within the hour.",
)
@click.option("--size", default="tiny", show_default=True, help="Of the business.")
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), default=f"{START:%Y-%m-%d}", help="First day of it.")
@click.option("--promote-every", type=click.IntRange(0), default=168, show_default=True, help="Hours; 0: never.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep it here; goes on where it was.")
@click.option("--sitting", type=click.IntRange(1), help="Play so many hours now; the others later, with --folder.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the result here.")
def main(
    hours: int,
    seed: int,
    share: float,
    again: float,
    size: str,
    start: datetime,
    promote_every: int,
    folder: Path | None,
    sitting: int | None,
    json_file: Path | None,
) -> None:
    """Play a business for weeks, with faults at random, and hold certified against the truth after every cycle."""
    with ExitStack() as stack:
        kept = folder.absolute() if folder else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        kept.mkdir(parents=True, exist_ok=True)
        asked = Soak(
            hours=hours, seed=seed, share=share, again=again, size=size, start=start, promote_every=promote_every
        )
        soak = _opened(kept, asked)
        code = kept / "code"
        if not code.exists():
            copy_of_the_project(code)
        business = stack.enter_context(open_business(kept / "home", size, soak.next_hour, start))
        commands = stack.enter_context(Commands(code))
        last = min(soak.hours, soak.done + (sitting or soak.hours))
        is_first = True
        while soak.done < last:
            if not is_first:
                began = time.process_time()
                advance(business.environment)
                soak.spent("sources", time.process_time() - began)
            is_first = False
            play(soak, business, commands, lambda line: click.echo(line, err=True))
            (kept / "soak.json").write_text(soak.model_dump_json(indent=1), encoding="utf-8")
    print_report(soak)
    if json_file:
        json_file.write_text(json.dumps(as_json(soak), indent=1) + "\n", encoding="utf-8")
    for line in soak.wrong:
        click.echo(line)
    same = f"--hours {hours} --seed {seed} --share {share} --again {again} --size {size} --start {start:%Y-%m-%d}"
    same = f"python -m tests.faults.soak {same} --promote-every {promote_every}"
    if soak.wrong:
        click.echo(f"again: {same}")
    elif not soak.is_over:
        click.echo(f"{soak.done} of {hours} hours are played; go on: {same} --folder {folder}")
    raise SystemExit(1 if soak.wrong else 0)


if __name__ == "__main__":
    main()
