"""What tests of store files look at in the warehouse."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from ingestion.loading.context import IngestContext
from ingestion.warehouse import Warehouse

if TYPE_CHECKING:
    pass


HEADER = "store_id,sku,on_hand,on_order,counted_at\n"
TILLS = "store_id,business_date,transactions,gross_sales,discounts,returns,net_sales\n"

At = Callable[[str], IngestContext]


def zipped(content: bytes) -> bytes:
    """The same bytes whenever it is called: they are in the names of tests, which all processes must agree on."""
    return gzip.compress(content, mtime=0)


def statuses(warehouse: Warehouse) -> list[tuple[str, str]]:
    """Key below the prefix and status of everything that was seen, in the order of loads."""
    rows = warehouse.rows("SELECT file_name, status FROM ops.files ORDER BY load_id, file_name")
    return [(key.removeprefix("in/"), status) for key, status in rows]


def counts(warehouse: Warehouse) -> list[tuple[int, str, int, datetime]]:
    """The counts that count: of every file the rows of its last load that brought any."""
    return warehouse.rows(
        "SELECT store_id, sku, on_hand, counted_at FROM raw.stores_inventory"
        " QUALIFY _dlt_load_id = MAX(_dlt_load_id) OVER (PARTITION BY file_name) ORDER BY ALL"
    )


def covered(warehouse: Warehouse, entity: str = "inventory") -> datetime | None:
    value: datetime | None = warehouse.value(
        "SELECT covered_through FROM ops.source_watermarks WHERE source = 'stores' AND entity = ?", [entity]
    )
    return value


def queued(warehouse: Warehouse) -> list[tuple[str, str, datetime, datetime]]:
    """Open corrections: source, entity, start, end."""
    return warehouse.rows(
        "SELECT source, entity, window_start, window_end FROM ops.correction_windows WHERE status = 'open' ORDER BY ALL"
    )


def hour(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}:00")


Answer = tuple[int, bytes]
