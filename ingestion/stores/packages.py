"""The packages that store files are loaded in.

A package is many files that go into raw under one load id, with the records of ``ops.files`` about them. It is made
without the warehouse, so that another thread can do it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.clock import utc_now
from ingestion.contracts import ENTITIES, REJECTS_TABLE, entity
from ingestion.loading.context import IngestContext, LoadResult, Window
from ingestion.loading.originals import originals_of
from ingestion.loading.records import landed_sum
from ingestion.stores.bucket import SOURCE, Object, StoreDrops
from ingestion.stores.csv.declared import NOTHING
from ingestion.stores.csv.decode import MAX_BYTES, UntrustedFileError
from ingestion.stores.csv.file import PART_BYTES, CsvFile, parts, read_file
from ingestion.stores.csv.rejects import whole_file_reject
from ingestion.stores.csv.typed import parse
from ingestion.stores.known_files import KnownFiles

PACKAGE_FILES = 5_000
BATCH_ROWS = 4 * 122_880  # four row groups of DuckDB
PACKAGE_BYTES = 96 << 20  # unpacked; bounds the memory of a package, of which two are held at a time


class Package:
    """Files that go into raw under one load id, and the records of ``ops.files`` about them."""

    def __init__(self, context: IngestContext, source: StoreDrops, known: KnownFiles) -> None:
        self.context = context
        self.source = source
        self.known = known
        self.is_last = False
        self.sums: dict[str, Decimal] = {}  # by table, of its control column as the files say it
        self.started_at = utc_now()
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
        return {row["entity"] for row in self.records if row["entity"]}

    def add(self, item: Object, content: bytes | None) -> None:
        """Take in one file: to be loaded, or noted as nothing new, empty or quarantined."""
        assert item.drop is not None, "an unrecognised object has no content to add"
        if content is None:
            fault = UntrustedFileError(
                "file_too_large", f"more than {MAX_BYTES[item.kind]:,} bytes; it was not read and stays in the bucket"
            )
            self._quarantine(item, fault, None, f"s3://{self.source.bucket}/{item.key}")
            return
        try:
            file = read_file(item.drop, content, self.source.declared.get(item.drop.store_id, NOTHING))
        except UntrustedFileError as fault:
            file_hash = hashlib.sha256(content).hexdigest()
            if file_hash == self.known.hashes.get(item.key):
                self.note(item, "duplicate", "quarantined before with the same content", file_hash)
                return
            self._quarantine(item, fault, file_hash, originals_of(self.context).keep(file_hash, content))
            return
        self.take(item, file)

    def take(self, item: Object, file: CsvFile) -> None:
        """Take in a file that can be trusted: to be loaded, or noted as empty or nothing new."""
        hashes = (file.file_hash, file.content_hash)
        if file.is_empty:
            self.note(item, "empty", "no record in the file", *hashes)
        elif original := self.known.original(file):
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
            "entity": item.kind or None,
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
        """Type the files that still wait, and add up what all say."""
        self._type_waiting()
        for table, rows in self.tables:
            if (total := control_total(table, rows)) is not None:
                self.sums[table] = self.sums.get(table, Decimal(0)) + total

    def batches(self) -> Iterator[tuple[str, pa.Table]]:
        """The rows by table, in batches that both dlt (few) and DuckDB (whole row groups) take in quickly."""
        by_table: dict[str, list[pa.Table]] = defaultdict(list)
        for table, rows in self.tables:
            by_table[table].append(rows)
        self.tables.clear()  # the next package is being made meanwhile
        for table, parts_of_it in by_table.items():
            rows = pa.concat_tables(parts_of_it).unify_dictionaries()
            parts_of_it.clear()
            for start in range(0, rows.num_rows, BATCH_ROWS):
                yield table, rows.slice(start, BATCH_ROWS)

    def _type_waiting(self) -> None:
        for waiting in self._waiting.values():
            self._type(waiting)
        self._waiting.clear()
        self._waiting_bytes = 0

    def _type(self, waiting: list[tuple[CsvFile, dict[str, Any]]]) -> None:
        waiting = [(file, row) for file, row in waiting if row["status"] == "loaded"]
        if not waiting:
            return
        kind = waiting[0][0].drop.entity
        try:
            parsed = parse(kind, [file for file, _ in waiting], self.context.as_of)
        except UntrustedFileError as fault:
            if len(waiting) > 1:  # one of them; the others are not to suffer for it
                for one in waiting:
                    self._type([one])
                return
            [(file, row)] = waiting
            self._drop(file, row)
            row.update(status="quarantined", reason=f"{fault.rule_id}: {fault.reason}")
            place = f"s3://{self.source.bucket}/{file.drop.key}"
            reject = whole_file_reject(file.drop, file.file_hash, fault, place, self.context.as_of)
            self.tables.append((REJECTS_TABLE, reject))
            return
        self.tables.append((entity(SOURCE, kind).table, parsed.rows))
        self.tables.append((REJECTS_TABLE, parsed.rejects))
        for (_, row), rows, rejected in zip(waiting, parsed.row_counts, parsed.reject_counts, strict=True):
            row["rows"] += rows
            row["rejected_rows"] += rejected

    def _drop(self, file: CsvFile, row: dict[str, Any]) -> None:
        """Take back what earlier parts of a large file brought."""
        if row["rows"] or row["rejected_rows"]:
            other = [pc.not_equal(table["file_name"].cast(pa.string()), file.drop.key) for _, table in self.tables]
            self.tables = [(name, rows.filter(keep)) for (name, rows), keep in zip(self.tables, other, strict=True)]
            row.update(rows=0, rejected_rows=0)

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
            source_sum=self.sums.get(entity(SOURCE, kind).table),
            landed_sum=landed_sum(self.context, entity(SOURCE, kind), load_id) if rows else None,
            content_hash=hashlib.sha256("\n".join(loaded).encode()).hexdigest() if loaded else None,
            status="loaded" if rows + rejected else "empty",
            started_at=self.started_at,
        )

    def _wait(self, file: CsvFile, row: dict[str, Any]) -> None:
        self.known.add(file)
        if file.drop.key in self.known.loaded and file.drop.file_hour is not None:
            self.rewritten.append(file.drop.file_hour)
        self._bytes += len(file.body)
        for part in parts(file):
            self._waiting[file.drop.entity].append((part, row))
            self._waiting_bytes += len(part.body)
            if self._waiting_bytes >= PART_BYTES:
                self._type_waiting()

    def _quarantine(self, item: Object, fault: UntrustedFileError, file_hash: str | None, original_path: str) -> None:
        assert item.drop is not None
        self.note(item, "quarantined", f"{fault.rule_id}: {fault.reason}", file_hash)
        reject = whole_file_reject(item.drop, file_hash, fault, original_path, self.context.as_of)
        self.tables.append((REJECTS_TABLE, reject))


_CONTROL_SUMS = {item.table: item.control_sum for item in ENTITIES}


def control_total(table: str, rows: pa.Table) -> Decimal | None:
    """The exact sum of a raw table's control column; None without one, or where no row has a value."""
    name = _CONTROL_SUMS.get(table)
    if name is None:
        return None
    values = rows.column(name).drop_null()
    if not len(values):
        return None
    if pa.types.is_decimal(values.type):
        return Decimal(pc.sum(values.cast(pa.decimal128(38, values.type.scale))).as_py())
    numbers = values.to_numpy()  # summed in two halves: 18 digits times a million rows are more than 64 bits hold
    return Decimal((int((numbers >> 32).sum()) << 32) + int((numbers & np.int64(0xFFFFFFFF)).sum()))
