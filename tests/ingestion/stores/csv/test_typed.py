"""Records of store files with the types of the contract: nothing is guessed or dropped silently."""

from __future__ import annotations

from datetime import date

import pytest

from ingestion.contracts import REJECTS, entity
from ingestion.stores.csv.file import Drop, read_file
from ingestion.stores.csv.layout import csv_columns
from ingestion.stores.csv.typed import parse
from tests.support.csv_files import (
    GOOD,
    HEADER,
    INVENTORY,
    NOW,
    REFERENCE,
    REFERENCE_HEADER,
    ROW,
    TILLS,
    TILLS_HEADER,
    WRITTEN,
    outcome,
)


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
    for place, column in enumerate(csv_columns("tills")):
        row = ",".join("" if index == place else cell for index, cell in enumerate(cells))
        assert outcome(f"{TILLS_HEADER}{row}\n", TILLS).rejects == [(2, column, f"{column}_missing")]
