"""Records and files that cannot be typed: ``raw.rejects`` holds them, and what came later resolves them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ingestion.clock import utc_now
from ingestion.contracts import REJECTS, REJECTS_TABLE, TEXT, Entity, entity
from ingestion.loading.context import IngestContext, LoadResult

FAULTS = pa.schema([("column_name", TEXT), ("rule_id", TEXT), ("reason", TEXT), ("raw_text", TEXT)])

KEYS_AT_ONCE = 5_000

# A record of a file is named by its line, one of another source by its text, a whole file by its name alone.
_KEY = "COALESCE(CAST(r.file_line AS VARCHAR), MD5(COALESCE(r.raw_text, '')))"


# One row a rejected record or file that is in quarantine now. It leaves when
# - a replay brought its rows in, or a load of PostgreSQL or of the shop brought the record mended (ops.replays);
# - another content of its file was loaded. A whole file leaves also when the key has other content again that needs no
#   load, or that is quarantined itself;
# - for a whole file: the store's file of the same hour (or date) was loaded from another key.
# Each is a join and not a NOT EXISTS: Snowflake refuses subqueries that compute with columns from outside. Conditions
# are comparisons of one side with the other, so that DuckDB can hash them.
def _current_rejects(rejects: str, files: str, replays: str) -> str:
    return f"""
    SELECT r.source || '_' || r.entity AS entity, r.is_whole_file, r.column_name, r.rule_id, r.reason, r.raw_text,
        r.original_path, r.rejected_at, r.file_name, r.file_hash, r.file_line, r._dlt_load_id AS raw_load_id,
        {_KEY} AS reject_key
    FROM {rejects} AS r
    LEFT JOIN (
        SELECT DISTINCT file_name, load_id, entity, store_id, file_date, COALESCE(file_hour, file_date) AS file_instant
        FROM {files}
    ) AS place ON place.file_name = r.file_name AND place.load_id = r._dlt_load_id
    LEFT JOIN {replays} AS replayed
        ON replayed.reject_load_id = r._dlt_load_id AND replayed.source = r.source AND replayed.entity = r.entity
        AND COALESCE(replayed.file_name, '') = COALESCE(r.file_name, '')
        AND replayed.is_whole_file = r.is_whole_file AND replayed.reject_key = {_KEY}
    LEFT JOIN {files} AS other
        ON other.file_name = r.file_name AND other.load_id > r._dlt_load_id
        AND COALESCE(other.file_hash, '') <> COALESCE(r.file_hash, '')
        AND CASE WHEN other.status = 'loaded' THEN 0 WHEN other.status IN ('duplicate', 'quarantined') THEN 1 ELSE 2 END
            <= CASE WHEN r.is_whole_file THEN 1 ELSE 0 END
    LEFT JOIN (
        SELECT entity, store_id, file_date, COALESCE(file_hour, file_date) AS file_instant, load_id
        FROM {files} WHERE status = 'loaded'
    ) AS again
        ON again.entity = CASE WHEN r.is_whole_file THEN place.entity END AND again.store_id = place.store_id
        AND again.file_date = place.file_date AND again.file_instant = place.file_instant
        AND again.load_id > r._dlt_load_id
    WHERE replayed.reject_key IS NULL AND other.file_name IS NULL AND again.entity IS NULL
"""


CURRENT_REJECTS = _current_rejects("raw.rejects", "ops.files", "ops.replays")
# Those since an instant, :since. What resolves a reject comes with a later load: nothing older is read.
RECENT_REJECTS = _current_rejects(
    "(SELECT * FROM raw.rejects WHERE rejected_at >= :since)",
    "(SELECT * FROM ops.files WHERE seen_at >= :since)",
    "(SELECT * FROM ops.replays WHERE replayed_at >= :since)",
)


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


def reject_key(text: str) -> str:
    """What names a record without a line of a file among the rejects of its load."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def new_rejects(context: IngestContext, source: str, entity: str, faults: pa.Table) -> pa.Table:
    """A batch for ``raw.rejects`` of records that cannot be typed, without those it holds already.

    Args:
        context: the run.
        source: ``oltp`` or ``shopify``.
        entity: the entity's name within its source.
        faults: columns of ``FAULTS``; ``raw_text`` is the record as the source gave it. The overlap of the windows
            reads many of them twice, so a text that a recorded load brought is not appended again.
    """
    keys = [reject_key(text) for text in faults["raw_text"].to_pylist()]
    known = _known(context, source, entity, sorted(set(keys)))
    fresh = faults.filter(pa.array([key not in known for key in keys], pa.bool_()))
    given = {"source": source, "entity": entity, "is_whole_file": False, "rejected_at": context.as_of}
    columns = [
        fresh[column.name]
        if column.name in FAULTS.names
        else pa.repeat(pa.scalar(given.get(column.name), column.type), fresh.num_rows)
        for column in REJECTS.schema
    ]
    return pa.table(columns, schema=REJECTS.schema)


def _known(context: IngestContext, source: str, entity: str, keys: Sequence[str]) -> set[str]:
    """Which of the records are among the rejects already, by their keys: never all that there are."""
    found: set[str] = set()
    for start in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[start : start + KEYS_AT_ONCE]
        found.update(
            key
            for (key,) in context.warehouse.rows(
                "SELECT DISTINCT known.reject_key FROM ("
                f" SELECT {_KEY} AS reject_key, r._dlt_load_id AS load_id FROM raw.{REJECTS_TABLE} AS r"
                f" WHERE r.source = ? AND r.entity = ? AND {_KEY} IN ({', '.join('?' for _ in some)})"
                ") AS known LEFT JOIN ("
                " SELECT reject_load_id, reject_key FROM ops.replays WHERE source = ? AND entity = ?"
                ") AS replayed ON replayed.reject_load_id = known.load_id AND replayed.reject_key = known.reject_key"
                " WHERE replayed.reject_key IS NULL"
                " AND known.load_id IN (SELECT load_id FROM ops.loads WHERE source = ? AND status = 'loaded')",
                [source, entity, *some, source, entity, source],
            )
        )
    return found


def resolve_rejects(
    context: IngestContext, source: str, results: Sequence[LoadResult], is_same_record: Callable[[Entity], str]
) -> None:
    """Note in ``ops.replays`` which rejects these loads resolve; call it in the transaction that records them.

    A reject is resolved by a later row of its record. Not by one that only says that the record is deleted, and not
    while the source still sends the rejected record, which a table that holds a key twice may do.

    Args:
        context: the run.
        source: ``oltp`` or ``shopify``.
        results: of the loads.
        is_same_record: SQL for whether reject ``c`` is of the record of row ``n`` of an entity's raw table.
    """
    found = context.warehouse.rows(f"SELECT DISTINCT entity FROM raw.{REJECTS_TABLE} WHERE source = ?", [source])
    waiting = {name for (name,) in found}
    for result in results:
        if result.rows and result.entity in waiting:
            item = entity(source, result.entity)
            _resolve(context, item, result, is_same_record(item))


def _resolve(context: IngestContext, item: Entity, result: LoadResult, is_same: str) -> None:
    is_there = " AND n._deleted_at IS NULL" if item.deletion else ""
    found = context.warehouse.rows(
        "SELECT DISTINCT c.raw_load_id, c.reject_key, c.rule_id"
        f" FROM ({CURRENT_REJECTS}) AS c JOIN raw.{item.table} AS n ON {is_same}"
        f" WHERE c.entity = ? AND c.raw_load_id < n._dlt_load_id AND n._dlt_load_id = ?{is_there}",
        [item.table, result.load_id],
    )
    resolved = [
        {
            "source": item.source,
            "entity": item.name,
            "reject_load_id": load_id,
            "reject_key": key,
            "is_whole_file": False,
            "rule_id": rule,
            "load_id": result.load_id,
            "replayed_at": context.as_of,
            "recorded_at": utc_now(),
        }
        for load_id, key, rule in found
        if key not in result.rejected_keys
    ]
    if resolved:
        context.warehouse.insert("ops.replays", resolved)
