"""What must be the same before and after an erasure: every figure, and the number of rows everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from ingestion.contracts import DATE, INT, TEXT, raw_tables
from ingestion.warehouse import Warehouse
from insightmart.certification.observations import existing_tables

_SUM = pa.decimal128(38, 4)
_SALES = pa.schema(
    [("business_date", DATE), ("store_id", INT), ("channel", TEXT), ("orders", INT), ("units", INT)]
    + [(name, _SUM) for name in ("gross_sales", "net_sales", "total_sales")]
)
_SUMS = {
    "certified.fct_orders": "total_amount",
    "certified.fct_order_lines": "gross_sales",
    "certified.fct_refunds": "refund_amount",
}
_COUNTED = ("certified.dim_customers", "certified.fct_inventory")


@dataclass(frozen=True)
class Totals:
    """Figures by date, store and channel; rows and money of the tables."""

    sales: pa.Table
    tables: tuple[tuple[object, ...], ...]


def totals(warehouse: Warehouse) -> Totals:
    """The totals as they stand."""
    existing = existing_tables(warehouse)
    sales = _SALES.empty_table()
    if "certified.agg_sales_daily" in existing:
        measures = ", ".join(f"CAST({name} AS DECIMAL(38, 4))" for name in _SALES.names[5:])
        sales = warehouse.arrow(
            f"SELECT business_date, store_id, channel, orders, units, {measures} FROM certified.agg_sales_daily"
            " ORDER BY business_date, store_id, channel",
            [],
            _SALES,
        )
    names = [*(f"raw.{name}" for name in raw_tables()), *_SUMS, *_COUNTED]
    amounts = {name: f"CAST(SUM({column}) AS DECIMAL(38, 4))" for name, column in _SUMS.items()}
    counted = " UNION ALL ".join(
        f"SELECT '{name}' AS table_name, COUNT(*) AS row_count,"
        f" {amounts.get(name, 'CAST(NULL AS DECIMAL(38, 4))')} AS amount FROM {name}"
        for name in names
        if name in existing
    )
    return Totals(sales, tuple(warehouse.rows(f"{counted} ORDER BY table_name")) if counted else ())
