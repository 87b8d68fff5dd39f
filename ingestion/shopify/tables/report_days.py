"""Days of the shop's own sales report, as ``sales_reports``."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import DATE, MONEY, TEXT, entity
from ingestion.shopify.client import SOURCE
from ingestion.shopify.tables.scalars import SUMMED, exact, part, raw_table
from ingestion.shopify.tables.shapes import Record, UnfitError, record_of, typed

_MEASURES = tuple(column.name for column in entity(SOURCE, "sales_reports").columns if column.type == MONEY)
_DAY = record_of(day=TEXT, **{f"{name}_": TEXT for name in _MEASURES})
_CENT = pa.scalar(Decimal("0.01"), SUMMED)


def flatten_reports(days: Sequence[Record]) -> dict[str, pa.Table]:
    """Days of the report as ``sales_reports``; what it says nothing of is nothing. Raises UnfitError."""
    rows = typed(days, _DAY)
    columns = {name: pc.fill_null(exact(part(rows, name), MONEY), Decimal(0)) for name in _MEASURES}
    _check_net_sales(columns)
    return {"sales_reports": raw_table("sales_reports", {"business_date": exact(part(rows, "day"), DATE)} | columns)}


def _check_net_sales(columns: dict[str, pa.Array]) -> None:
    """Hold Shopify's signs against what we take them for: another sign would be a difference of every day."""
    gross, discounts, reversals, net = (
        columns[name].cast(SUMMED) for name in ("gross_sales", "discounts", "sales_reversals", "net_sales")
    )
    rest = pc.subtract(pc.add(pc.add(gross, discounts), reversals), net)
    if not pc.all(pc.less_equal(pc.abs(rest), _CENT), min_count=0).as_py():
        raise UnfitError("net_sales is not gross_sales with discounts and sales_reversals, which are negative")
