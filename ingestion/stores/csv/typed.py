"""The cells of many files with the types of the contract, a whole column at a time, and a verdict on what has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import REJECTS, Entity, entity
from ingestion.stores.csv.cells import Records, cut_up, parsed_schema, placed
from ingestion.stores.csv.file import CsvFile
from ingestion.stores.csv.layout import FROM_FILE_NAME, Layout
from ingestion.stores.csv.rejects import reject_rows
from ingestion.stores.csv.texts import judge_texts, key_values
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

COUNT_SLACK = timedelta(minutes=30)  # how far outside the hour of its file a count may lie: clocks differ
# Columns without which a record is of no use; empty cells of the others are NULL.
REQUIRED_VALUES = {
    "inventory": {"store_id", "counted_at"},
    "reference": {"store_id", "timezone"},
    "tills": {"store_id", "business_date", "transactions", "gross_sales", "discounts", "returns", "net_sales"},
}


@dataclass(frozen=True)
class Parsed:
    """Typed rows and rejects of a batch of files, with the number of each per file, in the order of the files.

    The tables have the columns of ``parsed_schema``.
    """

    rows: pa.Table
    rejects: pa.Table
    row_counts: list[int]
    reject_counts: list[int]


def parse(kind: str, files: Sequence[CsvFile], rejected_at: datetime) -> Parsed:
    """Type the records of files of one kind.

    Args:
        kind: ``inventory``, ``reference`` or ``tills``.
        files: files of that kind with records (none ``is_empty``).
        rejected_at: "now" of the run, UTC without a zone.

    Raises:
        UntrustedFileError: the records of some file cannot be told apart after all; typed alone, the others are fine.
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
        records = cut_up(layout, group)
        typed, verdicts = typed_columns(contract, records, group)
        good = verdicts.good
        kept = typed if good.all() else typed.filter(pa.array(good))
        rows.append(placed(contract, kept, records, np.flatnonzero(good), group))
        rejects.append(reject_rows(contract, records, verdicts, group, rejected_at))
        for counts, mask in ((row_counts, good), (reject_counts, ~good)):
            for position, count in zip(positions, np.bincount(records.file[mask], minlength=len(group)), strict=True):
                counts[position] += int(count)
    return Parsed(pa.concat_tables(rows), pa.concat_tables(rejects), row_counts, reject_counts)


def typed_columns(contract: Entity, records: Records, files: Sequence[CsvFile]) -> tuple[pa.Table, Verdicts]:
    """The contract's columns with their types, NULL where a verdict says why."""
    verdicts = Verdicts.of(len(records.file))
    layout = files[0].layout
    assert layout is not None
    _judge_shape(layout, records, verdicts)
    commas = _files_with_commas(contract, layout, records, len(files))
    marks = np.array([file.declared.decimal_mark or "" for file in files])
    zones = pa.array([file.declared.timezone for file in files], pa.string())
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
            typed[name] = decimal_values(cells, name, kind, verdicts, records.file, commas, marks)
        elif pa.types.is_timestamp(kind):
            typed[name] = each_distinct(instant_values, cells, name, verdicts)
        elif pa.types.is_date(kind):
            typed[name] = each_distinct(date_values, cells, name, verdicts)
        elif name == "timezone":
            typed[name] = timezone_values(cells, name, verdicts, zones.take(pa.array(records.file)))
        elif name == "sku":
            typed[name] = key_values(cells, name, verdicts)
        else:
            typed[name] = text_values(cells)
        if pa.types.is_string(kind):
            judge_texts(name, typed[name], verdicts)
        if name in REQUIRED_VALUES[contract.name]:
            verdicts.fail(pc.is_null(typed[name]), name, f"{name}_missing", f"{name} is empty")
    _judge_origin(typed, records, files, verdicts)
    _judge_last_lines(layout, typed, records, verdicts)
    return pa.table(typed, pa.schema(contract.columns)), verdicts


def _files_with_commas(contract: Entity, layout: Layout, records: Records, files: int) -> Mask:
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


def _judge_shape(layout: Layout, records: Records, verdicts: Verdicts) -> None:
    """A record has as many fields as the header; a shorter last one without a line end was cut off."""
    width = len(layout.columns)
    wrong = records.fields != width
    cut_off = np.zeros(len(wrong), bool)
    cut_off[records.last] = records.fields[records.last] < width
    verdicts.fail(cut_off, None, "line_truncated", "the file ends in the middle of this line")
    verdicts.fail(wrong, None, "field_count", f"the header has {width} fields, this line has another number")


def _judge_origin(typed: dict[str, pa.Array], records: Records, files: Sequence[CsvFile], verdicts: Verdicts) -> None:
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


def _judge_last_lines(layout: Layout, typed: dict[str, pa.Array], records: Records, verdicts: Verdicts) -> None:
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
