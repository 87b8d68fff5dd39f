"""Erases the personal data of a customer: the intent first, then files, rows, free space; any kill is mended.

The rows are what tells which files speak of the person, so they go after them, all in one transaction that compares
the totals; then the local warehouse's file is written anew, since it keeps old bytes. From the intent on whatever a
source sends of the customer arrives empty (``ingestion.loading.erased``).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from ingestion.clock import utc_now
from ingestion.loading.horizon import purged_before
from ingestion.warehouse import Warehouse
from insightmart.erasure.customer import Customer, identifying_values, is_known
from insightmart.erasure.kept_files import forget_loads, originals_that_say, others_that_say
from insightmart.erasure.places import Place, count, empty, places
from insightmart.erasure.rejected_texts import RejectedText, empty_texts, rejected_texts
from insightmart.erasure.totals import totals
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.kept_originals import kept_originals
from insightmart.kept_place import kept_place
from insightmart.readers.publishing import publish_copy
from insightmart.settings import Settings

BEGUN, DONE = "begun", "done"
UNLOADED = timedelta(days=31)  # in which a source may have failed on somebody before the first load that brought him in
# Evidence that may quote what a source said; the ledger covers it, so that it is named and not changed.
_QUOTING = {"loads": "error", "runs": "error", "run_problems": "message", "check_results": "definition"}


@dataclass(frozen=True)
class Found:
    """What there is of a customer.

    Attributes:
        rows: that still say something, by table.
        texts: how many texts of rejected records.
        originals: names of the kept originals of files, which are deleted.
        left: what is not touched, in words.
    """

    customer: Customer
    rows: dict[str, int] = field(default_factory=dict)
    texts: int = 0
    originals: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to erase."""
        return not (self.rows or self.texts or self.originals)

    @property
    def counts(self) -> dict[str, int]:
        """What is emptied or deleted, by where it is."""
        more = {"raw.rejects": self.texts, "kept originals": len(self.originals)}
        return {**self.rows, **{name: number for name, number in more.items() if number}}


@dataclass(frozen=True)
class _Search:
    found: Found
    places: list[Place]
    texts: list[RejectedText]


def look(warehouse: Warehouse, settings: Settings, customer: Customer) -> Found:
    """What there is of a customer; changes nothing.

    Raises:
        ConfigurationError: nobody knows the customer.
    """
    if not is_known(warehouse, customer):
        raise ConfigurationError(
            f"no source ever sent a customer {customer}",
            "Ids are those of certified.dim_customers: 17 (OLTP), or shopify:17 (online shop)",
        )
    written = identifying_values(warehouse, customer)
    search = _search(warehouse, settings, customer, written, None)
    place = kept_place(settings)
    since = _known_since(warehouse, search.places, written) if place and written else None
    left = [f"the file {path} has it" for path in others_that_say(settings.home, place, written, since)]
    return replace(search.found, left=[*_quoted(warehouse, written), *left])


def refuse_telling_reason(warehouse: Warehouse, customer: Customer, reason: str) -> None:
    """A reason is kept for years: it must not say what is to be forgotten.

    Raises:
        ConfigurationError: it is empty, or has the address or number of the customer in it.
    """
    if not reason.strip():
        raise ConfigurationError("--reason must say why")
    if any(value.lower() in reason.lower() for value in identifying_values(warehouse, customer)):
        raise ConfigurationError(
            "--reason has the customer's e-mail address or telephone number in it, and is kept as evidence",
            'Name the request instead, as in "ticket 4711"',
        )


def erased_at(warehouse: Warehouse, customer: Customer) -> datetime | None:
    """When the customer was erased last (real clock, UTC); None: never, or not to the end."""
    found: datetime | None = warehouse.value(
        "SELECT MAX(recorded_at) FROM ops.erasures WHERE source = ? AND customer_id = ? AND status = ?",
        [customer.source, customer.key, DONE],
    )
    return found


def begin(warehouse: Warehouse, customer: Customer, reason: str, actor: str, run_id: str, as_of: datetime) -> None:
    """Write the intent down: from here on it will be finished, by whoever comes next."""
    row = {"source": customer.source, "customer_id": customer.key, "reason": reason, "actor": actor, "run_id": run_id}
    begun = {"erasure_id": uuid.uuid4().hex, "asked_at": as_of, "status": BEGUN}
    warehouse.insert("ops.erasures", [row | begun])


def finish_begun(warehouse: Warehouse, settings: Settings, seen: Found | None = None) -> list[Found]:
    """Carry out every erasure that was begun. Nothing else may have the warehouse open.

    Args:
        warehouse: open connection.
        settings: say where files are kept.
        seen: what ``look`` has found of one of the customers since the lock is held: no file is read twice for it.

    Returns:
        What was erased of each; what is left of it is not looked for.

    Raises:
        InsightMartError: a total would have become another one; no row was changed.
    """
    begun = warehouse.rows(
        "SELECT erasure_id, source, customer_id FROM ops.erasures WHERE status = ? ORDER BY asked_at, erasure_id",
        [BEGUN],
    )
    return [
        _finish(warehouse, settings, erasure_id, Customer(source, int(key)), seen) for erasure_id, source, key in begun
    ]


def _finish(warehouse: Warehouse, settings: Settings, erasure_id: str, customer: Customer, seen: Found | None) -> Found:
    known = seen.originals if seen and seen.customer == customer else None
    search = _search(warehouse, settings, customer, identifying_values(warehouse, customer), known)
    counts = search.found.counts
    if counts:  # a kill after the rows were emptied leaves nothing to count: the first numbers stay
        warehouse.execute("UPDATE ops.erasures SET counts = ? WHERE erasure_id = ?", [json.dumps(counts), erasure_id])
    originals = kept_originals(settings)
    for name in search.found.originals:
        originals.delete(name)
    _empty_rows(warehouse, search)
    forget_loads(settings.home)
    try:
        warehouse.rewrite()
    except OSError as error:
        raise InsightMartError(
            f"the rows of customer {customer} are empty, and the warehouse's file still has their bytes: {error}",
            "Make room; the next `insightmart erase` or `cycle` writes it anew",
        ) from None
    publish_copy(warehouse, settings.home)  # the one before has what was erased
    done = [DONE, utc_now(), erasure_id]
    warehouse.execute("UPDATE ops.erasures SET status = ?, recorded_at = ? WHERE erasure_id = ?", done)
    return search.found


def _empty_rows(warehouse: Warehouse, search: _Search) -> None:
    with warehouse.transaction():
        before = totals(warehouse)
        empty(warehouse, search.places)
        empty_texts(warehouse, search.texts)
        if totals(warehouse) != before:
            raise InsightMartError(
                f"without the personal data of customer {search.found.customer} a total would be another one",
                "No row was changed. A model makes a figure of a personal column: see docs/retention.md",
            )


def _search(
    warehouse: Warehouse, settings: Settings, customer: Customer, written: Sequence[str], originals: list[str] | None
) -> _Search:
    found = places(warehouse, customer, written)
    texts = rejected_texts(warehouse, customer, written)
    if originals is None:
        originals = originals_that_say(kept_originals(settings), written)
    return _Search(Found(customer, count(warehouse, found), len(texts), originals), found, texts)


def _known_since(warehouse: Warehouse, found: Sequence[Place], written: Sequence[str]) -> date | None:
    """The day from which on anything here can speak of somebody, by the loads that brought it; None: nobody knows."""
    if purged_before(warehouse) is not None:  # rows of the first loads may be gone
        return None
    mention = " OR ".join(["POSITION(? IN LOWER(raw_text)) > 0 OR POSITION(? IN LOWER(reason)) > 0"] * len(written))
    of_rejects = Place("raw.rejects", (), mention, tuple(value.lower() for value in written for _ in range(2)))
    raw = [place for place in (*found, of_rejects) if place.table.lower().replace('"', "").startswith("raw.")]
    loads = " UNION ".join(
        f"SELECT _dlt_load_id AS load_id FROM {place.table} WHERE {place.condition}" for place in raw
    )
    [(first, brought, recorded)] = warehouse.rows(
        "SELECT MIN(l.started_at), COUNT(*), COUNT(l.load_id)"
        f" FROM ({loads}) AS s LEFT JOIN ops.loads AS l ON l.load_id = s.load_id",
        [value for place in raw for value in place.values],
    )
    return (first - UNLOADED).date() if first and brought == recorded else None


def _quoted(warehouse: Warehouse, written: Sequence[str]) -> list[str]:
    left = []
    for table, column in _QUOTING.items() if written else ():
        condition = " OR ".join([f"POSITION(? IN LOWER({column})) > 0"] * len(written))
        values: list[Any] = [value.lower() for value in written]
        rows = warehouse.value(f"SELECT COUNT(*) FROM ops.{table} WHERE {condition}", values)
        if rows:
            left.append(f"{rows} rows of ops.{table} quote it, which the ledger covers")
    return left
