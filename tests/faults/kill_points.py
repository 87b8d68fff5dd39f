"""`python -m tests.faults.kill_points`: a command killed between every two statements, and healed by the next cycle."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import click
from tenacity import retry, retry_if_result, wait_fixed

from bench.business import open_business
from insightmart.console_tables import print_table
from tests.faults.scenes import SCENES
from tests.faults.whole import REPOSITORY
from tests.support.forked import several

PENDING = 6  # images on the disk at once
LEAST = 300  # images that the cycle of an hour has at the least
MOST = 5000  # more than any command has
COLUMNS = ("Command", "Statements>", "Other disks>", "Kinds of statements>", "Tried>", "Exact after one rerun>")


@dataclass(frozen=True)
class Healed:
    """What became of one kill.

    Attributes:
        number: of the disk, in the order they were left.
        before: the statement that was never sent.
        faults: what was wrong after the rerun; empty: all as it should be.
    """

    number: int
    before: str
    statement: int
    faults: tuple[str, ...] = ()


@dataclass
class Killed:
    """A command that was killed everywhere.

    Attributes:
        statements: how many moments there are between two of them.
        images: how many of these left another disk.
        kinds: how many kinds of statements did.
        healed: those that were tried.
    """

    command: str
    statements: int = 0
    images: int = 0
    kinds: int = 0
    healed: list[Healed] = field(default_factory=list)

    @property
    def wrong(self) -> list[Healed]:
        """Those that one rerun did not heal."""
        return [one for one in self.healed if one.faults]


def kill_everywhere(
    environment: Mapping[str, str],
    command: tuple[str, ...],
    heal: Callable[[Path, Mapping[str, str]], list[str]],
    only: Collection[int] = (),
    workers: int = 2,
    one_a_kind: bool = False,
    told: Callable[[Healed], None] = lambda healed: None,
    project: Path = REPOSITORY,
) -> Killed:
    """Run a command once, and go on from every disk that a kill of it would leave.

    Args:
        environment: settings of the pipeline; INSIGHTMART_HOME is where the command runs, to its end.
        command: ``insightmart`` or ``sqlmesh`` and its arguments.
        heal: is given the home of an image and the settings that point at it; goes on as cron would, and says what is
            wrong then.
        only: which disks are tried, by number from 1; none given: all.
        workers: how many are tried at once.
        one_a_kind: without ``only``: try the first that each kind of statement left (``disk_images.kind_of``).
        told: called with each as it is done.
        project: the folder that the command is run in.

    Raises:
        RuntimeError: the command itself failed.
    """
    killed = Killed(" ".join(command))
    with tempfile.TemporaryDirectory(prefix="kill-points-") as directory:
        folder = Path(directory) / "images"
        folder.mkdir()
        numbers = ",".join(map(str, sorted(only))) or ("kinds" if one_a_kind else "all")
        arguments = [sys.executable, "-m", "tests.faults.disk_images", str(folder), str(PENDING), numbers, *command]
        with (
            subprocess.Popen(
                arguments,
                cwd=project,
                env=dict(environment),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
            ThreadPoolExecutor(workers + 1) as threads,
        ):
            said = threads.submit(process.communicate)
            healing = [threads.submit(_healed, image, environment, heal, told) for image in _images(folder, said.done)]
            killed.healed = [one.result() for one in healing]
            text = said.result()[0]
        ended = json.loads((Path(directory) / "statements.json").read_text(encoding="utf-8"))
        if ended["code"]:
            raise RuntimeError(f"{killed.command} itself failed ({ended['code']}): {text[-800:]}")
    killed.statements, killed.images, killed.kinds = ended["statements"], ended["images"], ended["kinds"]
    return killed


def _images(folder: Path, is_over: Callable[[], bool]) -> Iterator[Path]:
    """Images as they become complete, in their order."""
    for number in count(1):
        image = folder / f"{number:05d}"
        waiting = retry(retry=retry_if_result(lambda ready: not ready), wait=wait_fixed(0.1))
        waiting(lambda at=image: (at / "complete").exists() or is_over())()
        if not (image / "complete").exists():
            return
        yield image


def _healed(
    image: Path,
    environment: Mapping[str, str],
    heal: Callable[[Path, Mapping[str, str]], list[str]],
    told: Callable[[Healed], None],
) -> Healed:
    point = json.loads((image / "point.json").read_text(encoding="utf-8"))
    home = image / "home"
    try:
        wrong = heal(home, {**environment, "INSIGHTMART_HOME": str(home)})
    except Exception as error:  # noqa: BLE001 - a rerun that ends badly is what is looked for
        wrong = [f"{type(error).__name__}: {error}"]
    finally:
        with suppress(OSError):
            shutil.rmtree(image)
    healed = Healed(point["number"], point["before"], point["statement"], tuple(wrong))
    told(healed)
    return healed


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--command", "names", type=click.Choice(list(SCENES)), multiple=True, help="Which (default: each).")
@click.option("--kinds", is_flag=True, help="Try one point for each kind of statement that left another disk.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Try only one point in so many.")
@click.option("--seed", type=int, default=0, show_default=True, help="With --every: which one.")
@click.option("--only", type=int, multiple=True, help="Try only the point of this number; may be repeated.")
@click.option("--workers", type=click.IntRange(1), default=os.cpu_count() or 1, help="How many are tried at once.")
def main(names: tuple[str, ...], kinds: bool, every: int, seed: int, only: tuple[int, ...], workers: int) -> None:
    """Kill commands of a small business at every point between two of their statements, and let one rerun heal it.

    The home is copied wherever a statement left another disk, which is what a kill there leaves. Each copy is given to
    what people and cron start next; then every certified total is the truth, journal and ledger are sound, nothing
    seems to go on, and what the command was to do is done.
    """
    rows: list[list[object]] = []
    wrong: list[str] = []
    for name in names or SCENES:
        some = only or (range(1 + seed % every, MOST, every) if every > 1 else ())
        killed = _killed(name, some, workers, one_a_kind=kinds and not some)
        tried = len(killed.healed)
        rows.append([name, killed.statements, killed.images, killed.kinds, tried, tried - len(killed.wrong)])
        for one in killed.wrong:
            wrong += [one.before, f"  {'; '.join(one.faults)}"]
            wrong.append(f"  again: python -m tests.faults.kill_points --command {name} --only {one.number}")
    print_table("Killed", COLUMNS, rows, "")
    for line in wrong:
        click.echo(line)
    raise SystemExit(1 if wrong else 0)


def _killed(name: str, some: Collection[int], workers: int, *, one_a_kind: bool) -> Killed:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kill-points-"))) / "home"
        home.mkdir()
        own = stack.enter_context(open_business(home, "tiny"))
        scene = SCENES[name](own)
        run = stack.enter_context(several(scene.project, workers + 1))  # as many threads heal

        def told(one: Healed) -> None:
            said = "; ".join(one.faults) or "exact"
            click.echo(f"{name} {one.number:5} {said}   {one.before[:80]}", err=True)

        heal = scene.healing(run)
        return kill_everywhere(scene.environment, scene.command, heal, some, workers, one_a_kind, told, scene.project)


if __name__ == "__main__":
    main()
