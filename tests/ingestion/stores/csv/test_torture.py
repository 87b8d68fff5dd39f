"""The torture set: bytes of a store file, and exactly what must be loaded, rejected or distrusted.

One case is one file. ``rows`` is what must be in raw: the line and the values. ``rejects`` is what must be in
``raw.rejects``: line, column, rule, text. ``distrusted`` names the rule by which the whole file is quarantined;
``EMPTY`` is a file without any record, of which nothing is known but that it came.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from ingestion.contracts import entity
from ingestion.stores.csv.decode import MAX_BYTES, UntrustedFileError
from ingestion.stores.csv.file import Drop, read_file
from ingestion.stores.csv.typed import parse

DAY, NOW = date(2026, 3, 5), datetime(2026, 3, 5, 12)
DROPS = {
    "inventory": Drop("inventory", "inventory/store_007.csv", 7, DAY, datetime(2026, 3, 5, 10), NOW),
    "reference": Drop("reference", "reference/store_007.csv", 7, DAY, None, NOW),
    "tills": Drop("tills", "tills/store_007.csv", 7, DAY, None, NOW),
}
EMPTY = "EMPTY"

H = "store_id,sku,on_hand,on_order,counted_at\n"
T = "store_id,business_date,transactions,gross_sales,discounts,returns,net_sales\n"
R = "store_id,name,format,region,city,state,country,timezone,opened_on,closed_on,square_feet,manager\n"
Z = "2026-03-05T10:15:00Z"
AT = datetime(2026, 3, 5, 10, 15)
A, B = f"7,A,5,2,{Z}\n", f"7,B,0,,{Z}\n"
ROW_A, ROW_B = (2, "A", 5, 2, AT), (3, "B", 0, None, AT)
BOTH = [ROW_A, ROW_B]


@dataclass(frozen=True)
class Case:
    """One file and what must become of it."""

    name: str
    content: bytes | str
    rows: list[tuple[Any, ...]] | None = None
    rejects: list[tuple[int, str | None, str, str]] | None = None
    distrusted: str | None = None
    kind: str = "inventory"


def inventory(name: str, cells: str, value: Any, column: int = 3) -> Case:
    """A row that is loaded with a value in one column, which other columns cannot influence."""
    row = [2, "A", 5, 2, AT]
    row[column - 1] = value
    return Case(name, f"{H}{cells}\n", [tuple(row)])


def rejected(name: str, cells: str, column: str | None, rule: str) -> Case:
    """A good row and a bad one: the good one flows."""
    return Case(name, f"{H}{A}{cells}\n", [ROW_A], [(3, column, rule, cells)])


def on_hand(cell: str) -> str:
    return f"7,A,{cell},2,{Z}"


def counted(cell: str) -> str:
    return f"7,A,5,2,{cell}"


def till(cell: str, **others: str) -> str:
    cells = {"net": "0", "gross": cell} | others
    return f"{T}7,2026-03-05,3,{cells['gross']},0,0,{cells['net']}\n"


def amount(name: str, cell: str, value: str) -> Case:
    row = (2, DAY, 3, Decimal(value), Decimal(0), Decimal(0), Decimal(0))
    return Case(name, till(cell), [row], kind="tills")


def no_amount(name: str, cell: str, rule: str) -> Case:
    text = till(cell).split("\n")[1]
    return Case(name, till(cell), [], [(2, "gross_sales", f"gross_sales_{rule}", text)], kind="tills")


def zipped(content: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("store_007.csv", (2026, 3, 5, 10, 15, 0)), content)
    return packed.getvalue()


def parquet() -> bytes:
    written = io.BytesIO()
    pa.parquet.write_table(pa.table({"store_id": [7], "sku": ["A"]}), written)
    return written.getvalue()


def changed(text: str, **columns: str) -> str:
    for old, new in columns.items():
        text = text.replace(old, new)
    return text


CASES = [
    # --- encodings ---------------------------------------------------------------------------------------------------
    Case("utf-8", H + A + B, BOTH),
    Case("utf-8 with mark", (H + A + B).encode("utf-8-sig"), BOTH),
    Case("utf-16 le with mark", b"\xff\xfe" + (H + A + B).encode("utf-16-le"), BOTH),
    Case("utf-16 be with mark", b"\xfe\xff" + (H + A + B).encode("utf-16-be"), BOTH),
    Case("utf-16 le", (H + A + B).encode("utf-16-le"), BOTH),
    Case("utf-16 be", (H + A + B).encode("utf-16-be"), BOTH),
    Case("utf-32", (H + A + B).encode("utf-32"), BOTH),
    Case("latin-1", (H + changed(A, A="Ü")).encode("latin-1"), [(2, "Ü", 5, 2, AT)]),
    Case("cp1252 has more than latin-1", (H + changed(A, A="10€")).encode("cp1252"), [(2, "10€", 5, 2, AT)]),
    Case("utf-8 beyond the first plane", H + changed(A, A="😀"), [(2, "😀", 5, 2, AT)]),
    Case("a letter and its accent stay two characters", H + changed(A, A="E\u0301"), [(2, "E\u0301", 5, 2, AT)]),
    Case("utf-8 and latin-1 in one file", (H + "7,Ü,1,1,\n").encode() + b"7,\xdc,1,1,\n", distrusted="undecodable"),
    Case("utf-8 cut in a character", (H + "7,Ü").encode()[:-1], distrusted="undecodable"),
    Case("utf-8 with a surrogate", H.encode() + b"7,\xed\xa0\x80,1,1,\n", distrusted="undecodable"),
    Case("utf-8 written too long", H.encode() + b"7,\xc0\xaf,1,1,\n" + A.encode(), distrusted="encoding_undeclared"),
    Case("marked utf-8 that is none", b"\xef\xbb\xbf" + H.encode() + b"7,\xdc,1,1,\n", distrusted="undecodable"),
    Case("utf-16 cut in a unit", (H + A).encode("utf-16")[:-1], distrusted="undecodable"),
    Case("utf-16 with a lone surrogate", (H + "7").encode("utf-16") + b"\0\xd8,\0\n\0", distrusted="undecodable"),
    Case("ebcdic", (H + A).encode("cp037"), distrusted="encoding_undeclared"),
    Case("a second mark in the middle is text", H + A + "\ufeff" + B, [ROW_A],
         [(3, "store_id", "store_id_not_integer", "\ufeff" + B.strip())]),
    Case("two marks at the start", b"\xef\xbb\xbf" * 2 + (H + A).encode(), [ROW_A]),
    Case("NUL in a cell", H + changed(A, A="A\0B"), distrusted="control_characters"),
    Case("NULs at the end, as after a crash", (H + A).encode() + b"\0" * 4096, distrusted="control_characters"),
    Case("only NULs", b"\0" * 64, distrusted="control_characters"),
    Case("form feed", H + A + "\f" + B, distrusted="control_characters"),
    Case("escape sequence of a terminal", H + changed(A, A="\x1b[2J"), distrusted="control_characters"),
    Case("end-of-file mark of old systems", (H + A + B).encode() + b"\x1a", BOTH),
    # --- packing -----------------------------------------------------------------------------------------------------
    Case("gzip", gzip.compress((H + A + B).encode()), BOTH),
    Case("gzip of utf-16", gzip.compress((H + A + B).encode("utf-16")), BOTH),
    Case("gzip in two members", gzip.compress(H.encode()) + gzip.compress((A + B).encode()), BOTH),
    Case("gzip of gzip", gzip.compress(gzip.compress((H + A).encode())), distrusted="gzip_nested"),
    Case("gzip cut short", gzip.compress((H + A * 99).encode())[:-12], distrusted="gzip_truncated"),
    Case("gzip with a flipped bit", bytes([*(packed := gzip.compress((H + A).encode()))[:-6], 255, *packed[-5:]]),
         distrusted="gzip_corrupt"),
    Case("gzip with something behind it", gzip.compress((H + A).encode()) + b"7,B,1", distrusted="gzip_corrupt"),
    Case("gzip of nothing", gzip.compress(b""), distrusted=EMPTY),
    Case("gzip bomb", gzip.compress(b"0" * (MAX_BYTES["tills"] + 1)), distrusted="file_too_large", kind="tills"),
    # --- no CSV at all -----------------------------------------------------------------------------------------------
    Case("nothing", b"", distrusted=EMPTY),
    Case("a mark alone", b"\xef\xbb\xbf", distrusted=EMPTY),
    Case("blank lines alone", "\r\n \n\t\n", distrusted=EMPTY),
    Case("a header alone", H, distrusted=EMPTY),
    Case("a header without its line end", H.strip(), distrusted=EMPTY),
    Case("a header cut short", "store_id,sk", distrusted=EMPTY),
    Case("an error page", "<!DOCTYPE html>\n<html><body>503</body></html>\n", distrusted="header_unreadable"),
    Case("an error of S3", "<Error>\n<Code>AccessDenied</Code></Error>", distrusted="header_unreadable"),
    Case("JSON", json.dumps([{"store_id": 7, "sku": "A", "on_hand": 5}]), distrusted="header_unreadable"),
    Case("JSON lines", '{"store_id": 7, "sku": "A"}\n' * 2, distrusted="header_unreadable"),
    Case("a zip or xlsx", zipped(H + A), distrusted="control_characters"),
    Case("a parquet file", parquet(), distrusted="control_characters"),
    Case("prose", "The counts of store 7 follow tomorrow.\nRegards\n", distrusted="header_unreadable"),
    # --- separators and line ends ------------------------------------------------------------------------------------
    *(Case(f"separated by {mark!r}", (H + A + B).replace(",", mark), BOTH) for mark in ";\t|"),
    Case("sep= line of a spreadsheet", "sep=;\r\n" + (H + A + B).replace(",", ";"),
         [(3, *ROW_A[1:]), (4, *ROW_B[1:])]),
    Case("a separator nobody declared", (H + A).replace(",", ":"), distrusted="header_unreadable"),
    Case("rows with another separator than the header", H + A.replace(",", ";"), [],
         [(2, None, "field_count", A.strip().replace(",", ";"))]),
    *(Case(f"line end {end!r}", (H + A + B).replace("\n", end), BOTH) for end in ("\r\n", "\r")),
    Case("three line ends in one file", H + A.strip() + "\r" + B.strip() + "\r\n" + A, [*BOTH, (4, *ROW_A[1:])]),
    Case("LF CR is two line ends", H + A + "\r" + B, [ROW_A, (4, *ROW_B[1:])]),
    Case("a lone CR within a row", H + "7,A\r,5,2\n" + B, [(4, *ROW_B[1:])],
         [(2, None, "field_count", "7,A"), (3, None, "field_count", ",5,2")]),
    Case("blank lines between rows", H + "\n" + A + "\n\n" + B, [(3, *ROW_A[1:]), (6, *ROW_B[1:])]),
    Case("a line of separators", H + A + ",,,,\n" + B, [ROW_A, (4, *ROW_B[1:])],
         [(3, "store_id", "store_id_missing", ",,,,")]),
    Case("a line of spaces", H + A + "   \n" + B, [ROW_A, (4, *ROW_B[1:])], [(3, None, "field_count", "   ")]),
    Case("unusual line separators end no line", H + changed(A, A="A\u2028B\x85C") + B, [ROW_B],
         [(2, "sku", "key_unprintable", changed(A, A="A\u2028B\x85C").strip())]),
    # --- quotes ------------------------------------------------------------------------------------------------------
    Case("everything quoted", H + f'"7","A","5","2","{Z}"\n', [ROW_A]),
    Case("separator in quotes", H + f'7,"A,1;2",5,2,{Z}\n', [(2, "A,1;2", 5, 2, AT)]),
    Case("line ends in quotes", H + f'7,"A\n\r\nB",5,2,{Z}\n' + B, [(2, "A\n\r\nB", 5, 2, AT), (5, *ROW_B[1:])]),
    Case("doubled quotes", H + f'7,"12"" pipe",5,2,{Z}\n', [(2, '12" pipe', 5, 2, AT)]),
    Case("nothing in quotes", H + f'7,"",5,"",{Z}\n', [(2, None, 5, None, AT)]),
    Case("a quote inside a field", H + f'7,12" pipe,5,2,{Z}\n', distrusted="quote_unterminated"),
    Case("two quotes inside a field", H + f'7,a "b" c,5,2,{Z}\n', distrusted="quote_misplaced"),
    Case("text after a closing quote", H + f'7,"A"B,5,2,{Z}\n', distrusted="quote_misplaced"),
    Case("a space before a quote", H + f'7, "A",5,2,{Z}\n', distrusted="quote_misplaced"),
    Case("a quote never closed", H + f'7,"A,5,2,{Z}\n' + B, distrusted="quote_unterminated"),
    Case("two quotes never closed", H + f'7,"A,5,2,{Z}\n7,"B,5,2,{Z}\n', distrusted="quote_misplaced"),
    Case("a quote never closed in the header", H.replace("sku", '"sku') + A, distrusted="quote_unterminated"),
    Case("single quotes are text", H + f"7,'A',5,2,{Z}\n", [(2, "'A'", 5, 2, AT)]),
    Case("a backslash escapes nothing", H + f'7,"A\\",5,2,{Z}\n', [(2, "A\\", 5, 2, AT)]),
    # --- columns -----------------------------------------------------------------------------------------------------
    Case("reordered", f"counted_at,on_order,on_hand,sku,store_id\n{Z},2,5,A,7\n", [ROW_A]),
    Case("renamed", f"Branch ID,Article Number,Qty On Hand,Ordered,Count Time\n{A}", [ROW_A]),
    Case("case, spaces, punctuation", f"STORE-ID, Sku ,on hand,On_Order,countedAt\n{A}", [ROW_A]),
    Case("a no-break space in the header", f"store\u00a0id,sku,on_hand,on_order,counted_at\n{A}", [ROW_A]),
    Case("extra columns", f"shelf,{H.strip()},by\n3,{A.strip()},Jo\n", [ROW_A]),
    Case("a column without a name", f"{H.strip()},\n{A.strip()},\n", [ROW_A]),
    Case("500 more columns", f"{H.strip()}{',x' * 500}\n{A.strip()}{',1' * 500}\n", [ROW_A]),
    Case("optional column missing", f"store_id,sku,on_hand,counted_at\n7,A,5,{Z}\n", distrusted="column_undeclared"),
    Case("required column missing", f"store_id,sku,on_order,counted_at\n7,A,5,{Z}\n", distrusted="columns_missing"),
    Case("no header", A + B, distrusted="header_unreadable"),
    Case("a column twice", f"store_id,sku,on_hand,on_hand,counted_at\n7,A,5,5,{Z}\n", distrusted="columns_ambiguous"),
    Case("two synonyms", f"store_id,sku,qoh,stock,counted_at\n7,A,5,6,{Z}\n", distrusted="columns_ambiguous"),
    Case("a synonym beside the name", f"store_id,sku,on_hand,stock,on_order,counted_at\n7,A,5,6,2,{Z}\n", [ROW_A]),
    Case("a header that is a formula", '"=cmd|\' /C calc\'!A0",sku\n1,2\n', distrusted="columns_missing"),
    Case("the header twice", H + A + H + B, [ROW_A, (4, *ROW_B[1:])],
         [(3, "store_id", "store_id_not_integer", H.strip())]),
    Case("a trailing separator on rows only", H + A.strip() + ",\n", [], [(2, None, "field_count", A.strip() + ",")]),
    Case("a field too few", H + "7,A,5,2\n" + B, [ROW_B], [(2, None, "field_count", "7,A,5,2")]),
    Case("a field too many", H + A.strip() + ",x\n" + B, [ROW_B], [(2, None, "field_count", A.strip() + ",x")]),
    # --- cut off -----------------------------------------------------------------------------------------------------
    Case("no last line end, last cell whole", (H + A + B).strip(), BOTH),
    Case("cut in a row", H + A + "7,B,1", [ROW_A], [(3, None, "line_truncated", "7,B,1")]),
    Case("cut in an instant", H + A + B.strip()[:-1], [ROW_A],
         [(3, "counted_at", "counted_at_without_offset", B.strip()[:-1])]),
    Case("cut in a number", f"store_id,sku,counted_at,on_order,on_hand\n7,A,{Z},2,12", [],
         [(2, "on_hand", "line_unterminated", f"7,A,{Z},2,12")]),
    Case("cut before the first row ends", H + "7", [], [(2, None, "line_truncated", "7")]),
    # --- whose and when ----------------------------------------------------------------------------------------------
    Case("two stores' rows", H + A + changed(A, **{"7,A": "8,A"}) + B, [ROW_A, (4, *ROW_B[1:])],
         [(3, "store_id", "store_id_not_of_file", changed(A, **{"7,A": "8,A"}).strip())]),
    rejected("no store", f",A,5,2,{Z}", "store_id", "store_id_missing"),
    rejected("store zero", f"0,A,5,2,{Z}", "store_id", "store_id_not_of_file"),
    inventory("store with leading zeros", f"007,A,5,2,{Z}", 5),
    rejected("another day", counted("2026-03-04T10:15:00Z"), "counted_at", "counted_at_not_of_file"),
    rejected("another hour by offset", counted("2026-03-05T10:15:00+02:00"), "counted_at", "counted_at_not_of_file"),
    inventory("half an hour early", counted("2026-03-05T09:30:00Z"), datetime(2026, 3, 5, 9, 30), 5),
    rejected("earlier", counted("2026-03-05T09:29:59.999999Z"), "counted_at", "counted_at_not_of_file"),
    Case("a till of another date", f"{T}7,2026-03-04,1,1,0,0,1\n", [],
         [(2, "business_date", "business_date_not_of_file", "7,2026-03-04,1,1,0,0,1")], kind="tills"),
    # --- whole numbers -----------------------------------------------------------------------------------------------
    inventory("white space around a number", on_hand("\t 5 "), 5),
    inventory("no-break space around a number", on_hand("\u00a05\u00a0"), 5),
    inventory("plus", on_hand("+5"), 5),
    inventory("minus", on_hand("-5"), -5),
    inventory("leading zeros", on_hand("0005"), 5),
    inventory("minus zero", on_hand("-0"), 0),
    inventory("no number is no zero", on_hand(""), None),
    inventory("thousands by comma", on_hand('"1,234,567"'), 1234567),
    inventory("thousands by space", on_hand("1 234 567"), 1234567),
    inventory("thousands by narrow no-break space", on_hand("1\u202f234"), 1234),
    inventory("thousands by apostrophe", on_hand("1'234"), 1234),
    inventory("a float of a whole number", on_hand("12.0"), 12),
    inventory("18 digits", on_hand("9" * 18), 10**18 - 1),
    *(rejected(name, on_hand(cell), "on_hand", "on_hand_not_integer") for name, cell in {
        "exponent": "1e3", "hexadecimal": "0x10", "octal": "0o17", "underscore": "1_000", "arabic digits": "\u0663",
        "fullwidth digits": "\uff15", "superscript": "5\u00b2", "minus of typography": "\u22125", "dash": "\u20135",
        "minus behind": "5-", "accountant's minus": "(5)", "two signs": "+-5", "a fraction": "5.5",
        "one dot of thousands or decimals": "1.234", "groups of two": "1 23", "word": "five", "NULL as text": "NULL",
        "NaN": "NaN", "infinity": "inf", "an error of a spreadsheet": "#REF!", "formula": "=2+3", "unit": "5 pcs",
        "yes": "true", "a zero-width space": "5\u200b",
    }.items()),
    rejected("19 digits", on_hand("1" + "0" * 18), "on_hand", "on_hand_out_of_range"),
    rejected("a thousand digits", on_hand("9" * 1000), "on_hand", "on_hand_out_of_range"),
    inventory("a thousand zeros before a digit", on_hand("0" * 1000 + "5"), 5),
    # --- amounts -----------------------------------------------------------------------------------------------------
    amount("four decimals", "10.1234", "10.1234"),
    amount("zeros beyond four decimals", "10.12340000", "10.1234"),
    amount("14 digits", "99999999999999.9999", "99999999999999.9999"),
    amount("thousands and point", '"1,234.50"', "1234.5"),
    amount("thousands and comma", '"1.234,50"', "1234.5"),
    amount("decimal comma", '"12,50"', "12.5"),
    amount("no digit before the point", ".5", "0.5"),
    amount("negative", "-0.01", "-0.01"),
    no_amount("five decimals", "10.12345", "too_precise"),
    no_amount("a float that slipped", "0.1000000000000000055", "too_precise"),
    no_amount("15 digits", "100000000000000.00", "out_of_range"),
    no_amount("exponent amount", "1.5E2", "not_decimal"),
    no_amount("currency sign", "€12.50", "not_decimal"),
    no_amount("currency code", "12.50 USD", "not_decimal"),
    no_amount("percent", "12%", "not_decimal"),
    no_amount("two points", "1.2.3", "not_decimal"),
    no_amount("NaN amount", "NaN", "not_decimal"),
    no_amount("missing amount", "", "missing"),
    Case("1,234 beside a decimal comma", till('"1,234"', net='"0,50"'), [],
         [(2, "gross_sales", "gross_sales_ambiguous", '7,2026-03-05,3,"1,234",0,0,"0,50"')], kind="tills"),
    # --- instants and dates ------------------------------------------------------------------------------------------
    inventory("offset of half an hour", counted("2026-03-05T15:45:00+05:30"), AT, 5),
    inventory("offset without colon", counted("2026-03-05T05:15:00-0500"), AT, 5),
    inventory("offset of hours", counted("2026-03-05T11:15:00+01"), AT, 5),
    inventory("minus zero offset", counted("2026-03-05T10:15:00-00:00"), AT, 5),
    inventory("small letters", counted("2026-03-05t10:15:00z"), AT, 5),
    inventory("space instead of T, no seconds", counted("2026-03-05 10:15Z"), AT, 5),
    inventory("microseconds", counted("2026-03-05T10:15:00.000001Z"), AT.replace(microsecond=1), 5),
    inventory("offset over midnight", counted("2026-03-06T00:15:00+14:00"), AT, 5),
    rejected("nanoseconds", counted("2026-03-05T10:15:00.000000001Z"), "counted_at", "counted_at_too_precise"),
    rejected("no offset", counted("2026-03-05T10:15:00"), "counted_at", "counted_at_without_offset"),
    rejected("a date alone", counted("2026-03-05"), "counted_at", "counted_at_without_offset"),
    rejected("no instant", counted(""), "counted_at", "counted_at_missing"),
    *(rejected(name, counted(cell), "counted_at", "counted_at_not_instant") for name, cell in {
        "leap second": "2026-03-05T10:59:60Z", "24:00": "2026-03-05T24:00:00Z", "no such day": "2026-02-30T10:15:00Z",
        "no leap year": "2026-02-29T10:15:00Z", "month 13": "2026-13-05T10:15:00Z", "year 0": "0000-03-05T10:15:00Z",
        "year of five digits": "12026-03-05T10:15:00Z", "negative year": "-2026-03-05T10:15:00Z",
        "year of two digits": "26-03-05T10:15:00Z", "American": "03/05/2026 10:15", "German": "05.03.2026 10:15",
        "seconds since 1970": "1772705700", "a spreadsheet's day": "46086.427", "name of a zone": f"{Z[:-1]} CET",
        "offset of 15 hours": f"{Z[:-1]}+15:00", "offset of 90 minutes": f"{Z[:-1]}+00:90", "week date": "2026-W10-4",
        "basic form": "20260305T101500Z", "two zones": f"{Z}Z",
        "fullwidth instant": "\uff12\uff10\uff12\uff16-03-05T10:15:00Z",
    }.items()),
    # --- text --------------------------------------------------------------------------------------------------------
    *(Case(f"text {text!r}", H + f'7,"{text}",5,2,{Z}\n', [(2, text, 5, 2, AT)]) for text in (
        "=HYPERLINK(1)", "@SUM(A1)", "+1-2", "'; DROP TABLE raw.rejects; --", "../../etc/passwd", "%s%n", "${HOME}",
        "NULL", "NaN", "None", "true", "007", "1e5", " A ", "<script>", "x" * 128,
    )),
    *(rejected(f"key {text[:9]!r}", f'7,"{text}",5,2,{Z}', "sku", rule) for text, rule in {
        "A\tB": "key_unprintable", "A\u202eB": "key_unprintable", "A\u200bB": "key_unprintable",
        "A\u00a0B": "key_unprintable", "A\u00adB": "key_unprintable", "A\ufeffB": "key_unprintable",
        "4.00638E+12": "sku_rewritten", "1.23E+05": "sku_rewritten", "4,00638E+12": "sku_rewritten",
        "4006381333931.0": "sku_rewritten", "#N/A": "sku_rewritten", "123456789012345000": "sku_rewritten",
        "x" * 129: "text_too_long", "CafÃ© 250g": "text_garbled", "A\ufffdB": "text_garbled",
        "\u00e7\u201a\u00b9\u00e6\u00a4\u0153": "text_garbled", "Å\u0081ódÅº": "key_unprintable",
    }.items()),
    *(Case(f"unseen at the ends of a key {mark!r}", f'{H}7,"{mark}A{mark}",5,2,{Z}\n', [ROW_A]) for mark in (
        "\t", "\u00a0", "\ufeff", "\u200b", "\u202f ", " \u2060",
    )),

    Case("white space is no text", H + f'7," \t\u00a0",5,2,{Z}\n', [(2, None, 5, 2, AT)]),
    # --- the other kinds of files ------------------------------------------------------------------------------------
    Case("a reference row", R + '7,Köln,city,EU,"Köln, Dom",,DE,Europe/Berlin,2020-02-29,,"12,500",\n',
         [(2, "Köln", "city", "EU", "Köln, Dom", None, "DE", "Europe/Berlin", date(2020, 2, 29), None, 12500, None,
           DAY)],
         kind="reference"),
    *(Case(f"reference with {name}", f"{R}7,a,b,c,d,e,f,{zone},{opened},,1,\n", [],
           [(2, column, f"{column}_{rule}", f"7,a,b,c,d,e,f,{zone},{opened},,1,")], kind="reference")
      for name, zone, opened, column, rule in (
          ("an unknown zone", "Mars/Base", "", "timezone", "unknown"), ("no zone", "", "", "timezone", "missing"),
          ("an offset as zone", "+01:00", "", "timezone", "unknown"),
          *((f"{zone} as zone", zone, "", "timezone", "ambiguous") for zone in (
              "EST", "MST", "HST", "EST5EDT", "PST8PDT", "Etc/GMT+5", "Etc/UTC", "GMT", "UTC", "Zulu", "CET", "WET",
          )),
          ("a path as zone", "../../etc/passwd", "", "timezone", "unknown"),
          ("a day that is none", "US/Eastern", "2021-02-29", "opened_on", "not_date"),
          ("an American date", "US/Eastern", "02/28/2021", "opened_on", "not_date"),
          ("an instant as date", "US/Eastern", "2021-02-28T00:00:00Z", "opened_on", "not_date"),
      )),
    Case("a reference without a zone column", R.replace(",timezone", "") + "7,a,b,c,d,e,f,,,1,\n",
         distrusted="columns_missing", kind="reference"),
]  # fmt: skip


def outcome(case: Case) -> tuple[Any, Any]:
    """What became of the file: its fault, or its rows and rejects."""
    content = case.content.encode() if isinstance(case.content, str) else case.content
    try:
        file = read_file(DROPS[case.kind], content)
        if file.is_empty:
            return EMPTY, None
        parsed = parse(case.kind, [file], NOW)
    except UntrustedFileError as fault:
        return fault.rule_id, None
    columns = [
        "file_line",
        *(column.name for column in entity("stores", case.kind).columns if column.name != "store_id"),
    ]
    rows = [tuple(row.values()) for row in parsed.rows.select(["file_line", *columns]).to_pylist()]
    named = ["file_line", "column_name", "rule_id", "raw_text"]
    rejects = [tuple(row.values()) for row in parsed.rejects.select(named).to_pylist()]
    assert set(parsed.rows["store_id"].to_pylist()) <= {7}
    return rows, rejects


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name[:60])
def test_exactly_this_is_loaded_and_rejected(case: Case) -> None:
    expected = (case.distrusted, None) if case.distrusted else (case.rows, case.rejects or [])
    assert outcome(case) == expected


def test_no_case_stands_for_another() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) > 200
