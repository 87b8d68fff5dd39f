"""Headers: which column a field is."""

from __future__ import annotations

import pytest

from ingestion.stores.csv.declared import Declared
from ingestion.stores.csv.file import Drop
from ingestion.stores.csv.layout import csv_columns
from tests.support.csv_files import GOOD, REFERENCE, ROW, TILLS, fault, outcome


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


def test_a_missing_optional_column_is_null_where_that_is_declared_and_a_fault_elsewhere() -> None:
    content = "store_id,sku,on_hand,counted_at\n7,A-1,5,2026-03-05T10:15:00Z\n"
    assert fault(content) == "column_undeclared"
    found = outcome(content, declared=Declared(lacks=frozenset({"on_order"})))
    assert found.rows == [{**GOOD, "on_order": None}]
    assert found.file.notes == ("no column on_order, as declared",)


@pytest.mark.parametrize("drop", [REFERENCE, TILLS])
def test_reference_and_tills_need_all_their_columns(drop: Drop) -> None:
    header = csv_columns(drop.entity)
    for missing in header:
        names = [name for name in header if name != missing]
        assert fault(",".join(names) + "\n" + ",".join("7" for _ in names) + "\n", drop) == "columns_missing"
