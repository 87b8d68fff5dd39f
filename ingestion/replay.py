"""Rejected records and files read again, after the parser or a synonym was mended: exactly the missing rows come in.

What is read is what was rejected, never something newer: the kept original of a file, or the object in the bucket as
long as its bytes have the same hash; the text of a record of another source. The rows are a load like any other, with
the same file name, hash and lines, and ``ops.replays`` names each reject that it resolved, in the transaction that
records the load. So a replay that is killed leaves nothing behind, and a second one brings nothing.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import ENTITIES, TEXT, Entity, entity
from ingestion.loading import correction_queue
from ingestion.loading.context import IngestContext, LoadResult
from ingestion.loading.correction_queue import Correction
from ingestion.loading.package import load
from ingestion.loading.planning import covered_through, released_through
from ingestion.loading.records import landed_sum, record
from ingestion.loading.rejects import CURRENT_REJECTS
from ingestion.postgres import touched_windows as oltp_touched
from ingestion.shopify import touched_windows as shopify_touched
from ingestion.stores.bucket import SOURCE as STORES
from ingestion.stores.bucket import Bucket, Object, StoreDrops
from ingestion.stores.csv.decode import UntrustedFileError
from ingestion.stores.csv.file import CsvFile, Drop, parts, read_file
from ingestion.stores.csv.typed import parse
from ingestion.stores.known_files import KnownFiles
from ingestion.stores.packages import Package, kept_original
from ingestion.stores.source import StoreFilesLoad

RECORDS_AT_ONCE = 50_000
_READERS = {"oltp": "ingestion.postgres.source", "shopify": "ingestion.shopify.source"}  # each with a function `retype`
_SALES = {"oltp": ("orders", "order_lines", "refunds"), "shopify": ("orders",)}


@dataclass
class Replayed:
    """What came of the rejects of one entity.

    Attributes:
        entity: raw table, e.g. ``stores_inventory``.
        rejects: rejected records and whole files that were looked at.
        resolved: how many of them can be read now.
        rows: rows that came in, or would come in.
        unread: what is still rejected or gone, by file (or for other sources as a whole), with the reason.
    """

    entity: str
    rejects: int = 0
    resolved: int = 0
    rows: int = 0
    unread: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Rejected:
    """The rejects of one content of a file: the whole file (``lines`` is None) or some of its lines."""

    item: Object
    file_hash: str | None
    raw_load_id: str
    rule_id: str
    lines: npt.NDArray[np.int64] | None


def replay(
    context: IngestContext,
    drops: StoreDrops | None,
    entities: Sequence[Entity] = ENTITIES,
    *,
    rule: str | None = None,
    file_name: str | None = None,
    is_dry: bool = False,
) -> list[Replayed]:
    """Read what is in quarantine again and load what can be read now.

    Args:
        context: the run.
        drops: where the store files are; None: only kept originals can be read.
        entities: of which entities.
        rule: only what was rejected by this rule.
        file_name: only this file.
        is_dry: say what would come in, and load nothing.

    Returns:
        One result for each entity that has something in quarantine.

    Raises:
        SourceError: the bucket cannot be read, or the warehouse refused a load. Loads made before stay.
    """
    results = []
    for item in entities:
        if item.source == STORES:
            result = _replay_files(context, drops, item, rule, file_name, is_dry)
        elif file_name is None:
            result = _replay_records(context, item, rule, is_dry)
        else:
            continue
        if result.rejects:
            results.append(result)
            context.progress(f"replay {result.entity}: {result.resolved:,} of {result.rejects:,} can be read now")
    return results


# --- store files -------------------------------------------------------------------------------------------------


def _replay_files(
    context: IngestContext,
    drops: StoreDrops | None,
    item: Entity,
    rule: str | None,
    file_name: str | None,
    is_dry: bool,
) -> Replayed:
    found = _rejected_files(context, item, rule, file_name)
    result = Replayed(item.table, sum(1 if one.lines is None else len(one.lines) for one in found))
    if not found:
        return result
    days = sorted(_drop(one.item).file_date for one in found)
    source = drops or StoreDrops("")
    run = _FileReplay(context, source, None, days, covered_through(context, STORES, "inventory"))
    known = KnownFiles.of(context.warehouse, days[0], days[-1])
    package = _Again(context, source, known)
    for number, (rejected, content, why) in enumerate(_contents(context, drops, found, result), 1):
        if content is None:
            result.unread[rejected.item.key] = why
            continue
        if package.is_full:
            _finish(run, package, result, is_dry)
            package = _Again(context, source, known)
            context.progress(f"replay {item.table}: {number:,} of {len(found):,} files read")
        if (trouble := package.read_again(rejected, content)) is not None:
            result.unread[rejected.item.key] = trouble
    _finish(run, package, result, is_dry)
    return result


def _finish(run: _FileReplay, package: _Again, result: Replayed, is_dry: bool) -> None:
    package.finish()
    result.rows += sum(row["rows"] for row in package.records)
    result.resolved += package.resolved
    if package.records and not is_dry:
        run.load(package, sorted(package.kinds))


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
    path = kept_original(context.home, file_hash) if file_hash else None
    if path is None or not path.is_file():
        return None
    content = path.read_bytes()
    return content if hashlib.sha256(content).hexdigest() == file_hash else None


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
            file = read_file(_drop(rejected.item), content)
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
        self.tables.append((entity(STORES, kind).table, rows))
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
                "source": STORES,
                "entity": rejected.item.kind,
                "reject_load_id": rejected.raw_load_id,
                "file_name": rejected.item.key,
                "file_hash": rejected.file_hash,
                "reject_key": _NO_TEXT,
                "is_whole_file": True,
                "rule_id": rejected.rule_id,
                "replayed_at": self.context.as_of,
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
            item = entity(STORES, kind)
            self.context.warehouse.execute(
                "INSERT INTO ops.replays (source, entity, reject_load_id, file_name, file_hash, reject_key,"
                " is_whole_file, rule_id, load_id, replayed_at)"
                " SELECT ?, ?, c.raw_load_id, c.file_name, c.file_hash, c.reject_key, FALSE, c.rule_id, ?,"
                " CAST(? AS TIMESTAMP_NTZ)"
                f" FROM ({CURRENT_REJECTS}) AS c JOIN raw.{item.table} AS n ON n.file_name = c.file_name"
                " AND n.file_hash = c.file_hash AND n.file_line = c.file_line"
                " WHERE c.entity = ? AND NOT c.is_whole_file AND n._dlt_load_id = ?",
                [STORES, kind, load_id, self.context.as_of, item.table, load_id],
            )


# --- records of other sources ------------------------------------------------------------------------------------


def _replay_records(context: IngestContext, item: Entity, rule: str | None, is_dry: bool) -> Replayed:
    chosen, params = ("AND rule_id = ?", [item.table, rule]) if rule else ("", [item.table])
    schema = pa.schema([(name, TEXT) for name in ("raw_text", "reject_key", "raw_load_id", "rule_id")])
    rejects = context.warehouse.arrow(
        f"SELECT {', '.join(schema.names)} FROM ({CURRENT_REJECTS}) AS rejects"
        f" WHERE NOT is_whole_file AND entity = ? AND raw_text IS NOT NULL {chosen} ORDER BY raw_load_id, reject_key",
        params,
        schema,
    )
    result = Replayed(item.table, rejects.num_rows)
    if not rejects.num_rows:
        return result
    retype = importlib.import_module(_READERS[item.source]).retype
    for start in range(0, rejects.num_rows, RECORDS_AT_ONCE):
        some = rejects.slice(start, RECORDS_AT_ONCE)
        tables, is_read = retype(item.name, some["raw_text"])
        read = some.filter(pa.array(is_read))
        result.rows += sum(rows.num_rows for _, rows in tables)
        result.resolved += read.num_rows
        if read.num_rows and not is_dry:
            _load_records(context, item, tables, read)
            context.progress(f"replay {item.table}: {start + some.num_rows:,} of {rejects.num_rows:,} records read")
    if result.resolved < result.rejects:
        result.unread[item.table] = f"still rejected: {result.rejects - result.resolved:,} records"
    return result


def _load_records(context: IngestContext, item: Entity, tables: Sequence[tuple[str, pa.Table]], read: pa.Table) -> None:
    """One load of records that could not be read before, with what it resolved and the hours it touches."""
    by_table: dict[str, list[pa.Table]] = {}
    for table, rows in tables:
        by_table.setdefault(table, []).append(rows)
    load_id = load(context, item.source, by_table)
    results = [
        _record_result(context, candidate, by_table[candidate.table], load_id)
        for candidate in ENTITIES
        if candidate.table in by_table
    ]
    found = _corrections(context, item, load_id)
    resolved = [
        {
            "source": item.source,
            "entity": item.name,
            "reject_load_id": row["raw_load_id"],
            "reject_key": row["reject_key"],
            "is_whole_file": False,
            "rule_id": row["rule_id"],
            "load_id": load_id,
            "replayed_at": context.as_of,
        }
        for row in read.to_pylist()
    ]
    with context.warehouse.transaction():
        record(context, results)
        correction_queue.queue(context, found)
        context.warehouse.insert("ops.replays", resolved)


def _record_result(context: IngestContext, item: Entity, rows: Iterable[pa.Table], load_id: str) -> LoadResult:
    held = list(rows)
    count = sum(table.num_rows for table in held)
    total = None
    if item.control_sum is not None:
        sums = [value for table in held if (value := pc.sum(table[item.control_sum]).as_py()) is not None]
        total = sum((Decimal(value) for value in sums), Decimal(0)) if sums else None
    return LoadResult(
        source=item.source,
        entity=item.name,
        load_id=load_id,
        window=None,
        rows=count,
        bytes=sum(table.nbytes for table in held),
        source_count=count,
        source_sum=total,
        landed_sum=landed_sum(context, item, load_id),
    )


def _corrections(context: IngestContext, item: Entity, load_id: str) -> list[Correction]:
    if item.name in _SALES[item.source]:
        released = released_through(context, item.source, _SALES[item.source])
        find = oltp_touched.sales if item.source == "oltp" else shopify_touched.sales
        return find(context, load_id, released)
    if (item.source, item.name) == ("shopify", "inventory"):
        return shopify_touched.inventory(context, load_id, released_through(context, "shopify", ["inventory"]))
    return []
