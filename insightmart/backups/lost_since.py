"""What a warehouse knows that an older copy of it does not, and no source brings back: read before it is replaced."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from ingestion.warehouse import Warehouse
from insightmart.backups.manifest import Manifest
from insightmart.errors import InsightMartError
from insightmart.ledger.chain import Entry, Kind
from insightmart.ledger.kept_heads import head_store
from insightmart.ledger.verification import entries_since
from insightmart.read_copy import copy_path
from insightmart.settings import Settings

# What people did, which nobody but they can do again; the rest comes back from the sources.
BY_PEOPLE = {
    Kind.PROMOTION: "promote it again: models are those of the copy",
    Kind.CLOSE: "close or reopen the month again, `insightmart close`",
    Kind.MANUAL: "answer or note it again",
    Kind.REPLAY: "`insightmart quarantine replay` again",
    Kind.RETENTION: "`insightmart retention --apply` again",
    Kind.ERASURE: "it is taken over, and done by the next cycle",
}


@dataclass
class LostSince:
    """What is lost by putting a copy in place.

    Attributes:
        highest: the highest number of an entry that is known; that of the copy, where nothing later is.
        read_from: where it was read, for people; empty where there was nothing to read.
        other: the file of another warehouse that is there, for people; empty where it is the copy's own, or none.
        done: what people did since, and what to do about it.
        erasures: customers whose personal data was erased since: source, customer_id, reason.
    """

    highest: int
    read_from: str = ""
    other: str = ""
    done: list[str] = field(default_factory=list)
    erasures: list[dict[str, Any]] = field(default_factory=list)


def lost_since(settings: Settings, manifest: Manifest) -> LostSince:
    """Look into the warehouse that is to be replaced, else into the copy for readers, and at the heads outside.

    Raises:
        InsightMartError: the bucket of EVIDENCE_URL does not answer. Only it may know which numbers were given.
    """
    found = LostSince(manifest.ledger_sequence)
    entries: list[Entry] | None = None
    for path in (settings.database_path, copy_path(settings.home)):
        began, entries = _entries(path, manifest)
        if entries is not None:
            found.read_from = str(path)
            break
        if began and not found.other:
            found.other = str(path)
    for entry in entries or ():
        found.highest = max(found.highest, entry.sequence)
        kind = next((one for one in BY_PEOPLE if one == entry.kind), None)
        if kind is None or (kind is Kind.ERASURE and not entry.subject.startswith("erasure ")):
            continue
        if kind is Kind.ERASURE:
            found.erasures.append({name: entry.told.get(name) for name in ("source", "customer_id", "reason")})
        found.done.append(_in_words(entry, BY_PEOPLE[kind]))
    if store := head_store(settings):
        try:
            found.highest = max(found.highest, store.last_sequence())
        except InsightMartError as error:
            raise InsightMartError(
                f"nobody can say which entries the ledger has had: {error.cause}",
                "Try again when the bucket answers, or unset EVIDENCE_URL for this command",
            ) from None
    return found


def _entries(path: Path, manifest: Manifest) -> tuple[str | None, list[Entry] | None]:
    """How a file's ledger began, and its entries since the copy where it is the same; None: nothing can be read."""
    began: str | None = None
    if not path.exists():
        return began, None
    with suppress(duckdb.Error, OSError), Warehouse(duckdb.connect(str(path), read_only=True), "duckdb") as warehouse:
        began = warehouse.value("SELECT entry_hash FROM ops.ledger ORDER BY sequence LIMIT 1")
        if began == manifest.ledger_began:
            return began, list(entries_since(warehouse, manifest.ledger_sequence))
    return began, None


def _in_words(entry: Entry, again: str) -> str:
    told = entry.told
    summary = told.get("summary") if isinstance(told.get("summary"), dict) else {}
    named = {**(summary or {}), **told}
    words = [str(named[name]) for name in ("month", "environment", "note", "customer_id", "class") if named.get(name)]
    what = f"{entry.kind} {', '.join(words)}".strip()
    return f"{what} by {entry.actor} on {entry.recorded_at:%Y-%m-%d %H:%M} UTC (entry {entry.sequence}): {again}"
