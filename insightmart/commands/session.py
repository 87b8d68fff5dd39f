"""What a command works with, opened in one place: the lock, the warehouse and its tables, the run it records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime

from ingestion.clock import as_of_or_now
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from insightmart.errors import ConfigurationError
from insightmart.gateway import open_warehouse
from insightmart.lock import writer_lock
from insightmart.recorded_settings import keep_or_refuse, refuse_recorded_others
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
        ConfigurationError: the warehouse was set up with other settings.
        InsightMartError: another process writes (exit code 75), or the warehouse cannot be opened.
    """
    with writer_lock(settings, command), open_warehouse(settings) as warehouse:
        create_tables(warehouse)
        keep_or_refuse(warehouse, settings)
        yield Session(command, settings, warehouse)


@contextmanager
def reading(settings: Settings) -> Iterator[Warehouse]:
    """The warehouse of a command that only reads figures.

    Raises:
        ConfigurationError: the warehouse was set up with other settings.
        InsightMartError: the warehouse cannot be opened, for example while a cycle is at work.
    """
    with open_warehouse(settings, "report") as warehouse:
        refuse_recorded_others(warehouse, settings)
        yield warehouse


def acting_instant(settings: Settings, as_of: datetime | None) -> datetime:
    """The instant to act by: the one that was given, or the time of day.

    Raises:
        ConfigurationError: it lies before the first day of history.
    """
    instant = as_of_or_now(as_of)
    if instant < settings.history_start:
        raise ConfigurationError(
            f"{instant:%Y-%m-%d %H:%M} UTC lies before the first day of history, {settings.start} (INSIGHTMART_START)",
            "Give a later --as-of",
        )
    return instant
