"""One file: from its bytes to records that can be told apart, in parts of a size that memory can hold."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np

from ingestion.stores.csv.declared import NOTHING, Declared
from ingestion.stores.csv.decode import GUESSED, MAX_BYTES, MAX_LINES, UntrustedFileError, as_utf8, unpack
from ingestion.stores.csv.layout import CR, LF, LINE_END, QUOTE, Layout, header_record, knows_a_column, layout_of
from ingestion.stores.csv.western import NOT_WESTERN

PART_BYTES = 4 << 20  # so much of a file is cut up at once: it stays in the processor's cache, and memory bounded


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
        declared: what holds for all files of its store.
    """

    drop: Drop
    file_hash: str
    content_hash: str
    layout: Layout | None
    body: bytes = b""
    body_line: int = 0
    is_ended: bool = True
    notes: tuple[str, ...] = ()
    declared: Declared = NOTHING

    @property
    def is_empty(self) -> bool:
        """Whether it holds no record: nothing at all, or nothing but a header."""
        return self.layout is None


def read_file(drop: Drop, content: bytes, declared: Declared = NOTHING) -> CsvFile:
    """Unpack, decode and check one file.

    Args:
        drop: what the key says.
        content: the object's bytes.
        declared: what holds for all files of its store.

    Raises:
        UntrustedFileError: the file cannot be trusted and is to be quarantined whole.
    """
    file_hash = hashlib.sha256(content).hexdigest()
    unpacked = unpack(content, MAX_BYTES[drop.entity])
    content_hash = file_hash if unpacked is content else hashlib.sha256(unpacked).hexdigest()
    text, notes = as_utf8(unpacked, declared.encoding)
    empty = CsvFile(drop, file_hash, content_hash, None)
    if not text or text.isspace():
        return empty
    if max(text.count(b"\n"), text.count(b"\r")) > MAX_LINES:
        raise UntrustedFileError("file_too_large", f"the file has more than {MAX_LINES:,} lines")
    header, start, line = header_record(text)
    body = text[start:]
    holds_records = bool(body) and not body.isspace()
    if not holds_records and knows_a_column(drop.entity, header):
        return empty
    layout, missing = layout_of(drop.entity, header)
    if GUESSED in notes and "country" in layout.columns:
        _check_country(layout, body)
    _check_quotes(body, layout.separator)
    if undeclared := [name for name in missing if name not in declared.lacks]:
        raise UntrustedFileError(
            "column_undeclared",
            f"the header has no column {', '.join(undeclared)}: have it sent, or declare that the store lacks it and"
            " replay",
        )
    if missing:
        notes.append(f"no column {', '.join(missing)}, as declared")
    is_ended = body.endswith((b"\n", b"\r"))
    if not is_ended:
        notes.append("no line end after the last line")
    # A file that ends in CR gets an LF as well, so that the file parsed after it cannot turn the two into one line end.
    ended = body if body.endswith(b"\n") else body + b"\n"
    return CsvFile(drop, file_hash, content_hash, layout, ended, line, is_ended, tuple(notes), declared)


def _check_country(layout: Layout, body: bytes) -> None:
    """A store of a country whose languages Latin-1 does not write has not written Latin-1, whatever names look like.

    Raises:
        UntrustedFileError: a record names such a country.
    """
    place = layout.columns.index("country")
    for record in csv.reader(io.StringIO(body.decode(), newline=""), delimiter=layout.separator):
        if len(record) > place and record[place].strip().upper() in NOT_WESTERN:
            raise UntrustedFileError(
                "encoding_undeclared",
                f"the text is not UTF-8, and a store in {record[place].strip().upper()} writes no Western European:"
                " declare the store's encoding and replay",
            )


def _check_quotes(body: bytes, separator: str) -> None:
    """Quotation marks stand around whole fields and in pairs, or records cannot be told apart.

    Under this condition a line end is inside a field exactly when an odd number of marks precedes it.
    """
    if b'"' not in body:
        return
    if body.count(b'"') % 2:
        raise UntrustedFileError("quote_unterminated", "a quotation mark is never closed")
    edges = np.array([ord(separator), LF, CR, QUOTE], np.uint8)
    start = 0
    for end in _cuts(body, PART_BYTES):
        text = np.frombuffer(body, np.uint8, end - start, start)
        marks = np.flatnonzero(text == QUOTE)
        before, after = marks[0::2] - 1, marks[1::2] + 1
        opens = (before < 0) | np.isin(text[before], edges)
        closes = (after >= len(text)) | np.isin(text[np.minimum(after, len(text) - 1)], edges)
        if not (opens.all() and closes.all()):
            raise UntrustedFileError("quote_misplaced", "a quotation mark stands inside a field")
        start = end


def _cuts(body: bytes, size: int) -> Iterator[int]:
    """The ends of pieces of about this size, each at the end of a record; quotation marks are in pairs."""
    start = 0
    while len(body) - start > size:
        counted, searched, marks = start, start + size, 0
        while found := LINE_END.search(body, searched):
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
