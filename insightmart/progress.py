"""Progress of long work: live lines on a terminal, plain ones in a log. Results go to standard output, it does not.

Steps may run at the same time, in threads of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from insightmart.logs import kept

console = Console(stderr=True, highlight=False, soft_wrap=True)

LOG_SECONDS = 30.0  # in a log a step says at most one line in this time; a terminal shows the latest one


@dataclass
class Step:
    """A step under way; `outcome` is what its closing line says."""

    title: str = ""
    outcome: str = "done"
    failed: bool = False
    latest: str = ""
    _started_at: float = field(default_factory=time.monotonic, repr=False)
    _logged_at: float = field(default=float("-inf"), repr=False)

    def say(self, line: str) -> None:
        """What the step is at: beside its spinner on a terminal, else a line of the log every now and then."""
        self.latest = " ".join(line.split())
        if not console.is_terminal and time.monotonic() - self._logged_at >= LOG_SECONDS:
            self._logged_at = time.monotonic()
            console.print(f"  {escape(self.title)}: {escape(self.latest)}")


class _Running:
    """The steps under way, shown together as long as there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[int, tuple[Step, Spinner]] = {}
        self._live: Live | None = None

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for current, spinner in list(self._steps.values()):
            line = Text(current.title)
            if current.latest:
                line.append(f"  {current.latest}", style="dim")
            table.add_row(spinner, line)
        return table

    def add(self, current: Step) -> None:
        with self._lock:
            self._steps[id(current)] = (current, Spinner("dots"))
            if self._live is None and console.is_terminal:
                self._live = Live(self, console=console, transient=True, refresh_per_second=8)
                self._live.start()

    def remove(self, current: Step) -> bool:
        """Whether it was among them."""
        with self._lock:
            was_shown = self._steps.pop(id(current), None) is not None
            if self._live is not None and not self._steps:
                self._live.stop()
                self._live = None
        return was_shown


_running = _Running()


def under_way() -> list[str]:
    """Titles of the steps under way, with what they said last."""
    steps = [current for current, _ in list(_running._steps.values())]
    return [f"{current.title} ({current.latest})" if current.latest else current.title for current in steps]


def time_left(since: float, done: int, total: int) -> str:
    """How long the rest takes if it goes on like this, for people; empty before anything is done.

    Args:
        since: ``time.monotonic()`` when it began.
        done: how much is done.
        total: how much there is.
    """
    if not 0 < done < total:
        return ""
    seconds = (time.monotonic() - since) / done * (total - done)
    return f"about {seconds / 60:,.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show that something is being done, then how it ended and how long it took."""
    current = Step(title)
    _running.add(current)
    try:
        yield current
    except BaseException:
        current.failed, current.outcome = True, "failed"
        raise
    finally:
        end(current)


def end(current: Step) -> None:
    """Say how a step ended; of one that was ended before nothing more is said."""
    if not _running.remove(current):
        return
    seconds = time.monotonic() - current._started_at
    kept("step", title=current.title, outcome=current.outcome, failed=current.failed, seconds=round(seconds, 3))
    mark = "[red]x[/red]" if current.failed else "[green]+[/green]"
    console.print(f"{mark} {escape(current.title)}: {escape(current.outcome)} [dim]({seconds:.1f} s)[/dim]")
