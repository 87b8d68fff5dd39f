"""What a command works with, opened in one place: the lock, the warehouse and its tables, the run it records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb
import structlog

from ingestion.clock import as_of_or_now, utc_now
from ingestion.migrations import applied
from ingestion.warehouse import Warehouse
from insightmart.backups.unfinished import refuse_unfinished
from insightmart.damage import damaged, refuse_lost_file
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.gateway import open_to_read, open_warehouse
from insightmart.ledger.kept_heads import keep_head
from insightmart.ledger.recording import enter
from insightmart.lock import writer_lock
from insightmart.logs import turn_over
from insightmart.openlineage.emission import Emission, emission
from insightmart.readers.publishing import publish_copy
from insightmart.recorded_settings import keep_or_refuse, refuse_recorded_others
from insightmart.runs import ProblemKind, Run, RunProblem, record_problems, recorded_run
from insightmart.schema_version import SETUP, make_ready, refuse_others
from insightmart.settings import Settings
from insightmart.source_clocks import Clocks, compared, read_clocks

if TYPE_CHECKING:
    from insightmart.transform.transformer import Transformer

CURE_OF_AN_EARLIER_ONE = "The next command that writes brings it up to date: insightmart cycle"
PATIENCE = 60  # seconds a writer waits for whoever reads the local file itself, which takes no longer than a question

log = structlog.get_logger()


@dataclass(frozen=True)
class Session:
    """A command at work on its warehouse; ``opened_at``: since when, by the real clock."""

    command: str
    settings: Settings
    warehouse: Warehouse
    opened_at: datetime

    @contextmanager
    def recorded_run(self, as_of: datetime) -> Iterator[Run]:
        """Record what follows in ops.runs under the command's name (of a group: the subcommand's), and when it has
        ended, also by an error, in the ledger."""
        begun = utc_now()
        run: Run | None = None
        events: Emission | None = None
        try:
            with recorded_run(self.warehouse, self.settings, self.command.split()[-1], as_of) as run:
                events = emission(self.settings, run, begun)
                yield run
        except BaseException:
            if run is not None:
                try:
                    self._enter(run)
                except Exception as error:  # noqa: BLE001 why the run ended says more; the next one enters it
                    log.warning("not in the ledger yet", run=run.run_id, error=str(error))
                try:
                    self._tell(run, events)
                except Exception as error:  # noqa: BLE001
                    log.warning("events of lineage were not sent", run=run.run_id, error=str(error))
                self._show(run)
            raise
        self._enter(run)
        self._tell(run, events)
        self._show(run)

    def knows_models(self, run: Run, transformer: Transformer) -> None:
        """Note which models prod has, now that they are open: the ledger names them, events tell their columns."""
        from insightmart.lineage.kept_graph import kept_graph

        models_hash = run.models_hash = transformer.models_hash()
        if models_hash is not None:
            folder = self.settings.home / "cache" / "lineage"
            run.column_graph = lambda: kept_graph(folder, models_hash, transformer.models_in_prod)

    def _tell(self, run: Run, events: Emission | None) -> None:
        if events and (problems := events.finish(self.warehouse)):
            record_problems(self.warehouse, run.run_id, problems)
            run.note(problems)

    def _show(self, run: Run) -> None:
        """Readers see what the run has left, all tables at once."""
        is_cycle = self.command == "cycle"
        settled = is_cycle and run.status == "succeeded"
        try:
            publish_copy(self.warehouse, self.settings.home, of_a_cycle=is_cycle, is_settled=settled)
        except InsightMartError as error:
            problem = RunProblem.of_error(ProblemKind.READERS, "the copy for readers", error)
            record_problems(self.warehouse, run.run_id, [problem])
            run.note([problem])

    def _enter(self, run: Run) -> None:
        head = enter(self.warehouse, self.settings, run.run_id, self.opened_at, run.models_hash)
        if head and (problems := keep_head(self.settings, head)):
            record_problems(self.warehouse, run.run_id, problems)
            run.note(problems)


@contextmanager
def writing(settings: Settings, command: str, *, sets_up: bool = False) -> Iterator[Session]:
    """A command that writes: no other one runs meanwhile, and every table it may need exists.

    Args:
        settings: name the warehouse.
        command: as a user types it.
        sets_up: the command sees to the tables itself.

    Raises:
        ConfigurationError: the warehouse was set up with other settings.
        InsightMartError: another process writes (exit code 75), or the warehouse is lost or cannot be opened, or is of
            another version and does not become one of this by itself.
    """
    with writer_lock(settings, command):
        refuse_unfinished(settings.home)
        refuse_lost_file(settings)
        try:
            with opened_to_write(settings, command, sets_up=sets_up) as session:
                yield session
        except duckdb.Error as error:  # a block that nothing has read before
            raise damaged(settings.database_path, error) or error from None


@contextmanager
def opened_to_write(settings: Settings, command: str, *, sets_up: bool = False) -> Iterator[Session]:
    """The same for one who holds the lock already.

    Raises:
        ConfigurationError: the warehouse was set up with other settings.
        InsightMartError: the warehouse cannot be opened.
    """
    with open_warehouse(settings, patience=PATIENCE) as warehouse:
        opened_at = utc_now()
        turn_over()
        if not sets_up:
            make_ready(warehouse, settings)
            keep_or_refuse(warehouse, settings)
        yield Session(command, settings, warehouse, opened_at)


@contextmanager
def reading(settings: Settings, *, is_whole: bool = False) -> Iterator[Warehouse]:
    """The warehouse of a command that only reads; on DuckDB the copy for readers, unless all of it is asked for.

    Raises:
        ConfigurationError: the warehouse was set up with other settings.
        InsightMartError: the warehouse cannot be opened, all of a local one for example while a cycle is at work, or is
            of another version.
    """
    with open_to_read(settings, is_whole=is_whole) as warehouse:
        refuse_recorded_others(warehouse, settings)
        if there := _ops_tables(warehouse):  # a warehouse that nobody has set up is empty, and says so
            cure = SETUP if warehouse.dialect == "snowflake" else CURE_OF_AN_EARLIER_ONE
            refuse_others(applied(warehouse) if "schema_version" in there else {}, cure)
        yield warehouse


def _ops_tables(warehouse: Warehouse) -> set[str]:
    """Those that there are, and that the role may see."""
    question = "SELECT LOWER(table_name) FROM information_schema.tables WHERE LOWER(table_schema) = 'ops'"
    return {name for (name,) in warehouse.rows(question)}


def acting_clocks(settings: Settings, as_of: datetime | None) -> tuple[datetime, Clocks | None]:
    """The instant to load by, and the sources' clocks where it is the time of day.

    Raises:
        ConfigurationError: it lies before the first day of history.
    """
    if as_of is not None:
        return acting_instant(settings, as_of), None
    clocks = compared(as_of_or_now(None), read_clocks(settings))
    return acting_instant(settings, clocks.now), clocks


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
