"""Loads what is new at the configured sources, each in a thread. One source's failure does not stop the others."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from ingestion.contracts import SOURCES
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from insightmart.deletion_questions import open_questions
from insightmart.errors import ConfigurationError
from insightmart.gateway import dlt_destination, open_beside
from insightmart.progress import step
from insightmart.runs import ProblemKind, RunProblem, problem_lines
from insightmart.settings import Settings

if TYPE_CHECKING:
    from ingestion.loading.context import IngestContext, LoadResult, Window
    from ingestion.loading.erased import Erased

log = structlog.get_logger()

TITLES = {"stores": "Store drops", "oltp": "PostgreSQL", "shopify": "Shopify"}
MODULES = {"stores": "stores", "oltp": "postgres", "shopify": "shopify"}
SETTING = {"stores": "STORES_URL", "oltp": "OLTP_DSN", "shopify": "SHOPIFY_URL"}


@dataclass
class Ingested:
    """What came of one source: its loads, or why there are none."""

    source: str
    loads: list[LoadResult] = field(default_factory=list)
    problem: RunProblem | None = None
    notices: list[RunProblem] = field(default_factory=list)  # to be looked at, though everything was loaded
    asked: list[RunProblem] = field(default_factory=list)  # what vanished there, and waits for an answer

    @property
    def problems(self) -> list[RunProblem]:
        """Everything that somebody must hear of."""
        return [*([self.problem] if self.problem else []), *self.asked]

    @property
    def error(self) -> str | None:
        """The problem in a line."""
        return self.problem.line if self.problem else None

    @property
    def rows(self) -> int:
        """Rows that landed in raw."""
        return sum(load.rows for load in self.loads)

    @property
    def rejected(self) -> int:
        """Rows that could not be typed."""
        return sum(load.rejected_rows for load in self.loads)


class _Before(NamedTuple):
    """What is asked once for all sources: watermarks before the run, and the erased customers by source."""

    released: Mapping[tuple[str, str], datetime]
    erased: Mapping[str, Erased]


def ingest(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    sources: Sequence[str] = SOURCES,
    window: Window | None = None,
) -> list[Ingested]:
    """Load the given sources at the same time; a failed one is reported in its result and read again next time.

    Raises:
        ConfigurationError: no source at all is configured.
    """

    def load(context: IngestContext, source: str) -> list[LoadResult]:
        loads: list[LoadResult] = source_module(source).ingest(context, source_of(settings, source), window)
        return loads

    return load_each(warehouse, settings, as_of, sources, load)


def load_each(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    sources: Sequence[str],
    load: Callable[[IngestContext, str], list[LoadResult]],
) -> list[Ingested]:
    """Do ``load`` for every source, each in a thread and on a connection of its own; results in the order given.

    Which of them is first does not matter. Only the time zones of the stores cross from one source to another: a zone
    that changes queues all hours of the store's sales that had been released before this run, whatever is loaded
    meanwhile, and sales that come late queue their hours themselves.

    Raises:
        ConfigurationError: no source at all is configured.
    """
    from dlt.common.runtime import signals  # in this thread: dlt takes the one that imports it for the main one

    from ingestion.loading.erased import erased_customers
    from ingestion.loading.planning import watermarks

    if not any(is_configured(settings, source) for source in sources):
        missing = ", ".join(SETTING[source] for source in sources)
        raise ConfigurationError(f"no source is configured: {missing} not set", "Set it, or try `insightmart demo`")
    create_tables(warehouse)
    before = _Before(watermarks(warehouse), erased_customers(warehouse))
    results = [Ingested(source) for source in sources]
    broken: list[BaseException] = []

    def work(result: Ingested) -> None:
        try:
            _load_one(warehouse, settings, as_of, before, result, load)
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that can report it
            broken.append(error)

    threads = [threading.Thread(target=work, args=[result], name=result.source, daemon=True) for result in results]
    # the first Ctrl-C ends each load at its next batch, the second one kills
    with warehouse.bounded_memory(), signals.intercepted_signals():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        signals.raise_if_signalled()
    if broken:
        raise broken[0]
    return results


def _load_one(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    before: _Before,
    result: Ingested,
    load: Callable[[IngestContext, str], list[LoadResult]],
) -> None:
    from ingestion.loading.context import SourceError

    source = result.source
    with step(TITLES[source]) as progress, open_beside(warehouse, settings) as own:
        if not is_configured(settings, source):
            result.problem = source_problem(
                source, f"{SETTING[source]} is not set", "Set it in the environment or in .env"
            )
        else:
            try:
                result.loads = load(context := ingest_context(own, settings, as_of, progress.say, before), source)
            except SourceError as error:
                result.problem = source_problem(error.source, error.cause, error.cure)
            result.notices = [RunProblem(ProblemKind.NOTICE, *astuple(notice)) for notice in context.notices]
        result.asked = [asked.problem for asked in open_questions(own, source)]
        progress.failed = bool(result.problems)
        progress.outcome = "; ".join(problem_lines(result.problems)) or _outcome(result)
    log.debug("ingested", source=source, rows=result.rows, error=result.error)


def source_problem(source: str, cause: str, cure: str) -> RunProblem:
    """What went wrong at a source."""
    return RunProblem(ProblemKind.SOURCE, source, f"{source}: {cause}", cure)


def is_configured(settings: Settings, source: str) -> bool:
    """Whether the settings say where the source is."""
    values = {"stores": settings.stores_url, "oltp": settings.oltp_dsn, "shopify": settings.shopify_url}
    return bool(values[source])


def _outcome(result: Ingested) -> str:
    if all(load.status == "skipped" for load in result.loads):
        return "nothing due"
    rejected = f", {result.rejected:,} rejected" if result.rejected else ""
    return f"{result.rows:,} rows{rejected}"


def ingest_context(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    progress: Callable[[str], None],
    before: _Before | None = None,
) -> IngestContext:
    """What a run of the ingestion reads "now" from and writes to, by the settings. Without ``before`` loads ask it."""
    from ingestion.loading.context import DeletionLimit, IngestContext
    from insightmart.kept_originals import kept_originals

    return IngestContext(
        warehouse=warehouse,
        home=settings.home,
        as_of=as_of,
        history_start=settings.history_start,
        progress=progress,
        destination=dlt_destination(settings),
        released=before.released if before else None,
        deletions=DeletionLimit(settings.deletions_percent, settings.deletions_rows),
        covered=dict(before.released) if before else {},
        erased=dict(before.erased) if before else {},
        originals=kept_originals(settings),
    )


def source_module(source: str) -> ModuleType:
    """The module that loads a source: its ``ingest`` and ``backfill``."""
    return importlib.import_module(f"ingestion.{MODULES[source]}")


def source_of(settings: Settings, source: str) -> Any:
    """How to reach a configured source, as its module takes it."""
    if source == "oltp" and settings.oltp_dsn:
        from ingestion.postgres.source import OltpSource

        marks = tuple(name.strip().lower() for name in settings.oltp_deleted_columns.split(",") if name.strip())
        dsn = settings.oltp_dsn.get_secret_value()
        return OltpSource(dsn, settings.oltp_statement_timeout, deleted_columns=marks)
    if source == "shopify" and settings.shopify_url:
        from ingestion.shopify.source import ShopifySource

        token = settings.shopify_token.get_secret_value() if settings.shopify_token else ""
        return ShopifySource(settings.shopify_url, token, timezone=settings.timezone)
    from ingestion.loading.context import SourceError
    from ingestion.stores.bucket import StoreDrops
    from ingestion.stores.csv.declared import DeclarationError, read_declarations

    try:
        declared = read_declarations(settings.store_declarations)
    except DeclarationError as error:
        raise SourceError(
            "stores", str(error), "Correct the file; docs/store-files.md says what can be declared"
        ) from None
    return StoreDrops(
        settings.stores_url or "",
        endpoint_url=settings.aws_endpoint_url,
        grace_minutes=settings.store_grace_minutes,
        declared=declared,
    )


def check_as_of(warehouse: Warehouse, as_of: datetime) -> datetime | None:
    """Refuse to go back in time: what an earlier run released cannot be unreleased by a clock.

    Returns:
        The instant of the last cycle that went through all its steps, None where none has.

    Raises:
        ConfigurationError: a run at a later instant has been recorded.
    """
    [(latest, last_cycle)] = warehouse.rows(
        "SELECT MAX(as_of), MAX(CASE WHEN command = 'cycle' AND summary <> '{}' THEN as_of END)"
        " FROM ops.runs WHERE command IN ('cycle', 'ingest')"
    )
    if latest is not None and as_of < latest:
        raise ConfigurationError(
            f"--as-of {as_of:%Y-%m-%d %H:%M} lies before the last run at {latest:%Y-%m-%d %H:%M} UTC",
            "Use a later instant, or a fresh INSIGHTMART_HOME to replay history",
        )
    complete: datetime | None = last_cycle
    return complete
