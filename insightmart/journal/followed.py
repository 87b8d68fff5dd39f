"""Which certified aggregates the journal follows, cell by cell, and of which facts it keeps a digest an hour."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ingestion.ops_tables import PUBLISHED_MEASURES

SHOP, STORE, ANY = "shopify", "store", "any"


def cells_of(store_id: str, pos_stores: Collection[int]) -> str:
    """SQL for which cells one of a store is, as ``sources_of_cells`` names them.

    Args:
        store_id: the expression for its store.
        pos_stores: stores that sell through the shop's point of sale as well.
    """
    others = "".join(f" AND {store_id} <> {int(store)}" for store in sorted(pos_stores))
    return f"CASE WHEN {store_id} = 0 THEN '{SHOP}' WHEN {store_id} > 0{others} THEN '{STORE}' ELSE '{ANY}' END"


@dataclass(frozen=True)
class Followed:
    """A certified aggregate whose figures are kept, with what they were before.

    Attributes:
        table: its name in certified.
        area: its subject area, as corrections name it.
        keys: the columns that make a cell; none of them is ever NULL.
        cells: what certified says of its cells, a SELECT with ``{dates}`` for a condition on business_date.
        parts: the certified models that fill it -> the source of each.
        by_utc_date: whether its parts are written anew by whole UTC dates, whatever the window.
    """

    table: str
    area: str
    keys: tuple[str, ...]
    cells: str
    parts: dict[str, str]
    by_utc_date: bool = False

    @property
    def measures(self) -> tuple[str, ...]:
        """Its measures, in the order of the table."""
        return tuple(PUBLISHED_MEASURES[self.table])

    @property
    def sources_of_cells(self) -> dict[str, frozenset[str]]:
        """Which sources can fill which cells: those of the online shop, those of a store of its own, and any other."""
        everything = frozenset(self.parts.values())
        return {SHOP: everything & {SHOP}, STORE: everything - {SHOP}, ANY: everything}

    @property
    def gates(self) -> dict[str, str]:
        """The gate of each part."""
        return {part: f"{self.area}__{source}" for part, source in self.parts.items()}


SALES = Followed(
    table="agg_sales_daily",
    area="sales",
    keys=("business_date", "store_id", "channel"),
    cells=f"SELECT business_date, store_id, channel, {', '.join(PUBLISHED_MEASURES['agg_sales_daily'])}"
    " FROM certified.agg_sales_daily WHERE {dates}",
    parts={"agg_sales_hourly__oltp": "oltp", "agg_sales_hourly__shopify": "shopify"},
)
# A cell is a store's stock of a day: products are too many to be followed one by one.
INVENTORY = Followed(
    table="agg_inventory_daily",
    area="inventory",
    keys=("business_date", "store_id"),
    cells="SELECT business_date, store_id, COUNT(*) AS products, SUM(closing_on_hand) AS closing_on_hand,"
    " SUM(counted_hours) AS counted_hours, SUM(stockout_hours) AS stockout_hours"
    " FROM certified.agg_inventory_daily WHERE {dates} GROUP BY business_date, store_id",
    parts={"agg_inventory_daily__stores": "stores", "agg_inventory_daily__shopify": "shopify"},
    by_utc_date=True,
)
FOLLOWED = (SALES, INVENTORY)


@dataclass(frozen=True)
class Fact:
    """A certified fact whose rows are kept as a digest an hour and part: too many to be followed one by one.

    Attributes:
        table: its name in certified.
        instant: the column that says in which hour a row belongs.
        aggregate: the followed aggregate whose parts are written with its own, window by window.
    """

    table: str
    instant: str
    aggregate: Followed

    @property
    def parts(self) -> dict[str, str]:
        """The certified models that fill it -> the part of its aggregate that is written with each."""
        return {f"{self.table}__{source}": part for part, source in self.aggregate.parts.items()}


FACTS = (
    Fact("fct_orders", "ordered_at", SALES),
    Fact("fct_order_lines", "sold_at", SALES),
    Fact("fct_refunds", "refunded_at", SALES),
    Fact("fct_inventory", "counted_hour", INVENTORY),
)
