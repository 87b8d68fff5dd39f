"""Which rows go: of raw whole records, with all that belongs to them; of what models built, rows of the same hours.

A record goes as a whole or not at all: when no version of it, no line, no refund and no movement of it lies in an hour
that is kept, when nothing of it was loaded lately (comparisons with the source look at those days), and when the source
says when it changed (a row without that is read again every hour). A refund of a kept hour takes store and product from
its order, so that order stays, however old it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from ingestion.loading.horizon import AGGREGATES, RAW
from ingestion.loading.versions import believed, event_instant, not_before_history
from ingestion.warehouse import Warehouse
from insightmart.console_tables import spoken_table

# Hours after the horizon look back to hours before: a business date of the store begins or ends on another UTC date.
MARGIN = timedelta(days=2)
LATELY = timedelta(days=30)  # of loads whose records are compared with their source

# The time of a row by what its model is called, without the source; of staging it is event_at.
TIMES = {
    "fct_orders": "ordered_at",
    "fct_order_lines": "sold_at",
    "fct_refunds": "refunded_at",
    "fct_inventory": "counted_hour",
    "agg_sales_hourly": "sold_hour",
    "agg_inventory_daily": "counted_date",
    "row_counts": "event_hour",
    "inventory_coverage": "counted_hour",
}
_BUILT = re.compile(r"(staging|core|certified)__(.+?)__\d+(__dev)?", re.IGNORECASE)
_AGGREGATED = ("agg_", "row_counts", "inventory_coverage")


@dataclass(frozen=True)
class Deletion:
    """Rows of one table that go.

    Attributes:
        table: as SQL names it.
        what: class of ops.purges.
        instant: SQL for the time of a row.
        condition: SQL for the rows that go, with the marks ``:from_at`` and ``:until`` (of their time), ``:cut``,
            ``:lately``, ``:now`` and ``:history_start``.
    """

    table: str
    what: str
    instant: str
    condition: str

    @property
    def name(self) -> str:
        """The table for people."""
        return spoken_table(self.table)


def deletions(warehouse: Warehouse) -> list[Deletion]:
    """All of them, in the order in which they are carried out: what belongs to a record before the record."""
    return [*_oltp(), *_shopify(), *_others(), *_built(warehouse)]


_IN_RANGE = "{0} >= :from_at AND {0} < :until"
_SETTLED = "_loaded_at < :lately AND updated_at IS NOT NULL AND updated_at < :now"


def _whole(table: str, key: str, instant: str, having: str) -> str:
    """SQL for the keys whose versions all lie in the range."""
    return (
        f"SELECT {key} FROM raw.{table} WHERE {key} IN (SELECT {key} FROM raw.{table}"
        f" WHERE {_IN_RANGE.format(instant)}) GROUP BY {key}"
        f" HAVING MIN(CASE WHEN {instant} < :until AND {having} THEN 1 ELSE 0 END) = 1 AND MAX({instant}) >= :from_at"
    )


def _oltp() -> list[Deletion]:
    ordered, refunded = event_instant("ordered_at"), event_instant("refunded_at")
    written = not_before_history(f"COALESCE({believed()}, _loaded_at)")
    orders = oltp_orders()
    alone = f"{_IN_RANGE.format(written)} AND {_SETTLED}"
    kept_lines = f"SELECT order_id FROM raw.oltp_order_lines WHERE order_id IS NOT NULL AND NOT ({_old(written)})"
    known = "SELECT order_id FROM raw.oltp_orders WHERE order_id IS NOT NULL"
    without_order = f"(order_id IS NULL OR order_id NOT IN ({known} UNION {kept_lines})) AND {alone}"
    return [
        Deletion("raw.oltp_order_lines", RAW, written, f"order_id IN ({orders}) OR ({without_order})"),
        Deletion(
            "raw.oltp_refunds",
            RAW,
            refunded,
            f"refund_id IN ({_whole('oltp_refunds', 'refund_id', refunded, _SETTLED)})"
            f" OR (refund_id IS NULL AND {_IN_RANGE.format(refunded)} AND {_SETTLED})",
        ),
        Deletion(
            "raw.oltp_orders",
            RAW,
            ordered,
            f"order_id IN ({orders}) OR (order_id IS NULL AND {_IN_RANGE.format(ordered)} AND {_SETTLED})",
        ),
    ]


def _old(instant: str) -> str:
    return f"{instant} < :cut AND {_SETTLED}"


def oltp_orders() -> str:
    """SQL for the orders that go: neither a refund nor a line of them lies in hours that are kept."""
    refunded = event_instant("refunded_at")
    written = not_before_history(f"COALESCE({believed()}, _loaded_at)")
    return (
        f"{_whole('oltp_orders', 'order_id', event_instant('ordered_at'), _SETTLED)}"
        f" EXCEPT SELECT order_id FROM raw.oltp_refunds WHERE NOT ({_old(refunded)})"
        f" EXCEPT SELECT order_id FROM raw.oltp_order_lines WHERE NOT ({_old(written)})"
    )


def _shopify() -> list[Deletion]:
    placed = event_instant("COALESCE(processed_at, created_at)")
    orders = shopify_orders()
    children = [
        ("order_lines", event_instant("order_updated_at", "order_updated_at")),
        ("refunds", event_instant("refunded_at", "order_updated_at")),
        ("sales", event_instant("happened_at", "order_updated_at")),
    ]
    return [
        *(Deletion(f"raw.shopify_{name}", RAW, instant, f"order_id IN ({orders})") for name, instant in children),
        Deletion("raw.shopify_orders", RAW, placed, f"order_id IN ({orders})"),
    ]


def shopify_orders() -> str:
    """SQL for the orders that go: nothing was sold, added or given back on them in hours that are kept."""
    placed = event_instant("COALESCE(processed_at, created_at)")
    return (
        f"{_whole('shopify_orders', 'order_id', placed, '_loaded_at < :lately')}"
        f" EXCEPT SELECT order_id FROM raw.shopify_sales WHERE happened_at IS NULL OR happened_at >= :cut"
        f" EXCEPT SELECT order_id FROM raw.shopify_refunds WHERE refunded_at >= :cut"
    )


def _others() -> list[Deletion]:
    """Counts of stock, closings of tills, reports of the shop, rejects: each row stands for itself."""
    instants = {
        "stores_inventory": event_instant("counted_at", "_loaded_at"),
        "shopify_inventory": event_instant("updated_at", "_loaded_at"),
        "stores_tills": "COALESCE(CAST(business_date AS TIMESTAMP_NTZ), _loaded_at)",
        "shopify_sales_reports": "COALESCE(CAST(business_date AS TIMESTAMP_NTZ), _loaded_at)",
        "rejects": "rejected_at",
    }
    return [
        Deletion(f"raw.{table}", RAW, instant, f"{_IN_RANGE.format(instant)} AND _loaded_at < :lately")
        for table, instant in instants.items()
    ]


def _built(warehouse: Warehouse) -> Iterator[Deletion]:
    """Tables that SQLMesh filled by time, in whatever version and environment."""
    tables: dict[tuple[str, str], set[str]] = {}
    for schema, table, column in warehouse.rows(
        "SELECT c.table_schema, c.table_name, LOWER(c.column_name) FROM information_schema.columns AS c"
        " JOIN information_schema.tables AS t ON t.table_catalog = c.table_catalog"
        " AND t.table_schema = c.table_schema AND t.table_name = c.table_name"
        " WHERE c.table_catalog = CURRENT_DATABASE() AND t.table_type = 'BASE TABLE'"
        " AND LOWER(c.table_schema) LIKE 'sqlmesh%' ORDER BY 1, 2"
    ):
        tables.setdefault((schema, table), set()).add(column)
    for (schema, table), columns in tables.items():
        if not (found := _BUILT.fullmatch(table)):
            continue
        time = time_of(found[1].lower(), found[2].lower())
        if time is None or time not in columns:
            continue
        what = AGGREGATES if found[2].lower().startswith(_AGGREGATED) else RAW
        # a business date goes as a whole: part of it would be a figure that was never published
        instant = '"BUSINESS_DATE"' if what == AGGREGATES and "business_date" in columns else f'"{time.upper()}"'
        condition = _IN_RANGE.format(instant)
        source = "shopify" if "shopify" in found[2].lower() else "oltp"
        if what == RAW and "order_id" in columns:
            going = oltp_orders() if source == "oltp" else shopify_orders()
            condition += (
                f' AND ("ORDER_ID" IS NULL OR "ORDER_ID" NOT IN (SELECT CAST(k.order_id AS VARCHAR) FROM ('
                f"SELECT order_id FROM raw.{source}_orders WHERE order_id IS NOT NULL EXCEPT ({going})) AS k))"
            )
        yield Deletion(f'"{schema}"."{table}"', what, instant, condition)


def time_of(layer: str, model: str) -> str | None:
    """The column by which a model of a layer is filled; None where it is not filled by time."""
    if layer == "staging":
        return "event_at"
    return TIMES.get(model.partition("__")[0])
