"""How a file writes its records: the header, the separator, and which column of the contract each field is."""

from __future__ import annotations

import csv
import functools
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from ingestion.contracts import entity
from ingestion.stores.csv.declared import LACKABLE
from ingestion.stores.csv.decode import UntrustedFileError

# Columns that a file may lack where that is declared: their values are NULL then, and ops.files says so. A file without
# another one is distrusted.
OPTIONAL_COLUMNS = {"inventory": LACKABLE, "reference": frozenset[str](), "tills": frozenset[str]()}
FROM_FILE_NAME = {"reference_date"}  # contract columns that no file has

_SYNONYMS = Path(__file__).with_name("synonyms.yml")
_SEPARATORS = (",", ";", "\t", "|")
LINE_END = re.compile(rb"\r\n|\r|\n")
MAX_HEADER_BYTES = 1 << 16  # hundreds of columns; what is longer costs more than it can be worth
_CONTENT = re.compile(rb"\S")
LF = 10
CR = 13
QUOTE = 34


@dataclass(frozen=True)
class Layout:
    """How records are written: the separator, and per field the contract's column (None: a column we do not know)."""

    separator: str
    columns: tuple[str | None, ...]


def header_record(text: bytes) -> tuple[str, int, int]:
    """The header record, the position after it, and the physical line on which that position stands.

    Raises:
        UntrustedFileError: the first record never ends, or is longer than any header.
    """
    start, line = 0, 1
    for _ in range(2):
        content = _CONTENT.search(text, start)
        if not content:
            break
        begin = max(start, *(text.rfind(end, start, content.start()) + 1 for end in (b"\n", b"\r")))
        line += _lines(text, start, begin)
        end, after = _record_end(text, begin)
        line += _lines(text, begin, after)
        record, start = text[begin:end], after
        if not re.fullmatch(rb"sep=.", record.strip()):  # Excel's own first line
            return record.decode("utf-8"), start, line
    return "", start, line


def _lines(text: bytes, start: int, end: int) -> int:
    """How many lines end in this part of the text, which does not begin or end within a line end."""
    return text.count(b"\n", start, end) + text.count(b"\r", start, end) - text.count(b"\r\n", start, end)


def _record_end(text: bytes, start: int) -> tuple[int, int]:
    """Where the first record at a position ends without its line end, and with it."""
    marks, searched = 0, start
    limit = start + MAX_HEADER_BYTES
    while end := LINE_END.search(text, searched, limit):
        marks += text.count(b'"', searched, end.start())
        if marks % 2 == 0:
            return end.start(), end.end()
        searched = end.end()
    if text.count(b'"', start) % 2:
        raise UntrustedFileError("quote_unterminated", "a quotation mark in the header is never closed")
    if len(text) > limit:
        raise UntrustedFileError("header_unreadable", f"the first record is longer than {MAX_HEADER_BYTES:,} bytes")
    return len(text), len(text)


@functools.lru_cache(maxsize=512)
def layout_of(kind: str, header: str) -> tuple[Layout, tuple[str, ...]]:
    """The layout that a header describes, and the optional columns it lacks. Most stores send the same header."""
    names = {separator: _fields(header, separator) for separator in _SEPARATORS}
    separator = max(
        _SEPARATORS, key=lambda candidate: sum(_column(kind, name) is not None for name in names[candidate])
    )
    fields = names[separator]
    columns = [_column(kind, name) for name in fields]
    if not any(columns):
        raise UntrustedFileError("header_unreadable", "the first line names none of the columns of the contract")
    for column in {column for column in columns if column}:
        places = [place for place, found in enumerate(columns) if found == column]
        exact = [place for place in places if _squeezed(fields[place]) == _squeezed(column)]
        chosen = exact if exact else places
        if len(chosen) > 1:
            raise UntrustedFileError(
                "columns_ambiguous", f"several columns may be {column}: {[fields[p] for p in chosen]}"
            )
        for place in places:
            if place != chosen[0]:  # a synonym beside the contract's own name is another column
                columns[place] = None
    absent = [name for name in csv_columns(kind) if name not in columns]
    if required := [name for name in absent if name not in OPTIONAL_COLUMNS[kind]]:
        raise UntrustedFileError("columns_missing", f"the header has no column {', '.join(required)}")
    return Layout(separator, tuple(columns)), tuple(absent)


def knows_a_column(kind: str, header: str) -> bool:
    """Whether a header, by any separator, names a column of the contract."""
    return any(_column(kind, name) for separator in _SEPARATORS for name in _fields(header, separator))


def _fields(header: str, separator: str) -> list[str]:
    """The names in a header if that is its separator; none if the header is no CSV then."""
    try:
        return next(csv.reader([header], delimiter=separator))
    except csv.Error:
        return []


def csv_columns(kind: str) -> list[str]:
    """The columns a file of this kind has by contract."""
    return [column.name for column in entity("stores", kind).columns if column.name not in FROM_FILE_NAME]


def _squeezed(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _columns_by_name() -> dict[str, dict[str, str]]:
    """By kind of file and squeezed name the contract's column, its own name and the declared synonyms (YAML)."""
    declared: dict[str, dict[str, list[str]]] = yaml.safe_load(_SYNONYMS.read_text(encoding="utf-8"))
    return {
        kind: {_squeezed(name): column for column in csv_columns(kind) for name in (column, *synonyms.get(column, ()))}
        for kind, synonyms in declared.items()
    }


_COLUMN_OF = _columns_by_name()


def _column(kind: str, name: str) -> str | None:
    """The contract's column for a name in a header, None for a column that the contract does not know."""
    return _COLUMN_OF[kind].get(_squeezed(name))
