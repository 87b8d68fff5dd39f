"""Progress of long work: a spinner on a terminal, plain lines in a log. Results go to standard output, it does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

console = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass
class Step:
    """A step under way; `outcome` is what its closing line says."""

    outcome: str = "done"
    failed: bool = False


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show that something is being done, then how it ended and how long it took."""
    current = Step()
    started = time.monotonic()
    status = console.status(escape(title)) if console.is_terminal else None
    if status:
        status.start()
    try:
        yield current
    except BaseException:
        current.failed, current.outcome = True, "failed"
        raise
    finally:
        if status:
            status.stop()
        mark = "[red]x[/red]" if current.failed else "[green]+[/green]"
        console.print(
            f"{mark} {escape(title)}: {escape(current.outcome)} [dim]({time.monotonic() - started:.1f} s)[/dim]"
        )
