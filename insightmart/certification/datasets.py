"""What is certified: the tables, and the parts of a subject area that pass a gate of their own."""

from __future__ import annotations

from dataclasses import dataclass

from ingestion.contracts import entity


@dataclass(frozen=True)
class Part:
    """What one gate publishes of a subject area.

    Attributes:
        area: subject area, for people.
        label: the part of it, for people; empty where the area has one part.
        gate: the gate's name within the schema ``gate``.
        inputs: ``source.entity`` names whose watermarks it waits for.
        corrected_by: (source, entity) of the correction windows that restate it.
    """

    area: str
    label: str
    gate: str
    inputs: tuple[str, ...]
    corrected_by: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """For example ``sales (online)``."""
        return f"{self.area.lower()} ({self.label})" if self.label else self.area.lower()

    @property
    def is_hourly(self) -> bool:
        """Whether its sources are read every hour."""
        return all(entity(*name.split(".")).cadence == "hourly" for name in self.inputs)


@dataclass(frozen=True)
class Dataset:
    """A certified table: what one row is, and the gates it passes."""

    table: str
    meaning: str
    gates: tuple[str, ...]


SALES = ("sales__oltp", "sales__shopify")
INVENTORY = ("inventory__stores", "inventory__shopify")

PARTS: tuple[Part, ...] = (
    Part("Sales", "store and phone", SALES[0], ("oltp.orders", "oltp.order_lines", "oltp.refunds"), ("oltp", "sales")),
    Part("Sales", "online", SALES[1], ("shopify.orders",), ("shopify", "sales")),
    Part("Inventory", "stores", INVENTORY[0], ("stores.inventory",), ("stores", "inventory")),
    Part("Inventory", "online", INVENTORY[1], ("shopify.inventory",), ("shopify", "inventory")),
    Part("Customers", "", "customers", ("oltp.customers",)),
    Part("Products", "", "products", ("oltp.products", "shopify.products")),
    Part("Stores", "", "stores", ("stores.reference",)),
)

DATASETS: tuple[Dataset, ...] = (
    Dataset("fct_orders", "an order that counts", SALES),
    Dataset("fct_order_lines", "a line of an order that counts", SALES),
    Dataset("fct_refunds", "a refunded line, on the day of the refund", SALES),
    Dataset("agg_sales_hourly", "sales of a business hour, store and channel", SALES),
    Dataset("agg_sales_daily", "sales of a business date, store and channel", SALES),
    Dataset("row_counts", "rows and rejected rows of a UTC hour", SALES),
    Dataset("fct_inventory", "the last count of a product in a store and hour", INVENTORY),
    Dataset("agg_inventory_daily", "closing stock of a business date, store and product", INVENTORY),
    Dataset("inventory_coverage", "how many stores sent their counts of an hour", INVENTORY[:1]),
    Dataset("dim_customers", "a customer, with history", ("customers",)),
    Dataset("dim_products", "a product", ("products",)),
    Dataset("dim_stores", "a store, with history", ("stores",)),
    Dataset("dim_dates", "a day", ("stores",)),
)
