"""The columns of certified models, as text: a part has those of its candidate, a view those of its parts.

A certified table is a copy of what the gate has scanned, so its columns are written once, in core. `make docs` writes
them into the models of certified and into the schema checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from textwrap import fill, indent

from insightmart.definitions.columns import Meanings

# A projection of the outer SELECT, as `sqlmesh format` writes it: ``expression AS column, /* comment */``.
_PROJECTION = re.compile(r"^(  \S.* AS (\w+)(,?))(?: /\* .* \*/)?$", re.MULTILINE)
_TYPED = re.compile(r"::([A-Z]+(?:\(\d+, \d+\))?) AS (\w+),?(?: /\* .* \*/)?$", re.MULTILINE)
_UNITED = re.compile(r"(?<=\nUNION ALL\nSELECT\n).*?(?=\nFROM )", re.DOTALL)
_SCHEMA_CHECK = re.compile(r"SELECT \d+( - COUNT\(\*\) AS (\w+)_columns_missing\n.*\n.* c\.COLUMN_NAME IN \()[^)]*\)")


def copied(sql: str, candidate: str) -> str:
    """A certified model with the columns of its candidate in core; both as SQL."""
    typed = _TYPED.findall(candidate.partition("\nSELECT\n")[2])
    before, _, after = _projections(sql)
    return before + ",\n".join(f"  {name}::{kind} AS {name}" for kind, name in typed) + after


def united(sql: str, part: str) -> str:
    """A view that unites parts, with the columns of one of them; both as SQL."""
    before, _, after = _projections(sql)
    listed = ",\n".join(f"  {column}" for column in columns_of(part))
    return before + _projections(part)[1] + _UNITED.sub(listed, after)


def columns_of(sql: str) -> list[str]:
    """The columns of a certified model, in order."""
    return [column for _, column, _ in _PROJECTION.findall(_projections(sql)[1])]


def schema_checks(checks: str, columns: Mapping[str, Sequence[str]]) -> str:
    """A text of SodaCL whose schema checks ask for all columns; ``columns`` is certified table -> its columns."""

    def check(found: re.Match[str]) -> str:
        names = columns[found[2]]
        listed = indent(fill(", ".join(f"'{name.upper()}'" for name in names), 102), " " * 10)
        return f"SELECT {len(names)}{found[1]}\n{listed}\n        )"

    return _SCHEMA_CHECK.sub(check, checks)


def commented(sql: str, model: str, meanings: Meanings) -> str:
    """A model of certified or its candidate, with the meaning of each column as its comment.

    It takes the place of any comment there; none where nobody has written a meaning, which the linter refuses.
    """

    def comment(found: re.Match[str]) -> str:
        meaning = meanings.of(model, found[2])
        return f"{found[1]} /* {meaning} */" if meaning else found[1]

    before, projections, after = _projections(sql)
    return f"{before}{_PROJECTION.sub(comment, projections)}{after}"


def _projections(sql: str) -> tuple[str, str, str]:
    """What stands before, in and after the first SELECT of a model without indentation."""
    before, select, rest = sql.partition("\nSELECT\n")
    projections, source, after = rest.partition("\nFROM ")
    return before + select, projections, source + after
