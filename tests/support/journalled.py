"""A warehouse whose certified aggregates a test writes by hand, with the journal and the views on it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlglot

from ingestion.ops_tables import PUBLISHED_MEASURES, create_tables
from ingestion.warehouse import Warehouse
from insightmart.journal.followed import FOLLOWED, SALES
from insightmart.journal.publish import publish as write

REPOSITORY = Path(__file__).resolve().parents[2]


class Journalled:
    """A warehouse whose certified tables are written by hand, and marked as the models mark them."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        create_tables(warehouse)
        for schema in ("certified", "gate"):
            warehouse.execute(f"CREATE SCHEMA {schema}")
        measures = ", ".join(f"{name} {kind}" for name, kind in PUBLISHED_MEASURES["agg_sales_daily"].items())
        warehouse.execute(
            f"CREATE TABLE certified.agg_sales_daily (business_date DATE, store_id BIGINT, channel VARCHAR, {measures})"
        )
        warehouse.execute(
            "CREATE TABLE certified.agg_inventory_daily (business_date DATE, store_id BIGINT, sku VARCHAR,"
            " closing_on_hand BIGINT, counted_hours BIGINT, stockout_hours BIGINT)"
        )
        for view in ("published_changes", "finance_close", "finance_adjustments"):
            model = (REPOSITORY / "models" / "certified" / f"{view}.sql").read_text(encoding="utf-8")
            query = sqlglot.transpile(model.partition(");\n\n")[2], read="snowflake", write=warehouse.dialect)[0]
            warehouse.execute(f"CREATE VIEW certified.{view} AS {query}")
        for one in FOLLOWED:
            for gate in one.gates.values():
                warehouse.execute(
                    f"CREATE TABLE gate.{gate} (window_start TIMESTAMP, window_end TIMESTAMP, scan_id VARCHAR,"
                    " scanned_at TIMESTAMP)"
                )

    def sold(self, day: date, net_sales: str | None, store: int = 1, orders: int = 1) -> None:
        """What certified says of a store's day from now on; None: nothing."""
        self.warehouse.execute(
            "DELETE FROM certified.agg_sales_daily WHERE business_date = ? AND store_id = ?", [day, store]
        )
        if net_sales is not None:
            row = {"business_date": day, "store_id": store, "channel": "store", "orders": orders}
            self.warehouse.insert("certified.agg_sales_daily", [row | {"net_sales": Decimal(net_sales)}])

    def evaluated(self, start: datetime, end: datetime, part: str = "agg_sales_hourly__oltp") -> None:
        """A part was, or was about to be, written anew."""
        mark = {"mark_id": f"{part} {start}", "model": part, "window_start": start}
        self.warehouse.insert("ops.unpublished_windows", [mark | {"window_end": end - timedelta(microseconds=1)}])

    def entries(self) -> list[tuple[Any, ...]]:
        """What the journal says of net sales, oldest first."""
        return self.warehouse.rows(
            "SELECT business_date, store_id, net_sales_before, net_sales_after, cause FROM ops.published_changes"
            " WHERE table_name = 'agg_sales_daily' ORDER BY publication, business_date, store_id"
        )

    def agrees(self) -> bool:
        """Whether the sum of the entries of every cell is what certified says, for all measures of sales."""
        for name in SALES.measures:
            difference = self.warehouse.rows(
                f"""
                SELECT *
                FROM (SELECT business_date, store_id, channel, COALESCE({name}, 0) FROM certified.agg_sales_daily) AS c
                EXCEPT
                SELECT business_date, store_id, channel, SUM(COALESCE({name}_after, 0) - COALESCE({name}_before, 0))
                FROM ops.published_changes
                GROUP BY business_date, store_id, channel
                """
            )
            if difference:
                return False
        return True


def publish(
    warehouse: Warehouse, as_of: datetime, models_version: str | None, pos_stores: Collection[int] = ()
) -> bool:
    """Write the journal as SQLMesh has it done: whether there was anything to write."""
    tables = None if models_version is None else [one.table for one in FOLLOWED]
    left = write(warehouse, as_of, models_version, pos_stores, tables)
    for statement in left:
        warehouse.execute(statement)
    return bool(left)
