"""The store drops: every file exactly once, by its key and content, into raw; what cannot be trusted is kept aside.

A run lists the days that files may still come late for, downloads what it has not seen, and loads it in packages of
many files. ``ops.files`` has a row for every content of every object that was seen:

- ``loaded``: its rows are in raw under ``load_id``. The rows of a file that count are those of its last load that
  brought any: content that was rewritten and then came back is loaded again;
- ``duplicate``: nothing new: the content the key already had, or one that another key of the same store and hour (or
  date) brought before;
- ``empty``: no record in it; counts as not in, the right file is still expected;
- ``quarantined``: cannot be trusted; one row of ``raw.rejects``, the original under ``home/quarantine/<file_hash>``;
- ``unrecognised``: the key is none of a store file; not read.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingestion import corrections, store_corrections
from ingestion.contracts import REJECTS_TABLE, entity
from ingestion.corrections import HOUR, Correction
from ingestion.csv_files import COUNT_SLACK, MAX_BYTES, CsvFile, Distrusted, parse, read_file, whole_file_reject
from ingestion.loads import IngestContext, LoadResult, Window, clock, covered_through, load, record
from ingestion.store_bucket import KEY_FORM, KINDS, SOURCE, Bucket, Object, StoreDrops
from ingestion.warehouse import Warehouse

__all__ = ["StoreDrops", "ingest", "missing_files"]

LATE_FOR = timedelta(days=8)  # files may come a week late; older ones on request, with a window
PACKAGE_FILES = 5_000
PACKAGE_BYTES = 64 << 20  # unpacked; bounds the memory of a package
PARSE_BYTES = 16 << 20  # so many bytes of files are cut up and typed together


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
        SourceError: the bucket cannot be reached or read. Packages loaded before the failure stay loaded.
    """
    kinds = [kind for kind in KINDS if entities is None or kind in entities]
    days = _days(context, window)
    bucket = Bucket(source)
    seen = _Seen.on(context.warehouse, days[0], days[-1])
    new = [item for item in bucket.objects(kinds, days, context.as_of) if seen.etags.get(item.key) != item.etag]
    released = covered_through(context, SOURCE, "inventory")
    run = _Run(context, source, window, days, released, {})
    package = _Package(context, source, seen)
    for item in new:
        if item.drop is None:
            package.note(item, "unrecognised", f"the key is not of the form {KEY_FORM}")
    for item, content in bucket.contents(item for item in new if item.drop is not None):
        if package.is_full:
            run.load(package, sorted(package.kinds))
            package = _Package(context, source, seen)
        package.add(item, content)
    run.load(package, kinds, is_last=True)
    for kind in kinds:
        result = run.results[kind]
        context.progress(f"stores {kind}: {result.rows:,} rows, {result.rejected_rows:,} rejected")
    return [run.results[kind] for kind in kinds]


def missing_files(warehouse: Warehouse, since: datetime, until: datetime | None = None) -> list[tuple[datetime, int]]:
    """The inventory files that open stores did not send.

    Which store is open is what its latest reference says. A quarantined file counts as sent, an empty one does not.

    Args:
        warehouse: where ``ops.files`` and ``raw.stores_reference`` are.
        since: first hour, UTC.
        until: end of the last hour; None takes the watermark: hours that are still waited for miss nothing yet.

    Returns:
        Hour (its start, UTC without a zone) and store id, in order.
    """
    if until is None:
        until = warehouse.value(
            "SELECT covered_through FROM ops.source_watermarks WHERE source = 'stores' AND entity = 'inventory'"
        )
    if until is None or until <= since:
        return []
    stores = warehouse.rows(
        "SELECT store_id, opened_on, closed_on FROM raw.stores_reference QUALIFY ROW_NUMBER() OVER"
        " (PARTITION BY store_id ORDER BY reference_date DESC, _dlt_load_id DESC, file_line DESC) = 1"
    )
    sent = set(
        warehouse.rows(
            "SELECT DISTINCT file_hour, store_id FROM ops.files WHERE source = 'stores' AND entity = 'inventory'"
            " AND status IN ('loaded', 'duplicate', 'quarantined') AND file_hour >= ? AND file_hour < ?",
            [since, until],
        )
    )
    return [
        (hour, store_id)
        for hour in _hours(since, until)
        for store_id, opened_on, closed_on in sorted(stores)
        if (opened_on is None or opened_on <= hour.date())
        and (closed_on is None or closed_on > hour.date())
        and (hour, store_id) not in sent
    ]


def _days(context: IngestContext, window: Window | None) -> list[date]:
    """The days whose files are looked at; a reference or till may be of the local day before history begins."""
    if window is not None:
        first, last = window.start, min(window.end - timedelta(microseconds=1), context.as_of)
    else:
        covered = covered_through(context, SOURCE, "inventory") or context.history_start
        first, last = max(covered - LATE_FOR, context.history_start - timedelta(days=1)), context.as_of
    count = max((last.date() - first.date()).days, 0) + 1
    return [first.date() + timedelta(days=day) for day in range(count)]


def _hours(since: datetime, until: datetime) -> Iterator[datetime]:
    hour = since.replace(minute=0, second=0, microsecond=0)
    while hour < until:
        yield hour
        hour += HOUR


# --- what was seen before ----------------------------------------------------------------------------------------


@dataclass
class _Seen:
    """What ``ops.files`` knows of the objects of some days.

    Attributes:
        etags: by key the etag it had last.
        hashes: by key the hash of the bytes it had last.
        loaded: by key the hash of the content whose rows count.
        contents: by kind, store and hour or date, the key of every content ever loaded, by its hash.
    """

    etags: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    loaded: dict[str, str] = field(default_factory=dict)
    contents: dict[tuple[Any, ...], dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    @classmethod
    def on(cls, warehouse: Warehouse, first: date, last: date) -> _Seen:
        seen = cls()
        rows = warehouse.rows(
            'SELECT entity, file_name, etag, file_hash, content_hash, store_id, file_date, file_hour, "ROWS", status'
            " FROM ops.files WHERE source = 'stores' AND (file_date BETWEEN ? AND ? OR status = 'unrecognised')"
            " ORDER BY load_id",
            [first, last],
        )
        for kind, key, etag, file_hash, content_hash, store_id, day, hour, count, status in rows:
            seen.etags[key] = etag
            seen.hashes[key] = file_hash
            if status == "loaded":
                seen.contents[(kind, store_id, hour or day)].setdefault(content_hash, key)
                if count:
                    seen.loaded[key] = content_hash
        return seen

    def original(self, file: CsvFile) -> str | None:
        """The key that brought this content before, for the same store and hour or date; None when it is new."""
        key = file.drop.key
        if file.content_hash == self.loaded.get(key) or file.file_hash == self.hashes.get(key):
            return key
        found = self.contents[_place(file)].get(file.content_hash, key)
        return None if found == key else found

    def add(self, file: CsvFile) -> None:
        """This content is being loaded now."""
        self.contents[_place(file)].setdefault(file.content_hash, file.drop.key)


def _place(file: CsvFile) -> tuple[Any, ...]:
    """What a file stands for: its kind, store, and hour or date."""
    return (file.drop.entity, file.drop.store_id, file.drop.file_hour or file.drop.file_date)


# --- many files, one package -------------------------------------------------------------------------------------


class _Package:
    """Files that go into raw under one load id, and the records of ``ops.files`` about them."""

    def __init__(self, context: IngestContext, source: StoreDrops, seen: _Seen) -> None:
        self.context = context
        self.source = source
        self.seen = seen
        self.started_at = clock()
        self.records: list[dict[str, Any]] = []
        self.tables: list[tuple[str, pa.Table]] = []
        self.rewritten: list[datetime] = []  # hours of inventory files that replace earlier rows
        self._waiting: dict[str, list[tuple[CsvFile, dict[str, Any]]]] = defaultdict(list)
        self._waiting_bytes = self._bytes = 0

    @property
    def is_full(self) -> bool:
        return len(self.records) >= PACKAGE_FILES or self._bytes >= PACKAGE_BYTES

    @property
    def kinds(self) -> set[str]:
        return {row["entity"] for row in self.records}

    def add(self, item: Object, content: bytes | None) -> None:
        """Take in one file: to be loaded, or noted as nothing new, empty or quarantined."""
        assert item.drop is not None, "an unrecognised object has no content to add"
        if content is None:
            fault = Distrusted(
                "file_too_large", f"more than {MAX_BYTES >> 20} MiB; it was not read and stays in the bucket"
            )
            self._quarantine(item, fault, None, f"s3://{self.source.bucket}/{item.key}")
            return
        try:
            file = read_file(item.drop, content)
        except Distrusted as fault:
            file_hash = hashlib.sha256(content).hexdigest()
            if file_hash == self.seen.hashes.get(item.key):
                self.note(item, "duplicate", "quarantined before with the same content", file_hash)
                return
            self._quarantine(item, fault, file_hash, str(_keep(self.context.home, file_hash, content)))
            return
        hashes = (file.file_hash, file.content_hash)
        if file.is_empty:
            self.note(item, "empty", "no record in the file", *hashes)
        elif original := self.seen.original(file):
            self.note(item, "duplicate", f"the content that came as {original}", *hashes)
        else:
            self._wait(file, self.note(item, "loaded", "; ".join(file.notes) or None, *hashes))

    def note(
        self,
        item: Object,
        status: str,
        reason: str | None = None,
        file_hash: str | None = None,
        content_hash: str | None = None,
    ) -> dict[str, Any]:
        """The record of ``ops.files`` about one object; its counts and the load id come later."""
        row: dict[str, Any] = {
            "source": SOURCE,
            "entity": item.kind,
            "file_name": item.key,
            "etag": item.etag,
            "file_hash": file_hash,
            "content_hash": content_hash or file_hash,
            "bytes": item.size,
            "modified_at": item.modified_at,
            "store_id": item.drop.store_id if item.drop else None,
            "file_date": item.drop.file_date if item.drop else None,
            "file_hour": item.drop.file_hour if item.drop else None,
            "rows": 0,
            "rejected_rows": 0,
            "status": status,
            "reason": reason,
            "load_id": None,
            "seen_at": self.context.as_of,
        }
        self.records.append(row)
        return row

    def finish(self) -> None:
        """Type the files that still wait."""
        for waiting in self._waiting.values():
            self._type(waiting)
        self._waiting.clear()
        self._waiting_bytes = 0

    def _type(self, waiting: list[tuple[CsvFile, dict[str, Any]]]) -> None:
        kind = waiting[0][0].drop.entity
        try:
            parsed = parse(kind, [file for file, _ in waiting], self.context.as_of)
        except Distrusted as fault:
            if len(waiting) > 1:  # one of them; the others are not to suffer for it
                for one in waiting:
                    self._type([one])
                return
            [(file, row)] = waiting
            row.update(status="quarantined", reason=f"{fault.rule_id}: {fault.reason}")
            place = f"s3://{self.source.bucket}/{file.drop.key}"
            reject = whole_file_reject(file.drop, file.file_hash, fault, place, self.context.as_of)
            self.tables.append((REJECTS_TABLE, reject))
            return
        self.tables.append((entity(SOURCE, kind).table, parsed.rows))
        self.tables.append((REJECTS_TABLE, parsed.rejects))
        for (_, row), rows, rejected in zip(waiting, parsed.row_counts, parsed.reject_counts, strict=True):
            row.update(rows=rows, rejected_rows=rejected)

    def result(self, kind: str, load_id: str | None, window: Window) -> LoadResult:
        """What this package did for one entity."""
        own = [row for row in self.records if row["entity"] == kind]
        loaded = sorted(f"{row['file_name']} {row['file_hash']}" for row in own if row["status"] == "loaded")
        rows, rejected = (sum(row[name] for row in own) for name in ("rows", "rejected_rows"))
        return LoadResult(
            source=SOURCE,
            entity=kind,
            load_id=load_id,
            window=window,
            rows=rows,
            rejected_rows=rejected,
            bytes=sum(row["bytes"] for row in own),
            source_count=rows + rejected,
            content_hash=hashlib.sha256("\n".join(loaded).encode()).hexdigest() if loaded else None,
            status="loaded" if rows + rejected else "empty",
            started_at=self.started_at,
        )

    def _wait(self, file: CsvFile, row: dict[str, Any]) -> None:
        self.seen.add(file)
        if file.drop.key in self.seen.loaded and file.drop.file_hour is not None:
            self.rewritten.append(file.drop.file_hour)
        self._waiting[file.drop.entity].append((file, row))
        self._bytes += len(file.body)
        self._waiting_bytes += len(file.body)
        if self._waiting_bytes >= PARSE_BYTES:
            self.finish()

    def _quarantine(self, item: Object, fault: Distrusted, file_hash: str | None, original_path: str) -> None:
        assert item.drop is not None
        self.note(item, "quarantined", f"{fault.rule_id}: {fault.reason}", file_hash)
        reject = whole_file_reject(item.drop, file_hash, fault, original_path, self.context.as_of)
        self.tables.append((REJECTS_TABLE, reject))


def _keep(home: Path, file_hash: str, content: bytes) -> Path:
    """Keep the original of a distrusted file; its name is its hash, never anything the sender chose."""
    path = home.resolve() / "quarantine" / file_hash
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".part")
        half.write_bytes(content)
        half.replace(path)
    return path


# --- one run -----------------------------------------------------------------------------------------------------


@dataclass
class _Run:
    """Loads packages one after the other and adds up what they did, by entity."""

    context: IngestContext
    source: StoreDrops
    requested: Window | None
    days: Sequence[date]
    released: datetime | None  # watermark of the inventory before the run
    results: dict[str, LoadResult]

    def load(self, package: _Package, kinds: Sequence[str], is_last: bool = False) -> None:
        """Bring one package into raw and record it; the last one moves the watermarks."""
        package.finish()
        window = self.requested or Window(datetime.combine(self.days[0], time()), self.context.as_of)
        load_id = load(self.context, SOURCE, package.tables) if package.records else None
        results = [package.result(kind, load_id, window) for kind in kinds]
        found = self._corrections(package, load_id)
        with self.context.warehouse.transaction():
            self.context.warehouse.insert("ops.files", [row | {"load_id": load_id} for row in package.records])
            if is_last:
                results = [replace(result, covered_through=self._covered(result.entity)) for result in results]
            record(self.context, results)
            corrections.queue(self.context, found)
        for result in results:
            self._add(result)

    def _corrections(self, package: _Package, load_id: str | None) -> list[Correction]:
        loaded = {row["entity"] for row in package.records if row["rows"]}
        if load_id is None or not loaded:
            return []
        hours = package.rewritten
        rewritten = Window(min(hours) - COUNT_SLACK, max(hours) + HOUR + COUNT_SLACK) if hours else None
        late = (
            store_corrections.inventory(self.context, load_id, self.released, rewritten)
            if "inventory" in loaded
            else []
        )
        return late + (store_corrections.timezones(self.context, load_id) if "reference" in loaded else [])

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
        while covered + HOUR <= context.as_of and self._is_complete(covered):
            covered += HOUR
        return covered

    def _is_complete(self, hour: datetime) -> bool:
        """Whether every open store's file of an hour is in; without any reference nobody knows."""
        known = self.context.warehouse.value("SELECT COUNT(*) FROM raw.stores_reference")
        return bool(known) and not missing_files(self.context.warehouse, hour, hour + HOUR)

    def _add(self, result: LoadResult) -> None:
        before = self.results.get(result.entity)
        if before is not None:
            sums = {name: getattr(before, name) + getattr(result, name) for name in ("rows", "rejected_rows", "bytes")}
            status = "loaded" if "loaded" in (before.status, result.status) else result.status
            count = sums["rows"] + sums["rejected_rows"]
            result = replace(result, **sums, source_count=count, status=status, started_at=before.started_at)
        self.results[result.entity] = result
