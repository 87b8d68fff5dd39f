"""Whether the rows of evidence are those that the entries keep digests of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ingestion.warehouse import Warehouse
from insightmart.ledger.canonical import canonical_value, digest, row_name
from insightmart.ledger.chain import Entry, Kind
from insightmart.ledger.evidence_tables import EVIDENCE, Covered, EvidenceTable, Row, rows_of
from insightmart.ledger.links import Damage, Tampering

NAMED = 20  # rows of one set that are named


@dataclass
class Register:
    """What entries keep digests of: (subject, table) -> number of the entry, rows, SHA-256.

    Attributes:
        kept: of the entries to be compared.
        numbers: subject -> number of its entry, for entries that are compared.
        known: subjects of all entries.
        began: since when rows are covered; None where the first entry does not say it.
        before: how many rows of each table there were before.
        ended: when the last entry was written.
        purged_through: the evidence of entries up to this number was deleted by retention; 0: of none.
        purged_by: number of the entry that says so.
        purged_before: and that from before this instant, of which no entry speaks.
    """

    kept: dict[tuple[str, str], tuple[int, int, str]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    began: datetime | None = None
    before: dict[str, int] | None = None
    ended: datetime | None = None
    purged_through: int = 0
    purged_by: int | None = None
    purged_before: datetime | None = None

    def add(self, entry: Entry, *, is_compared: bool) -> None:
        """Take an entry in; of several with one subject the first one counts."""
        if entry.recorded_at is not None:
            self.ended = max(self.ended or entry.recorded_at, entry.recorded_at)
        if entry.kind == Kind.BEGINNING and self.began is None:
            self._begin(entry.told)
        if entry.kind == Kind.RETENTION:
            self._purge(entry)
        if entry.subject in self.known:
            return
        self.known.add(entry.subject)
        if is_compared:
            self.numbers[entry.subject] = entry.sequence
            for table, kept in entry.kept.items():
                self.kept[entry.subject, table] = (entry.sequence, kept.rows, kept.sha256)

    def _purge(self, entry: Entry) -> None:
        through = entry.told.get("ledger_through")
        if isinstance(through, int) and self.purged_through < through < entry.sequence:
            self.purged_through, self.purged_by = through, entry.sequence
            with suppress(ValueError):
                self.purged_before = datetime.fromisoformat(str(entry.told.get("purged_before")))

    def _begin(self, told: Mapping[str, Any]) -> None:
        try:
            self.began = datetime.fromisoformat(str(told.get("since")))
        except ValueError:
            return
        before = told.get("before")
        self.before = {str(name): rows for name, rows in before.items()} if isinstance(before, Mapping) else None


@dataclass
class Matched:
    """What came of the comparison."""

    rows: int = 0
    sets: int = 0
    damage: list[Damage] = field(default_factory=list)
    purged: int = 0  # rows that retention deleted
    waiting: int = 0  # rows that became final after the last entry: the next run enters them


def match(
    warehouse: Warehouse,
    register: Register,
    entry_of: Callable[[int], Entry | None],
    progress: Callable[[str], None],
    since: datetime | None = None,
) -> Matched:
    """Compare the rows of evidence with the digests.

    Args:
        warehouse: open connection.
        register: what the entries keep.
        entry_of: an entry by its number, for naming what differs.
        progress: gets a line for every table.
        since: only rows that became final since; None for all.
    """
    found = Matched()
    left = dict(register.kept)
    for evidence in EVIDENCE:
        progress(evidence.table)
        before = 0
        differing: list[tuple[Covered, tuple[int, int, str]]] = []
        for whole in rows_of(warehouse, evidence, since):
            # what was there before the ledger is counted, also of a killed run that the first entries name
            ours = replace(
                whole, rows=[row for row in whole.rows if not _is_before(row[evidence.recorded], register.began)]
            )
            before += len(whole.rows) - len(ours.rows)
            kept = left.pop((whole.subject, evidence.table), None)
            if kept is not None:
                found.rows += len(whole.rows)
                found.sets += 1
                if not (_is_as_kept(whole, kept) or _is_as_kept(ours, kept)):
                    differing.append((ours if kept[1] < len(whole.rows) else whole, kept))
            elif (number := register.numbers.get(ours.subject)) is not None:
                found.damage += _put_in(ours, number)
            elif ours.subject not in register.known:
                _uncovered(ours, register, found)
        for covered, kept in differing:
            found.damage += _compared(covered, kept, entry_of)
        if since is None:
            found.damage += _count_before(evidence, before, register)
    for (subject, table), (sequence, rows, sha256) in left.items():
        if sequence <= register.purged_through:
            found.purged += rows
            continue
        message = f"the {rows} rows of {subject} are gone; entry {sequence} has their digest {sha256}"
        found.damage.append(Damage(Tampering.REMOVED, table, sequence, subject, message))
    return found


def _is_before(recorded: datetime | None, began: datetime | None) -> bool:
    return recorded is None or (began is not None and recorded < began)


def _put_in(covered: Covered, sequence: int) -> Iterator[Damage]:
    for row in covered.rows[:NAMED]:
        message = f"{_described(covered, row)}: entry {sequence} has no row of {covered.evidence.table}"
        yield Damage(Tampering.INSERTED, covered.evidence.table, sequence, covered.subject, message)


def _uncovered(covered: Covered, register: Register, found: Matched) -> None:
    latest = covered.latest
    if register.ended is None or latest is None or latest > register.ended:
        found.waiting += len(covered.rows)
        return
    names = "; ".join(_described(covered, row) for row in covered.rows[:NAMED])
    message = f"no entry covers {covered.subject} of {latest:%Y-%m-%d %H:%M:%S} UTC: {names}"
    found.damage.append(Damage(Tampering.INSERTED, covered.evidence.table, None, covered.subject, message))


def _count_before(evidence: EvidenceTable, rows: int, register: Register) -> Iterator[Damage]:
    if register.purged_before and register.began and register.began < register.purged_before and not rows:
        return
    expected = (register.before or {}).get(f"{evidence.noun} {evidence.table}")
    if expected is not None and rows != expected:
        what = Tampering.INSERTED if rows > expected else Tampering.REMOVED
        message = f"{rows} rows are from before the ledger began; entry 1 counted {expected}"
        yield Damage(what, evidence.table, 1, "the ledger", message)


def _is_as_kept(covered: Covered, kept: tuple[int, int, str]) -> bool:
    now = digest(covered.rows)
    return (now.rows, now.sha256) == kept[1:]


def _compared(
    covered: Covered, kept: tuple[int, int, str], entry_of: Callable[[int], Entry | None]
) -> Iterator[Damage]:
    sequence, rows, sha256 = kept
    now = digest(covered.rows, covered.evidence.named_by)
    table, subject = covered.evidence.table, covered.subject
    entry = entry_of(sequence)
    told = entry.told if entry else {}
    each = entry.kept[table].each if entry and table in entry.kept else {}
    named = list(_named(covered, now.each, each, told, sequence)) if each else []
    for what, message in named[:NAMED]:
        yield Damage(what, table, sequence, subject, message)
    if not named:
        more, fewer = now.rows > rows, now.rows < rows
        what = Tampering.INSERTED if more else Tampering.REMOVED if fewer else Tampering.CHANGED
        message = (
            f"{subject} has {now.rows} rows with digest {now.sha256}; entry {sequence} has {rows} with digest {sha256}"
        )
        yield Damage(what, table, sequence, subject, message)


def _named(
    covered: Covered, now: Mapping[str, str], each: Mapping[str, str], told: Mapping[str, Any], sequence: int
) -> Iterator[tuple[Tampering, str]]:
    by_name = {row_name(row, covered.evidence.named_by): row for row in covered.rows}
    for name in sorted({*now, *each}):
        if now.get(name) == each.get(name):
            continue
        said = _said_of(name, told)
        if name not in now:
            yield Tampering.REMOVED, f"{covered.subject}: {name} is gone; entry {sequence} has{said} {each[name]}..."
        elif name not in each:
            yield Tampering.INSERTED, f"{_described(covered, by_name[name])}: entry {sequence} does not have it"
        else:
            message = f"{_described(covered, by_name[name])}: entry {sequence} has{said} {each[name]}..."
            yield Tampering.CHANGED, f"{message}, now {now[name]}..."


def _said_of(name: str, told: Mapping[str, Any]) -> str:
    """What an entry says of a check, and that a digest follows."""
    if "gate" not in told:
        return " digest"
    not_passed = told.get("not_passed")
    outcomes = not_passed if isinstance(not_passed, Mapping) else {}
    outcome = next((said for check, said in outcomes.items() if name.split(" / ")[0] == check), "pass")
    return f" {outcome!r} with digest"


def _described(covered: Covered, row: Row) -> str:
    """A row for people: a check with its window and outcome, else its name or its key."""
    if covered.evidence.name == "check_results":
        window = " to ".join(_minute(row[name]) for name in ("window_start", "window_end"))
        return f"check {row['check_name']!r} of {row['area']}, window {window}, says {row['outcome']!r}"
    names: Sequence[str] = covered.evidence.named_by or covered.evidence.key
    return f"{covered.subject} ({row_name(row, names)})" if names else covered.subject


def _minute(instant: Any) -> str:
    return f"{instant:%Y-%m-%d %H:%M}" if isinstance(instant, datetime) else str(canonical_value(instant))
