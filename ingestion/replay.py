"""Rejected records and files read again, after the parser or a synonym was mended: exactly the missing rows come in.

What is read is what was rejected, never something newer: the kept original of a file, or the object in the bucket as
long as its bytes have the same hash; the text of a record of another source. The rows are a load like any other, with
the same file name, hash and lines, and ``ops.replays`` names each reject that it resolved, in the transaction that
records the load. So a replay that is killed leaves nothing behind, and a second one brings nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.clock import utc_now
from ingestion.contracts import ENTITIES, TEXT, Entity
from ingestion.loading import correction_queue
from ingestion.loading.context import IngestContext, LoadResult
from ingestion.loading.correction_queue import Correction
from ingestion.loading.package import load
from ingestion.loading.planning import released_through
from ingestion.loading.records import landed_sum, record
from ingestion.loading.rejects import CURRENT_REJECTS, Replayed
from ingestion.postgres import touched_windows as oltp_touched
from ingestion.shopify import touched_windows as shopify_touched
from ingestion.stores.bucket import SOURCE as STORES
from ingestion.stores.bucket import StoreDrops
from ingestion.stores.replay import replay_files

RECORDS_AT_ONCE = 50_000
_READERS = {"oltp": "ingestion.postgres.source", "shopify": "ingestion.shopify.source"}  # each with a function `retype`
_SALES = {"oltp": ("orders", "order_lines", "refunds"), "shopify": ("orders",)}


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
            result = replay_files(context, drops, item, rule, file_name, is_dry)
        elif file_name is None:
            result = _replay_records(context, item, rule, is_dry)
        else:
            continue
        if result.rejects:
            results.append(result)
            context.progress(f"replay {result.entity}: {result.resolved:,} of {result.rejects:,} can be read now")
    return results


def _replay_records(context: IngestContext, item: Entity, rule: str | None, is_dry: bool) -> Replayed:
    result = Replayed(item.table)
    retype = importlib.import_module(_READERS[item.source]).retype
    for some in _rejected_records(context, item, rule):
        tables, is_read = retype(item.name, some["raw_text"])
        read = some.filter(pa.array(is_read))
        result.rejects += some.num_rows
        result.rows += sum(rows.num_rows for _, rows in tables)
        result.resolved += read.num_rows
        if read.num_rows and not is_dry:
            _load_records(context, item, tables, read)
            context.progress(f"replay {item.table}: {result.rejects:,} records looked at, {result.resolved:,} read")
    if result.resolved < result.rejects:
        result.unread[item.table] = f"still rejected: {result.rejects - result.resolved:,} records"
    return result


def _rejected_records(context: IngestContext, item: Entity, rule: str | None) -> Iterator[pa.Table]:
    """What is in quarantine, in the order of load and key, about ``RECORDS_AT_ONCE`` at a time."""
    schema = pa.schema([(name, TEXT) for name in ("raw_text", "reject_key", "raw_load_id", "rule_id")])
    chosen, given = ("AND rule_id = ?", [rule]) if rule else ("", [])
    after: tuple[str, str] = ("", "")
    while True:
        some = context.warehouse.arrow(
            f"SELECT {', '.join(schema.names)} FROM ({CURRENT_REJECTS}) AS rejects"
            f" WHERE NOT is_whole_file AND entity = ? AND raw_text IS NOT NULL {chosen}"
            " AND (raw_load_id > ? OR (raw_load_id = ? AND reject_key > ?))"
            f" QUALIFY RANK() OVER (ORDER BY raw_load_id, reject_key) <= {RECORDS_AT_ONCE}"  # a text may be there twice
            " ORDER BY raw_load_id, reject_key",
            [item.table, *given, after[0], *after],
            schema,
        )
        if some.num_rows:
            yield some
        if some.num_rows < RECORDS_AT_ONCE:
            return
        after = (some["raw_load_id"][-1].as_py(), some["reject_key"][-1].as_py())


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
            "recorded_at": utc_now(),
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
