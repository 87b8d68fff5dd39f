"""How big the business is: `tiny`, `demo`, or a factor on `demo` for benchmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Volumes of the business.

    Attributes:
        stores: number of stores.
        products: skus sold in stores (and online).
        web_products: skus sold online only.
        customers: OLTP customers known before the first day.
        new_customers: OLTP customers created a day.
        online_customers: Shopify customers.
        store_orders: store and phone orders on an average day.
        online_orders: online orders on an average day.
        skus_per_file: counted skus an hourly inventory file holds.
    """

    stores: int
    products: int
    web_products: int
    customers: int
    new_customers: int
    online_customers: int
    store_orders: int
    online_orders: int
    skus_per_file: int

    @property
    def is_small(self) -> bool:
        """Whether a day has too few orders to show one fault of every kind a day."""
        return self.store_orders < 1500


TINY = Size(
    stores=6,
    products=40,
    web_products=2,
    customers=60,
    new_customers=3,
    online_customers=30,
    store_orders=48,
    online_orders=12,
    skus_per_file=4,
)
DEMO = Size(
    stores=120,
    products=300,
    web_products=6,
    customers=2000,
    new_customers=40,
    online_customers=900,
    store_orders=2000,
    online_orders=500,
    skus_per_file=8,
)


def size_of(name: str) -> Size:
    """The size called `tiny`, `demo`, or a factor on demo's volumes such as `2.5` (the stores stay 120).

    Raises ValueError for anything else.
    """
    if name == "tiny":
        return TINY
    if name == "demo":
        return DEMO
    try:
        factor = float(name)
    except ValueError:
        factor = math.nan
    if not 0.01 <= factor <= 5000:
        raise ValueError(f"the sandbox has no size {name!r}: take tiny, demo or a factor on demo from 0.01 to 5000")

    def scaled(volume: int, least: int) -> int:
        return max(least, round(volume * factor))

    products = min(scaled(DEMO.products, 40), 20_000)
    return Size(
        stores=DEMO.stores,
        products=products,
        web_products=DEMO.web_products,
        customers=scaled(DEMO.customers, 60),
        new_customers=scaled(DEMO.new_customers, 1),
        online_customers=scaled(DEMO.online_customers, 30),
        store_orders=scaled(DEMO.store_orders, 40),
        online_orders=scaled(DEMO.online_orders, 10),
        skus_per_file=min(scaled(DEMO.skus_per_file, 2), products // 4),
    )
