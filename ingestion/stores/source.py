"""The store drops: every file exactly once, by its key and content, into raw; what cannot be trusted is kept aside.

A run lists the days that files may still come late for, downloads what it has not seen, and loads it in packages of
many files: while one is loaded, the next one is downloaded, cut up and typed. ``ops.files`` has a row for every content
of every object that was seen:

- ``loaded``: its rows are in raw under ``load_id``. The rows of a file that count are those of its latest content that
  brought any, over all loads that brought parts of it (``content.current_loads``): content that was
  rewritten and then came back is loaded again, and a replay adds what could not be read before;
- ``duplicate``: nothing new: the content the key already had, or one that another key of the same store and hour (or
  date) brought before;
- ``empty``: no record in it; counts as not in, the right file is still expected;
- ``quarantined``: cannot be trusted; one row of ``raw.rejects``, its original is kept under its hash;
- ``unrecognised``: the key is none of a store file; not read.

``ops.missing_files`` names the inventory file of every store and hour that was not there when its hour was given to the
models, and when it came after all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from time import monotonic
from typing import TypeVar

from ingestion.loading import correction_queue
from ingestion.loading.context import IngestContext, LoadResult, SourceError, Window
from ingestion.loading.correction_queue import Correction
from ingestion.loading.intervals import HOUR
from ingestion.loading.package import load
from ingestion.loading.planning import covered_through
from ingestion.loading.records import record
from ingestion.loading.same_source import AnotherSourceError
from ingestion.stores import touched_windows
from ingestion.stores.bucket import KEY_FORM, KINDS, SOURCE, Bucket, Object, StoreDrops
from ingestion.stores.csv.typed import COUNT_SLACK
from ingestion.stores.known_files import KnownFiles
from ingestion.stores.missing import is_complete, is_in, missing_files
from ingestion.stores.packages import Package

T = TypeVar("T")

LATE_FOR = timedelta(days=8)  # files may come a week late; older ones on request, with a window
MANY = 20  # known files, of which not all are written anew at once
DAYS_AT_ONCE = 31  # so many are listed together: more than files may come late for, but no years of keys in memory


def ingest(
    context: IngestContext, source: StoreDrops, window: Window | None = None, entities: Sequence[str] | None = None
) -> list[LoadResult]:
    """Load the store files that are new.

    Args:
        context: the run.
        source: where the files are.
        window: look at the files of these days instead, however old; those seen before are not loaded again.
        entities: names out of ``inventory``, ``reference``, ``tills``; None for all.

    Returns:
        One result an entity, over all packages of the run.

    Raises:
        SourceError: the bucket cannot be reached or read, or shows no file at all where files were, or none of those.
            Packages loaded before the failure stay loaded.
    """
    kinds = [kind for kind in KINDS if entities is None or kind in entities]
    days = _days(context, window)
    bucket = Bucket(source)
    if bucket.is_empty():  # and before many requests at once, one plain answer about the bucket
        _refuse_if_known(context, source)
    files = StoreFilesLoad(context, source, window, days, covered_through(context, SOURCE, "inventory"))
    for start in range(0, len(days), DAYS_AT_ONCE):
        some = days[start : start + DAYS_AT_ONCE]
        known = KnownFiles.of(context.warehouse, some[0], some[-1])
        new = bucket.objects(kinds, some, context.as_of, known.etags)
        if window is None and known.of_these_days and not bucket.listed:
            _refuse_if_known(context, source)
        if window is None and entities is None and known.of_these_days >= MANY and not bucket.known:
            raise _another(source, known, days[0], context.as_of)
        if start == 0 and entities is None:
            new = bucket.strays(known.etags) + new
        files.progress.found(len(new), sum(item.size for item in new), len(some))
        is_last = start + DAYS_AT_ONCE >= len(days)
        for package in _one_ahead(_packages(context, source, bucket, known, new)):
            files.load(package, kinds if package.is_last and is_last else sorted(package.kinds), is_last)
    for kind in kinds:
        result = files.results[kind]
        context.progress(f"stores {kind}: {result.rows:,} rows, {result.rejected_rows:,} rejected")
    return [files.results[kind] for kind in kinds]


def _refuse_if_known(context: IngestContext, source: StoreDrops) -> None:
    """Refuse to go on where files were and none is to be seen: no store is missing then, we see nothing.

    Raises:
        SourceError: files have been seen there before.
    """
    [(count, last)] = context.warehouse.rows(
        "SELECT COUNT(DISTINCT file_name), MAX(file_name) FROM ops.files WHERE source = ? AND status <> 'unrecognised'",
        [SOURCE],
    )
    if count:
        raise SourceError(
            SOURCE,
            f"{source.url} shows no file, and {count:,} were there before (such as {last}): none was taken for missing",
            "Check the prefix in STORES_URL, that the credentials may list it (s3:ListBucket with that prefix), and"
            " whether somebody emptied the bucket; what is certified stays, and the next load reads what comes",
        )


def _another(source: StoreDrops, known: KnownFiles, first: date, as_of: datetime) -> AnotherSourceError:
    """What is said of a place that has files, but none of those that were there: they would be taken for corrections,
    and the stores of the right place for missing."""
    return AnotherSourceError(
        SOURCE,
        f"{source.url} has none of the {known.of_these_days:,} files that were there since {first}, not with the same"
        " content: it is another place than before; nothing was read",
        "Correct STORES_URL (and AWS_ENDPOINT_URL). If this is the right place all the same, moved with its files, read"
        f" it once with `insightmart ingest stores --from {first} --to {as_of:%Y-%m-%dT%H:%M}`: what came before is"
        " recognised",
    )


def backfill(
    context: IngestContext, source: StoreDrops, window: Window, entities: Sequence[str] | None = None
) -> list[LoadResult]:
    """Load the files of the window's days that were never loaded, however old.

    ``ops.files`` is the list of what is done: after a failure or a kill the same call goes on where it was. Released
    hours that it touches are queued as corrections. ``context.progress`` gets a line a package: files done of those
    found, MB/s, time left.

    Args:
        context: the run.
        source: where the files are.
        window: whole UTC days count: those its first and last instant stand in.
        entities: names out of ``inventory``, ``reference``, ``tills``; None for all.

    Returns:
        One result an entity, over all packages.

    Raises:
        SourceError: the bucket cannot be reached or read. Packages loaded before the failure stay loaded.
        ValueError: the window is empty or lies after ``as_of``.
    """
    if window.end <= window.start or window.start > context.as_of:
        raise ValueError("the window is empty or has not begun")
    return ingest(context, source, window, entities)


def _days(context: IngestContext, window: Window | None) -> list[date]:
    """The days whose files are looked at; a reference or till may be of the local day before history begins."""
    if window is not None:
        first, last = window.start, min(window.end - timedelta(microseconds=1), context.as_of)
    else:
        covered = covered_through(context, SOURCE, "inventory") or context.history_start
        first, last = max(covered - LATE_FOR, context.history_start - timedelta(days=1)), context.as_of
    count = max((last.date() - first.date()).days, 0) + 1
    return [first.date() + timedelta(days=day) for day in range(count)]


# --- one run -----------------------------------------------------------------------------------------------------


def _packages(
    context: IngestContext, source: StoreDrops, bucket: Bucket, known: KnownFiles, objects: Sequence[Object]
) -> Iterator[Package]:
    """The objects read and typed, package by package; the last one may hold nothing."""
    package = Package(context, source, known)
    for item in objects:
        if item.drop is None:
            package.note(item, "unrecognised", f"the key is not of the form {KEY_FORM}")
    for item, content in bucket.contents(item for item in objects if item.drop is not None):
        if package.is_full:
            package.finish()
            yield package
            package = Package(context, source, known)
        package.add(item, content)
    package.finish()
    package.is_last = True
    yield package


def _one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, the next one being made by another thread while this one is used."""
    with ThreadPoolExecutor(1) as worker:
        upcoming = worker.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = worker.submit(next, items, None)
            yield item


class _Progress:
    """How far a run is: files done of those found, MB a second, and about how long it will still take."""

    def __init__(self, context: IngestContext, days: int) -> None:
        self.context = context
        self.days = days
        self.started = monotonic()
        self.files = self.bytes = self.files_found = self.bytes_found = self.days_listed = 0

    def found(self, files: int, size: int, days: int) -> None:
        """The listing of some more days found new files."""
        self.files_found += files
        self.bytes_found += size
        self.days_listed += days

    def done(self, package: Package) -> None:
        """A package is in; says so unless the run was nothing but this one."""
        self.files += len(package.records)
        self.bytes += sum(row["bytes"] for row in package.records)
        seconds = max(monotonic() - self.started, 0.001)
        if self.files in (0, self.files_found) and self.days_listed == self.days:
            return
        share = self.days_listed / self.days * self.bytes / max(self.bytes_found, 1)
        left = f", about {seconds / share - seconds:,.0f} s left" if share else ""
        listed = f" in {self.days_listed:,} of {self.days:,} days" if self.days_listed < self.days else ""
        rate = self.bytes / seconds / 1e6
        self.context.progress(f"stores: {self.files:,} of {self.files_found:,} files{listed}, {rate:,.1f} MB/s{left}")


class StoreFilesLoad:
    """Loads packages one after the other and adds up what they did, by entity.

    Args:
        context: the run.
        source: where the files are.
        requested: the window that was asked for; None: what is new.
        days: the days that are looked at.
        released: watermark of the inventory before the run.
    """

    def __init__(
        self,
        context: IngestContext,
        source: StoreDrops,
        requested: Window | None,
        days: Sequence[date],
        released: datetime | None,
    ) -> None:
        self.context = context
        self.source = source
        self.requested = requested
        self.days = days
        self.released = released
        self.progress = _Progress(context, len(days))
        self.results: dict[str, LoadResult] = {}

    def load(self, package: Package, kinds: Sequence[str], is_last: bool = False) -> None:
        """Bring one package into raw and record it; the last one of the last days moves the watermarks."""
        if not package.records and not (package.is_last and is_last):
            return
        window = self.requested or Window(datetime.combine(self.days[0], time()), self.context.as_of)
        load_id = load(self.context, SOURCE, package.batches()) if package.records else None
        results = [package.result(kind, load_id, window) for kind in kinds]
        found = self.corrections(package, load_id)
        with self.context.warehouse.transaction():
            self.context.warehouse.insert("ops.files", [row | {"load_id": load_id} for row in package.records])
            self._note_arrivals(load_id)
            if package.is_last and is_last:
                results = [replace(result, covered_through=self._covered(result.entity)) for result in results]
                self._note_missing(results)
            record(self.context, results)
            correction_queue.queue(self.context, found)
            self.also(package, load_id)
        for result in results:
            self._add(result)
        self.progress.done(package)

    def also(self, package: Package, load_id: str | None) -> None:
        """What else has to be true together with a load; a replay says here what it resolved."""

    def _note_arrivals(self, load_id: str | None) -> None:
        """Files that were missing have come."""
        self.context.warehouse.execute(
            "UPDATE ops.missing_files SET arrived_at = ?, load_id = ? WHERE arrived_at IS NULL AND EXISTS ("
            " SELECT 1 FROM ops.files AS f WHERE f.load_id = ? AND f.entity = 'inventory'"
            f" AND {is_in('f')}"
            " AND f.store_id = missing_files.store_id AND f.file_hour = missing_files.file_hour)",
            [self.context.as_of, load_id, load_id],
        )

    def _note_missing(self, results: Sequence[LoadResult]) -> None:
        """The hours that are given to the models now without the file of every open store."""
        through = next((result.covered_through for result in results if result.entity == "inventory"), None)
        since = self.released or self.context.history_start
        if through is None or through <= since:
            return
        rows = [
            {"store_id": store_id, "file_hour": hour, "missed_at": self.context.as_of}
            for hour, store_id in missing_files(self.context.warehouse, since, through)
        ]
        self.context.warehouse.insert("ops.missing_files", rows)

    def corrections(self, package: Package, load_id: str | None) -> list[Correction]:
        """The released hours that a package touches."""
        loaded = {row["entity"] for row in package.records if row["rows"]}
        if load_id is None or not loaded:
            return []
        hours = package.rewritten
        first = min((row["file_hour"] for row in package.records if row["file_hour"] and row["rows"]), default=None)
        is_late = first is not None and self.released is not None and first - COUNT_SLACK < self.released
        rewritten = Window(min(hours) - COUNT_SLACK, max(hours) + HOUR + COUNT_SLACK) if hours else None
        late = touched_windows.inventory(self.context, load_id, self.released, rewritten) if is_late else []
        return late + (touched_windows.timezones(self.context, load_id) if "reference" in loaded else [])

    def _covered(self, kind: str) -> datetime | None:
        """Where the watermark stands after the run; a requested window moves it only where it joins on to it."""
        through = self._inventory_covered() if kind == "inventory" else self.context.as_of
        if self.requested is None or through is None:
            return through
        reached = covered_through(self.context, SOURCE, kind) or self.context.history_start
        return min(through, self.requested.end) if self.requested.start <= reached else None

    def _inventory_covered(self) -> datetime | None:
        """The end of the last hour such that it and all before are in or are not waited for any longer."""
        context = self.context
        if context.as_of <= context.history_start:
            return None
        not_waited_for = (context.as_of - self.source.grace).replace(minute=0, second=0, microsecond=0)
        covered = max(self.released or context.history_start, not_waited_for)
        while covered + HOUR <= context.as_of and is_complete(context.warehouse, covered):
            covered += HOUR
        return covered

    def _add(self, result: LoadResult) -> None:
        before = self.results.get(result.entity)
        if before is not None:
            sums = {name: getattr(before, name) + getattr(result, name) for name in ("rows", "rejected_rows", "bytes")}
            status = "loaded" if "loaded" in (before.status, result.status) else result.status
            count = sums["rows"] + sums["rejected_rows"]
            result = replace(result, **sums, source_count=count, status=status, started_at=before.started_at)
        self.results[result.entity] = result
