"""The PostgreSQL source: hourly and daily loads, comparisons with what raw holds, backfills and the first load.

Orders, order lines and refunds of one load come from one REPEATABLE READ READ ONLY snapshot and land in one package.
The source promises no constraint. Two streams an entity: the changes of the window, and the rows that no window finds,
without ``updated_at``, stamped ahead of the clock or, once a day, stamped long before they came; of these only those
that raw does not hold yet are appended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from dlt.common.runtime import signals

from ingestion.contracts import ENTITIES, Entity, entity
from ingestion.loading.backfill import Backfill, begin_backfill
from ingestion.loading.context import GivenUpError, IngestContext, LoadResult, SourceError, Window
from ingestion.loading.deletions import Question, unanswered
from ingestion.loading.intervals import cut_at_midnight
from ingestion.loading.planning import Reading, covered_through, plan_reading, skipped
from ingestion.loading.records import record
from ingestion.postgres.behind import stamped_behind_of
from ingestion.postgres.compare import SourceDays, compare_day, days_due, source_days
from ingestion.postgres.extract import SALES, Pairs, TableExtract, attempted, load_extracts, record_with_corrections
from ingestion.postgres.first_load import read_first, too_large
from ingestion.postgres.notices import many_ahead, undeclared
from ingestion.postgres.other_database import refuse_another_database
from ingestion.postgres.reload import pieces, reload, reload_differences
from ingestion.postgres.rows import SOURCE, retype
from ingestion.postgres.schema import added_columns, undeclared_marks
from ingestion.postgres.snapshot import OltpSource, Snapshot, changed_in
from ingestion.postgres.vanished import ask_for_table, is_emptied, look_again

__all__ = ["OltpSource", "backfill", "ingest", "retype"]

GROUPS = (SALES, ("customers",), ("products",))  # each from a snapshot of its own


def ingest(
    context: IngestContext, source: OltpSource, window: Window | None = None, entities: Sequence[str] | None = None
) -> list[LoadResult]:
    """Load what is new in the OLTP database, or again what changed in a given window.

    Without a window a table that was never loaded and is large is read in pieces first, which a later run goes on with
    when this one is killed; and once a UTC day the last days are compared with the source, and those that differ are
    reloaded.

    Args:
        context: the run.
        source: how to reach the database.
        window: changes (``updated_at``) to read again, half-open; None for everything since the watermark.
        entities: names out of ``orders``, ``order_lines``, ``refunds``, ``customers``, ``products``; None for all.

    Returns:
        One result an entity, in the order of the contract, of its regular load; what is not due has the status
        ``skipped``. After these, one for each further package: pieces of a first load, reloaded days, deletions.

    Raises:
        SourceError: the database cannot be reached or read, or the columns of an entity do not fit its contract. What
            was loaded before the failure, and every entity whose columns do fit, stays loaded.
        KeyError: an unknown entity name.
    """
    chosen = _chosen(entities)
    regular: dict[Entity, LoadResult] = {}
    further: list[LoadResult] = []
    refused: list[SourceError] = []
    if window is None and any(item.name in SALES for item in chosen):
        refuse_another_database(context, source)
    asked = unanswered(context.warehouse, SOURCE)
    for names in GROUPS:
        wanted = [item for item in chosen if item.name in names]
        if window is None:
            further += _look_again(context, source, wanted, asked, refused)
            further += _first_loads(context, source, wanted, refused)
        try:
            loads, more = _load_group(context, source, wanted, window, refused)
        except GivenUpError:
            raise
        except SourceError as error:  # what cannot be read of one keeps nothing of the others back
            refused.append(error)
            continue
        regular.update({item: loads.get(item) or skipped(item) for item in chosen if item.name in names})
        further += more
    _raise(refused)
    return [*(regular[item] for item in chosen), *further]


def backfill(
    context: IngestContext, source: OltpSource, window: Window, entities: Sequence[str] | None = None
) -> list[LoadResult]:
    """Compare a window of changes with the source day by day, and reload the days that differ.

    A day is one package, a large one several. Days that are in are listed, so that a backfill that was killed goes on
    where it stopped when it is called with the same window again. Of an entity that was never loaded every day is read.

    Args:
        context: the run.
        source: how to reach the database.
        window: changes (``updated_at``), half-open; cut at ``as_of``.
        entities: as for ``ingest``.

    Returns:
        One result a package.

    Raises:
        SourceError: as for ``ingest``; what is in stays.
        KeyError: an unknown entity name.
    """
    window = Window(window.start, min(window.end, context.as_of))
    results: list[LoadResult] = []
    refused: list[SourceError] = []
    for item in _chosen(entities) if window.start < window.end else ():
        try:
            results += _backfill_entity(context, source, item, window)
        except GivenUpError:
            raise
        except SourceError as error:
            refused.append(error)
    _raise(refused)
    return results


def _chosen(entities: Sequence[str] | None) -> list[Entity]:
    names = set(chain(*GROUPS)) if entities is None else {entity(SOURCE, name).name for name in entities}
    return [item for item in ENTITIES if item.source == SOURCE and item.name in names]


def _raise(refused: Sequence[SourceError]) -> None:
    if not refused:
        return
    if len(refused) == 1:
        raise refused[0]
    causes = list(dict.fromkeys(error.cause for error in refused))
    raise SourceError(SOURCE, "; ".join(causes), refused[0].cure)


# --- the regular load --------------------------------------------------------------------------------------------


def _look_again(
    context: IngestContext,
    source: OltpSource,
    wanted: list[Entity],
    asked: Sequence[Question],
    refused: list[SourceError],
) -> list[LoadResult]:
    """Look at unanswered questions of these entities; one that cannot be looked at is no longer wanted."""
    results: list[LoadResult] = []
    for item in tuple(wanted):
        questions = [question for question in asked if question.entity == item.name]
        try:
            results += look_again(context, source, item, questions)
        except GivenUpError:
            raise
        except SourceError as error:
            refused.append(error)
            wanted.remove(item)
    return results


def _first_loads(
    context: IngestContext, source: OltpSource, wanted: list[Entity], refused: list[SourceError]
) -> list[LoadResult]:
    """Read in pieces what was never loaded and is large; what fails is no longer wanted."""
    results: list[LoadResult] = []
    for item in tuple(wanted):
        if covered_through(context, SOURCE, item.name) is None and too_large(context, source, item):
            try:
                results += read_first(context, source, item)
            except GivenUpError:
                raise
            except SourceError as error:
                refused.append(error)
                wanted.remove(item)
    return results


def _load_group(
    context: IngestContext, source: OltpSource, wanted: list[Entity], window: Window | None, refused: list[SourceError]
) -> tuple[dict[Entity, LoadResult], list[LoadResult]]:
    """Read one snapshot into one package and record it; then reload the days that the snapshot shows to differ.

    A run that was killed between the two has nothing to read when it is repeated, and compares all the same.
    """
    due = {item: reading for item in wanted if (reading := plan_reading(context, item, window)) is not None}
    compared = [item for item in wanted if window is None and (item in due or _days_due(context, item))]
    if not due and not compared:
        return {}, []
    loads, figures, found = attempted(source, lambda: _read(context, source, due, compared))
    refused += found
    record_with_corrections(context, list(loads.values()))
    for item, result in loads.items():
        context.progress(f"oltp {item.name}: {result.rows:,} rows, {result.rejected_rows:,} rejected")
    further = [
        result
        for item, (days, at_source) in figures.items()
        for result in reload_differences(context, source, item, days, at_source)
    ]
    return loads, further


def _read(
    context: IngestContext, source: OltpSource, due: dict[Entity, Reading], compared: list[Entity]
) -> tuple[dict[Entity, LoadResult], dict[Entity, tuple[Window, SourceDays]], list[SourceError]]:
    """One package from one snapshot, the days to compare as the snapshot has them, and entities that were refused."""
    with Snapshot(source) as snapshot:
        if snapshot.replica_lag:
            seconds = snapshot.replica_lag.total_seconds()
            context.progress(f"oltp: the source is {seconds:,.1f} s behind, changes are read up to that much earlier")
        extracts: dict[Entity, TableExtract] = {}
        refused = {}
        emptied: set[Entity] = set()
        for item in dict.fromkeys([*due, *compared]):
            try:
                added = added_columns(context, snapshot, item)
            except SourceError as error:
                refused[item] = error
                continue
            if names := undeclared_marks(snapshot, added):
                context.notices.append(undeclared(item, names))
            if is_emptied(context, snapshot, item):
                ask_for_table(context, item)
                emptied.add(item)
            elif item in due:
                until = _as_shown(context, due[item], snapshot)
                extracts[item] = TableExtract(context, snapshot, item, added, until.window, until.covered_through)
        days = {}
        for item in compared:
            extract = extracts.get(item)
            read_until = extract.covered_through if extract else covered_through(context, SOURCE, item.name)
            if (
                item not in refused
                and item not in emptied
                and read_until
                and (due_days := days_due(context, item, read_until))
            ):
                days[item] = (due_days, read_until)
        pairs = _pairs(extracts, compared, {item: window for item, (window, _) in days.items()})
        loads = load_extracts(context, list(extracts.values()), pairs) if extracts else {}
        figures = {
            item: (window, source_days(snapshot, item, window, read_until))
            for item, (window, read_until) in days.items()
        }
        return loads, figures, list(refused.values())


def _pairs(extracts: dict[Entity, TableExtract], compared: list[Entity], days: dict[Entity, Window]) -> Pairs:
    strays = [extract for item, extract in extracts.items() if item in compared]
    # one table alone would stand there without the others: an order of the future whose lines wait
    many = [extract for extract in strays if extract.has_many_ahead()]
    for extract in many:
        extract.context.notices.append(many_ahead(extract.item, extract.context.as_of))
    for item, extract in extracts.items():
        if extract.window:
            yield from extract.batches(changed_in(extract.window))
        if item in compared:
            yield from extract.stray_batches(with_ahead=not many)
    behind = [
        found
        for item, extract in extracts.items()
        if item in days and (found := stamped_behind_of(extract, days[item])) is not None
    ]
    too_many = [found for found in behind if found.are_too_many()]  # each says it; the others would lack its rows
    if not too_many:
        for found in behind:
            yield from found.batches()


def _days_due(context: IngestContext, item: Entity) -> bool:
    """Whether today's comparison is still to be made, of the days that are read completely already."""
    read_until = covered_through(context, SOURCE, item.name)
    return read_until is not None and days_due(context, item, read_until) is not None


def _as_shown(context: IngestContext, reading: Reading, snapshot: Snapshot) -> Reading:
    """The reading, as far as a source that is behind can show it completely."""
    shown = context.as_of - snapshot.replica_lag
    if context.is_now:  # with our clock ahead of the source's, rows of the hour between are still to be written there
        shown = min(shown, snapshot.server_time - snapshot.replica_lag)
    end = max(min(reading.window.end, shown), reading.window.start)
    covered = reading.covered_through and min(reading.covered_through, end)
    return replace(reading, window=Window(reading.window.start, end), covered_through=covered)


# --- backfill ----------------------------------------------------------------------------------------------------


def _backfill_entity(context: IngestContext, source: OltpSource, item: Entity, window: Window) -> list[LoadResult]:
    never_loaded = covered_through(context, SOURCE, item.name) is None
    planned = plan_reading(context, item, window)
    backfill = begin_backfill(context, SOURCE, item.name, window)
    results: list[LoadResult] = []
    days = cut_at_midnight(window)
    for position, day in enumerate(days, start=1):
        signals.raise_if_signalled()  # days that do not differ load nothing, which would hear it
        if _name(day) in backfill.done:
            continue
        source_day, raw_day = compare_day(context, source, item, day)
        loaded: list[LoadResult] = []
        if never_loaded or source_day != raw_day:
            loaded = _reload_day(context, source, backfill, item, day, max(source_day.rows, raw_day.rows))
        if _name(day) not in backfill.done:
            with context.warehouse.transaction():
                backfill.add(_name(day), None, sum(result.rows for result in loaded))
        results += loaded
        outcome = f"{sum(result.rows for result in loaded):,} rows" if loaded else "nothing differs"
        context.progress(f"oltp {item.name}: {day.start:%Y-%m-%d}, day {position} of {len(days)}: {outcome}")
    with context.warehouse.transaction():
        backfill.complete()
        if planned and planned.covered_through:  # the window joins on to what is covered already
            whole = LoadResult(SOURCE, item.name, None, window, 0, covered_through=planned.covered_through)
            record(context, [replace(whole, status="empty")])
    return results


def _reload_day(
    context: IngestContext,
    source: OltpSource,
    backfill: Backfill,
    item: Entity,
    day: Window,
    rows: int,
) -> list[LoadResult]:
    results: list[LoadResult] = []
    for piece in pieces(context, day, rows):
        if _name(piece) not in backfill.done:

            def tick(result: LoadResult, name: str = _name(piece)) -> None:
                backfill.add(name, result.load_id, result.rows + result.rejected_rows)

            results += reload(context, source, item, piece, also=tick)
    return results


def _name(window: Window) -> str:
    return f"{window.start.isoformat()}/{window.end.isoformat()}"
