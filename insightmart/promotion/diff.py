"""The difference between two builds of a table, row by row and exact: what a change to a model does to its figures.

One pass over each build counts its rows, adds up its measures and a hash of every row, by day (a table without a date:
by part of its keys). Days with the same count and hashes in both are the same. Of the others, so many at a time as fit,
equal rows cancel out in a GROUP BY over all columns (NULL equals NULL), and what is left, the rows that differ, is
paired by the table's grain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from ingestion.warehouse import Warehouse, exact_sum

ROWS_AT_ONCE = 20_000_000  # of both builds together, that are compared row by row
KEY_PARTS = 1_024
SAMPLES = 10  # rows shown of each kind of difference

_NUMBERS = ("DECIMAL", "NUMBER", "NUMERIC", "INT", "BIGINT", "SMALLINT", "TINYINT")
# Numbers that say which row it is, or the price of one piece: adding them up means nothing.
_NO_MEASURE = ("_id", "_hour", "_number", "_price", "_cost")


@dataclass(frozen=True)
class Build:
    """One build of a table: the view that shows it, and its columns in lower case with their types."""

    view: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Comparison:
    """What to compare.

    Attributes:
        table: name for people, ``certified.fct_orders``.
        grain: columns that tell rows apart.
        before: the build in prod, None where the table is new.
        after: the build to be promoted, None where the table is gone.
    """

    table: str
    grain: Sequence[str]
    before: Build | None
    after: Build | None


@dataclass(frozen=True)
class Month:
    """Rows and totals of a month, before and after. ``month`` is its first day; None for tables without a date."""

    month: date | None
    rows: tuple[int, int]
    totals: dict[str, tuple[Decimal | None, Decimal | None]]


@dataclass(frozen=True)
class Sample:
    """A row that differs: its key and its measures before and after, and the names of the columns that changed.

    Other values are left out: they may be personal data.
    """

    kind: str
    key: dict[str, Any]
    measures: dict[str, tuple[Any, Any]]
    changed_columns: list[str]


@dataclass
class TableDiff:
    """How a table differs. ``rows_*`` count rows; ``changed_columns`` counts, per column, the rows it changed in.

    ``parts`` counts days, or parts of a table without a date, and ``parts_compared`` those among them that were
    compared row by row: their counts or hashes differed.

    ``repeated_keys`` counts keys that stand in more than one differing row of a build: such rows are counted, but which
    of their columns changed cannot be said.
    """

    table: str
    grain: list[str]
    columns_added: dict[str, str] = field(default_factory=dict)
    columns_removed: dict[str, str] = field(default_factory=dict)
    columns_retyped: dict[str, tuple[str, str]] = field(default_factory=dict)
    parts: int = 0
    parts_compared: int = 0
    rows_before: int = 0
    rows_after: int = 0
    rows_added: int = 0
    rows_removed: int = 0
    rows_changed: int = 0
    repeated_keys: int = 0
    changed_columns: dict[str, int] = field(default_factory=dict)
    measures: list[str] = field(default_factory=list)
    months: list[Month] = field(default_factory=list)
    months_equal: int = 0
    samples: list[Sample] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether both builds hold the same rows in the same columns."""
        rows = self.rows_added or self.rows_removed or self.rows_changed
        return not (rows or self.columns_added or self.columns_removed or self.columns_retyped)


def compare(warehouse: Warehouse, scratch: str, comparison: Comparison) -> TableDiff:
    """Compare two builds of a table.

    Args:
        warehouse: open connection.
        scratch: an existing schema for the rows that differ; the caller drops it.
        comparison: the builds. Names in it come from the project, never from data.
    """
    return _Comparer(warehouse, scratch, comparison).run()


@dataclass(frozen=True)
class _Part:
    """What a build has of a part of a table; ``digest`` adds up a hash of every row."""

    rows: int = 0
    digest: Decimal | int = 0
    totals: Mapping[str, Decimal | None] = field(default_factory=dict)

    def __add__(self, other: _Part) -> _Part:
        names = {**self.totals, **other.totals}
        return _Part(
            self.rows + other.rows,
            self.digest + other.digest,
            {name: _added(self.totals.get(name), other.totals.get(name)) for name in names},
        )


def _added(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """As SUM does: NULL where there is no value."""
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _at_once(rows: Mapping[Any, int]) -> list[list[Any]]:
    """The parts in order, so many together that they hold about ``ROWS_AT_ONCE`` rows; that without a date apart."""
    groups: list[list[Any]] = [[None]] if None in rows else []
    held = ROWS_AT_ONCE
    for part in sorted(part for part in rows if part is not None):
        if held >= ROWS_AT_ONCE:
            groups.append([])
            held = 0
        groups[-1].append(part)
        held += rows[part]
    return groups


class _Comparer:
    def __init__(self, warehouse: Warehouse, scratch: str, comparison: Comparison) -> None:
        self.warehouse = warehouse
        self.builds = (comparison.before, comparison.after)
        before = dict(comparison.before.columns) if comparison.before else {}
        after = dict(comparison.after.columns) if comparison.after else {}
        self.diff = TableDiff(comparison.table, list(comparison.grain))
        if before and after:
            self.diff.columns_added = {name: kind for name, kind in after.items() if name not in before}
            self.diff.columns_removed = {name: kind for name, kind in before.items() if name not in after}
            self.diff.columns_retyped = {
                name: (before[name], kind) for name, kind in after.items() if before.get(name, kind) != kind
            }
        self.columns = {name: kind for name, kind in (after or before).items() if name in (before or after)}
        # without its whole grain in both builds a row cannot be recognised: it is then one that went and one that came
        self.keys = [name for name in comparison.grain if name in self.columns]
        self.paired = bool(self.keys) and len(self.keys) == len(comparison.grain)
        everything = before | after
        is_dimension = comparison.table.split(".")[-1].startswith("dim_")
        self.diff.measures = [] if is_dimension else [n for n, k in everything.items() if _is_measure(n, k, comparison)]
        dates = [] if is_dimension else _by_preference(self.columns, comparison.grain)
        self.month = dates[0] if dates else None
        self.differing = f"{scratch}.{comparison.table.split('.')[-1].upper()}"

    def run(self) -> TableDiff:
        found = self._parts()
        self._months(found)
        if None in self.builds:
            self.diff.rows_added, self.diff.rows_removed = self.diff.rows_after, self.diff.rows_before
            return self.diff
        self._keep_differing_rows(found)
        if self.paired:
            self._count_pairs()
            self._take_samples()
        else:
            self._count_rows()
        return self.diff

    @property
    def _part(self) -> str:
        """SQL for the part of the table that a row belongs to, in whichever build: its day, else one by its key."""
        if self.month:
            return f"CAST({_quoted(self.month)} AS DATE)"
        if self.paired and not set(self.keys) & set(self.diff.columns_retyped):
            return f"MOD(ABS({_hash(self.keys)}), {KEY_PARTS})"
        return "0"

    def _parts(self) -> dict[Any, list[_Part]]:
        """What each build has of each part."""
        found: dict[Any, list[_Part]] = {}
        for side, build in enumerate(self.builds):
            if build is None:
                continue
            names = [name for name in self.diff.measures if name in build.columns]
            sums = "".join(f", {exact_sum(_quoted(name))}" for name in names)
            for part, count, digest, *totals in self.warehouse.rows(
                f"SELECT {self._part}, COUNT(*), {exact_sum(_hash(self.columns))}{sums} FROM {build.view} GROUP BY 1"
            ):
                sides = found.setdefault(part.date() if isinstance(part, datetime) else part, [_Part(), _Part()])
                sides[side] = _Part(int(count), digest, dict(zip(names, totals, strict=True)))
        self.diff.parts = len(found)
        return found

    def _months(self, parts: Mapping[Any, Sequence[_Part]]) -> None:
        """Rows and exact totals by month, of each build by its own dates."""
        found: dict[date | None, list[_Part]] = {}
        for part, sides in parts.items():
            month = part.replace(day=1) if self.month and part is not None else None
            found[month] = [one + other for one, other in zip(found.get(month, [_Part(), _Part()]), sides, strict=True)]
        for month in sorted(found, key=lambda value: value or date.min):
            before, after = found[month]
            self.diff.rows_before += before.rows
            self.diff.rows_after += after.rows
            if before.rows == after.rows and before.totals == after.totals:
                self.diff.months_equal += 1
                continue
            sums_of_both = {name: (before.totals.get(name), after.totals.get(name)) for name in self.diff.measures}
            self.diff.months.append(Month(month, (before.rows, after.rows), sums_of_both))

    def _keep_differing_rows(self, parts: Mapping[Any, Sequence[_Part]]) -> None:
        """A table of the rows that one build has more often than the other; COPIES says how often, above 0 in prod."""
        columns = ", ".join(_quoted(name) for name in self.columns)
        differing = {
            part: before.rows + after.rows
            for part, (before, after) in parts.items()
            if (before.rows, before.digest) != (after.rows, after.digest)
        }
        self.diff.parts_compared = len(differing)
        begin = f"CREATE TABLE {self.differing} AS"
        for some in _at_once(differing) or [[]]:
            condition, params = self._among(some)
            sides = [
                f"SELECT {self._as_compared(build)}, {sign} AS COPIES FROM {build.view} WHERE {condition}"
                for build, sign in zip(self.builds, ("1", "-1"), strict=True)
                if build
            ]
            self.warehouse.execute(
                f"{begin} SELECT {columns}, SUM(COPIES) AS COPIES"
                f" FROM ({' UNION ALL '.join(sides)}) AS builds GROUP BY {columns} HAVING SUM(COPIES) <> 0",
                params * len(sides),
            )
            begin = f"INSERT INTO {self.differing}"

    def _among(self, parts: Sequence[Any]) -> tuple[str, list[Any]]:
        """SQL for rows of these parts, and the values of its marks."""
        known = [part for part in parts if part is not None]
        if not known:
            return (f"{self._part} IS NULL" if parts else "FALSE"), []
        if not self.month:
            return f"{self._part} IN ({', '.join('?' for _ in known)})", known
        # the bounds prune, where the days lie near each other
        column, mark = _quoted(self.month), "CAST(? AS DATE)"
        inside = f"{self._part} IN ({', '.join(mark for _ in known)})"
        bounds = f"{column} >= {mark} AND {column} < {mark}"
        return f"{bounds} AND {inside}", [min(known), max(known) + timedelta(days=1), *known]

    def _as_compared(self, build: Build) -> str:
        """Columns as they are, but as text where their types have nothing in common."""
        return ", ".join(
            f"CAST({_quoted(name)} AS VARCHAR) AS {_quoted(name)}"
            if _family(self.diff.columns_retyped.get(name))
            else _quoted(name)
            for name in self.columns
        )

    def _pairs(self) -> str:
        """SQL for the rows that differ, a row a key: how many went and came, and each column before and after."""
        sides = ", ".join(
            f"MAX(CASE WHEN COPIES > 0 THEN {_quoted(name)} END) AS {_quoted('before_' + name)},"
            f" MAX(CASE WHEN COPIES < 0 THEN {_quoted(name)} END) AS {_quoted('after_' + name)}"
            for name in self._values()
        )
        keys = ", ".join(_quoted(name) for name in self.keys)
        return (
            f"SELECT {keys}, SUM(CASE WHEN COPIES > 0 THEN COPIES ELSE 0 END) AS WENT,"
            f" SUM(CASE WHEN COPIES < 0 THEN -COPIES ELSE 0 END) AS CAME{', ' + sides if sides else ''}"
            f" FROM {self.differing} GROUP BY {keys}"
        )

    def _values(self) -> list[str]:
        return [name for name in self.columns if name not in self.keys]

    def _count_pairs(self) -> None:
        names = self._values()
        changed = "".join(
            f", SUM(CASE WHEN WENT = 1 AND CAME = 1 AND {_differs(name)} THEN 1 ELSE 0 END)" for name in names
        )
        ((went, came, both, repeated, *counts),) = self.warehouse.rows(
            "SELECT SUM(WENT), SUM(CAME), SUM(LEAST(WENT, CAME)), SUM(CASE WHEN WENT > 1 OR CAME > 1 THEN 1 ELSE 0 END)"
            f"{changed} FROM ({self._pairs()}) AS pairs"
        )
        self.diff.rows_changed, self.diff.repeated_keys = int(both or 0), int(repeated or 0)
        self.diff.rows_removed, self.diff.rows_added = (int(n or 0) - self.diff.rows_changed for n in (went, came))
        self.diff.changed_columns = {name: int(n) for name, n in zip(names, counts, strict=True) if n}

    def _count_rows(self) -> None:
        ((went, came),) = self.warehouse.rows(
            "SELECT SUM(CASE WHEN COPIES > 0 THEN COPIES ELSE 0 END),"
            f" SUM(CASE WHEN COPIES < 0 THEN -COPIES ELSE 0 END) FROM {self.differing}"
        )
        self.diff.rows_removed, self.diff.rows_added = int(went or 0), int(came or 0)

    def _take_samples(self) -> None:
        keys = ", ".join(_quoted(name) for name in self.keys)
        for kind, condition in (
            ("changed", "WENT = 1 AND CAME = 1"),
            ("removed", "WENT > CAME"),
            ("added", "CAME > WENT"),
        ):
            rows = self.warehouse.records(
                f"SELECT * FROM ({self._pairs()}) AS pairs WHERE {condition} ORDER BY {keys} LIMIT {SAMPLES}"
            )
            self.diff.samples += [self._sample(kind, row) for row in rows]

    def _sample(self, kind: str, row: Mapping[str, Any]) -> Sample:
        changed = [n for n in self._values() if kind == "changed" and row[f"before_{n}"] != row[f"after_{n}"]]
        shown = [n for n in self.diff.measures if n in self._values() and (kind != "changed" or n in changed)]
        measures = {name: (row[f"before_{name}"], row[f"after_{name}"]) for name in shown}
        return Sample(kind, {name: row[name] for name in self.keys}, measures, changed)


def _hash(names: Iterable[str]) -> str:
    """SQL for a hash of some columns: 64 bits, the same for the same values in both builds of one warehouse."""
    return f"CAST(HASH({', '.join(_quoted(name) for name in names)}) AS DECIMAL(38, 4))"


def _quoted(name: str) -> str:
    return f'"{name.upper()}"'


def _differs(name: str) -> str:
    return f"{_quoted('before_' + name)} IS DISTINCT FROM {_quoted('after_' + name)}"


def _is_number(kind: str) -> bool:
    return kind.upper().startswith(_NUMBERS)


def _is_measure(name: str, kind: str, comparison: Comparison) -> bool:
    return _is_number(kind) and name not in comparison.grain and not name.endswith(_NO_MEASURE)


def _family(retyped: tuple[str, str] | None) -> bool:
    """Whether two types have nothing in common, so that their values can only be compared as texts."""
    return retyped is not None and not all(_is_number(kind) for kind in retyped)


def _by_preference(columns: Mapping[str, str], grain: Sequence[str]) -> list[str]:
    """Columns that say in which month a row counts, the best one first: the business date, else a date in the grain."""
    dated = [name for name, kind in columns.items() if kind.upper().startswith(("DATE", "TIMESTAMP"))]
    return sorted(dated, key=lambda name: (name != "business_date", name not in grain, dated.index(name)))
