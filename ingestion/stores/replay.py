"""Rejected store files and lines read again: the kept original, or the object while it has the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.clock import utc_now
from ingestion.contracts import Entity, entity
from ingestion.loading.context import IngestContext
from ingestion.loading.originals import originals_of
from ingestion.loading.planning import covered_through
from ingestion.loading.rejects import CURRENT_REJECTS, Replayed
from ingestion.stores.bucket import SOURCE, Bucket, Object, StoreDrops
from ingestion.stores.csv.declared import NOTHING
from ingestion.stores.csv.decode import UntrustedFileError
from ingestion.stores.csv.file import CsvFile, Drop, parts, read_file
from ingestion.stores.csv.typed import parse
from ingestion.stores.known_files import KnownFiles
from ingestion.stores.packages import Package
from ingestion.stores.source import StoreFilesLoad


@dataclass(frozen=True)
class _Rejected:
    """The rejects of one content of a file: the whole file (``lines`` is None) or some of its lines."""

    item: Object
    file_hash: str | None
    raw_load_id: str
    rule_id: str
    lines: npt.NDArray[np.int64] | None


def replay_files(
    context: IngestContext,
    drops: StoreDrops | None,
    item: Entity,
    rule: str | None,
    file_name: str | None,
    is_dry: bool,
) -> Replayed:
    """Read what is in quarantine of a kind of store files again; the arguments are those of ``ingestion.replay``.

    Raises:
        SourceError: the bucket cannot be read, or the warehouse refused a load. Loads made before stay.
    """
    found = _rejected_files(context, item, rule, file_name)
    result = Replayed(item.table, sum(1 if one.lines is None else len(one.lines) for one in found))
    if not found:
        return result
    days = sorted(_drop(one.item).file_date for one in found)
    source = drops or StoreDrops("")
    files = _FileReplay(context, source, None, days, covered_through(context, SOURCE, "inventory"))
    known = KnownFiles.of(context.warehouse, days[0], days[-1])
    package = _Again(context, source, known)
    for number, (rejected, content, why) in enumerate(_contents(context, drops, found, result), 1):
        if content is None:
            result.unread[rejected.item.key] = why
            continue
        if package.is_full:
            _finish(files, package, result, is_dry)
            package = _Again(context, source, known)
            context.progress(f"replay {item.table}: {number:,} of {len(found):,} files read")
        if (trouble := package.read_again(rejected, content)) is not None:
            result.unread[rejected.item.key] = trouble
    _finish(files, package, result, is_dry)
    return result


def _finish(files: _FileReplay, package: _Again, result: Replayed, is_dry: bool) -> None:
    package.finish()
    result.rows += sum(row["rows"] for row in package.records)
    result.resolved += package.resolved
    if package.records and not is_dry:
        files.load(package, sorted(package.kinds))


def _rejected_files(context: IngestContext, item: Entity, rule: str | None, file_name: str | None) -> list[_Rejected]:
    """What is in quarantine of a kind of store files, by file and load."""
    filters = {"c.rule_id = ?": rule, "c.file_name = ?": file_name}
    chosen = {condition: value for condition, value in filters.items() if value is not None}
    rows = context.warehouse.rows(
        "SELECT c.file_name, c.file_hash, c.raw_load_id, c.is_whole_file, c.rule_id, c.file_line,"
        " f.store_id, f.file_date, f.file_hour, f.modified_at, f.etag, f.bytes"
        f" FROM ({CURRENT_REJECTS}) AS c JOIN ops.files AS f ON f.file_name = c.file_name AND f.load_id = c.raw_load_id"
        f" WHERE {' AND '.join(['c.entity = ?', *chosen])}"
        " ORDER BY f.file_date, f.file_hour, c.file_name, c.raw_load_id, c.file_line",
        [item.table, *chosen.values()],
    )
    lines: dict[tuple[Any, ...], list[int]] = {}
    for name, file_hash, load_id, is_whole, rule_id, line, *about in rows:
        own = lines.setdefault((name, file_hash, load_id, is_whole, rule_id if is_whole else "", *about), [])
        if not is_whole:
            own.append(line)
    return [
        _Rejected(
            _object(item, name, *about), file_hash, load_id, rule_id, None if is_whole else np.array(own, np.int64)
        )
        for (name, file_hash, load_id, is_whole, rule_id, *about), own in lines.items()
    ]


def _object(
    item: Entity,
    name: str,
    store_id: int,
    day: date,
    hour: datetime | None,
    modified_at: datetime,
    etag: str,
    size: int,
) -> Object:
    """The object as it was when its content was rejected."""
    return Object(name, etag, size, modified_at, item.name, Drop(item.name, name, store_id, day, hour, modified_at))


def _drop(item: Object) -> Drop:
    assert item.drop is not None, "only store files are rejected"
    return item.drop


def _contents(
    context: IngestContext, drops: StoreDrops | None, found: Sequence[_Rejected], result: Replayed
) -> Iterator[tuple[_Rejected, bytes | None, str]]:
    """Each file with the bytes that were rejected, or without them and why: kept originals, then the bucket."""
    elsewhere: dict[str, list[_Rejected]] = {}
    for rejected in found:
        content = _kept(context, rejected.file_hash)
        if content is not None:
            yield rejected, content, ""
        elif drops is None:
            yield rejected, None, "no original was kept, and STORES_URL is not set"
        else:
            elsewhere.setdefault(rejected.item.key, []).append(rejected)
    if drops is None or not elsewhere:
        return
    gone = dict(elsewhere)
    for item, content in Bucket(drops).contents(waiting[0].item for waiting in elsewhere.values()):
        for rejected in gone.pop(item.key):
            if content is None:
                yield rejected, None, "too large to be read"
            elif _is_of(rejected, item, content):
                yield rejected, content, ""
            else:
                yield rejected, None, "no original was kept, and the object in the bucket has other content now"
    for waiting in gone.values():
        for rejected in waiting:
            yield rejected, None, "no original was kept, and the object is not in the bucket any more"


def _kept(context: IngestContext, file_hash: str | None) -> bytes | None:
    content = originals_of(context).read(file_hash) if file_hash else None
    return content if content is not None and hashlib.sha256(content).hexdigest() == file_hash else None


def _is_of(rejected: _Rejected, item: Object, content: bytes) -> bool:
    """Whether these are the bytes that were rejected; of a file too large to be read then only the etag is known."""
    if rejected.file_hash is None:
        return item.etag == rejected.item.etag
    return hashlib.sha256(content).hexdigest() == rejected.file_hash


class _Again(Package):
    """A package of rows that were missing."""

    def __init__(self, context: IngestContext, source: StoreDrops, known: KnownFiles) -> None:
        super().__init__(context, source, known)
        self.resolved = 0
        self.whole: list[dict[str, Any]] = []  # records of ops.replays, without the load

    def read_again(self, rejected: _Rejected, content: bytes) -> str | None:
        """Take in what can be read of a content now; why not, where nothing can."""
        kind = rejected.item.kind
        try:
            drop = _drop(rejected.item)
            file = read_file(drop, content, self.source.declared.get(drop.store_id, NOTHING))
            parsed = None if file.is_empty else [parse(kind, [part], self.context.as_of).rows for part in parts(file)]
        except UntrustedFileError as fault:
            return f"{fault.rule_id}: {fault.reason}"
        if rejected.lines is None:
            return self._take_whole(rejected, file)
        lines = pa.array(rejected.lines)
        found = [rows.filter(pc.is_in(rows["file_line"], lines)) for rows in parsed or ()]
        rows = pa.concat_tables(found) if found else None
        if rows is None or not rows.num_rows:
            return f"still rejected: {len(rejected.lines):,} lines"
        row = self.note(rejected.item, "loaded", "replay of rejected lines", file.file_hash, file.content_hash)
        row.update(rows=rows.num_rows, rejected_rows=0)
        self.tables.append((entity(SOURCE, kind).table, rows))
        self.resolved += rows.num_rows
        self._rewrites(file)
        left = len(rejected.lines) - rows.num_rows
        return f"still rejected: {left:,} lines" if left else None

    def _take_whole(self, rejected: _Rejected, file: CsvFile) -> str | None:
        if file.is_empty:
            return "it holds no record"
        self.known.hashes.pop(file.drop.key, None)  # these bytes are known, as the ones that could not be trusted
        self.take(rejected.item, file)
        self.resolved += 1
        self.whole.append(
            {
                "source": SOURCE,
                "entity": rejected.item.kind,
                "reject_load_id": rejected.raw_load_id,
                "file_name": rejected.item.key,
                "file_hash": rejected.file_hash,
                "reject_key": _NO_TEXT,
                "is_whole_file": True,
                "rule_id": rejected.rule_id,
                "replayed_at": self.context.as_of,
                "recorded_at": utc_now(),
            }
        )
        return None

    def _rewrites(self, file: CsvFile) -> None:
        """Earlier rows of the file are to be looked at when the corrections are found."""
        if file.drop.file_hour is not None:
            self.rewritten.append(file.drop.file_hour)


_NO_TEXT = hashlib.md5(b"", usedforsecurity=False).hexdigest()  # what CURRENT_REJECTS makes of a file's missing text


class _FileReplay(StoreFilesLoad):
    """Loads packages of missing rows and notes what they resolved."""

    def also(self, package: Package, load_id: str | None) -> None:
        """The rejects that the package resolved: whole files, and the lines whose rows it brought."""
        assert isinstance(package, _Again), "a replay loads nothing else"
        self.context.warehouse.insert("ops.replays", [row | {"load_id": load_id} for row in package.whole])
        for kind in package.kinds:
            item = entity(SOURCE, kind)
            self.context.warehouse.execute(
                "INSERT INTO ops.replays (source, entity, reject_load_id, file_name, file_hash, reject_key,"
                " is_whole_file, rule_id, load_id, replayed_at, recorded_at)"
                " SELECT ?, ?, c.raw_load_id, c.file_name, c.file_hash, c.reject_key, FALSE, c.rule_id, ?,"
                " CAST(? AS TIMESTAMP_NTZ), CAST(? AS TIMESTAMP_NTZ)"
                f" FROM ({CURRENT_REJECTS}) AS c JOIN raw.{item.table} AS n ON n.file_name = c.file_name"
                " AND n.file_hash = c.file_hash AND n.file_line = c.file_line"
                " WHERE c.entity = ? AND NOT c.is_whole_file AND n._dlt_load_id = ?",
                [SOURCE, kind, load_id, self.context.as_of, utc_now(), item.table, load_id],
            )
