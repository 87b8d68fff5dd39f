"""The records of files cut up into text cells, each with the file and the line it stands on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ingestion.contracts import LOAD_COLUMNS, Entity
from ingestion.stores.csv.decode import UntrustedFileError
from ingestion.stores.csv.file import CsvFile
from ingestion.stores.csv.layout import CR, LF, QUOTE, Layout
from ingestion.stores.csv.values import (
    Mask,
)

Positions = npt.NDArray[np.int64]


@dataclass
class Records:
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


def cut_up(layout: Layout, files: Sequence[CsvFile]) -> Records:
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
    return Records(cells, file, line, fields, last, lines, held)


def _line_ends(text: bytes) -> tuple[Positions, Mask]:
    """Positions of line ends (LF, CRLF or CR; the last byte of each), and which of them end a record."""
    array = np.frombuffer(text, np.uint8)
    is_end = array == LF
    if b"\r" in text:
        lone = array == CR
        lone[:-1] &= array[1:] != LF
        is_end |= lone
    ends = np.flatnonzero(is_end)
    if b'"' not in text:
        return ends, np.ones(len(ends), bool)
    marks_before = np.searchsorted(np.flatnonzero(array == QUOTE), ends)
    return ends, marks_before % 2 == 0


def _has_content(text: bytes, bounds: Positions) -> Mask:
    """Which of the lines between the bounds hold anything before their line end."""
    array = np.frombuffer(text, np.uint8)
    length, ends = np.diff(bounds), bounds[1:] - 1
    crlf = (length > 1) & (array[ends] == LF) & (array[np.maximum(ends - 1, 0)] == CR)
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
        raise UntrustedFileError("records_unclear", f"the records cannot be told apart: {error}") from None
    if table.num_rows + len(misfits) != records:
        raise UntrustedFileError("records_unclear", "two ways to tell the records apart disagree about their number")
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


_PER_FILE = {name: pa.field(name, pa.dictionary(pa.int32(), pa.string())) for name in ("file_name", "file_hash")}


def parsed_schema(contract: Entity) -> pa.Schema:
    """The columns of the contract but those of the load; texts that all rows of a file share are held once."""
    own = [column for column in contract.schema if column.name != LOAD_COLUMNS[0].name]
    return pa.schema([_PER_FILE.get(column.name, column) for column in own])


def placed(
    contract: Entity, typed: pa.Table, records: Records, chosen: Positions, files: Sequence[CsvFile]
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
