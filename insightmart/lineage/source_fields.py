"""Which fields of a source a column of raw is loaded from: of PostgreSQL, of Shopify, of the stores' files.

A field is ``SOURCE.OBJECT.FIELD``: ``oltp.orders.total_amount``, ``shopify.Order.totalPriceSet.shopMoney.amount``,
``stores.inventory.on_hand``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from ingestion.contracts import ENTITIES, FILE_COLUMNS, REJECTS, Entity

_FILES = {
    "inventory": "inventory/YYYY/MM/DD/HH/store_NNN.csv",
    "reference": "reference/YYYY/MM/DD/store_NNN.csv",
    "tills": "tills/YYYY/MM/DD/store_NNN.csv",
}
KEY_OF_FILE = "(key)"  # the object's key, where a value stands in no cell


@cache
def source_fields() -> dict[str, tuple[str, ...]]:
    """``raw.TABLE.COLUMN`` -> the fields it is loaded from; none for what the load itself writes into a row."""
    shopify = yaml.safe_load(Path(__file__).with_name("shopify_fields.yml").read_text(encoding="utf-8"))
    found = {}
    for item in ENTITIES:
        business = {column.name for column in item.columns}
        for column in item.raw_columns:
            fields = _fields(item, column.name, shopify) if column.name in business else _of_file(item, column.name)
            found[f"raw.{item.table}.{column.name}"] = fields
    for column in REJECTS.raw_columns:
        found[f"raw.{REJECTS.name}.{column.name}"] = ()
    return found


def _fields(item: Entity, column: str, shopify: dict[str, dict[str, str | list[str]]]) -> tuple[str, ...]:
    if item.source == "shopify":
        stated = shopify[item.name][column]
        return tuple(f"shopify.{path}" for path in ([stated] if isinstance(stated, str) else stated))
    if column == "reference_date":  # the day in the key
        column = KEY_OF_FILE
    return (f"{item.source}.{item.name}.{column}",)


def _of_file(item: Entity, column: str) -> tuple[str, ...]:
    is_of_the_object = item.from_file and column in {field.name for field in FILE_COLUMNS}
    return (f"{item.source}.{item.name}.{KEY_OF_FILE}",) if is_of_the_object and column == "file_name" else ()


def spoken_object(source: str, name: str) -> str:
    """How people call an object of a source, for example ``table public.orders of PostgreSQL``."""
    if source == "oltp":
        return f"table public.{name} of PostgreSQL"
    return f"{name} of Shopify" if source == "shopify" else f"files {_FILES[name]} of the stores"
