"""Records that could not be typed and came in since, mended at the source: they leave quarantine with that load."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.contracts import REJECTS_TABLE, Entity, entity
from ingestion.loading.context import IngestContext, LoadResult
from ingestion.loading.rejects import CURRENT_REJECTS
from ingestion.postgres.rows import SOURCE


def resolve_rejects(context: IngestContext, results: Sequence[LoadResult]) -> None:
    """Note in ``ops.replays`` which rejects these loads resolve; call it in the transaction that records them.

    A reject is resolved by a row under its key. Not by one that only says that the record is deleted, and not while the
    source still sends the rejected record, which a table that holds a key twice may do.
    """
    found = context.warehouse.rows(f"SELECT DISTINCT entity FROM raw.{REJECTS_TABLE} WHERE source = ?", [SOURCE])
    waiting = {name for (name,) in found}
    for result in results:
        if result.rows and result.entity in waiting:
            _resolve(context, entity(SOURCE, result.entity), result)


def _resolve(context: IngestContext, item: Entity, result: LoadResult) -> None:
    beginning = _beginning(item)
    found = context.warehouse.rows(
        "SELECT DISTINCT c.raw_load_id, c.reject_key, c.rule_id"
        f" FROM ({CURRENT_REJECTS}) AS c JOIN raw.{item.table} AS n"
        f" ON LEFT(c.raw_text, LENGTH({beginning})) = {beginning}"
        " WHERE c.entity = ? AND c.raw_load_id < n._dlt_load_id AND n._dlt_load_id = ? AND n._deleted_at IS NULL",
        [item.table, result.load_id],
    )
    resolved = [
        {
            "source": SOURCE,
            "entity": item.name,
            "reject_load_id": load_id,
            "reject_key": key,
            "is_whole_file": False,
            "rule_id": rule,
            "load_id": result.load_id,
            "replayed_at": context.as_of,
        }
        for load_id, key, rule in found
        if key not in result.rejected_keys
    ]
    if resolved:
        context.warehouse.insert("ops.replays", resolved)


def _beginning(item: Entity) -> str:
    """SQL for how the text of a record with the key of row ``n`` begins: the key comes first, all in quotes."""
    parts = (f"REPLACE(CAST(n.{name} AS VARCHAR), '\"', '\"\"')" for name in item.key)
    return "'\"' || " + " || '\",\"' || ".join(parts) + " || '\",'"
