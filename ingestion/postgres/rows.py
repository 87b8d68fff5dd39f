"""Rows of the OLTP as COPY writes them (CSV), as typed Arrow rows: exact, or rejected with a reason, never changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from ingestion.contracts import DATE, DELETED_AT, FLAG, INSTANT, ROW_HASH, TEXT, Entity, entity
from ingestion.loading.rejects import FAULTS

SOURCE = "oltp"
REPLACEMENT = "\ufffd"  # what stands in the text of a reject for bytes that are no text
_OWN = (DELETED_AT.name, ROW_HASH.name)  # not of the record


def typed_rows(block: bytes, item: Entity, added: Sequence[pa.Field] = ()) -> tuple[pa.Table, pa.Table]:
    """Whole CSV rows as COPY writes them, as typed rows and as rejects.

    Args:
        block: rows without a header, columns in the contract's order; NULL is an empty field, "" an empty text.
        item: the entity.
        added: columns beyond the contract, which follow its own; those of the load are not part of ``raw_text``.

    Returns:
        The rows that fit the contract, exactly; and for the others ``column_name``, ``rule_id``, ``reason`` and
        ``raw_text`` (the row as CSV, instants in UTC). A number is never rounded: one that does not fit is a reject.

    Raises:
        ArrowInvalid: the rows are not CSV.
    """
    columns = (*item.columns, *added)
    try:
        return _read_typed(block, columns), FAULTS.empty_table()
    except pa.ArrowInvalid:
        pass
    names = [column.name for column in columns]
    try:
        text = _read_text(block, names)
    except pa.ArrowInvalid:
        return _without_undecodable(block, columns)
    return _split(text, columns)


def _without_undecodable(block: bytes, columns: Sequence[pa.Field]) -> tuple[pa.Table, pa.Table]:
    """Rows some of which hold text that is not UTF-8, as a database without an encoding (SQL_ASCII) may: rejects.

    The bytes in question stand in ``reason``; in ``raw_text`` there is a replacement character for each.
    """
    read = _read_csv(block, {column.name: pa.binary() for column in columns})
    reasons: list[str | None] = [None] * read.num_rows
    names: list[str | None] = [None] * read.num_rows
    texts = {}
    for column in columns:
        values = read[column.name].to_pylist()
        for place, value in enumerate(values):
            if value is not None and names[place] is None and not _is_utf8(value):
                names[place] = column.name
                reasons[place] = f"{column.name} {value[:50]!r} is not text in UTF-8"
        texts[column.name] = pa.array([value and value.decode(errors="replace") for value in values], TEXT)
    text = pa.table(texts).filter(pc.is_null(pa.array(names, TEXT)))
    typed, faults = _split(text, columns)
    rejected = pa.table(texts).filter(pc.is_valid(pa.array(names, TEXT)))
    given = [pa.array([value for value in found if value], TEXT) for found in (names, reasons)]
    rule = pa.repeat(pa.scalar("text_undecodable", TEXT), rejected.num_rows)
    undecodable = pa.table([given[0], rule, given[1], _csv_text(rejected)], schema=FAULTS)
    return typed, pa.concat_tables([faults, undecodable])


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def retype(
    entity_name: str, texts: pa.ChunkedArray | pa.Array
) -> tuple[list[tuple[str, pa.Table]], npt.NDArray[np.bool_]]:
    """Rejected records (``raw_text`` of ``raw.rejects``) read with today's rules.

    Args:
        entity_name: the entity they were rejected of, as in ``raw.rejects.entity``.
        texts: the records; one that was rejected when its table had columns beyond the contract ends with these, and
            is read without them.

    Returns:
        Pairs of raw table and typed rows of the records that can be read now, and which of the given these are.

    Raises:
        KeyError: an unknown entity.
    """
    item = entity(SOURCE, entity_name)
    records = [text or "" for text in texts.to_pylist()]
    widths = np.array([_width(record) for record in records], dtype=np.int64)
    readable = np.zeros(len(records), dtype=np.bool_)
    pairs = []
    for width in np.unique(widths[widths >= len(item.columns)]):
        places = np.flatnonzero(widths == width)
        names = [column.name for column in item.columns] + [f"beyond_{n}" for n in range(width - len(item.columns))]
        block = "".join(f"{records[place]}\n" for place in places).encode()
        text = _read_text(block, names).select(range(len(item.columns)))
        good = pc.is_null(_first_fault(text, item.columns)[0])
        if rows := _typed(text.filter(good), item.columns):
            pairs.append((item.table, rows))
        readable[places] = good.to_numpy()
    return pairs, readable


def _width(record: str) -> int:
    """How many fields a record has; 0 when it is not one row of CSV, or not all of it was text."""
    if REPLACEMENT in record:
        return 0
    try:
        rows = list(csv.reader(io.StringIO(record, newline=""), strict=True))
    except csv.Error:
        return 0
    return len(rows[0]) if len(rows) == 1 else 0


def _read_typed(block: bytes, columns: Sequence[pa.Field]) -> pa.Table:
    typed = _read_csv(block, {column.name: column.type for column in columns})
    for column in typed.columns:
        if pa.types.is_decimal(column.type):
            column.validate(full=True)  # the reader lets one through that has too many digits before the point
    return typed


def _read_text(block: bytes, names: Sequence[str]) -> pa.Table:
    return _read_csv(block, dict.fromkeys(names, TEXT))


def _read_csv(block: bytes, types: dict[str, pa.DataType]) -> pa.Table:
    try:
        return _read_in_parts(block, types)
    except pa.ArrowInvalid:  # a record may be longer than the reader's own parts
        return _read_in_parts(block, types, len(block) + 1)


def _read_in_parts(block: bytes, types: dict[str, pa.DataType], size: int | None = None) -> pa.Table:
    return pa_csv.read_csv(
        io.BytesIO(block),
        read_options=pa_csv.ReadOptions(column_names=list(types), block_size=size),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _split(text: pa.Table, columns: Sequence[pa.Field]) -> tuple[pa.Table, pa.Table]:
    """Rows of text as typed rows and faults. Few columns have faults: the others are cast as they are."""
    typed: dict[str, pa.ChunkedArray] = {}
    good = pa.chunked_array([pa.repeat(pa.scalar(True), text.num_rows)])
    for column in columns:
        try:
            typed[column.name] = _cast_whole(text[column.name], column.type)
        except pa.ArrowInvalid:
            good = pc.and_(good, pc.fill_null(_fits(text[column.name], column.type), True))
    kept, rejected = text.filter(good), text.filter(pc.invert(good))
    rows = [
        typed[column.name].filter(good) if column.name in typed else _cast(kept[column.name], column.type)
        for column in columns
    ]
    name, rule, reason = _first_fault(rejected, columns)
    faults = pa.table([name, rule, reason, _csv_text(rejected)], schema=FAULTS)
    return pa.table(rows, pa.schema(columns)), faults


def _cast_whole(text: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A whole column; raises ArrowInvalid when one of its values has no exact value of the type."""
    if kind == FLAG and not pc.all(_fits(text, kind)).as_py():
        raise pa.ArrowInvalid("neither t nor f")
    typed = _cast(text, kind) if kind == FLAG else text.cast(kind)
    typed.validate(full=True)
    return typed


def _typed(text: pa.Table, columns: Sequence[pa.Field]) -> pa.Table:
    return pa.table([_cast(text[column.name], column.type) for column in columns], pa.schema(columns))


def _first_fault(
    text: pa.Table, columns: Sequence[pa.Field]
) -> tuple[pa.ChunkedArray, pa.ChunkedArray, pa.ChunkedArray]:
    """Column, rule and reason of the first value of each row that has no exact value of its type; NULL without one."""
    typed = [column for column in columns if column.type != TEXT]
    faulty = {column.name: pc.invert(pc.fill_null(_fits(text[column.name], column.type), True)) for column in typed}
    nothing = pa.scalar(None, TEXT)
    name = pc.coalesce(*(pc.if_else(mask, column, nothing) for column, mask in faulty.items()))
    rules = [pc.if_else(pc.equal(name, column.name), _rule(column.type), nothing) for column in typed]
    reasons = [
        pc.if_else(
            faulty[column.name],
            pc.binary_join_element_wise(
                column.name, " ", pc.utf8_slice_codeunits(text[column.name], 0, 100), f" is not a {column.type}", ""
            ),
            nothing,
        )
        for column in typed
    ]
    return name, pc.coalesce(*rules), pc.coalesce(*reasons)


def _fits(text: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Which texts have an exact value of this type (NULL for NULL)."""
    if pa.types.is_decimal(kind):
        whole = kind.precision - kind.scale
        return pc.match_substring_regex(text, rf"^-?0*\d{{1,{whole}}}(\.\d{{0,{kind.scale}}}0*)?$")
    if pa.types.is_integer(kind):
        # 19 digits compare as text like the numbers they are
        smallest, largest = "-9223372036854775808", "9223372036854775807"
        short = pc.match_substring_regex(text, r"^-?\d{1,18}$")
        positive = pc.and_(pc.match_substring_regex(text, r"^\d{19}$"), pc.less_equal(text, largest))
        negative = pc.and_(pc.match_substring_regex(text, r"^-\d{19}$"), pc.less_equal(text, smallest))
        return pc.or_(short, pc.or_(positive, negative))
    if kind == INSTANT:
        return pc.match_substring_regex(text, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?$")
    if kind == FLAG:
        return pc.match_substring_regex(text, "^[tf]$")
    if kind == DATE:
        return pc.match_substring_regex(text, r"^\d{4}-\d\d-\d\d$")
    raise TypeError(f"no check for {kind}")


def _cast(text: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if kind == FLAG:
        return pc.equal(text, "t")
    if pa.types.is_decimal(kind):
        text = pc.replace_substring_regex(text, rf"(\.\d{{{kind.scale}}})0+$", r"\1")
    return text.cast(kind)


def _rule(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return "number_not_exact"
    if pa.types.is_integer(kind):
        return "integer_invalid"
    return {INSTANT: "instant_invalid", DATE: "date_invalid"}.get(kind, "flag_invalid")


def _csv_text(rows: pa.Table) -> pa.ChunkedArray:
    """Each row as one CSV text in COPY's way: every text quoted, NULL an empty field."""
    kept = [column for name, column in zip(rows.column_names, rows.columns, strict=True) if name not in _OWN]
    fields = [
        pc.fill_null(pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', ""), "")
        for column in kept
    ]
    return pc.binary_join_element_wise(*fields, ",")
