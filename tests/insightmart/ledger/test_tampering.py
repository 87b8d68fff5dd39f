"""Random tamperings of each kind, each found and named, and nothing else with it; 200 of all, or TAMPERINGS of each."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.warehouse import Warehouse
from insightmart.ledger.chain import NOTHING_BEFORE, Entry
from insightmart.ledger.evidence_tables import EVIDENCE, columns_of
from insightmart.ledger.kept_heads import Outside
from insightmart.ledger.links import Damage, Tampering
from insightmart.ledger.verification import Verified, entries_in_order, verify

if TYPE_CHECKING:
    from conftest import Kept

TIMES = int(os.environ.get("TAMPERINGS", "20"))
LEDGER = "ops.ledger"


class Trial:
    """One tampering: what was done to the tables, to be looked at and undone."""

    def __init__(self, kept: Kept, chance: random.Random) -> None:
        self.warehouse = kept.warehouse
        self.chance = chance
        self.entries = list(entries_in_order(kept.warehouse))
        self.last_heads = [head.sequence for head in kept.heads]

    def entry(self, first: int = 1, last: int | None = None) -> Entry:
        """Any entry, by its number."""
        return self.entries[self.chance.randint(first, last or len(self.entries)) - 1]

    def put(self, *entries: Entry) -> None:
        """Rows of the ledger as somebody with a right to write would put them."""
        self.warehouse.insert(LEDGER, [asdict(entry) for entry in entries])

    def take_away(self, *entries: Entry) -> None:
        marks = ", ".join("?" * len(entries))
        ids = [entry.entry_id for entry in entries]
        self.warehouse.execute(f"DELETE FROM {LEDGER} WHERE entry_id IN ({marks})", ids)


Tamper = Callable[[Trial], Callable[[list[Damage]], bool]]


def changed(trial: Trial) -> Callable[[list[Damage]], bool]:
    """A value of an entry is another one."""
    entry = trial.entry()
    name = trial.chance.choice([name for name in asdict(entry) if name != "sequence"])
    value = getattr(entry, name)
    other = (
        value + timedelta(microseconds=1)
        if isinstance(value, datetime)
        else not value
        if isinstance(value, bool)
        else trial.chance.choice([None, f"{value}x", "", (value or "")[::-1] + " "])
    )
    trial.take_away(entry)
    trial.put(replace(entry, **{name: other}))
    return lambda found: in_ledger(found) == {(Tampering.CHANGED, entry.sequence)}


def removed(trial: Trial) -> Callable[[list[Damage]], bool]:
    """An entry is gone, also the last one."""
    entry = trial.entry()
    trial.take_away(entry)
    first = (Tampering.REMOVED, entry.sequence)
    # the head outside of an entry that is gone is no other entry
    return lambda found: first in in_ledger(found) and {number for _, number in in_ledger(found)} == {entry.sequence}


def inserted(trial: Trial) -> Callable[[list[Damage]], bool]:
    """An entry of the tamperer's own, with a right hash of its own, after any entry but the last."""
    before = trial.entry(last=len(trial.entries) - 1)
    forged = replace(
        before,
        sequence=before.sequence + 1,
        entry_id="forged",
        subject="forged",
        previous_hash=before.entry_hash if trial.chance.random() < 0.5 else before.previous_hash,
    )
    forged = replace(forged, entry_hash=forged.computed_hash)
    later = trial.entries[before.sequence :]
    if trial.chance.random() < 0.5:  # with the numbers of all later ones
        trial.take_away(*later)
        trial.put(*[replace(entry, sequence=entry.sequence + 1) for entry in later])
    trial.put(forged)
    return lambda found: any(
        one.what is Tampering.INSERTED and one.subject == "forged" and "[forged]" in one.message for one in found
    )


def copied(trial: Trial) -> Callable[[list[Damage]], bool]:
    """An entry is there twice."""
    entry = trial.entry()
    trial.put(entry)
    return lambda found: in_ledger(found) == {(Tampering.INSERTED, entry.sequence)}


def reordered(trial: Trial) -> Callable[[list[Damage]], bool]:
    """Two entries have each other's numbers."""
    one, other = trial.chance.sample(trial.entries, 2)
    trial.take_away(one, other)
    trial.put(replace(one, sequence=other.sequence), replace(other, sequence=one.sequence))
    numbers = {(Tampering.REORDERED, one.sequence), (Tampering.REORDERED, other.sequence)}
    return lambda found: in_ledger(found) == numbers


def rewritten(trial: Trial) -> Callable[[list[Damage]], bool]:
    """The ledger is written anew from some entry on, as if it had always said so."""
    first = trial.entry()
    trial.take_away(*trial.entries[first.sequence - 1 :])
    before = trial.entries[first.sequence - 2].entry_hash if first.sequence > 1 else NOTHING_BEFORE
    anew = []
    for entry in trial.entries[first.sequence - 1 :]:
        actor = "somebody else" if entry is first else entry.actor
        forged = replace(entry, actor=actor, previous_hash=before)
        before = forged.computed_hash
        anew.append(replace(forged, entry_hash=before))
    trial.put(*anew)
    agreed = max((number for number in trial.last_heads if number < first.sequence), default=0)
    numbers = {(Tampering.REWRITTEN, number) for number in trial.last_heads if number >= first.sequence}
    return lambda found: (
        in_ledger(found) == numbers and all(one.message.endswith(f"after entry {agreed}") for one in found)
    )


def flipped(trial: Trial) -> Callable[[list[Damage]], bool]:
    """A check says something else than the scan said."""
    rows = trial.warehouse.records("SELECT * FROM ops.check_results WHERE scan_id LIKE '%-_'")
    row = trial.chance.choice(rows)
    said = trial.chance.choice([name for name in ("pass", "warn", "fail") if name != row["outcome"]])
    trial.warehouse.execute(
        "UPDATE ops.check_results SET outcome = ? WHERE scan_id = ? AND check_name = ?",
        [said, row["scan_id"], row["check_name"]],
    )
    window = f"{row['window_start']:%Y-%m-%d %H:%M} to {row['window_end']:%Y-%m-%d %H:%M}"
    start = f"check {row['check_name']!r} of {row['area']}, window {window}, says {said!r}: entry "
    return lambda found: (
        [one.what for one in found] == [Tampering.CHANGED]
        and found[0].message.startswith(start)
        and f"has {row['outcome']!r} with digest" in found[0].message
    )


def evidence_changed(trial: Trial) -> Callable[[list[Damage]], bool]:
    """A value of any row of evidence is another one."""
    evidence, row = a_row(trial)
    own = (*evidence.key, evidence.recorded, *evidence.named_by, "status", "kind", "plan_id")
    name = trial.chance.choice([name for name in columns_of(evidence.name) if name not in own])
    kind = columns_of(evidence.name)[name]
    number = (row[name] or 0) + 1 if kind in ("BIGINT", "DECIMAL") else None
    instant = datetime(2026, 1, 1, 0, 0, trial.chance.randrange(60))
    other = {"VARCHAR": f"{row[name]}x", "BOOLEAN": not row[name], "TIMESTAMP_NTZ": instant, "DATE": instant.date()}
    where, values = where_is(row)
    trial.warehouse.execute(
        f'UPDATE ops.{evidence.name} SET "{name.upper()}" = ? WHERE {where}', [other.get(kind, number), *values]
    )
    subject = evidence.subject(row)
    return lambda found: (
        {(one.what, one.table, one.subject) for one in found} == {(Tampering.CHANGED, evidence.table, subject)}
    )


def evidence_removed(trial: Trial) -> Callable[[list[Damage]], bool]:
    """A row of evidence is gone."""
    evidence, row = a_row(trial)
    where, values = where_is(row)
    trial.warehouse.execute(f"DELETE FROM ops.{evidence.name} WHERE {where}", values)
    subject = evidence.subject(row)
    return lambda found: (
        {(one.what, one.table, one.subject) for one in found} == {(Tampering.REMOVED, evidence.table, subject)}
    )


def evidence_inserted(trial: Trial) -> Callable[[list[Damage]], bool]:
    """A row of evidence is put in, into a set that an entry covers, or as one of its own, whenever it says it was."""
    evidence, row = a_row(trial)
    forged = dict(row)
    if trial.chance.random() < 0.5:
        forged |= {name: f"{row[name]}9" for name in evidence.key}
    if evidence.named_by and evidence.named_by[0] not in evidence.key:
        forged[evidence.named_by[0]] = "forged"
    if trial.chance.random() < 0.2:
        forged[evidence.recorded] = trial.chance.choice([None, datetime(2026, 1, 1)])
    trial.warehouse.insert(f"ops.{evidence.name}", [forged])
    return lambda found: {(one.what, one.table) for one in found} == {(Tampering.INSERTED, evidence.table)}


def a_row(trial: Trial) -> tuple[Any, dict[str, Any]]:
    """A row that an entry covers, of any table."""
    known = {entry.subject for entry in trial.entries}
    while True:
        evidence = trial.chance.choice(EVIDENCE)
        rows = trial.warehouse.records(f"SELECT * FROM {evidence.table} WHERE {evidence.final}")
        rows = [row for row in rows if evidence.subject(row) in known]
        if rows:
            return evidence, trial.chance.choice(rows)


def where_is(row: dict[str, Any]) -> tuple[str, list[Any]]:
    given = {name: value for name, value in row.items() if value is not None}
    return " AND ".join(f'"{name.upper()}" = ?' for name in given), list(given.values())


def in_ledger(found: list[Damage]) -> set[tuple[Tampering, int | None]]:
    return {(one.what, one.sequence) for one in found if one.table == LEDGER}


@contextmanager
def undone(warehouse: Warehouse) -> Iterator[None]:
    warehouse.execute("BEGIN")
    try:
        yield
    finally:
        warehouse.execute("ROLLBACK")


def verified(kept: Kept, outside: Any = None) -> Verified:
    return verify(kept.warehouse, outside or kept.outside, str)


@pytest.mark.parametrize(
    "tamper",
    [
        changed,
        removed,
        inserted,
        copied,
        reordered,
        rewritten,
        flipped,
        evidence_changed,
        evidence_removed,
        evidence_inserted,
    ],
)
def test_every_tampering_is_found_and_named(kept: Kept, tamper: Tamper) -> None:
    assert verified(kept).damage == []
    chance = random.Random(tamper.__name__)
    missed = []
    for number in range(TIMES):
        trial = Trial(kept, chance)
        with undone(kept.warehouse):
            is_named = tamper(trial)
            found = verified(kept).damage
        if not is_named(found):
            missed.append((number, found))
    assert missed == []


def test_a_sound_ledger_says_how_far_it_is_proven(kept: Kept) -> None:
    found = verified(kept)
    assert (found.is_sound, found.compared, found.waiting) == (True, 5, 0)
    assert found.stretches == found.anchored == [(1, found.entries)]
    alone = verified(kept, lambda _: Outside())
    assert (alone.is_sound, alone.anchored) == (True, [])


def test_a_ledger_that_lost_its_first_entries_proves_the_rest(kept: Kept) -> None:
    kept.warehouse.execute("DELETE FROM ops.ledger WHERE sequence <= 3")
    found = verified(kept)
    first = found.damage[0]
    assert (first.what, first.sequence) == (Tampering.REMOVED, 1)
    assert first.message.startswith("entries 1 to 3 are missing before entry 4 (")
    assert found.anchored == [(4, found.entries + 3)]


def test_a_ledger_with_a_damaged_end_proves_what_lies_before(kept: Kept) -> None:
    last = kept.heads[-1].sequence
    kept.warehouse.execute("UPDATE ops.ledger SET details = '{}' WHERE sequence = ?", [last - 2])
    found = verified(kept)
    assert [(one.what, one.sequence) for one in found.damage] == [(Tampering.CHANGED, last - 2)]
    assert found.stretches == [(1, last - 3), (last - 1, last)]
    assert found.anchored == [(1, kept.heads[-2].sequence), (last - 1, last)]


def test_an_emptied_ledger_is_told_by_the_heads_outside(kept: Kept) -> None:
    kept.warehouse.execute("DELETE FROM ops.ledger")
    found = verified(kept)
    assert {one.what for one in found.damage if one.table == LEDGER} == {Tampering.REMOVED}
    assert (found.entries, found.stretches) == (0, [])


def test_since_compares_the_evidence_of_later_runs_alone(kept: Kept) -> None:
    kept.warehouse.execute("UPDATE ops.check_results SET outcome = 'pass' WHERE outcome = 'fail'")
    since = datetime(2026, 3, 6, 20)
    found = verify(kept.warehouse, kept.outside, str, since)
    assert (found.is_sound, found.entries) == (True, kept.heads[-1].sequence)
    assert 0 < found.rows < verified(kept).rows / 2
    assert not verify(kept.warehouse, kept.outside, str, since - timedelta(hours=2)).is_sound
