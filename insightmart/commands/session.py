"""What a command works with, opened in one place: the lock, the warehouse and its tables, the run it records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime

from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from insightmart.gateway import open_warehouse
from insightmart.lock import writer_lock
from insightmart.runs import Run, recorded_run
from insightmart.settings import Settings


@dataclass(frozen=True)
class Session:
    """A command at work on its warehouse."""

    command: str
    settings: Settings
    warehouse: Warehouse

    def recorded_run(self, as_of: datetime) -> AbstractContextManager[Run]:
        """Record what follows in ops.runs under the command's name (of a group: the subcommand's)."""
        return recorded_run(self.warehouse, self.settings, self.command.split()[-1], as_of)


@contextmanager
def writing(settings: Settings, command: str) -> Iterator[Session]:
    """A command that writes: no other one runs meanwhile, and every table it may need exists.

    Raises:
        InsightMartError: another process writes (exit code 75), or the warehouse cannot be opened.
    """
    with writer_lock(settings, command), open_warehouse(settings) as warehouse:
        create_tables(warehouse)
        yield Session(command, settings, warehouse)
