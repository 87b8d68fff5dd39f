"""What people analyse, as models/certified/subjects.yml says: a certified table, what is joined to it, its fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from insightmart.definitions.columns import Meanings
from insightmart.definitions.files import SUBJECTS, mistake, read_mapping
from insightmart.definitions.metrics import Ratio

# How an abbreviation is spelled in a caption.
_SPELLED = {"id": "ID", "sku": "SKU", "iso": "ISO"}


@dataclass(frozen=True)
class Dimension:
    """A table of certified that is joined to others.

    Attributes:
        noun: what its columns are of, for captions; empty where their names say it.
        key: the column that is joined; with ``rows``, it makes a row unique.
        rows: the column that says which rows count; empty where all do.
        drill: columns from the whole to its parts.
    """

    table: str
    title: str
    noun: str
    key: str
    rows: str
    drill: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """What is analysed: the rows of a table of certified, each with a row of each dimension at most.

    Attributes:
        joined: each dimension with the column of ``table`` that its key is joined to.
        technical: ``table.column`` of what analysts do not get to see.
    """

    name: str
    title: str
    table: str
    joined: tuple[tuple[Dimension, str], ...]
    technical: frozenset[str]
    whole: Dimension | None

    @property
    def tables(self) -> tuple[str, ...]:
        """Its own table first, then those of its dimensions."""
        return (self.table, *(dimension.table for dimension, _ in self.joined))


@dataclass(frozen=True)
class SubjectField:
    """A column of a subject.

    Attributes:
        caption: its name for readers, once in a subject.
        meaning: what it means, in a sentence.
        is_hidden: whether analysts do without it.
    """

    table: str
    column: str
    caption: str
    meaning: str
    is_hidden: bool


def read_subjects(project: Path) -> tuple[Subject, ...]:
    """The subjects in the order of the file.

    Raises:
        ConfigurationError: the file is no YAML, or a subject or dimension lacks or misspells something.
    """
    path = project / SUBJECTS
    stated = read_mapping(path)
    if stated.keys() != {"subjects", "dimensions", "technical"}:
        raise mistake(path, "it has subjects, dimensions and technical, and nothing else")
    kinds = {field.name for field in fields(Dimension)} - {"table"}
    dimensions = {}
    for table, said in stated["dimensions"].items():
        _complete(path, table, said, kinds)
        dimensions[table] = Dimension(table=table, **{**said, "drill": tuple(said["drill"])})
    technical = stated["technical"]
    found = []
    for name, said in stated["subjects"].items():
        _complete(path, name, said, {"title", "table", "with"})
        if unknown := said["with"].keys() - dimensions.keys():
            raise mistake(path, f"{name} is joined with {min(unknown)}, which is no dimension")
        joined = tuple((dimensions[table], column) for table, column in said["with"].items())
        tables = (said["table"], *said["with"])
        hidden = {f"{table}.{column}" for table in tables for column in technical.get(table, ())}
        hidden |= {f"{table}.{column}" for table in tables for column in technical["everywhere"]}
        hidden |= {f"{dimension.table}.{dimension.key}" for dimension, _ in joined}
        whole = dimensions.get(said["table"])
        found.append(Subject(name, said["title"], said["table"], joined, frozenset(hidden), whole))
    return tuple(found)


def _complete(path: Path, name: str, said: Any, wanted: set[str]) -> None:
    if not isinstance(said, dict) or said.keys() != wanted:
        raise mistake(path, f"{name} states {', '.join(sorted(wanted))}, and nothing else")


def unknown_columns(subjects: Iterable[Subject], existing: Iterable[str]) -> list[str]:
    """What subjects.yml speaks of though it is no ``table.column`` of ``existing``."""
    known = set(existing)
    everywhere = {name.split(".")[1] for name in known}
    named = []
    for subject in subjects:
        named += [f"{subject.table}.{column}" for _, column in subject.joined]
        for dimension in (one for one in (*(d for d, _ in subject.joined), subject.whole) if one):
            columns = (dimension.key, *dimension.drill, *([dimension.rows] if dimension.rows else []))
            named += [f"{dimension.table}.{column}" for column in columns]
        named += [name for name in sorted(subject.technical) if name.split(".")[1] not in everywhere]
    return [name for name in named if name not in known]


def fields_of(subject: Subject, columns: Mapping[str, Iterable[str]], meanings: Meanings) -> tuple[SubjectField, ...]:
    """The columns of a subject's tables; ``columns`` is table of certified -> its columns, in lower case."""
    return tuple(_fields(subject, columns, meanings))


def _fields(subject: Subject, columns: Mapping[str, Iterable[str]], meanings: Meanings) -> Iterator[SubjectField]:
    titles = {column: metric.title for metric in meanings.metrics for column in metric.columns}
    nouns = {dimension.table: dimension.noun for dimension, _ in subject.joined}
    told: set[str] = set()
    for table in subject.tables:
        for column in columns[table]:
            name = f"{table}.{column}"
            is_hidden = name in subject.technical
            caption = titles.get(name) or _caption(column, nouns.get(table, ""))
            if caption in told:  # a technical column is the only one that shares its name with another one
                caption = f"{caption} ({table})"
            told.add(caption)
            yield SubjectField(table, column, caption, meanings.of(table, column) or "", is_hidden)


def _caption(column: str, noun: str) -> str:
    """A column's name for readers: ``store_id`` is Store ID, ``ordered_at`` Ordered at (UTC)."""
    words = column.split("_")
    if words[0] in ("is", "has"):
        words = words[1:]
    if noun and noun not in words:
        words = [noun, *words]
    text = " ".join(_SPELLED.get(word, word) for word in words)
    return f"{text[0].upper()}{text[1:]}" + (
        " (UTC)" if re.search(r"_(at|from|to|hour)$", column) and _is_utc(column) else ""
    )


def _is_utc(column: str) -> bool:
    return column != "business_hour"


def ratios_of(subject: Subject, meanings: Meanings) -> tuple[Ratio, ...]:
    """The ratios that a subject's own table has the sums of."""
    return tuple(ratio for ratio in meanings.ratios if subject.table in ratio.tables)
