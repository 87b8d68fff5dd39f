"""Who is to be forgotten: the key as the dimension has it, and what identifies the person wherever it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingestion.contracts import ENTITIES
from ingestion.warehouse import Warehouse
from insightmart.errors import ConfigurationError

SHORTEST = 6  # characters of a value that is looked for in free text and files: a shorter one is found everywhere
_IDENTIFYING = ("email", "phone")  # names are shared by many


@dataclass(frozen=True)
class Customer:
    """A customer of one source; ``key`` is the source's number."""

    source: str
    key: int

    def __str__(self) -> str:
        return f"shopify:{self.key}" if self.source == "shopify" else str(self.key)


def customer_of(text: str) -> Customer:
    """The customer that an id names, as ``certified.dim_customers`` has it: ``17``, or ``shopify:17`` of the shop.

    Raises:
        ConfigurationError: it is no id.
    """
    found = re.fullmatch(r"(shopify:)?([0-9]{1,18})", text.strip(), re.ASCII)
    if not found:
        raise ConfigurationError(
            f"{text!r} is no customer id",
            "Write it as certified.dim_customers.customer_id has it: 17 (OLTP), or shopify:17 (online shop)",
        )
    return Customer("shopify" if found[1] else "oltp", int(found[2]))


def is_known(warehouse: Warehouse, customer: Customer) -> bool:
    """Whether any row of raw names the customer."""
    tables = [
        item.table
        for item in ENTITIES
        if item.source == customer.source and any(column.name == "customer_id" for column in item.columns)
    ]
    counts = " UNION ALL ".join(f"SELECT COUNT(*) AS found FROM raw.{table} WHERE customer_id = ?" for table in tables)
    return bool(warehouse.value(f"SELECT SUM(found) FROM ({counts}) AS c", [customer.key] * len(tables)))


def identifying_values(warehouse: Warehouse, customer: Customer) -> list[str]:
    """E-mail addresses and telephone numbers of the customer, of all versions, as they were written."""
    item = next(
        (one for one in ENTITIES if one.source == customer.source and one.name == "customers"),
        None,
    )
    if item is None:
        return []
    found = warehouse.rows(
        " UNION ".join(f"SELECT {name} FROM raw.{item.table} WHERE customer_id = ?" for name in _IDENTIFYING),
        [customer.key] * len(_IDENTIFYING),
    )
    return sorted({value.strip() for (value,) in found if value and len(value.strip()) >= SHORTEST})
