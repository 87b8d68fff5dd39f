"""Is the ledger the one that was written, and is the evidence that it speaks of: everything that is not, named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ingestion.warehouse import Warehouse
from insightmart.ledger.chain import COLUMNS, CONTINUES_AFTER, Entry, Head, Kind
from insightmart.ledger.kept_heads import Outside, OutsideHead
from insightmart.ledger.links import Chain, Damage, Stretch, Tampering, examine_chain
from insightmart.ledger.matching import Matched, Register, match
from insightmart.ledger.recording import LEDGER, OVERLAP

_ONE_RUN = timedelta(minutes=1)  # in which all entries of a run are written
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM {LEDGER}"


@dataclass
class Verified:
    """What a verification found: sound without damage.

    Attributes:
        entries: how many there are.
        head: the last one.
        damage: everything that is not as it was written.
        stretches: entries that prove each other, first and last number of each run of them.
        anchored: the same, cut off at the last head outside that agrees: nobody can have rewritten these.
        compared: heads outside that there is an entry for.
        rows, sets: rows of evidence, and in how many sets, that were compared.
        waiting: rows that the next run enters.
            purged: rows that retention deleted, as an entry says.
        notes: what else to know; nothing that is wrong.
    """

    entries: int = 0
    head: Head | None = None
    damage: list[Damage] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    anchored: list[Stretch] = field(default_factory=list)
    compared: int = 0
    rows: int = 0
    sets: int = 0
    waiting: int = 0
    purged: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether everything is as it was written."""
        return not self.damage

    def as_json(self) -> dict[str, Any]:
        """The findings for a program."""
        stretches = {name: [list(stretch) for stretch in getattr(self, name)] for name in ("stretches", "anchored")}
        return {"sound": self.is_sound, **asdict(self), **stretches}


def verify(
    warehouse: Warehouse,
    read_outside: Callable[[Callable[[int], str | None]], Outside],
    progress: Callable[[str], None],
    since: datetime | None = None,
) -> Verified:
    """Hash every entry again, compare the heads kept outside, and the rows of evidence with their digests.

    Args:
        warehouse: open connection.
        read_outside: gives the heads that are not in the warehouse; it gets the hash that the ledger has for a number.
        progress: gets a line now and then.
        since: only evidence entered since; the entries are all looked at.
    """
    register = Register()
    floor: list[datetime] = []
    restores: list[Entry] = []

    def noted(entry: Entry) -> Entry:
        is_compared = since is None or entry.recorded_at is None or entry.recorded_at >= since
        register.add(entry, is_compared=is_compared)
        if entry.kind == Kind.RESTORE and CONTINUES_AFTER in entry.told:
            restores.append(entry)
        if since is not None and not is_compared and entry.recorded_at < since - _ONE_RUN:
            floor[:] = [entry.recorded_at - OVERLAP]
        if entry.sequence % 10_000 == 0:
            progress(f"entry {entry.sequence:,}")
        return entry

    chain = examine_chain(noted(entry) for entry in entries_in_order(warehouse))
    outside = read_outside(lambda number: link.entry_hash if (link := chain.links.get(number)) else None)
    if any(one.what is Tampering.INSERTED for one in chain.damage):  # which of two was written, the heads may say
        chain = examine_chain(entries_in_order(warehouse), {one.head.entry_hash for one in outside.heads})
    found = Verified(len(chain.links), chain.head, list(chain.damage), list(chain.stretches))
    found.damage += outside.damage
    found.notes += outside.notes
    found.compared = _compare_heads(chain, outside.heads, found)
    found.notes += [_restored(entry, chain, outside.heads) for entry in restores]
    found.anchored = _anchored(chain, outside.heads)
    matched = match(
        warehouse,
        register,
        lambda number: entry_of(warehouse, number),
        progress,
        (floor[0] if floor else register.began) if since else None,
    )
    _take_over(matched, found, register)
    if not chain.links:
        found.notes.append("ops.ledger is empty: nothing is proven")
    return found


def _take_over(matched: Matched, found: Verified, register: Register) -> None:
    found.rows, found.sets, found.waiting = matched.rows, matched.sets, matched.waiting
    found.purged = matched.purged
    if matched.purged:
        found.notes.append(
            f"{matched.purged:,} rows of entries up to {register.purged_through:,} were deleted by retention, as entry"
            f" {register.purged_by:,} says: that they were there is proven, and not what they said"
        )
    found.damage += matched.damage
    if matched.waiting:
        found.notes.append(f"{matched.waiting} rows came after the last entry; the next run enters them")


def _compare_heads(chain: Chain, outside: Sequence[OutsideHead], found: Verified) -> int:
    """Name what differs from the heads outside. Returns how many could be compared."""
    wrong: list[OutsideHead] = []
    ordered = sorted(outside, key=lambda one: one.head.sequence)
    for one in ordered:
        link = chain.links.get(one.head.sequence)
        if (link is not None and link.is_of(one.head)) or _is_given_up(chain, one.head.sequence):
            continue
        wrong.append(one)
    last = max(chain.links, default=0)
    for one in wrong:
        number = one.head.sequence
        if number > last:
            message = f"the ledger ends with entry {last}; {one.place} has the head of entry {number}: entries are gone"
            found.damage.append(Damage(Tampering.REMOVED, LEDGER, number, "", message))
        else:
            link = chain.links.get(number)
            name = link.name if link else f"entry {number}, which is missing,"
            message = f"{name} is not the one whose head is kept in {one.place}: the ledger was rewritten from there or"
            message += f" before, after entry {_last_agreed(chain, ordered, number)}"
            found.damage.append(Damage(Tampering.REWRITTEN, LEDGER, number, link.subject if link else "", message))
    return len(outside)


def _is_given_up(chain: Chain, number: int) -> bool:
    return number not in chain.links and any(one.first <= number <= one.last for one in chain.given_up.values())


def _restored(entry: Entry, chain: Chain, outside: Sequence[OutsideHead]) -> str:
    """A restore in words: what is lost by it, and what outside still says that it was there."""
    told = entry.told
    said = f"entry {entry.sequence}: {entry.actor} put the copy of {told.get('copied_at')} in place"
    lost = chain.given_up.get(entry.sequence)
    if lost is None:
        return f"{said}; no entry is known to be lost by it"
    kept = sum(lost.first <= one.head.sequence <= lost.last for one in outside)
    span = f"entry {lost.first} is" if lost.first == lost.last else f"entries {lost.first} to {lost.last} are"
    heads = f", {kept} of whose heads {'is' if kept == 1 else 'are'} kept outside," if kept else ""
    return f"{said}: {span} lost by it{heads} and what they proved"


def _last_agreed(chain: Chain, ordered: Sequence[OutsideHead], number: int) -> int:
    """The last head before a number that agrees; 0 where none does."""
    agreed = 0
    for one in ordered:
        link = chain.links.get(one.head.sequence)
        if one.head.sequence < number and link is not None and link.is_of(one.head):
            agreed = one.head.sequence
    return agreed


def _anchored(chain: Chain, outside: Sequence[OutsideHead]) -> list[Stretch]:
    """Of every stretch the entries up to the last head outside that agrees with it."""
    agreed = [
        one.head.sequence
        for one in outside
        if (link := chain.links.get(one.head.sequence)) is not None and link.is_of(one.head)
    ]
    found: list[Stretch] = []
    for stretch in reversed(chain.stretches):
        last = max((number for number in agreed if stretch.first <= number <= stretch.last), default=None)
        if found and _goes_on_from(chain, found[0], stretch):
            last = stretch.last
        if last is not None:
            found.insert(0, Stretch(stretch.first, last))
    return found


def _goes_on_from(chain: Chain, later: Stretch, earlier: Stretch) -> bool:
    """Whether the first entry after a restore names the last one before it."""
    lost = chain.given_up.get(later.first)
    is_next = lost is not None and lost.first == earlier.last + 1
    return is_next and chain.links[later.first].previous_hash == chain.links[earlier.last].entry_hash


def entries_in_order(warehouse: Warehouse) -> Iterator[Entry]:
    """All entries by their number, read bit by bit."""
    for row in warehouse.streamed(f"{_SELECT} ORDER BY sequence, recorded_at, entry_id"):
        yield _entry(row)


def entries_since(warehouse: Warehouse, sequence: int) -> Iterator[Entry]:
    """The entries after the one with a number, in order."""
    for row in warehouse.streamed(f"{_SELECT} WHERE sequence > ? ORDER BY sequence", [sequence]):
        yield _entry(row)


def entry_of(warehouse: Warehouse, sequence: int) -> Entry | None:
    """The entry with a number."""
    found = warehouse.rows(f"{_SELECT} WHERE sequence = ? ORDER BY recorded_at LIMIT 1", [sequence])
    return _entry(found[0]) if found else None


def latest_entries(warehouse: Warehouse, limit: int, kind: str | None = None, run_id: str | None = None) -> list[Entry]:
    """The last entries, newest first."""
    conditions = [f"{name} = ?" for name, value in (("kind", kind), ("run_id", run_id)) if value]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    values = [value for value in (kind, run_id) if value]
    found = warehouse.rows(f"{_SELECT}{where} ORDER BY sequence DESC LIMIT ?", [*values, limit])
    return [_entry(row) for row in found]


def _entry(row: Sequence[Any]) -> Entry:
    values = dict(zip(COLUMNS, row, strict=True))
    return Entry(**{**values, "sequence": int(values["sequence"] or 0)})
