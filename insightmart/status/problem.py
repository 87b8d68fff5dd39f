"""What a problem is: its identity over time, its words, its facts; and words that problems share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from insightmart.certification.verdict import PartState

LOOKED_AT_DAILY = frozenset({"cost", "over budget"})  # nothing about them can change within the day

_LEVELS = {
    "held back": "bad",
    "failed": "bad",
    "reconciliation": "bad",
    "over budget": "bad",
    "corrections pending": "note",
    "lineage": "note",
}


@dataclass(frozen=True)
class Problem:
    """Something that needs somebody: what happened, what it holds back, what to do, whom it concerns.

    One cause is one problem, however much comes of it.

    Attributes:
        key: the same for as long as the problem lasts, of ``a-z0-9-``; no other problem has it at the time.
        kind: of which sort it is; it decides the level.
        title: what and where, in a line.
        what: what happened, in sentences.
        holds_back: what lacks something by it, and what does not, in sentences.
        action: the cure, in sentences.
        owner: who is to be asked; empty where nobody is named.
        areas: the subject areas it touches, as of certified.datasets, in lower case; empty: none, or all.
        affects: what lacks something by it: parts, tables, files, as people call them.
        stores: numbers of the stores it concerns, where they are known.
        rows: how many rows it keeps out of certified, or that do not tie; None: not known.
        money: how much money that is, in the company's currency, exact; None: not known.
    """

    kind: str
    title: str
    what: str
    holds_back: str
    action: str
    owner: str = ""
    key: str = ""
    areas: tuple[str, ...] = ()
    affects: tuple[str, ...] = ()
    stores: tuple[int, ...] = ()
    rows: int | None = None
    money: Decimal | None = None

    @property
    def level(self) -> str:
        """How bad it is: bad, warning or note."""
        return _LEVELS.get(self.kind, "warning")


def problem_key(*parts: str) -> str:
    """The key of a problem, of the words that make it: ``held-back-sales-oltp``. Fit for an address and a file name."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def areas_of(states: Iterable[PartState]) -> tuple[str, ...]:
    """The subject areas of parts, in lower case."""
    return tuple(dict.fromkeys(state.part.area.lower() for state in states))


def tables_of(state: PartState) -> str:
    """What readers see of a part: ``The certified sales tables``."""
    return f"The certified {state.part.area.lower()} tables"


def amount(count: int, what: str) -> str:
    """A number of things, in words; empty for none."""
    return f"{count:,} {what}{'' if count == 1 else 's'}" if count else ""


def listed(names: Sequence[str]) -> str:
    """Names for people: ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def capitalised(text: str) -> str:
    """With a capital letter in front, the rest as it is."""
    return text[:1].upper() + text[1:]
