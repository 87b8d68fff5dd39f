"""Ties the certified tables to the truth that the sandbox computes from its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ingestion.warehouse import Warehouse

# Measures of each certified table that are compared with the truth; every table's rows are compared as well.
AGGREGATES = ("agg_sales_daily", "agg_sales_hourly")
MEASURES = (
    "orders",
    "units",
    "gross_sales",
    "discounts",
    "returns",
    "net_sales",
    "taxes",
    "shipping",
    "total_sales",
    "duties",
    "fees",
    "tips",
    "gift_cards",
)
TILL_MEASURES = {
    "transactions": "orders",
    "gross_sales": "gross_sales",
    "discounts": "discounts",
    "returns": "returns",
    "net_sales": "net_sales",
}


@dataclass
class Tie:
    """One line of the tie-out: what the events say and what is certified."""

    what: str
    truth: Any
    certified: Any

    @property
    def exact(self) -> bool:
        """Whether the two are equal, to the last decimal."""
        return bool(self.truth == self.certified)


def tie_out(warehouse: Warehouse, truth: Mapping[str, Any]) -> list[Tie]:
    """Compare the certified tables with the truth: rows and every sum, the aggregates row by row, and the tills."""
    ties = []
    for table, expected in truth["certified"].items():
        rows = _customers(warehouse, truth) if table == "dim_customers" else expected["rows"]
        ties.append(Tie(f"{table}: rows", rows, warehouse.value(f"SELECT COUNT(*) FROM certified.{table}")))
        for measure, total in expected.get("sums", {}).items():
            found = warehouse.value(f"SELECT SUM({measure}) FROM certified.{table}")
            ties.append(Tie(f"{table}: {measure}", Decimal(str(total)), Decimal(found or 0)))
    ties += [_rows_tie(warehouse, table, truth[table]) for table in AGGREGATES]
    ties.append(_till_tie(warehouse, truth["tills"]))
    return ties


def _customers(warehouse: Warehouse, truth: Mapping[str, Any]) -> int:
    """The rows of customers in the truth as their last load found them: they are loaded once a UTC day."""
    found = warehouse.rows("SELECT covered_through FROM ops.source_watermarks WHERE entity = 'customers'")
    hour = f"{found[0][0]:%Y-%m-%dT%H:00:00Z}" if found else ""
    expected = truth["dimensions"]["dim_customers"]
    return int(expected["loaded_at"].get(hour, expected["rows"]))


def _rows_tie(warehouse: Warehouse, table: str, rows: list[Mapping[str, Any]]) -> Tie:
    """The rows of an aggregate that are the same in both, against the number of rows in the truth."""
    keys = [name for name in ("business_date", "business_hour", "store_id", "channel") if name in rows[0]]
    names = [*keys, *MEASURES]
    found = {_comparable(row, names) for row in warehouse.records(f"SELECT {', '.join(names)} FROM certified.{table}")}
    expected = {_comparable(row, names) for row in rows}
    return Tie(f"{table}: rows equal in every measure", len(expected | found), len(expected & found))


def _comparable(row: Mapping[str, Any], names: list[str]) -> tuple[str, ...]:
    return tuple(f"{Decimal(str(row[name])):.4f}" if name in MEASURES else str(row[name]) for name in names)


def _till_tie(warehouse: Warehouse, tills: list[Mapping[str, Any]]) -> Tie:
    """Closing figures of stores and days that certified repeats exactly, against the number of closings sent."""
    columns = ", ".join(dict.fromkeys(TILL_MEASURES.values()))
    certified = {
        (row["store_id"], str(row["business_date"])): row
        for row in warehouse.records(
            f"SELECT store_id, business_date, {columns} FROM certified.agg_sales_daily WHERE channel = 'store'"
        )
    }
    nothing: dict[str, Any] = dict.fromkeys(TILL_MEASURES.values(), 0)
    exact = 0
    for till in tills:
        row = certified.get((till["store_id"], till["business_date"]), nothing)
        exact += all(Decimal(str(till[mine])) == Decimal(row[theirs]) for mine, theirs in TILL_MEASURES.items())
    return Tie("store tills: closings equal in every measure", len(tills), exact)
