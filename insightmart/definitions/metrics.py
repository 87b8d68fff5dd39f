"""What the figures of the company mean, as models/certified/metrics.yml says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from insightmart.definitions.files import mistake, read_mapping


@dataclass(frozen=True)
class Metric:
    """A figure of the company; ``columns`` are those of certified where it stands, as ``table.column``."""

    name: str
    title: str
    meaning: str
    formula: str
    unit: str
    shopify: str
    caveats: tuple[str, ...]
    owner: str
    columns: tuple[str, ...]

    @property
    def comment(self) -> str:
        """What a column says that has no words of its own."""
        return f"{self.meaning}; unit: {self.unit}"


@dataclass(frozen=True)
class Ratio:
    """A figure that is one sum divided by another, worked out for whatever is asked for.

    Attributes:
        numerator: SQL over columns of each of ``tables``, added up.
        denominator: the same.
        unit: ``company's currency``, ``share`` (1 is all of it) or ``pieces an order``.
        tables: the tables of certified that it can be worked out from.
    """

    name: str
    title: str
    meaning: str
    numerator: str
    denominator: str
    unit: str
    shopify: str
    caveats: tuple[str, ...]
    owner: str
    tables: tuple[str, ...]

    @property
    def sql(self) -> str:
        """The ratio as SQL, the same on both engines; NULL where there is nothing to divide by."""
        divided = f"({self.numerator})" if " " in self.numerator else self.numerator
        return f"{divided} / NULLIF({self.denominator}, 0)"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of certified that it is worked out from, as ``table.column``."""
        from sqlglot import exp, parse_one

        named = {column.name for column in parse_one(self.sql).find_all(exp.Column)}
        return tuple(f"{table}.{column}" for table in self.tables for column in sorted(named))


def read_metrics(path: Path) -> tuple[Metric, ...]:
    """The metrics that stand in columns, in the order of the file.

    Raises:
        ConfigurationError: the file is no YAML, or a metric or ratio lacks or misspells something.
    """
    return tuple(Metric(**stated) for is_ratio, stated in _stated(path) if not is_ratio)


def read_ratios(path: Path) -> tuple[Ratio, ...]:
    """The metrics that are ratios, in the order of the file.

    Raises:
        ConfigurationError: the file is no YAML, or a metric or ratio lacks or misspells something.
    """
    return tuple(Ratio(**stated) for is_ratio, stated in _stated(path) if is_ratio)


def _stated(path: Path) -> Iterator[tuple[bool, Mapping[str, Any]]]:
    """Each metric as the file states it, and whether it is a ratio."""
    for name, stated in read_mapping(path).items():
        is_ratio = "numerator" in stated
        listed = ("caveats", "tables" if is_ratio else "columns")
        yield is_ratio, _checked(path, name, stated, Ratio if is_ratio else Metric, listed)


def _checked(
    path: Path, name: str, stated: Mapping[str, Any], kind: type[Metric | Ratio], listed: Sequence[str]
) -> Mapping[str, Any]:
    wanted = {field.name for field in fields(kind)} - {"name"}
    if set(stated) != wanted:
        raise mistake(path, f"{name} lacks or has too much of: {', '.join(sorted(stated.keys() ^ wanted))}")
    if unlisted := [key for key in listed if not (stated[key] and isinstance(stated[key], list))]:
        raise mistake(path, f"{name} has {stated[unlisted[0]]!r} for {unlisted[0]}, where a list belongs")
    lists = {key: tuple(stated[key]) for key in listed}
    texts: list[Any] = [value for key, value in stated.items() if key not in lists] + [
        text for key in listed for text in lists[key]
    ]
    if odd := [text for text in texts if not isinstance(text, str)]:
        raise mistake(path, f"{name} has {odd[0]!r} where a text belongs; quote what has a colon in it")
    return {"name": name, **stated, **lists}
