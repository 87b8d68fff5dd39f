"""A warehouse of its own for one computation: the raw rows that had been loaded by an instant, and nothing else.

Of sales every row of the orders that have anything in the windows asked for, of stock the counts of their dates, and
all of the stores' reference: what a figure costs to compute again goes by the figure and not by history. It is always
DuckDB, wherever the warehouse is; that both engines give the same figures is tested with every change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from ingestion.contracts import ENTITIES, INSTANT, Entity
from ingestion.ops_tables import create_tables
from ingestion.warehouse import DATABASE, Warehouse, open_duckdb
from insightmart.recorded_settings import keep_or_refuse
from insightmart.reproducing.past import Cut, Window
from insightmart.settings import Settings

REFERENCE = ("stores", "reference")  # which the zones of stores come from, and with them every business date
KEYS = "reproduced_orders"


@dataclass(frozen=True)
class Copied:
    """What was put into it.

    Attributes:
        rows: table of raw -> rows.
        loads: how many loads had been made by then.
        last_load: the last one of them.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    loads: int = 0
    last_load: str | None = None


def copy_raw(
    warehouse: Warehouse,
    settings: Settings,
    home: Path,
    cut: Cut,
    sources: Mapping[str, str],
    area: str,
    *,
    whole: bool,
) -> Copied:
    """Fill the warehouse of a new home.

    Args:
        warehouse: where raw is.
        settings: of this project: what figures are shaped by.
        home: the folder of the new one.
        cut: what was loaded when, and which windows are asked for.
        sources: part -> source.
        area: sales or inventory.
        whole: take all that was loaded by then, not only what the windows need.
    """
    home.mkdir(parents=True)
    asked = {sources[part]: windows for part, windows in cut.windows.items()}
    visible = warehouse.rows(
        "SELECT DISTINCT load_id FROM ops.loads WHERE load_id IS NOT NULL AND ended_at <= ? ORDER BY load_id",
        [cut.publication.recorded_at],
    )
    rows: dict[str, int] = {}
    with open_duckdb(home / f"{DATABASE}.duckdb") as scratch:
        create_tables(scratch)
        keep_or_refuse(scratch, settings)
        for item in ENTITIES:
            if item.source not in asked and (item.source, item.name) != REFERENCE:
                continue
            condition = _needed(item, area, asked.get(item.source, ()), whole=whole)
            if condition is None:
                continue
            rows[item.table] = _copy(warehouse, scratch, item, condition, cut.publication.recorded_at)
        scratch.insert("ops.source_watermarks", _watermarks(cut, sources))
    return Copied(rows, len(visible), max((load for (load,) in visible), default=None))


def _needed(item: Entity, area: str, windows: Sequence[Window], *, whole: bool) -> str | None:
    """Which rows of an entity are needed; None: none."""
    if (item.source, item.name) == REFERENCE:
        return "1 = 1"
    if not windows:
        return None
    if area == "inventory":
        return ("1 = 1" if whole else _touches(item, windows)) if item.name == "inventory" else None
    if not _has_orders(item):
        return None
    if whole:
        return "1 = 1"
    related = [other for other in ENTITIES if other.source == item.source and _has_orders(other)]
    keys = " UNION ".join(
        f"SELECT order_id FROM raw.{other.table} WHERE {_touches(other, windows)}" for other in related
    )
    return f"(order_id IN ({keys}) OR (order_id IS NULL AND {_touches(item, windows)}))"


def _has_orders(item: Entity) -> bool:
    return "order_id" in {column.name for column in item.columns}


def _touches(item: Entity, windows: Sequence[Window]) -> str:
    """A condition for rows with any instant in one of the windows."""
    first, last = min(start for start, _ in windows), max(end for _, end in windows)
    instants = [column.name for column in item.raw_columns if column.type == INSTANT]
    between = f"BETWEEN CAST('{first}' AS TIMESTAMP_NTZ) AND CAST('{last}' AS TIMESTAMP_NTZ)"
    return f"({' OR '.join(f'{name} {between}' for name in instants)})"


def _copy(warehouse: Warehouse, scratch: Warehouse, item: Entity, condition: str, by: datetime) -> int:
    schema = pa.schema(item.raw_columns)
    names = ", ".join(f'"{name.upper()}"' for name in schema.names)
    found = warehouse.arrow(
        f"SELECT {names} FROM raw.{item.table} WHERE {condition}"
        " AND _dlt_load_id IN (SELECT load_id FROM ops.loads WHERE ended_at <= ?)",
        [by],
        schema,
    )
    scratch.connection.register("found", found)
    scratch.execute(f"INSERT INTO raw.{item.table} ({names}) SELECT * FROM found")
    scratch.connection.unregister("found")
    return int(found.num_rows)


def _watermarks(cut: Cut, sources: Mapping[str, str]) -> list[dict[str, object]]:
    """Every source covered as far as its part was published: signals let that much through, and no more."""
    through = {sources[part]: max(end for _, end in windows) for part, windows in cut.windows.items()}
    latest = max(through.values())
    marks: Collection[Entity] = [item for item in ENTITIES if item.watermarked]
    return [
        {
            "source": item.source,
            "entity": item.name,
            "covered_through": through.get(item.source, latest),
            "load_id": None,
            "updated_at": cut.publication.published_at,
        }
        for item in marks
    ]
