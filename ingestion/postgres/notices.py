"""What the OLTP's rows and columns say that somebody should look at, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import Entity
from ingestion.loading.context import Notice

_CLOCK = "Have the clock that wrote it set right, and the rows stamped anew"


def stamped_ahead(item: Entity, batch: pa.Table, bound: datetime) -> list[Notice]:
    """Rows of the batch whose ``updated_at`` lies at ``bound`` or later: how many, and the last one."""
    ahead = batch.filter(pc.greater_equal(batch["updated_at"], pa.scalar(bound, batch["updated_at"].type)))
    if not ahead.num_rows:
        return []
    last = ahead.sort_by([("updated_at", "descending")]).slice(0, 1).to_pylist()[0]
    key = ", ".join(f"{name} {last[name]}" for name in item.key)
    rows = "1 row of" if ahead.num_rows == 1 else f"{ahead.num_rows:,} rows of"
    message = (
        f"oltp: {rows} {item.name} stamped ahead of the clock, up to {last['updated_at']:%Y-%m-%d %H:%M} ({key});"
        " loaded at once, and believed to have changed when loaded"
    )
    return [Notice(item.table, message, _CLOCK)]


def many_ahead(item: Entity, as_of: datetime) -> Notice:
    """So many rows lie ahead of the run's now that none of them was read."""
    message = f"oltp: many rows of {item.name} are stamped after {as_of:%Y-%m-%d %H:%M}; none was read before its time"
    return Notice(item.table, message, "Nothing, for a run of the past; otherwise have the server's clock looked at")


def undeclared(item: Entity, names: Sequence[str]) -> Notice:
    """Columns that seem to mark deleted rows, which count as long as nobody says so."""
    message = f"oltp: {item.name} has a column {', '.join(names)}; rows that it marks as deleted are still counted"
    return Notice(item.table, message, "Name it in OLTP_DELETED_COLUMNS if they are, or with a minus before it if not")
