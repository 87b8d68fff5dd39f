"""An explanation as a tree: what is said, in words and as values, and what stands behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from insightmart.console_tables import shown


@dataclass(frozen=True)
class Node:
    """Something that is so, and why.

    Attributes:
        what: what it is, in a few words.
        values: name -> value, as the warehouse has them; a source may have sent them.
        behind: what it is made of or decided by.
        note: a sentence for people; empty where the values say all.
    """

    what: str
    values: dict[str, Any] = field(default_factory=dict)
    behind: tuple[Node, ...] = ()
    note: str = ""

    @property
    def line(self) -> str:
        """The node without what stands behind it, for people."""
        known = [f"{name.replace('_', ' ')} {shown(value)}" for name, value in self.values.items() if value is not None]
        told = f"{self.what}: {', '.join(known)}" if known else self.what
        return f"{told}. {self.note}" if self.note else told

    def plain(self) -> dict[str, Any]:
        """The node for JSON: decimals as texts, so that they stay exact, instants in ISO form."""
        found: dict[str, Any] = {"what": self.what, **{name: _plain(value) for name, value in self.values.items()}}
        if self.note:
            found["note"] = self.note
        if self.behind:
            found["behind"] = [node.plain() for node in self.behind]
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value.isoformat() if isinstance(value, date) else value
