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
    message = (
        f"oltp: {_rows(item, ahead)} stamped ahead of the clock, up to {_first(item, ahead, 'descending')};"
        " loaded at once, and believed to have changed when loaded"
    )
    return [Notice(item.table, message, _CLOCK)]


def stamped_behind(item: Entity, batch: pa.Table, day: datetime) -> list[Notice]:
    """Rows that were inserted after ``day`` began and are stamped before it: how many, and the oldest stamp."""
    if not batch.num_rows:
        return []
    message = (
        f"oltp: {_rows(item, batch)} stamped before {day:%Y-%m-%d} and inserted since, back to"
        f" {_first(item, batch, 'ascending')}; loaded"
    )
    cure = f"{_CLOCK}; what is dated more than a day after its stamp waits in quarantine until then"
    return [Notice(item.table, message, cure)]


def _rows(item: Entity, batch: pa.Table) -> str:
    return f"1 row of {item.name}" if batch.num_rows == 1 else f"{batch.num_rows:,} rows of {item.name}"


def _first(item: Entity, batch: pa.Table, order: str) -> str:
    """The stamp and the key of the row that comes first by its stamp."""
    first = batch.sort_by([("updated_at", order)]).slice(0, 1).to_pylist()[0]
    key = ", ".join(f"{name} {first[name]}" for name in item.key)
    return f"{first['updated_at'].isoformat(' ', 'minutes')} ({key})"


def many_ahead(item: Entity, as_of: datetime) -> Notice:
    """So many rows lie ahead of the run's now that none of them was read."""
    message = f"oltp: many rows of {item.name} are stamped after {as_of:%Y-%m-%d %H:%M}; none was read before its time"
    return Notice(item.table, message, "Nothing, for a run of the past; otherwise have the server's clock looked at")


def many_behind(item: Entity, day: datetime, oldest: datetime, at_most: int) -> Notice:
    """More than so many rows were inserted after ``day`` began and are stamped before it: none of them was read."""
    message = (
        f"oltp: more than {at_most:,} rows of {item.name} stamped before {day:%Y-%m-%d} and inserted since, back to"
        f" {oldest.date()}; none was read"
    )
    command = f"insightmart backfill oltp --from {oldest.date()} --to {day:%Y-%m-%d}"
    return Notice(item.table, message, f"Run `{command}` where old data was imported; otherwise: {_CLOCK.lower()}")


def undeclared(item: Entity, names: Sequence[str]) -> Notice:
    """Columns that seem to mark deleted rows, which count as long as nobody says so."""
    message = f"oltp: {item.name} has a column {', '.join(names)}; rows that it marks as deleted are still counted"
    return Notice(item.table, message, "Name it in OLTP_DELETED_COLUMNS if they are, or with a minus before it if not")
