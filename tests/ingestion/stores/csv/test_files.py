"""Bytes of store files into typed rows and rejects: nothing is guessed, rounded, shifted or dropped silently."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.contracts import REJECTS, entity
from ingestion.stores.csv import files as csv_files
from ingestion.stores.csv.files import CsvFile, Distrusted, Drop, parse, read_file, whole_file_reject

NOW = datetime(2026, 3, 5, 12)
WRITTEN = datetime(2026, 3, 5, 11, 1)
INVENTORY = Drop(
    "inventory", "drops/inventory/2026/03/05/10/store_007.csv", 7, date(2026, 3, 5), datetime(2026, 3, 5, 10), WRITTEN
)
REFERENCE = Drop("reference", "drops/reference/2026/03/05/store_007.csv", 7, date(2026, 3, 5), None, WRITTEN)
TILLS = Drop("tills", "drops/tills/2026/03/05/store_007.csv", 7, date(2026, 3, 5), None, WRITTEN)

HEADER = "store_id,sku,on_hand,on_order,counted_at\n"
ROW = "7,A-1,5,2,2026-03-05T10:15:00Z\n"
COUNTED = datetime(2026, 3, 5, 10, 15)
GOOD = {"store_id": 7, "sku": "A-1", "on_hand": 5, "on_order": 2, "counted_at": COUNTED}
REFERENCE_HEADER = "store_id,name,format,region,city,state,country,timezone,opened_on,closed_on,square_feet,manager\n"
TILLS_HEADER = "store_id,business_date,transactions,gross_sales,discounts,returns,net_sales\n"


def zipped(content: bytes) -> bytes:
    """The same bytes whenever it is called: they are in the names of tests, which all processes must agree on."""
    return gzip.compress(content, mtime=0)


@dataclass
class Outcome:
    """Rows without their position, the lines they stand on, and the rejects in short."""

    rows: list[dict[str, Any]]
    lines: list[int]
    rejects: list[tuple[int, str | None, str]]
    texts: list[str]
    file: CsvFile


def outcome(content: bytes | str, drop: Drop = INVENTORY) -> Outcome:
    """What becomes of one file that can be trusted."""
    file = read_file(drop, content.encode() if isinstance(content, str) else content)
    parsed = parse(drop.entity, [file], NOW)
    columns = [column.name for column in entity("stores", drop.entity).columns]
    rejects = parsed.rejects.to_pylist()
    assert parsed.row_counts == [parsed.rows.num_rows]
    assert parsed.reject_counts == [parsed.rejects.num_rows]
    return Outcome(
        parsed.rows.select(columns).to_pylist(),
        parsed.rows["file_line"].to_pylist(),
        [(reject["file_line"], reject["column_name"], reject["rule_id"]) for reject in rejects],
        [reject["raw_text"] for reject in rejects],
        file,
    )


def fault(content: bytes | str, drop: Drop = INVENTORY) -> str:
    """The rule by which a file is distrusted."""
    with pytest.raises(Distrusted) as caught:
        read_file(drop, content.encode() if isinstance(content, str) else content)
    return caught.value.rule_id


def only_value(cell: str, column: str) -> Any:
    """What a cell of an inventory file is read as; the rule id as text if the row is rejected."""
    cells = {"store_id": "7", "sku": "A-1", "on_hand": "5", "on_order": "2", "counted_at": "2026-03-05T10:15:00Z"}
    cells[column] = f'"{cell}"'
    found = outcome(HEADER + ",".join(cells.values()) + "\n")
    return found.rows[0][column] if found.rows else found.rejects[0][2]


def only_amount(cell: str, separator: str = ",", beside: str = "0.00") -> Any:
    """What gross_sales of a till is read as; the rule id as text if the row is rejected."""
    row = ["7", "2026-03-05", "3", f'"{cell}"', f'"{beside}"', "0", "0"]
    found = outcome(TILLS_HEADER.replace(",", separator) + separator.join(row) + "\n", TILLS)
    return found.rows[0]["gross_sales"] if found.rows else found.rejects[0][2]


# --- the same content, written in every way ----------------------------------------------------------------------

TEXT = HEADER + ROW + "7,Ä-2,0,,2026-03-05T05:15:00-05:00\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.encode("latin-1"),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace(",", "|").encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.rstrip("\n").encode(),
        TEXT.encode() + b"\x1a",
        ("\n\n" + TEXT).encode(),
        ("sep=;\r\n" + TEXT.replace(",", ";").replace("\n", "\r\n")).encode("utf-8-sig"),
        zipped(TEXT.encode()),
        zipped(TEXT.encode("utf-16")),
        zipped(TEXT[:20].encode()) + zipped(TEXT[20:].encode()),
        TEXT.replace("7,", '"7",').replace("A-1", '"A-1"').encode(),
        TEXT.replace("7,", " 7 ,").replace("5,2,", " 5\t, +2 ,").encode(),
    ],
    ids=[
        "utf-8", "utf-8 with mark", "utf-16 with mark", "utf-16 le", "utf-16 be", "utf-16 be with mark", "utf-32",
        "latin-1", "semicolon", "tab", "bar", "crlf", "cr", "no last line end", "end-of-file mark", "blank lines first",
        "sep=", "gzip", "gzip of utf-16", "gzip in two members", "quoted", "padded",
    ],
)  # fmt: skip
def test_a_file_is_read_the_same_however_it_is_written(content: bytes) -> None:
    found = outcome(content)
    second = {**GOOD, "sku": "Ä-2", "on_hand": 0, "on_order": None}
    assert found.rejects == []
    assert found.rows == [GOOD, second]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_are_physical_lines(line_end: str) -> None:
    text = HEADER + '7,"A\nB",5,2,2026-03-05T10:15:00Z\n' + "\n" + ROW + "\n\n" + '7,x,y,1,"1\n2"\n' + ROW
    found = outcome(text.replace("\n", line_end))
    assert found.lines == [2, 5, 10]
    assert found.rows[0]["sku"] == f"A{line_end}B"
    assert found.rejects == [(8, "on_hand", "on_hand_not_integer")]
    assert found.texts == [f'7,x,y,1,"1{line_end}2"']


def test_line_ends_may_be_mixed() -> None:
    row = ROW.rstrip("\n")
    found = outcome(f"{HEADER}{row}\r{row}\r\n{row}\n\r{row}")
    assert found.lines == [2, 3, 4, 6]


def test_files_typed_together_keep_their_own_lines_names_and_counts() -> None:
    other = Drop("inventory", "other", 8, INVENTORY.file_date, INVENTORY.file_hour, WRITTEN)
    first = read_file(INVENTORY, (HEADER + ROW + ROW.replace("7,", "9,")).replace("\n", "\r").encode())
    second = read_file(other, (HEADER + "\n" + ROW.replace("7,", "8,")).encode())
    third = read_file(INVENTORY, (HEADER + ROW).replace(",", ";").encode())
    parsed = parse("inventory", [first, second, third], NOW)
    rows = parsed.rows.select(["store_id", "file_name", "file_hash", "file_line", "file_modified_at"]).to_pylist()
    assert sorted(tuple(row.values()) for row in rows) == sorted(
        [
            (7, INVENTORY.key, first.file_hash, 2, WRITTEN),
            (8, "other", second.file_hash, 3, WRITTEN),
            (7, INVENTORY.key, third.file_hash, 2, WRITTEN),
        ]
    )
    assert (parsed.row_counts, parsed.reject_counts) == ([1, 1, 1], [1, 0, 0])
    assert parsed.rejects.drop_columns(["reason"]).to_pylist() == [
        {
            "source": "stores",
            "entity": "inventory",
            "is_whole_file": False,
            "column_name": "store_id",
            "rule_id": "store_id_not_of_file",
            "raw_text": ROW.replace("7,", "9,").rstrip("\n"),
            "original_path": None,
            "rejected_at": NOW,
            "file_name": INVENTORY.key,
            "file_hash": first.file_hash,
            "file_line": 3,
            "file_modified_at": WRITTEN,
        }
    ]


def test_the_tables_have_the_columns_of_the_contract() -> None:
    for drop, text in ((INVENTORY, HEADER + ROW), (TILLS, TILLS_HEADER + "7,2026-03-05,1,1,0,0,1\n")):
        parsed = parse(drop.entity, [read_file(drop, text.encode())], NOW)
        for table, contract in ((parsed.rows, entity("stores", drop.entity)), (parsed.rejects, REJECTS)):
            kinds = {field.name: getattr(field.type, "value_type", field.type) for field in table.schema}
            assert kinds == {field.name: field.type for field in contract.schema if field.name != "_loaded_at"}


# --- headers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("counted_at,shelf,sku,on_order,on_hand,store_id,by", '2026-03-05T10:15:00Z,A-7,A-1,2,5,7,"night, B"'),
        ("Store No,Item Number,Qty On Hand,Qty On Order,Counted At", ROW),
        ("STORE_ID, Sku ,OnHand,On-Order,countedAt", ROW),
        ('"store_id","sku","on\nhand","on_order","counted_at"', ROW),
        ("store_id,sku,item,on_hand,on_order,counted_at", "7,A-1,description,5,2,2026-03-05T10:15:00Z"),
        ("store_id,sku,on_hand,on_order,counted_at,,", ROW.rstrip("\n") + ",,"),
    ],
)
def test_columns_are_found_by_name(header: str, row: str) -> None:
    found = outcome(f"{header}\n{row.rstrip()}\n")
    assert (found.rows, found.rejects) == ([GOOD], [])


def test_a_missing_optional_column_is_null_and_noted() -> None:
    found = outcome("store_id,sku,on_hand,counted_at\n7,A-1,5,2026-03-05T10:15:00Z\n")
    assert found.rows == [{**GOOD, "on_order": None}]
    assert found.file.notes == ("no column on_order",)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("store_id,sku,on_order,counted_at\n7,A-1,2,2026-03-05T10:15:00Z\n", "columns_missing"),
        ("sku,on_hand,on_order,counted_at\nA-1,5,2,2026-03-05T10:15:00Z\n", "columns_missing"),
        ("store_id,sku,on_hand,on_hand,counted_at\n7,A-1,5,6,2026-03-05T10:15:00Z\n", "columns_ambiguous"),
        ("store_id,sku,stock,qoh,counted_at\n7,A-1,5,6,2026-03-05T10:15:00Z\n", "columns_ambiguous"),
        (ROW + ROW, "header_unreadable"),
        ("sep=;", "header_unreadable"),
        ("<html><body>Access denied</body></html>\n", "header_unreadable"),
        (HEADER + '7,"A-1,5,2,2026-03-05T10:15:00Z\n' + ROW, "quote_unterminated"),
        (HEADER + '7,"A-1,5,2,2026-03-05T10:15:00Z\n7,"B,5,2,2026-03-05T10:15:00Z\n', "quote_misplaced"),
        (HEADER + '7,A"1"B,5,2,2026-03-05T10:15:00Z\n', "quote_misplaced"),
        ('"store_id,sku\n', "quote_unterminated"),
        (HEADER.encode() + "7,Ä".encode() + b"\xe4,5,2,2026-03-05T10:15:00Z\n", "undecodable"),
        ((HEADER + "7,Ä").encode()[:-1], "undecodable"),
        ((HEADER + ROW).encode("utf-16")[:-1], "undecodable"),
        (HEADER.encode() + b"7,\x81,5,2,2026-03-05T10:15:00Z\n", "undecodable"),
        ((HEADER + ROW).encode() + b"\0" * 100, "control_characters"),
        (zipped((HEADER + ROW * 50).encode())[:-20], "gzip_truncated"),
        (zipped((HEADER + ROW).encode()) + b"more", "gzip_corrupt"),
        (b"\x1f\x8bno gzip at all", "gzip_corrupt"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_distrusted_whole(content: bytes | str, rule: str) -> None:
    assert fault(content) == rule


@pytest.mark.parametrize("drop", [REFERENCE, TILLS])
def test_reference_and_tills_need_all_their_columns(drop: Drop) -> None:
    header = csv_files.csv_columns(drop.entity)
    for missing in header:
        names = [name for name in header if name != missing]
        assert fault(",".join(names) + "\n" + ",".join("7" for _ in names) + "\n", drop) == "columns_missing"


def test_a_file_larger_than_the_limit_is_distrusted_even_when_it_is_small_packed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(csv_files.MAX_BYTES, "inventory", 1000)
    bomb = zipped(HEADER.encode() + ROW.encode() * 10_000)
    assert len(bomb) < 1000
    assert fault(bomb) == "file_too_large"
    assert fault(HEADER + ROW * 100) == "file_too_large"
    assert outcome(HEADER + ROW * 10).rejects == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\r\n  \n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        HEADER.encode(),
        HEADER.encode()[:-1],
        HEADER.encode() + b"\n\n",
        b"store_id,sk",
        zipped(b""),
        zipped(HEADER.encode()),
    ],
)
def test_a_file_without_records_is_empty(content: bytes) -> None:
    assert read_file(INVENTORY, content).is_empty


def test_content_is_known_again_when_it_is_packed() -> None:
    plain, packed = read_file(INVENTORY, TEXT.encode()), read_file(INVENTORY, zipped(TEXT.encode()))
    assert plain.content_hash == plain.file_hash == packed.content_hash != packed.file_hash


def test_a_distrusted_file_is_one_reject() -> None:
    [row] = whole_file_reject(INVENTORY, "abc", Distrusted("undecodable", "no text"), "/kept/abc", NOW).to_pylist()
    assert row == {
        "source": "stores",
        "entity": "inventory",
        "is_whole_file": True,
        "column_name": None,
        "rule_id": "undecodable",
        "reason": "no text",
        "raw_text": None,
        "original_path": "/kept/abc",
        "rejected_at": NOW,
        "file_name": INVENTORY.key,
        "file_hash": "abc",
        "file_line": None,
        "file_modified_at": WRITTEN,
    }


# --- records -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "column", "rule"),
    [
        ("7,A-1,5,2\n", None, "field_count"),
        ("7,A-1,5,2,2026-03-05T10:15:00Z,more\n", None, "field_count"),
        ("7;A-1;5;2;2026-03-05T10:15:00Z\n", None, "field_count"),
        ("7,A-1,5,2", None, "line_truncated"),
        (",A-1,5,2,2026-03-05T10:15:00Z\n", "store_id", "store_id_missing"),
        ("8,A-1,5,2,2026-03-05T10:15:00Z\n", "store_id", "store_id_not_of_file"),
        ("7,A-1,5,2,\n", "counted_at", "counted_at_missing"),
        ("7,A-1,5,2,2026-03-05T10:15:00+0", "counted_at", "counted_at_not_instant"),
        ("7,A-1,5,2,2026-03-05T10:15:00+00", "counted_at", "line_unterminated"),
        ("7,A-1,5,2,2026-03-05T09:29:59Z\n", "counted_at", "counted_at_not_of_file"),
        ("7,A-1,5,2,2026-03-05T11:30:00Z\n", "counted_at", "counted_at_not_of_file"),
        ("7,A-1,5,2,2026-03-04T10:15:00Z\n", "counted_at", "counted_at_not_of_file"),
        (HEADER, "store_id", "store_id_not_integer"),
    ],
)
def test_a_bad_record_is_rejected_and_the_others_flow(row: str, column: str | None, rule: str) -> None:
    found = outcome(HEADER + ROW + row)
    assert found.rows == [GOOD]
    assert found.rejects == [(3, column, rule)]
    assert found.texts == [row.rstrip("\n")]


def test_missing_values_that_the_staging_rules_judge_are_null() -> None:
    found = outcome(HEADER + "7, ,,,2026-03-05T10:15:00Z\n7,A-1,-3,2,2026-03-05T10:15:00Z\n")
    empty = {**GOOD, "sku": None, "on_hand": None, "on_order": None}
    assert found.rows == [empty, {**GOOD, "on_hand": -3}]


def test_the_first_broken_rule_of_a_record_is_given() -> None:
    assert outcome(HEADER + "8,A-1,x,y,z\n").rejects == [(2, "on_hand", "on_hand_not_integer")]


def test_a_long_record_is_kept_in_part() -> None:
    found = outcome(HEADER + f"7,{'x' * 20_000},no,2,2026-03-05T10:15:00Z\n")
    assert len(found.texts[0]) == csv_files.RAW_TEXT_LIMIT


@pytest.mark.parametrize(
    ("header", "row", "kept"),
    [
        ("store_id,sku,on_order,counted_at,on_hand", "7,A-1,2,2026-03-05T10:15:00Z,5", False),
        ("store_id,sku,on_order,counted_at,on_hand", '7,A-1,2,2026-03-05T10:15:00Z,"5"', True),
        ("store_id,on_hand,on_order,counted_at,sku", "7,5,2,2026-03-05T10:15:00Z,A-1", False),
        ("store_id,sku,on_hand,on_order,counted_at,by", "7,A-1,5,2,2026-03-05T10:15:00Z,Jo", True),
    ],
)
def test_a_last_cell_that_may_be_cut_off_is_not_taken_for_whole(header: str, row: str, kept: bool) -> None:
    found = outcome(f"{header}\n{row}\n{row}")
    assert found.rows == [GOOD] * (1 + kept)
    assert [rule for _, _, rule in found.rejects] == ([] if kept else ["line_unterminated"])
    assert found.file.notes == ("no line end after the last line",)


@pytest.mark.parametrize(("net", "kept"), [("9.50", True), ("9.5", True), ("9", False), ("", False)])
def test_the_last_till_figure_has_to_add_up_without_a_line_end(net: str, kept: bool) -> None:
    found = outcome(f"{TILLS_HEADER}7,2026-03-05,3,12.00,0.50,2.00,{net}", TILLS)
    assert bool(found.rows) is kept


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("5", 5), ("-5", -5), ("+5", 5), (" 5 ", 5), ("0005", 5), ("-0", 0), ("", None), ("  ", None),
        ("1,234", 1234), ("-1,234,567", -1234567), ("1 234", 1234), ("1\u00a0234", 1234),
        ("1\u202f234\u202f567", 1234567),
        ("1'234", 1234), ("1.234.567", 1234567), ("12.0", 12), ("12.00", 12), ("999999999999999999", 10**18 - 1),
        ("1000000000000000000", "on_hand_out_of_range"), ("0" * 30 + "7", 7),
        *((bad, "on_hand_not_integer") for bad in (
            "twelve", "0x10", "1e3", "1_000", "\u0661", "1.5", "1.234", "12.000", "1,23", "12,34", "0,123", "1,234 567",
            "1 23", "NULL", "N/A", "nan", "-", "5-", "(5)", "--5", "5 pcs", "1,234,56", "=5", "\u22125",
        )),
    ],
)  # fmt: skip
def test_whole_numbers(cell: str, value: Any) -> None:
    assert only_value(cell, "on_hand") == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12.34", "12.34"), ("-12.3456", "-12.3456"), ("12", "12"), (".5", "0.5"), ("5.", "5"), ("+1.5", "1.5"),
        ("1,234.56", "1234.56"), ("1,234,567", "1234567"), ("1,234", "1234"), ("1 234.56", "1234.56"),
        ("1.234,56", "1234.56"), ("12,50", "12.50"), ("0,125", "0.125"), ("1234,567", "1234.567"),
        ("1 234,5", "1234.5"),
        ("1.234", "1.234"), ("12.34000000", "12.34"), ("00012.50", "12.5"), ("0" * 60 + "." + "0" * 60, "0"),
        ("99999999999999.9999", "99999999999999.9999"), ("-0.0001", "-0.0001"),
    ],
)  # fmt: skip
def test_amounts_are_exact(cell: str, value: str) -> None:
    assert only_amount(cell) == Decimal(value)


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        ("12.34567", "too_precise"), ("0.00001", "too_precise"), ("12,34567", "too_precise"),
        ("100000000000000", "out_of_range"), ("1e3", "not_decimal"), ("nan", "not_decimal"), ("inf", "not_decimal"),
        ("$12.00", "not_decimal"), ("12.00-", "not_decimal"), ("1,23.4", "not_decimal"), ("1.2.3", "not_decimal"),
        ("1,2345,678", "not_decimal"), ("-", "not_decimal"), (".", "not_decimal"), ("", "missing"),
    ],
)  # fmt: skip
def test_amounts_without_an_exact_value_are_rejected(cell: str, rule: str) -> None:
    assert only_amount(cell) == f"gross_sales_{rule}"


@pytest.mark.parametrize(
    ("cell", "separator", "beside", "value"),
    [
        ("1,234", ",", "0,50", "gross_sales_ambiguous"),
        ("1.234", ",", "0,50", "gross_sales_ambiguous"),
        ("1,234", ";", "0", "gross_sales_ambiguous"),
        ("1.234", ";", "0", "gross_sales_ambiguous"),
        ("1,234", ";", "0.50", Decimal(1234)),
        ("1.234", ";", "0.50", Decimal("1.234")),
        ("12.50", ";", "0", Decimal("12.5")),
        ("12,50", ";", "0", Decimal("12.5")),
        ("1.234,50", ",", "0,50", Decimal("1234.5")),
        ("1,234.50", ",", "0,50", Decimal("1234.5")),
    ],
)
def test_an_amount_with_two_readings_is_rejected(cell: str, separator: str, beside: str, value: Any) -> None:
    assert only_amount(cell, separator, beside) == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2026-03-05T10:15:00Z", COUNTED),
        ("2026-03-05t10:15:00z", COUNTED),
        ("2026-03-05 10:15Z", COUNTED),
        ("2026-03-05T05:15:00-05:00", COUNTED),
        ("2026-03-05T15:45:00+0530", COUNTED),
        ("2026-03-05 11:15:00+01", COUNTED),
        ("2026-03-06T00:15:00+14:00", COUNTED),
        (" 2026-03-05T10:15:00-00:00 ", COUNTED),
        ("2026-03-05T10:15:00.123456Z", COUNTED.replace(microsecond=123456)),
        ("2026-03-05T10:15:00,5Z", COUNTED.replace(microsecond=500000)),
        ("2026-03-05T10:15:00.1234560000Z", COUNTED.replace(microsecond=123456)),
        ("2026-03-05T10:15:00.1234567Z", "counted_at_too_precise"),
        ("2026-03-05T10:15:00", "counted_at_without_offset"),
        ("2026-03-05 10:15", "counted_at_without_offset"),
        ("2026-03-05", "counted_at_without_offset"),
        *(
            (bad, "counted_at_not_instant")
            for bad in (
                "05/03/2026 10:15", "2026-02-29T10:15:00Z", "2026-04-31T10:15:00Z", "2026-13-05T10:15:00Z",
                "1772705700",
                "2026-03-05T24:00:00Z", "2026-03-05T10:60:00Z", "2026-03-05T10:15:60Z", "2026-03-05T10:15:00+15:00",
                "2026-03-05T10:15:00+01:60", "2026-03-05T10:15:00 EST", "2026-03-05T10:15:00+", "20260305T101500Z",
                "2026-3-5T10:15:00Z", "now",
            )
        ),
    ],
)  # fmt: skip
def test_instants_are_utc_and_need_their_offset(cell: str, value: Any) -> None:
    assert only_value(cell, "counted_at") == value


@settings(deadline=None)
@given(st.lists(st.datetimes(datetime(2026, 3, 5, 9, 30), datetime(2026, 3, 5, 11, 29)), min_size=1, max_size=20),
       st.integers(-14 * 60, 14 * 60))  # fmt: skip
def test_any_instant_with_any_offset_is_read_exactly(instants: list[datetime], minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    cells = [instant.replace(tzinfo=UTC).astimezone(zone).isoformat() for instant in instants]
    found = outcome(HEADER + "".join(f"7,A-1,5,2,{cell}\n" for cell in cells))
    assert [row["counted_at"] for row in found.rows] == instants


@settings(deadline=None)
@given(st.decimals(min_value=-Decimal("9" * 14), max_value=Decimal("9" * 14), places=4))
def test_any_amount_is_read_exactly_with_and_without_separators(amount: Decimal) -> None:
    for text in (f"{amount:f}", f"{amount:,f}", f"{amount:,f}".translate(str.maketrans(",.", ".,"))):
        assert only_amount(text) == amount


def reference(**cells: str) -> str:
    row = {
        "store_id": "7", "name": "Köln", "format": "city", "region": "EU", "city": "Köln", "state": "", "country": "NA",
        "timezone": "Europe/Berlin", "opened_on": "2020-02-29", "closed_on": "", "square_feet": "12,500",
        "manager": "NULL",
    }  # fmt: skip
    return REFERENCE_HEADER + ",".join(f'"{cell}"' for cell in (row | cells).values()) + "\n"


def test_a_reference_row() -> None:
    found = outcome(reference(), REFERENCE)
    assert found.rows == [
        {
            "store_id": 7,
            "name": "Köln",
            "format": "city",
            "region": "EU",
            "city": "Köln",
            "state": None,
            "country": "NA",
            "timezone": "Europe/Berlin",
            "opened_on": date(2020, 2, 29),
            "closed_on": None,
            "square_feet": 12500,
            "manager": "NULL",
            "reference_date": date(2026, 3, 5),
        }
    ]


@pytest.mark.parametrize(
    ("column", "cell", "rule"),
    [
        ("timezone", "Europe/Koeln", "timezone_unknown"),
        ("timezone", "CEST", "timezone_unknown"),
        ("timezone", "localtime", "timezone_unknown"),
        ("timezone", "", "timezone_missing"),
        ("opened_on", "2021-02-29", "opened_on_not_date"),
        ("opened_on", "2100-02-29", "opened_on_not_date"),
        ("opened_on", "29.02.2020", "opened_on_not_date"),
        ("opened_on", "2020-02-29T00:00:00Z", "opened_on_not_date"),
        ("closed_on", "0000-00-00", "closed_on_not_date"),
        ("square_feet", "about 500", "square_feet_not_integer"),
    ],
)
def test_a_bad_reference_value(column: str, cell: str, rule: str) -> None:
    assert outcome(reference(**{column: cell}), REFERENCE).rejects == [(2, column, rule)]


def test_a_till_of_another_date_is_rejected() -> None:
    found = outcome(f"{TILLS_HEADER}7,2026-03-04,1,1,0,0,1\n7,2026-03-05,1,1,0,0,1\n", TILLS)
    assert [row["business_date"] for row in found.rows] == [date(2026, 3, 5)]
    assert found.rejects == [(2, "business_date", "business_date_not_of_file")]


def test_every_till_figure_is_required() -> None:
    cells = ["7", "2026-03-05", "1", "1.00", "0.00", "0.00", "1.00"]
    for place, column in enumerate(csv_files.csv_columns("tills")):
        row = ",".join("" if index == place else cell for index, cell in enumerate(cells))
        assert outcome(f"{TILLS_HEADER}{row}\n", TILLS).rejects == [(2, column, f"{column}_missing")]
