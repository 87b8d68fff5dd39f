"""`python -m bench.cycle`: processor seconds of whole cycles, each in a process of its own, as cron starts them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import click

from bench.business import PRELOADED, as_of, open_business
from insightmart.console_tables import print_table

LAUNCHED = Path(__file__).with_name("launched.py")
FLOOR = "import duckdb, dlt, sqlmesh, soda.scan"
COLUMNS = ("Cycle", "Runs>", "CPU s>", "Lowest>", "Highest>", "Times the imports>", "Evaluations>", "Rows>", "Peak MB>")


@dataclass(frozen=True)
class Run:
    """What a process cost, with those that it started.

    Attributes:
        seconds: of the processor, user and system.
        peak_bytes: the most memory that the process itself held.
        result: what a cycle printed with ``--json``.
    """

    seconds: float
    peak_bytes: int
    result: dict[str, Any]

    @property
    def kind(self) -> str:
        """What sort of a cycle it was."""
        if self.result.get("corrections_closed"):
            return "an hour with late corrections"
        return "a steady hour" if self.result["intervals_evaluated"] else "nothing new"


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run a command to its end; what it prints is taken for JSON if it looks like it.

    Raises:
        click.ClickException: it ended in another way than a cycle that found something to report.
    """
    with tempfile.NamedTemporaryFile() as used:
        launched = [sys.executable, "-I", "-S", str(LAUNCHED), used.name, *arguments]
        done = subprocess.run(launched, env=dict(environment), capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise click.ClickException(f"{' '.join(arguments[-4:])[-300:]} failed: {done.stderr[-500:]}")
        usage = json.load(used)
    result = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return Run(usage["seconds"], usage["peak_bytes"], result)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--hours", type=click.IntRange(1), default=6, show_default=True, help="Hours of business, a cycle each.")
@click.option("--size", default="tiny", show_default=True, help="Size of the simulated business.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write every run here.")
def main(hours: int, size: str, json_file: Path | None) -> None:
    """Measure what an hour costs beside its rows: cycles over a small sandbox, in processor seconds.

    \b
    first           a day of history into an empty warehouse
    steady          one hour more
    corrections     one hour more, and hours before it that have changed
    nothing new     the same hour once more
    floor           the limit: importing the libraries that a cycle is made of, in a process that does nothing else

    Processor seconds include the processes that a cycle starts. It takes a minute an hour of business, and leaves
    nothing behind.
    """
    with tempfile.TemporaryDirectory(prefix="bench-cycle-") as home:
        measured = measure(Path(home), hours, size)
    if json_file:
        json_file.write_text(
            json.dumps({kind: [asdict(run) for run in runs] for kind, runs in measured.items()}, indent=1)
        )
    floor = median(run.seconds for run in measured["floor"])
    print_table("What a cycle costs", COLUMNS, [_row(kind, runs, floor) for kind, runs in measured.items()])


def measure(home: Path, hours: int, size: str) -> dict[str, list[Run]]:
    """Play the hours; what sort of a cycle -> its runs."""
    cycle = [sys.executable, "-m", "insightmart.cli", "cycle", "--json", "--as-of"]
    with open_business(home, size) as business:
        environment = business.environment
        measured = {"floor": [run([sys.executable, "-c", FLOOR], environment) for _ in range(3)]}
        measured["help"] = [run([sys.executable, "-m", "insightmart.cli", "--help"], environment) for _ in range(3)]
        for hour in range(PRELOADED, PRELOADED + hours + 1):
            if hour > PRELOADED:
                business.advance()
            for minutes in (0, 2):
                found = run([*cycle, (as_of(hour) + timedelta(minutes=minutes)).isoformat()], environment)
                kind = "first" if hour == PRELOADED and not minutes else found.kind
                measured.setdefault(kind, []).append(found)
    return measured


def _row(kind: str, runs: Sequence[Run], floor: float) -> list[str]:
    seconds = sorted(run.seconds for run in runs)
    evaluations = [run.result["intervals_evaluated"] for run in runs if run.result]
    rows = [run.result["rows_loaded"] for run in runs if run.result]
    return [
        kind,
        str(len(runs)),
        f"{median(seconds):.1f}",
        f"{seconds[0]:.1f}",
        f"{seconds[-1]:.1f}",
        f"{median(seconds) / floor:.1f}",
        f"{median(evaluations):.0f}" if evaluations else "",
        f"{median(rows):.0f}" if rows else "",
        f"{max(run.peak_bytes for run in runs) / 1e6:.0f}",
    ]


if __name__ == "__main__":
    main()
