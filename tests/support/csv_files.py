"""Store files for tests, and what becomes of them: rows, lines, rejects."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pytest

from ingestion.contracts import entity
from ingestion.stores.csv.declared import NOTHING, Declared
from ingestion.stores.csv.decode import UntrustedFileError
from ingestion.stores.csv.file import CsvFile, Drop, read_file
from ingestion.stores.csv.typed import parse

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


def outcome(content: bytes | str, drop: Drop = INVENTORY, declared: Declared = NOTHING) -> Outcome:
    """What becomes of one file that can be trusted."""
    file = read_file(drop, content.encode() if isinstance(content, str) else content, declared)
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
    with pytest.raises(UntrustedFileError) as caught:
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
