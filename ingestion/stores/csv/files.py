"""Store CSVs: the bytes of files in, typed rows and rejects out, and never a value that the file does not say.

Reading has two steps. ``read_file`` takes one file's bytes: it unpacks, decodes, finds the separator and the columns,
and checks the quoting; a file that fails here cannot be trusted and is quarantined whole (``Distrusted``). ``parse``
takes many such files of one kind: their records are cut up together, a whole column is typed at a time, and a record
without an exact reading becomes one row of ``raw.rejects`` with the first rule it breaks. ``file_line`` is the physical
line in the (unpacked) file on which a record begins; the first line is 1.
"""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ingestion.contracts import LOAD_COLUMNS, REJECTS, Entity, entity
from ingestion.stores.csv.values import (
    Mask,
    Verdicts,
    date_values,
    decimal_comma,
    decimal_point,
    decimal_values,
    each_distinct,
    instant_values,
    integer_values,
    mask_of,
    text_values,
    timezone_values,
)

Positions = npt.NDArray[np.int64]

# Bytes of one file, unpacked: 3 million counts, or ten thousand times a row for a day; more is an attack or a mistake.
MAX_BYTES = {"inventory": 128 << 20, "reference": 4 << 20, "tills": 4 << 20}
PART_BYTES = 4 << 20  # so much of a file is cut up at once: it stays in the processor's cache, and memory bounded
COUNT_SLACK = timedelta(minutes=30)  # how far outside the hour of its file a count may lie: clocks differ
RAW_TEXT_LIMIT = 10_000  # characters of a rejected record that are kept; the file itself stays in the bucket

# Names that stores use for a column, beside the contract's own. Case, spaces and punctuation do not matter.
SYNONYMS: dict[str, dict[str, tuple[str, ...]]] = {
    "inventory": {
        "store_id": ("store", "store no", "store number", "store nr", "store code", "shop id", "branch id"),
        "sku": ("sku code", "item", "item id", "item number", "item sku", "article", "article number", "product id",
                "product code", "stock code"),
        "on_hand": ("qty on hand", "quantity on hand", "on hand qty", "on hand quantity", "stock on hand", "stock",
                    "in stock", "qoh"),
        "on_order": ("qty on order", "quantity on order", "on order qty", "on order quantity", "ordered"),
        "counted_at": ("counted", "count time", "count timestamp", "counted time", "counted at utc", "timestamp"),
    },
    "reference": {
        "store_id": ("store no", "store number", "store nr", "store code", "shop id", "branch id"),
        "name": ("store name", "shop name"),
        "format": ("store format", "store type"),
        "region": ("sales region",),
        "city": ("town",),
        "state": ("state code", "province"),
        "country": ("country code",),
        "timezone": ("time zone", "tz", "iana timezone", "tz name"),
        "opened_on": ("opened", "open date", "opening date", "open on"),
        "closed_on": ("closed", "close date", "closing date", "close on"),
        "square_feet": ("sqft", "sq ft", "square footage", "area sqft", "area sq ft"),
        "manager": ("store manager", "manager name"),
    },
    "tills": {
        "store_id": ("store", "store no", "store number", "store nr", "store code", "shop id", "branch id"),
        "business_date": ("date", "business day", "trading date", "trading day", "sales date"),
        "transactions": ("transaction count", "number of transactions", "tickets", "receipts"),
        "gross_sales": ("gross", "gross amount"),
        "discounts": ("discount", "discount amount"),
        "returns": ("return", "return amount", "refunds"),
        "net_sales": ("net", "net amount"),
    },
}  # fmt: skip
# Columns a file may lack: their values are NULL then, and ops.files says so. A file without another one is distrusted.
OPTIONAL_COLUMNS = {"inventory": {"on_order"}, "reference": set[str](), "tills": set[str]()}
# Columns without which a record is of no use; empty cells of the others are NULL.
REQUIRED_VALUES = {
    "inventory": {"store_id", "counted_at"},
    "reference": {"store_id", "timezone"},
    "tills": {"store_id", "business_date", "transactions", "gross_sales", "discounts", "returns", "net_sales"},
}
FROM_FILE_NAME = {"reference_date"}  # contract columns that no file has

_SEPARATORS = (",", ";", "\t", "|")
_BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_UTF8_CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_CONTROLS = bytes(set(range(32)) - set(b"\t\r\n")) + b"\x7f"
_LF, _CR, _QUOTE = 10, 13, 34
_GZIP = b"\x1f\x8b"


class Distrusted(Exception):
    """A file that cannot be trusted as a whole.

    Args:
        rule_id: the rule, for ``raw.rejects``.
        reason: what is wrong with the file, for people.
    """

    def __init__(self, rule_id: str, reason: str) -> None:
        self.rule_id = rule_id
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Drop:
    """What an object's key, and the listing, say about a store file.

    Attributes:
        entity: ``inventory``, ``reference`` or ``tills``.
        key: the object's key below the bucket.
        store_id: the store that sent it.
        file_date: the date in the key.
        file_hour: for inventory the UTC hour in the key, without a zone; None for the daily ones.
        modified_at: when the object was written, UTC without a zone; real time, only ever recorded.
    """

    entity: str
    key: str
    store_id: int
    file_date: date
    file_hour: datetime | None
    modified_at: datetime


@dataclass(frozen=True)
class Layout:
    """How records are written: the separator, and per field the contract's column (None: a column we do not know)."""

    separator: str
    columns: tuple[str | None, ...]


@dataclass(frozen=True)
class CsvFile:
    """A file that can be trusted, ready to be parsed.

    Attributes:
        drop: where it comes from.
        file_hash: SHA-256 of the object's bytes.
        content_hash: SHA-256 of the unpacked bytes; the same as ``file_hash`` unless the object is gzipped.
        layout: how its records are written; None for a file without any record.
        body: the records as UTF-8 without the header, each with a line end.
        body_line: physical line on which the body begins.
        is_ended: whether the last line had a line end. If not, it may have been cut off.
        notes: what a reader of ``ops.files`` should know about how the file was read.
    """

    drop: Drop
    file_hash: str
    content_hash: str
    layout: Layout | None
    body: bytes = b""
    body_line: int = 0
    is_ended: bool = True
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it holds no record: nothing at all, or nothing but a header."""
        return self.layout is None


@dataclass(frozen=True)
class Parsed:
    """Typed rows and rejects of a batch of files, with the number of each per file, in the order of the files.

    The tables have the columns of ``parsed_schema``.
    """

    rows: pa.Table
    rejects: pa.Table
    row_counts: list[int]
    reject_counts: list[int]


# --- one file: from bytes to records that can be trusted ---------------------------------------------------------


def read_file(drop: Drop, content: bytes) -> CsvFile:
    """Unpack, decode and check one file.

    Args:
        drop: what the key says.
        content: the object's bytes.

    Raises:
        Distrusted: the file cannot be trusted and is to be quarantined whole.
    """
    file_hash = hashlib.sha256(content).hexdigest()
    unpacked = _unpack(content, MAX_BYTES[drop.entity])
    content_hash = file_hash if unpacked is content else hashlib.sha256(unpacked).hexdigest()
    text, notes = _as_utf8(unpacked)
    empty = CsvFile(drop, file_hash, content_hash, None)
    if not text or text.isspace():
        return empty
    header, start, line = _header(text)
    body = text[start:]
    holds_records = bool(body) and not body.isspace()
    if not holds_records and _knows_a_column(drop.entity, header):
        return empty
    layout, missing = _layout(drop.entity, header)
    _check_quotes(body, layout.separator)
    if missing:
        notes.append(f"no column {', '.join(missing)}")
    is_ended = body.endswith((b"\n", b"\r"))
    if not is_ended:
        notes.append("no line end after the last line")
    # A file that ends in CR gets an LF as well, so that the file parsed after it cannot turn the two into one line end.
    ended = body if body.endswith(b"\n") else body + b"\n"
    return CsvFile(drop, file_hash, content_hash, layout, ended, line, is_ended, tuple(notes))


def _unpack(content: bytes, limit: int) -> bytes:
    """The bytes without gzip around them; the very object when it is not gzipped."""
    if content[:2] == _GZIP:
        try:
            with gzip.open(io.BytesIO(content)) as packed:
                content = packed.read(limit + 1)
        except EOFError:
            raise Distrusted("gzip_truncated", "the gzip data ends too early") from None
        except (OSError, zlib.error) as error:
            raise Distrusted("gzip_corrupt", f"the gzip data is damaged: {error}") from None
        if content[:2] == _GZIP:
            raise Distrusted("gzip_nested", "the gzip data holds gzip data again")
    if len(content) > limit:
        raise Distrusted("file_too_large", f"the file holds more than {limit:,} bytes")
    return content


def _as_utf8(content: bytes) -> tuple[bytes, list[str]]:
    """The text as UTF-8 without a byte order mark, and a note when it was written in something else."""
    encoding, skip = _encoding(content)
    text = content[skip:]
    try:
        if encoding == "utf-8":
            try:
                if not text.isascii():
                    text.decode("utf-8")
            except UnicodeDecodeError as error:
                if skip or not _may_be_latin1(text, error):
                    raise
                encoding = "cp1252"  # Latin-1 with printable characters where Latin-1 has unused ones
        if encoding != "utf-8":
            text = text.decode(encoding).encode("utf-8")
    except UnicodeError as error:
        raise Distrusted("undecodable", f"the text is not {encoding}: {error}") from None
    text = text.rstrip(b"\x1a")  # the end-of-file mark of old systems
    if len(text.translate(None, _CONTROLS)) != len(text):
        raise Distrusted("control_characters", "the file holds control characters: it is damaged or no text")
    return text, [] if encoding == "utf-8" else [f"read as {encoding}"]


def _encoding(content: bytes) -> tuple[str, int]:
    """The encoding by its first bytes, UTF-8 where they tell nothing, and the length of the byte order mark."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return encoding, len(mark)
    if content[1:2] == b"\0" != content[:1]:  # the header is ASCII, so every other byte of UTF-16 is zero
        return "utf-16-le", 0
    if content[:1] == b"\0" != content[1:2]:
        return "utf-16-be", 0
    return "utf-8", 0


def _may_be_latin1(text: bytes, error: UnicodeDecodeError) -> bool:
    """Whether text that is no UTF-8 may be Latin-1, which can decode anything.

    Not where a character of UTF-8 stands in it as well, or the beginning of one at the very end: that is damaged UTF-8,
    its lines cannot be trusted, and its names would come out as garbage.
    """
    return error.reason != "unexpected end of data" and not _UTF8_CHARACTER.search(text)


def _header(text: bytes) -> tuple[str, int, int]:
    """The header record, the position after it, and the physical line on which that position stands."""
    start, line = 0, 1
    while start < len(text):
        record, start, lines = _record(text, start)
        line += lines
        if record.strip() and not re.fullmatch(rb"sep=.", record.strip()):  # Excel's own first line
            return record.decode("utf-8"), start, line
    return "", start, line


def _record(text: bytes, start: int) -> tuple[bytes, int, int]:
    """The record at a position without its line end, the position after it, and how many lines it takes."""
    lines, searched = 0, start
    while end := _LINE_END.search(text, searched):
        lines += 1
        if text.count(b'"', start, end.start()) % 2 == 0:
            return text[start : end.start()], end.end(), lines
        searched = end.end()
    record = text[start:]
    if record.count(b'"') % 2:
        raise Distrusted("quote_unterminated", "a quotation mark in the header is never closed")
    return record, len(text), lines


@functools.lru_cache(maxsize=512)
def _layout(kind: str, header: str) -> tuple[Layout, tuple[str, ...]]:
    """The layout that a header describes, and the optional columns it lacks. Most stores send the same header."""
    names = {separator: _fields(header, separator) for separator in _SEPARATORS}
    separator = max(
        _SEPARATORS, key=lambda candidate: sum(_column(kind, name) is not None for name in names[candidate])
    )
    fields = names[separator]
    columns = [_column(kind, name) for name in fields]
    if not any(columns):
        raise Distrusted("header_unreadable", "the first line names none of the columns of the contract")
    for column in {column for column in columns if column}:
        places = [place for place, found in enumerate(columns) if found == column]
        exact = [place for place in places if _squeezed(fields[place]) == _squeezed(column)]
        chosen = exact if exact else places
        if len(chosen) > 1:
            raise Distrusted("columns_ambiguous", f"several columns may be {column}: {[fields[p] for p in chosen]}")
        for place in places:
            if place != chosen[0]:  # a synonym beside the contract's own name is another column
                columns[place] = None
    absent = [name for name in csv_columns(kind) if name not in columns]
    if required := [name for name in absent if name not in OPTIONAL_COLUMNS[kind]]:
        raise Distrusted("columns_missing", f"the header has no column {', '.join(required)}")
    return Layout(separator, tuple(columns)), tuple(absent)


def _knows_a_column(kind: str, header: str) -> bool:
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


_COLUMN_OF = {
    kind: {
        _squeezed(name): column for column in csv_columns(kind) for name in (column, *SYNONYMS[kind].get(column, ()))
    }
    for kind in SYNONYMS
}


def _column(kind: str, name: str) -> str | None:
    """The contract's column for a name in a header, None for a column that the contract does not know."""
    return _COLUMN_OF[kind].get(_squeezed(name))


def _check_quotes(body: bytes, separator: str) -> None:
    """Quotation marks stand around whole fields and in pairs, or records cannot be told apart.

    Under this condition a line end is inside a field exactly when an odd number of marks precedes it.
    """
    if b'"' not in body:
        return
    if body.count(b'"') % 2:
        raise Distrusted("quote_unterminated", "a quotation mark is never closed")
    edges = np.array([ord(separator), _LF, _CR, _QUOTE], np.uint8)
    start = 0
    for end in _cuts(body, PART_BYTES):
        text = np.frombuffer(body, np.uint8, end - start, start)
        marks = np.flatnonzero(text == _QUOTE)
        before, after = marks[0::2] - 1, marks[1::2] + 1
        opens = (before < 0) | np.isin(text[before], edges)
        closes = (after >= len(text)) | np.isin(text[np.minimum(after, len(text) - 1)], edges)
        if not (opens.all() and closes.all()):
            raise Distrusted("quote_misplaced", "a quotation mark stands inside a field")
        start = end


def _cuts(body: bytes, size: int) -> Iterator[int]:
    """The ends of pieces of about this size, each at the end of a record; quotation marks are in pairs."""
    start = 0
    while len(body) - start > size:
        counted, searched, marks = start, start + size, 0
        while found := _LINE_END.search(body, searched):
            marks += body.count(b'"', counted, found.end())
            counted = found.end()
            if marks % 2 == 0:
                break
            searched = body.find(b'"', counted) + 1  # the line end is inside a field, which ends here at the earliest
        if found is None:
            break
        start = found.end()
        yield start
    if start < len(body):
        yield len(body)


def parts(file: CsvFile, size: int = PART_BYTES) -> Iterator[CsvFile]:
    """A large file in parts of whole records, which are parsed like files; a small one as it is.

    An amount may have to be read by the others of its file (decimal commas): those files are never that large.
    """
    start, line = 0, file.body_line
    for end in _cuts(file.body, size):
        if start == 0 and end == len(file.body):
            yield file
            return
        piece = file.body[start:end]
        lines = piece.count(b"\n") + piece.count(b"\r") - piece.count(b"\r\n")
        body = piece if piece.endswith(b"\n") else piece + b"\n"
        yield replace(file, body=body, body_line=line, is_ended=file.is_ended or end < len(file.body))
        start, line = end, line + lines


# --- many files: from records to typed rows and rejects ----------------------------------------------------------


def parse(kind: str, files: Sequence[CsvFile], rejected_at: datetime) -> Parsed:
    """Type the records of files of one kind.

    Args:
        kind: ``inventory``, ``reference`` or ``tills``.
        files: files of that kind with records (none ``is_empty``).
        rejected_at: "now" of the run, UTC without a zone.

    Raises:
        Distrusted: the records of some file cannot be told apart after all; typed alone, the others are fine.
    """
    contract = entity("stores", kind)
    layouts: dict[Layout, list[int]] = {}
    for position, file in enumerate(files):
        assert file.layout is not None, "a file without records is not parsed"
        layouts.setdefault(file.layout, []).append(position)
    rows = [parsed_schema(contract).empty_table()]
    rejects = [parsed_schema(REJECTS).empty_table()]
    row_counts, reject_counts = [0] * len(files), [0] * len(files)
    for layout, positions in layouts.items():
        group = [files[position] for position in positions]
        records = _cut(layout, group)
        typed, verdicts = _type(contract, records, group)
        good = verdicts.good
        kept = typed if good.all() else typed.filter(pa.array(good))
        rows.append(_placed(contract, kept, records, np.flatnonzero(good), group))
        rejects.append(_rejects(contract, records, verdicts, group, rejected_at))
        for counts, mask in ((row_counts, good), (reject_counts, ~good)):
            for position, count in zip(positions, np.bincount(records.file[mask], minlength=len(group)), strict=True):
                counts[position] += int(count)
    return Parsed(pa.concat_tables(rows), pa.concat_tables(rejects), row_counts, reject_counts)


def whole_file_reject(
    drop: Drop, file_hash: str | None, fault: Distrusted, original_path: str, rejected_at: datetime
) -> pa.Table:
    """The one row of ``raw.rejects`` for a file that is quarantined whole."""
    row = {
        "source": "stores",
        "entity": drop.entity,
        "is_whole_file": True,
        "rule_id": fault.rule_id,
        "reason": fault.reason,
        "original_path": original_path,
        "rejected_at": rejected_at,
        "file_name": drop.key,
        "file_hash": file_hash,
        "file_modified_at": drop.modified_at,
    }
    return pa.Table.from_pylist([row], schema=parsed_schema(REJECTS))


@dataclass
class _Records:
    """The records of files with one layout, cut up into text cells.

    Attributes:
        cells: per field with a contract column its text; records with a wrong number of fields have empty cells.
        file: per record the position of its file.
        line: per record the physical line it begins on.
        fields: per record how many fields it has.
        last: positions of the records that end a file without a line end.
        lines: the text of every record, line ends included, blank lines among them.
        held: per record its position in ``lines``.
    """

    cells: dict[str, pa.Array]
    file: Positions
    line: Positions
    fields: Positions
    last: Positions
    lines: pa.Array
    held: Positions

    def texts(self, chosen: Positions) -> pa.Array:
        """The text of some records without their line ends."""
        return pc.utf8_rtrim(self.lines.take(pa.array(self.held[chosen])), "\r\n")


def _cut(layout: Layout, files: Sequence[CsvFile]) -> _Records:
    """Records of files, cut up by pyarrow, with the lines they stand on."""
    text = b"".join(file.body for file in files)
    ends_of_files = np.cumsum([len(file.body) for file in files])
    line_ends, is_record_end = _line_ends(text)
    bounds = np.concatenate(([0], line_ends[is_record_end] + 1))  # of records, blank lines among them
    starts = bounds[:-1]
    lines_before = np.concatenate(([0], np.flatnonzero(is_record_end)[:-1] + 1))

    file = np.searchsorted(ends_of_files, starts, side="right")
    starts_of_files = np.concatenate(([0], ends_of_files[:-1]))
    lines_before_file = np.searchsorted(line_ends, starts_of_files)
    first_lines = np.array([item.body_line for item in files])
    line = first_lines[file] + lines_before - lines_before_file[file]

    held = np.flatnonzero(_has_content(text, bounds))
    file, line = file[held], line[held]
    cells, fields = _cells(layout, text, len(held))
    cut_off = np.array([not item.is_ended for item in files])
    is_last = np.concatenate((file[1:] != file[:-1], [True]))
    last = np.flatnonzero(is_last & cut_off[file])
    offsets = pa.py_buffer(bounds.astype(np.int32))
    lines = pa.Array.from_buffers(pa.string(), len(starts), [None, offsets, pa.py_buffer(text)])
    return _Records(cells, file, line, fields, last, lines, held)


def _line_ends(text: bytes) -> tuple[Positions, Mask]:
    """Positions of line ends (LF, CRLF or CR; the last byte of each), and which of them end a record."""
    array = np.frombuffer(text, np.uint8)
    is_end = array == _LF
    if b"\r" in text:
        lone = array == _CR
        lone[:-1] &= array[1:] != _LF
        is_end |= lone
    ends = np.flatnonzero(is_end)
    if b'"' not in text:
        return ends, np.ones(len(ends), bool)
    marks_before = np.searchsorted(np.flatnonzero(array == _QUOTE), ends)
    return ends, marks_before % 2 == 0


def _has_content(text: bytes, bounds: Positions) -> Mask:
    """Which of the lines between the bounds hold anything before their line end."""
    array = np.frombuffer(text, np.uint8)
    length, ends = np.diff(bounds), bounds[1:] - 1
    crlf = (length > 1) & (array[ends] == _LF) & (array[np.maximum(ends - 1, 0)] == _CR)
    held: Mask = length - crlf > 1
    return held


def _cells(layout: Layout, text: bytes, records: int) -> tuple[dict[str, pa.Array], Positions]:
    """The cells of the contract's columns, and how many fields each record has."""
    width = len(layout.columns)
    misfits: list[tuple[int, int]] = []

    def skip(row: pa.csv.InvalidRow) -> str:
        misfits.append((row.number - 1, row.actual_columns))
        return "skip"

    names = [str(place) for place in range(width)]
    wanted = {column: str(place) for place, column in enumerate(layout.columns) if column}
    try:
        table = pa.csv.read_csv(
            pa.py_buffer(text),
            read_options=pa.csv.ReadOptions(use_threads=False, column_names=names, block_size=len(text) + 1),
            parse_options=pa.csv.ParseOptions(
                delimiter=layout.separator, newlines_in_values=True, invalid_row_handler=skip, ignore_empty_lines=True
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=list(wanted.values()),
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise Distrusted("records_unclear", f"the records cannot be told apart: {error}") from None
    if table.num_rows + len(misfits) != records:
        raise Distrusted("records_unclear", "two ways to tell the records apart disagree about their number")
    fields = np.full(records, width, np.int64)
    cells = {column: table.column(name).combine_chunks() for column, name in wanted.items()}
    if misfits:
        places, counts = np.array(misfits, np.int64).T
        fields[places] = counts
        place_of = np.full(records, -1, np.int64)
        place_of[fields == width] = np.arange(table.num_rows)
        indices = pa.array(place_of, mask=place_of < 0)
        cells = {column: pc.fill_null(values.take(indices), "") for column, values in cells.items()}
    return cells, fields


def _type(contract: Entity, records: _Records, files: Sequence[CsvFile]) -> tuple[pa.Table, Verdicts]:
    """The contract's columns with their types, NULL where a verdict says why."""
    verdicts = Verdicts.of(len(records.file))
    layout = files[0].layout
    assert layout is not None
    _judge_shape(layout, records, verdicts)
    commas = _files_with_commas(contract, layout, records, len(files))
    typed: dict[str, pa.Array] = {}
    for column in contract.columns:
        name, kind = column.name, column.type
        if name in FROM_FILE_NAME:
            dates = pa.array([file.drop.file_date for file in files], pa.date32())
            typed[name] = dates.take(pa.array(records.file))
            continue
        cells = records.cells.get(name)
        if cells is None:
            typed[name] = pa.nulls(len(records.file), kind)
            continue
        if pa.types.is_integer(kind):
            typed[name] = each_distinct(integer_values, cells, name, verdicts)
        elif pa.types.is_decimal(kind):
            typed[name] = decimal_values(cells, name, kind, verdicts, records.file, commas)
        elif pa.types.is_timestamp(kind):
            typed[name] = each_distinct(instant_values, cells, name, verdicts)
        elif pa.types.is_date(kind):
            typed[name] = each_distinct(date_values, cells, name, verdicts)
        elif name == "timezone":
            typed[name] = each_distinct(timezone_values, cells, name, verdicts)
        else:
            typed[name] = text_values(cells)
        if name in REQUIRED_VALUES[contract.name]:
            verdicts.fail(pc.is_null(typed[name]), name, f"{name}_missing", f"{name} is empty")
    _judge_origin(typed, records, files, verdicts)
    _judge_last_lines(layout, typed, records, verdicts)
    return pa.table(typed, pa.schema(contract.columns)), verdicts


def _files_with_commas(contract: Entity, layout: Layout, records: _Records, files: int) -> Mask:
    """Which files may write decimals with a comma, so that ``1,234`` and ``1.234`` have two readings each.

    Those that surely do in some cell; and those separated by ``;``, as spreadsheets of comma countries write them,
    unless a cell surely has a decimal point.
    """
    amounts = [records.cells[column.name] for column in contract.columns if pa.types.is_decimal(column.type)]
    commas, points = np.zeros(files, bool), np.zeros(files, bool)
    if layout.separator == ";" or any(pc.any(pc.match_substring(cells, ",")).as_py() for cells in amounts):
        for cells in amounts:
            commas[records.file[mask_of(decimal_comma(cells))]] = True
            points[records.file[mask_of(decimal_point(cells))]] = True
    return commas | ~points if layout.separator == ";" else commas


def _judge_shape(layout: Layout, records: _Records, verdicts: Verdicts) -> None:
    """A record has as many fields as the header; a shorter last one without a line end was cut off."""
    width = len(layout.columns)
    wrong = records.fields != width
    cut_off = np.zeros(len(wrong), bool)
    cut_off[records.last] = records.fields[records.last] < width
    verdicts.fail(cut_off, None, "line_truncated", "the file ends in the middle of this line")
    verdicts.fail(wrong, None, "field_count", f"the header has {width} fields, this line has another number")


def _judge_origin(typed: dict[str, pa.Array], records: _Records, files: Sequence[CsvFile], verdicts: Verdicts) -> None:
    """A record is of the store and of the hour or date that its file's name says."""
    of_record = pa.array(records.file)
    stores = pa.array([file.drop.store_id for file in files], pa.int64())
    verdicts.fail(
        pc.not_equal(typed["store_id"], stores.take(of_record)),
        "store_id",
        "store_id_not_of_file",
        "store_id is another store than the file's",
    )
    if "counted_at" in typed:
        hours = pa.array([file.drop.file_hour for file in files], pa.timestamp("us"))
        first, end = pc.subtract(hours, COUNT_SLACK), pc.add(hours, timedelta(hours=1) + COUNT_SLACK)
        early = pc.less(typed["counted_at"], first.take(of_record))
        late = pc.greater_equal(typed["counted_at"], end.take(of_record))
        minutes = int(COUNT_SLACK.total_seconds()) // 60
        verdicts.fail(
            pc.or_(early, late),
            "counted_at",
            "counted_at_not_of_file",
            f"counted_at lies more than {minutes} minutes outside the file's hour",
        )
    if "business_date" in typed:
        dates = pa.array([file.drop.file_date for file in files], pa.date32()).take(of_record)
        verdicts.fail(
            pc.not_equal(typed["business_date"], dates),
            "business_date",
            "business_date_not_of_file",
            "business_date is another day than the file's",
        )


def _judge_last_lines(layout: Layout, typed: dict[str, pa.Array], records: _Records, verdicts: Verdicts) -> None:
    """The last cell of a last line without a line end has to be provably whole: ``12`` may have been ``125``.

    A quoted cell is, and so is a date, an instant with a full offset, and a till that adds up. A descriptive text may
    be cut and is let through (``ops.files`` has the note): nothing is computed from it.
    """
    column = layout.columns[-1]
    if not len(records.last) or column is None:
        return
    last = pa.array(records.last)
    cells = pc.utf8_trim_whitespace(records.cells[column].take(last))
    kind = typed[column].type
    if pa.types.is_timestamp(kind):
        whole = pc.match_substring_regex(cells, r"(?:[Zz]|[+-]\d\d:?\d\d)$")
    elif pa.types.is_date(kind):
        whole = pc.not_equal(cells, "")
    elif column == "net_sales":
        gross, less, back, net = (
            typed[name].take(last) for name in ("gross_sales", "discounts", "returns", "net_sales")
        )
        whole = pc.equal(pc.subtract(pc.subtract(gross, less), back), net)
    else:
        whole = pa.array([column not in {"sku", "timezone"} and pa.types.is_string(kind)] * len(last))
    whole = pc.or_(pc.fill_null(whole, False), pc.ends_with(records.texts(records.last), '"'))
    doubtful = np.zeros(len(records.file), bool)
    doubtful[records.last] = ~mask_of(whole)
    verdicts.fail(
        doubtful, column, "line_unterminated", f"the file ends with this line and no line end: {column} may be cut off"
    )


# --- positions and rejects ---------------------------------------------------------------------------------------


_PER_FILE = {name: pa.field(name, pa.dictionary(pa.int32(), pa.string())) for name in ("file_name", "file_hash")}


def parsed_schema(contract: Entity) -> pa.Schema:
    """The columns of the contract but those of the load; texts that all rows of a file share are held once."""
    own = [column for column in contract.schema if column.name != LOAD_COLUMNS[0].name]
    return pa.schema([_PER_FILE.get(column.name, column) for column in own])


def _placed(
    contract: Entity, typed: pa.Table, records: _Records, chosen: Positions, files: Sequence[CsvFile]
) -> pa.Table:
    """Rows with the file and line they come from; ``chosen`` are their positions among the records."""
    of_record = pa.array(records.file[chosen], pa.int32())

    def once_a_file(texts: Iterable[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(of_record, pa.array(texts, pa.string()))

    places = {
        "file_name": once_a_file(file.drop.key for file in files),
        "file_hash": once_a_file(file.file_hash for file in files),
        "file_line": pa.array(records.line[chosen], pa.int64()),
        "file_modified_at": pa.array([file.drop.modified_at for file in files], pa.timestamp("us")).take(of_record),
    }
    columns = {name: typed.column(name) for name in typed.column_names} | places
    return pa.table(columns, parsed_schema(contract))


def _rejects(
    contract: Entity, records: _Records, verdicts: Verdicts, files: Sequence[CsvFile], rejected_at: datetime
) -> pa.Table:
    """One row for each record that broke a rule."""
    chosen = np.flatnonzero(verdicts.codes)
    rule = pa.array(verdicts.codes[chosen].astype(np.int64) - 1)
    columns, rule_ids, reasons = zip(*verdicts.rules, strict=True) if verdicts.rules else ((), (), ())
    count = len(chosen)
    values = {
        "source": pa.array(["stores"] * count, pa.string()),
        "entity": pa.array([contract.name] * count, pa.string()),
        "is_whole_file": pa.array([False] * count),
        "column_name": pa.array(columns, pa.string()).take(rule),
        "rule_id": pa.array(rule_ids, pa.string()).take(rule),
        "reason": pa.array(reasons, pa.string()).take(rule),
        "raw_text": pc.utf8_slice_codeunits(records.texts(chosen), 0, RAW_TEXT_LIMIT),
        "original_path": pa.nulls(count, pa.string()),
        "rejected_at": pa.repeat(pa.scalar(rejected_at, pa.timestamp("us")), count),
    }
    return _placed(REJECTS, pa.table(values), records, chosen, files)
