"""Whether the entries are those that were written, in their order: each hashed again, each after the one it names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from insightmart.ledger.chain import NOTHING_BEFORE, Entry, Head


class Tampering(StrEnum):
    """What was done to an entry or to a row of evidence."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    REWRITTEN = "rewritten"  # the ledger from some entry on, consistent in itself


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was written.

    Attributes:
        what: what was done.
        table: ``ops.ledger``, or the table of the rows of evidence.
        sequence: number of the entry that shows it; None where none does.
        subject: of that entry.
        message: a sentence for people.
    """

    what: Tampering
    table: str
    sequence: int | None
    subject: str
    message: str


class Stretch(NamedTuple):
    """Entries, first to last, of which each follows the one before and none was changed."""

    first: int
    last: int


class Link(NamedTuple):
    """Of an entry what the order is judged by."""

    sequence: int
    entry_id: str
    subject: str
    previous_hash: str
    entry_hash: str
    computed_hash: str
    is_intact: bool
    follows: int

    def is_of(self, head: Head) -> bool:
        """Whether a head is that of the entry: of its hash as it stands, or of what it says."""
        return head.sequence == self.sequence and head.entry_hash in (self.entry_hash, self.computed_hash)

    @property
    def name(self) -> str:
        """The entry for people."""
        return f"entry {self.sequence} ({self.subject})"


@dataclass(frozen=True)
class Chain:
    """What the entries alone prove."""

    links: Mapping[int, Link]  # by the number they were written with
    damage: Sequence[Damage]
    stretches: Sequence[Stretch]
    given_up: Mapping[int, Stretch]  # by the number of the entry after a restore: the entries that are lost by it

    @property
    def head(self) -> Head | None:
        """The last entry."""
        last = self.links[max(self.links)] if self.links else None
        return Head(last.sequence, last.entry_hash) if last else None


def examine_chain(entries: Iterable[Entry], outside: Collection[str] = ()) -> Chain:
    """Judge all entries, in any order. It keeps little of each, and all of those that are changed.

    Args:
        entries: all of them.
        outside: hashes of heads kept outside: of two entries with one number that of a head was written.
    """
    links: list[Link] = []
    changed: dict[int, Entry] = {}
    for entry in entries:
        computed = entry.computed_hash
        is_intact = computed == entry.entry_hash
        if not is_intact:
            changed[len(links)] = entry
        hashes = entry.previous_hash, entry.entry_hash, computed
        links.append(Link(entry.sequence, entry.entry_id, entry.subject, *hashes, is_intact, entry.follows))
    moved = _moved(links, changed)
    damage = [_reordered(links[place], number) for place, number in moved.items()]
    for place, number in moved.items():
        links[place] = links[place]._replace(sequence=number, is_intact=True, follows=number - 1)
    damage += [_changed(links[place]) for place in changed if place not in moved]
    kept, inserted = _originals(links, outside)
    damage += inserted
    given_up = {
        number: Stretch(link.follows + 1, number - 1)
        for number, link in kept.items()
        if link.is_intact and link.follows < number - 1
    }
    damage += _missing(kept, given_up)
    damage += _unlinked(kept)
    return Chain(kept, sorted(damage, key=lambda one: one.sequence or 0), _stretches(kept), given_up)


def _moved(links: Sequence[Link], changed: Mapping[int, Entry]) -> dict[int, int]:
    """Entries whose number alone is another one: their place -> the number they were written with."""
    numbers = {link.entry_hash: link.sequence for link in links if link.is_intact} | {NOTHING_BEFORE: 0}
    found: dict[int, int] = {}
    left = dict(changed)
    while True:
        before = len(found)
        for place, entry in list(left.items()):
            number = numbers.get(entry.previous_hash)
            if number is None:
                continue
            if replace(entry, sequence=number + 1).computed_hash == entry.entry_hash:
                found[place] = numbers[entry.entry_hash] = number + 1
                del left[place]
        if len(found) == before:
            return found


def _originals(links: Iterable[Link], outside: Collection[str]) -> tuple[dict[int, Link], list[Damage]]:
    """One entry for each number: of several the one that others were written after; the others were put in."""
    by_number: dict[int, list[Link]] = defaultdict(list)
    followed = set()
    for link in links:
        by_number[link.sequence].append(link)
        followed.add(link.previous_hash)
    kept: dict[int, Link] = {}
    damage = []
    for number in sorted(by_number):
        before = kept[number - 1].entry_hash if number - 1 in kept else None
        first, *others = sorted(
            by_number[number],
            key=lambda link: (
                link.entry_hash in outside,
                link.entry_hash in followed,
                link.previous_hash == before,
                link.is_intact,
            ),
            reverse=True,
        )
        kept[number] = first
        for other in others:
            is_copy = other.entry_hash == first.entry_hash
            said = "is there more than once" if is_copy else f"was put in beside entry {number} ({first.subject})"
            damage.append(_damage(Tampering.INSERTED, other, f"{other.name} [{other.entry_id}] {said}"))
    return kept, damage


def _missing(kept: Mapping[int, Link], given_up: Mapping[int, Stretch]) -> list[Damage]:
    found, expected = [], 1
    for number, link in kept.items():
        first_after = given_up[number].first if number in given_up else number
        if first_after < expected and number in given_up:
            message = f"entries {first_after} to {expected - 1} are there, which {link.name} gives up"
            found.append(_damage(Tampering.INSERTED, link, message))
        if first_after > expected:
            gone = (
                f"entry {expected} is"
                if first_after == expected + 1
                else f"entries {expected} to {first_after - 1} are"
            )
            message = f"{gone} missing before {link.name}"
            found.append(Damage(Tampering.REMOVED, "ops.ledger", expected, "", message))
        expected = max(expected, number + 1)
        if number < 1:
            found.append(_damage(Tampering.INSERTED, link, f"{link.name} has a number that no entry has"))
    return found


def _unlinked(kept: Mapping[int, Link]) -> list[Damage]:
    """Neighbours that are each intact, of which the later one was written after another entry."""
    found = []
    for number, link in kept.items():
        before = kept.get(link.follows)
        if number == 1 and link.is_intact and link.previous_hash != NOTHING_BEFORE:
            found.append(_damage(Tampering.INSERTED, link, f"{link.name} was not written as the first entry"))
        if before is None or not (link.is_intact and before.is_intact) or link.previous_hash == before.entry_hash:
            continue
        said = f"is not the one that {link.name} was written after: it was changed together with its hash"
        found.append(_damage(Tampering.CHANGED, before, f"{before.name} {said}"))
    return found


def _stretches(kept: Mapping[int, Link]) -> list[Stretch]:
    stretches: list[Stretch] = []
    for number, link in kept.items():
        if not link.is_intact:
            continue
        before = kept.get(number - 1)
        follows = before is not None and before.is_intact and before.entry_hash == link.previous_hash
        if follows and stretches and stretches[-1].last == number - 1:
            stretches[-1] = stretches[-1]._replace(last=number)
        else:
            stretches.append(Stretch(number, number))
    return stretches


def _reordered(link: Link, number: int) -> Damage:
    return _damage(Tampering.REORDERED, link, f"{link.name} was written as entry {number}")


def _changed(link: Link) -> Damage:
    said = "was changed: what it says has another hash than it was written with"
    return _damage(Tampering.CHANGED, link, f"{link.name} {said}")


def _damage(what: Tampering, link: Link, message: str) -> Damage:
    return Damage(what, "ops.ledger", link.sequence, link.subject, message)
