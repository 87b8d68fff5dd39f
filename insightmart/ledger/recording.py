"""Entries written at the end of a run: what it did, and whatever became final since the last entry and none covers.

Call it with the writer's lock held: nothing else appends meanwhile. It costs three statements, and reads the rows of
the run alone. A run that is killed before leaves its rows to the next one.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from ingestion.clock import utc_now
from ingestion.warehouse import BOUND_AT_ONCE, Warehouse
from insightmart.checkout import Checkout, lock_hash, look_at
from insightmart.hidden_secrets import without_secrets
from insightmart.ledger.canonical import canonical_json, canonical_value, digest
from insightmart.ledger.chain import COLUMNS, CONTINUES_AFTER, NOTHING_BEFORE, Entry, Head, Kind
from insightmart.ledger.evidence_tables import Covered, by_subject, count_before, rows_since
from insightmart.ledger.particulars import kind_of, particulars
from insightmart.runs import actor
from insightmart.settings import Settings

LEDGER = "ops.ledger"
BEGINNING = "the ledger"  # subject of the first entry
# A plain `sqlmesh` command may stamp its results before an entry is written, and commit them after it.
OVERLAP = timedelta(hours=1)

_ORDER = {kind: place for place, kind in enumerate(Kind)}


@dataclass(frozen=True)
class Hand:
    """Who writes entries, with which code."""

    actor: str
    checkout: Checkout
    lock_hash: str | None
    models_hash: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class _Fresh:
    """An entry to be written."""

    kind: Kind
    subject: str
    run_id: str | None
    details: Mapping[str, Any]
    covered: Sequence[Covered] = ()


@dataclass(frozen=True)
class _End:
    """Where the ledger ends, and the subjects of its latest entries."""

    head: Head
    recorded_at: datetime
    subjects: frozenset[str]


def enter(
    warehouse: Warehouse, settings: Settings, run_id: str, begun: datetime, models_hash: str | None = None
) -> Head | None:
    """Write an entry for everything final that none covers yet: of this run, of killed ones, of plain `sqlmesh`.

    Args:
        warehouse: open connection.
        settings: who acts, and the secrets that must not be written.
        run_id: the run that has just ended.
        begun: when it began, by the real clock: a new ledger covers what became final since.
        models_hash: fingerprint of the models in prod, where the run had them open.

    Returns:
        The last entry; None where nothing has ever been written.
    """
    end = _end(warehouse)
    fresh = _since(warehouse, end, begun, run_id)
    if end is None:
        said = {"since": canonical_value(begun), "before": count_before(warehouse, begun)}
        fresh = [_Fresh(Kind.BEGINNING, BEGINNING, run_id, said), *fresh]
    hand = Hand(actor(settings), look_at(), lock_hash(), models_hash, run_id)
    return _append(warehouse, settings, end.head if end else None, hand, fresh)


def enter_restore(warehouse: Warehouse, settings: Settings, told: Mapping[str, Any], highest: int) -> Head:
    """Write down that an older copy of the warehouse was put in place, before anything else is done in it.

    The ledger goes on after the last entry of the copy. Numbers that were given since are left out: their heads may be
    kept outside, and no other entry may ever have one of them.

    Args:
        warehouse: the copy, open to be written.
        settings: who acts, and the secrets that must not be written.
        told: what there is to say of the restore.
        highest: the highest number that is known to have been given.
    """
    end = _end(warehouse)
    assert end is not None  # nothing is copied before the ledger has begun
    subject = f"restore {uuid.uuid4().hex[:12]}"
    first = _Fresh(Kind.RESTORE, subject, None, {CONTINUES_AFTER: end.head.sequence, **told})
    hand = Hand(actor(settings), look_at(), lock_hash())
    after = Head(max(highest, end.head.sequence), end.head.entry_hash)
    # what the copy holds and none covers comes now: the next run looks no further back than the last entry
    head = _append(warehouse, settings, after, hand, [first, *_since(warehouse, end, end.recorded_at, None)])
    assert head is not None
    return head


def _since(warehouse: Warehouse, end: _End | None, begun: datetime, run_id: str | None) -> list[_Fresh]:
    """What became final since the last entry, or since a ledger began, and none covers yet; in order."""
    since = begun if end is None else end.recorded_at - OVERLAP
    known = end.subjects if end else frozenset()
    found = by_subject(rows_since(warehouse, since))
    fresh = [
        _of_rows(subject, covered, run_id, end.recorded_at if end else None)
        for subject, covered in found.items()
        if subject not in known
    ]
    fresh.sort(key=lambda one: (_ORDER[one.kind], max(filter(None, (c.latest for c in one.covered)), default=since)))
    return fresh


def note(warehouse: Warehouse, settings: Settings, text: str) -> Head:
    """Write down what somebody did outside, after what waits to be entered: the next run looks no further back than the
    last entry. Returns the entry as the new end."""
    end = _end(warehouse)
    now = utc_now()
    hand = Hand(actor(settings), look_at(), lock_hash())
    waiting = _since(warehouse, end, now, None) if end else []
    entries = [*waiting, _Fresh(Kind.MANUAL, f"note {uuid.uuid4().hex[:12]}", None, {"note": text})]
    if end is None:
        said = {"since": canonical_value(now), "before": count_before(warehouse, now)}
        entries = [_Fresh(Kind.BEGINNING, BEGINNING, None, said), *entries]
    head = _append(warehouse, settings, end.head if end else None, hand, entries)
    assert head is not None
    return head


def _of_rows(subject: str, covered: Sequence[Covered], run_id: str | None, before: datetime | None) -> _Fresh:
    row = covered[0].rows[0]
    details = particulars(covered)
    latest = max((at for one in covered if (at := one.latest) is not None), default=None)
    if before is not None and latest is not None and latest < before and covered[0].evidence.name == "check_results":
        details["stamped_before_the_entry_before"] = True
    return _Fresh(kind_of(covered), subject, row.get("run_id") or run_id, details, covered)


def _append(
    warehouse: Warehouse, settings: Settings, head: Head | None, hand: Hand, fresh: Iterable[_Fresh]
) -> Head | None:
    entries = []
    for one in fresh:
        kept = {c.evidence.table: digest(c.rows, c.evidence.named_by).as_json() for c in one.covered}
        entry = Entry(
            sequence=head.sequence + 1 if head else 1,
            entry_id=uuid.uuid4().hex,
            recorded_at=utc_now(),
            kind=str(one.kind),
            subject=one.subject,
            run_id=one.run_id,
            actor=without_secrets(hand.actor, settings),
            git_sha=hand.checkout.commit,
            is_dirty=hand.checkout.is_dirty,
            lock_hash=hand.lock_hash,
            models_hash=hand.models_hash,
            details=canonical_json(without_secrets(dict(one.details), settings)),
            digests=canonical_json(kept),
            previous_hash=head.entry_hash if head else NOTHING_BEFORE,
        )
        entries.append(asdict(entry) | {"entry_hash": entry.computed_hash})
        head = Head(entry.sequence, entries[-1]["entry_hash"])
    # all or nothing: what follows looks for rows since the last entry
    is_one_statement = warehouse.dialect == "snowflake" and len(entries) * len(COLUMNS) <= BOUND_AT_ONCE
    with nullcontext() if is_one_statement else warehouse.transaction():
        warehouse.insert(LEDGER, entries)
    return head


def _end(warehouse: Warehouse) -> _End | None:
    """The end of the ledger, with the subjects of all entries that may cover what has become final since."""
    latest = warehouse.rows(
        f"SELECT sequence, entry_hash, recorded_at, subject FROM {LEDGER}"
        f" WHERE recorded_at >= (SELECT MAX(recorded_at) FROM {LEDGER}) - INTERVAL '{_hours(OVERLAP)} hours'"
        " ORDER BY sequence DESC"
    )
    if not latest:
        return None
    sequence, entry_hash, recorded_at, _ = latest[0]
    return _End(Head(int(sequence), entry_hash), recorded_at, frozenset(row[3] for row in latest))


def _hours(span: timedelta) -> int:
    return int(span / timedelta(hours=1))


def last_head(warehouse: Warehouse) -> Head | None:
    """The end of the ledger; None where it is empty."""
    found = warehouse.rows(f"SELECT sequence, entry_hash FROM {LEDGER} ORDER BY sequence DESC LIMIT 1")
    return Head(int(found[0][0]), found[0][1]) if found else None
