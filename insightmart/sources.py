"""Loads what is new at the configured sources, each in a thread. One source's failure does not stop the others."""

from __future__ import annotations

import importlib
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from ingestion.contracts import ENTITIES, SOURCES
from ingestion.warehouse import Warehouse
from insightmart.deletion_questions import open_questions
from insightmart.errors import ConfigurationError
from insightmart.gateway import dlt_destination, open_beside
from insightmart.plain_connections import verified_dsn
from insightmart.progress import Step, end, step
from insightmart.runs import ProblemKind, RunProblem, problem_lines
from insightmart.settings import Settings
from insightmart.watchdog import leave_alone

if TYPE_CHECKING:
    from ingestion.loading.context import IngestContext, LoadResult, TimeLimit, Window
    from ingestion.loading.erased import Erased

log = structlog.get_logger()

TITLES = {"stores": "Store drops", "oltp": "PostgreSQL", "shopify": "Shopify"}
MODULES = {"stores": "stores", "oltp": "postgres", "shopify": "shopify"}
GRACE = 5.0  # seconds after its limit in which a source has to give up by itself
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


class _Begun(NamedTuple):
    """What a load is begun with; ``as_of`` is the run's now, or the source's own where that is earlier."""

    warehouse: Warehouse
    settings: Settings
    as_of: datetime
    before: _Before
    limit: TimeLimit
    is_now: bool

    def context(self, own: Warehouse, progress: Callable[[str], None]) -> IngestContext:
        """For the load, on a connection of its own."""
        made = ingest_context(own, self.settings, self.as_of, progress, self.before)
        return replace(made, limit=self.limit, is_now=self.is_now)

    def anew(self) -> IngestContext:
        """For whoever cleans up after it."""
        return ingest_context(self.warehouse, self.settings, self.as_of, lambda _: None, self.before)


def ingest(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    sources: Sequence[str] = SOURCES,
    window: Window | None = None,
    clocks: Mapping[str, datetime] | None = None,
) -> list[Ingested]:
    """Load the given sources at the same time; a failed one is reported in its result and read again next time.

    What is new, without a window, has to be in within ``SOURCE_LIMIT``: a source that takes longer is given up.

    Args:
        warehouse: open connection.
        settings: where the sources are.
        as_of: "now", UTC without a zone.
        sources: which of them.
        window: changes to read again; None for what is new.
        clocks: by source the time of its own clock; None: ``as_of`` is simulated, and no clock says anything about it.

    Raises:
        ConfigurationError: no source at all is configured.
    """

    def load(context: IngestContext, source: str) -> list[LoadResult]:
        loads: list[LoadResult] = source_module(source).ingest(context, source_of(settings, source), window)
        return loads

    return load_each(warehouse, settings, as_of, sources, load, is_limited=window is None, clocks=clocks)


def load_each(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    sources: Sequence[str],
    load: Callable[[IngestContext, str], list[LoadResult]],
    *,
    is_limited: bool = False,
    clocks: Mapping[str, datetime] | None = None,
) -> list[Ingested]:
    """Do ``load`` for every source, each in a thread and on a connection of its own; results in the order given.

    With ``is_limited`` a source has its time (``_seconds``). One that is not through by then gives up at its next
    batch; where it hangs in a read that does not end, the run goes on without it: what it has brought in is taken back,
    and what is left of it can change nothing any more.

    Which of them is first does not matter. Only the time zones of the stores cross from one source to another: a zone
    that changes queues all hours of the store's sales that had been released before this run, whatever is loaded
    meanwhile, and sales that come late queue their hours themselves.

    Raises:
        ConfigurationError: no source at all is configured.
    """
    from dlt.common.runtime import signals  # in this thread: dlt takes the one that imports it for the main one

    from ingestion.loading.context import TimeLimit
    from ingestion.loading.erased import erased_customers
    from ingestion.loading.planning import watermarks

    if not any(is_configured(settings, source) for source in sources):
        missing = ", ".join(SETTING[source] for source in sources)
        raise ConfigurationError(f"no source is configured: {missing} not set", "Set it, or try `insightmart demo`")
    before = _Before(watermarks(warehouse), erased_customers(warehouse))
    loads = []
    for source in sources:
        clock = (clocks or {}).get(source, as_of)
        limit = TimeLimit(source, _seconds(settings, source, before, as_of) if is_limited else None)
        begun = _Begun(warehouse, settings, min(as_of, clock), before, limit, is_now=clocks is not None)
        loads.append(_SourceLoad(source, begun, load))
    # the first Ctrl-C ends each load at its next batch, the second one kills
    with warehouse.bounded_memory(), signals.intercepted_signals():
        for one in loads:
            one.start()
        try:
            for one in loads:
                one.wait()
        except BaseException:  # the cycle's time is over
            for one in loads:  # all of them first: who waits below for a load to end may be interrupted again
                one.limit.give_up()
            for one in loads:
                one.give_up()
            raise
        signals.raise_if_signalled()
    for one in loads:
        if one.broken:
            raise one.broken
    return [one.result for one in loads]


def _seconds(settings: Settings, source: str, before: _Before, as_of: datetime) -> float | None:
    """The time of a source for what is new: SOURCE_LIMIT for each hour (of what is read daily: day) to catch up on, so
    that what was given up has more time when it is tried again. None, as long as it takes, for its first load."""
    units = {"hourly": timedelta(hours=1), "daily": timedelta(days=1)}
    marks = [
        (before.released.get((source, item.name)), item.cadence)
        for item in ENTITIES
        if item.source == source and item.watermarked
    ]
    if any(through is None and cadence == "hourly" for through, cadence in marks):
        return None
    behind = [math.ceil((as_of - through) / units[cadence]) for through, cadence in marks if through]
    return settings.source_limit * max(1, *behind)


class _SourceLoad(threading.Thread):
    """The load of one source. ``result`` is what came of it, ``broken`` what nobody expected."""

    def __init__(self, source: str, begun: _Begun, load: Callable[[IngestContext, str], list[LoadResult]]) -> None:
        super().__init__(name=source, daemon=True)
        self.result = Ingested(source)
        self.broken: BaseException | None = None
        self._begun = begun
        self._load = load
        self._own: Warehouse | None = None
        self._step: Step | None = None

    @property
    def limit(self) -> TimeLimit:
        """How long it may take."""
        return self._begun.limit

    def run(self) -> None:
        """Load; whatever happens is kept for the thread that can report it."""
        try:
            self._run(self.result)
        except BaseException as error:  # noqa: BLE001
            if not self._begun.limit.is_given_up:
                self.broken = error

    def _run(self, result: Ingested) -> None:
        from ingestion.loading.context import SourceError

        source, settings = result.source, self._begun.settings
        with step(TITLES[source]) as progress, open_beside(self._begun.warehouse, settings) as own:
            self._step, self._own = progress, own
            if not is_configured(settings, source):
                result.problem = source_problem(
                    source, f"{SETTING[source]} is not set", "Set it in the environment or in .env"
                )
            else:
                context = self._begun.context(own, progress.say)
                try:
                    result.loads = self._load(context, source)
                except SourceError as error:
                    result.problem = source_problem(error.source, error.cause, error.cure)
                result.notices = [RunProblem(ProblemKind.NOTICE, *astuple(notice)) for notice in context.notices]
            result.asked = [asked.problem for asked in open_questions(own, source)]
            progress.failed = bool(result.problems)
            progress.outcome = "; ".join(problem_lines(result.problems)) or _outcome(result)
        log.debug("ingested", source=source, rows=result.rows, error=result.error)

    def wait(self) -> None:
        """Until it is through, or its time is over and it does not give up by itself."""
        left = self._begun.limit.left
        self.join(None if math.isinf(left) else left + GRACE)
        self.give_up()

    def give_up(self) -> None:
        """Go on without it, if it is still at work: what it has brought into the warehouse is taken back."""
        from ingestion.loading.package import LOADING
        from ingestion.loading.recovery import give_up

        if not self.is_alive():
            return
        limit = self._begun.limit
        with LOADING:
            limit.give_up()
            leave_alone(self)
            if self._own is not None:
                self._own.take_away()
        self.result = Ingested(self.name, problem=source_problem(self.name, limit.error.cause, limit.error.cure))
        give_up(self._begun.anew(), self.name, limit.error.cause)
        if self._step is not None:
            self._step.failed, self._step.outcome = True, problem_lines(self.result.problems)[0]
            end(self._step)


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
    """How to reach a configured source, as its module takes it.

    Raises:
        SourceError: what the settings say of it cannot be used.
    """
    from ingestion.loading.context import SourceError

    if source == "oltp" and settings.oltp_dsn:
        from ingestion.postgres.source import OltpSource

        marks = tuple(name.strip().lower() for name in settings.oltp_deleted_columns.split(",") if name.strip())
        try:
            dsn = verified_dsn(settings.oltp_dsn.get_secret_value(), settings.allowed_plain)
        except ConfigurationError as error:
            raise SourceError(source, error.cause, error.cure) from None
        return OltpSource(
            dsn,
            settings.oltp_statement_timeout,
            silence_limit=settings.source_silence_limit,
            deleted_columns=marks,
        )
    if source == "shopify" and settings.shopify_url:
        from ingestion.shopify.source import ShopifySource

        token = settings.shopify_token.get_secret_value() if settings.shopify_token else ""
        silence = settings.source_silence_limit
        return ShopifySource(
            settings.shopify_url,
            token,
            timezone=settings.timezone,
            timeout=silence,
            retry_budget=min(ShopifySource.retry_budget, silence),  # who is silent is not asked again
        )
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
        silence_limit=settings.source_silence_limit,
        declared=declared,
    )


def check_as_of(warehouse: Warehouse, as_of: datetime) -> tuple[datetime | None, datetime | None, datetime | None]:
    """Refuse to go back in time: what an earlier run released cannot be unreleased by a clock.

    Returns:
        The instants of the last run, of the last cycle that went through all its steps, and of the last one that
        published all that was due; None where none has.

    Raises:
        ConfigurationError: a run at a later instant has been recorded.
    """
    [(latest, last_cycle, published)] = warehouse.rows(
        "SELECT MAX(as_of), MAX(CASE WHEN command = 'cycle' AND summary <> '{}' THEN as_of END),"
        " MAX(CASE WHEN command = 'cycle' AND status = 'succeeded' THEN as_of END)"
        " FROM ops.runs WHERE command IN ('cycle', 'ingest')"
    )
    if latest is not None and as_of < latest:
        raise ConfigurationError(
            f"{as_of:%Y-%m-%d %H:%M} lies before the last run at {latest:%Y-%m-%d %H:%M} UTC: of --as-of or"
            " INSIGHTMART_AS_OF, or by a clock that was ahead then or is behind now",
            "Use a later instant, or a fresh INSIGHTMART_HOME to replay history; set the clock, or wait until then",
        )
    return latest, last_cycle, published
