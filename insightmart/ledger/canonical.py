"""Rows as text that is the same whichever engine gave them, and what is kept of it: counts and SHA-256.

A row is JSON of its columns that are not NULL, by name: a column that a table gets later changes no digest of rows from
before. Numbers are written out without zeros at their end, so that 5 and 5.0000 are one; instants to the microsecond.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

EACH_AT_MOST = 1_000  # names that one set of rows has: of more rows only the whole is kept
SHORT = 16  # hexadecimal digits of a hash that only says which row is meant


def canonical_json(value: Any) -> str:
    """JSON with its keys in order and nothing between its parts: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def canonical_value(value: Any) -> str | bool | None:
    """A value of a row as JSON has it.

    Raises:
        TypeError: a kind of value that no table of ops has, such as a float.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | Decimal):
        return canonical_number(Decimal(value))
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"nobody has said how a {type(value).__name__} is written in the ledger")


def canonical_number(value: Decimal) -> str:
    """A decimal written out exactly."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def canonical_row(row: Mapping[str, Any]) -> str:
    """A row as text."""
    return canonical_json({name: canonical_value(value) for name, value in row.items() if value is not None})


def sha256(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Digest:
    """What an entry keeps of a set of rows of one table.

    Attributes:
        rows: how many.
        sha256: of their texts, in order of the texts, a line each.
        each: name of a row, or of the rows that share it -> the beginning of their hash, where rows have names: it says
            which row is another one, and proves nothing by itself.
    """

    rows: int
    sha256: str
    each: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As ops.ledger.digests has it."""
        return {"rows": self.rows, "sha256": self.sha256} | ({"each": dict(self.each)} if self.each else {})


def digest(rows: Iterable[Mapping[str, Any]], named_by: Sequence[str] = ()) -> Digest:
    """The digest of rows in any order; ``named_by`` are the columns that say what a row is called."""
    named: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        named[row_name(row, named_by)].append(canonical_row(row))
    texts = sorted(text for those in named.values() for text in those)
    each = {}
    if named_by and len(named) <= EACH_AT_MOST:
        each = {name: sha256("\n".join(sorted(those)))[:SHORT] for name, those in named.items()}
    return Digest(len(texts), sha256("\n".join(texts)), each)


def row_name(row: Mapping[str, Any], named_by: Sequence[str]) -> str:
    """What a row is called."""
    return " / ".join(str(value) for name in named_by if (value := canonical_value(row[name])) is not None)
