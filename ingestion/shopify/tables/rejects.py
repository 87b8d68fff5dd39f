"""Which records fit the contract: the others become rejects, each alone, and can be read again later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from ingestion.contracts import Entity, entity
from ingestion.loading.rejects import FAULTS
from ingestion.shopify.client import SOURCE
from ingestion.shopify.odd_answers import as_asked
from ingestion.shopify.tables.inventory import flatten_inventory
from ingestion.shopify.tables.orders import flatten_orders
from ingestion.shopify.tables.parsing import parse
from ingestion.shopify.tables.products import flatten_products
from ingestion.shopify.tables.report_days import flatten_reports
from ingestion.shopify.tables.shapes import Record, UnfitError

Flatten = Callable[[Sequence[Record]], dict[str, pa.Table]]
Unfit = Sequence[tuple[int, UnfitError]]  # places of records, and what is wrong with each

FLATTEN: dict[str, Flatten] = {
    "orders": flatten_orders,
    "products": flatten_products,
    "inventory": flatten_inventory,
    "sales_reports": flatten_reports,
}

# What names a record in its text: what it follows, what it begins with, and the column that has the rest.
_NAMED = {
    "orders": [('{"id":"', "gid://shopify/Order/", "order_id")],
    "products": [('{"id":"', "gid://shopify/Product/", "product_id")],
    "inventory": [
        ('"item":{"id":"', "gid://shopify/InventoryItem/", "inventory_item_id"),
        ('"location":"', "gid://shopify/Location/", "location_id"),
    ],
    "sales_reports": [('"day":"', "", "business_date")],
}


def fitting(flatten: Flatten, records: Sequence[Record]) -> tuple[dict[str, pa.Table], Unfit]:
    """The tables of the records that fit the contract exactly; of the others the place and what is wrong with each.

    Whatever ``flatten`` raises besides UnfitError is a fault of its own, and comes through.
    """
    try:
        return flatten(records), []
    except UnfitError:
        pass
    unfit = list(_unfit(flatten, records, 0))
    places = {place for place, _ in unfit}
    return flatten([record for place, record in enumerate(records) if place not in places]), unfit


def _unfit(flatten: Flatten, records: Sequence[Record], start: int) -> Iterator[tuple[int, UnfitError]]:
    try:
        flatten(records)
        return
    except UnfitError as error:
        if len(records) == 1:
            yield start, error
            return
    middle = len(records) // 2
    yield from _unfit(flatten, records[:middle], start)
    yield from _unfit(flatten, records[middle:], start + middle)


def faults(records: Sequence[Record], unfit: Unfit) -> pa.Table:
    """Records that do not fit, each whole as JSON, as a table for ``new_rejects``.

    Raises SourceError for one that is nested too deeply to be kept.
    """
    with as_asked():
        texts = [orjson.dumps(records[place]).decode() for place, _ in unfit]
    rows = [
        {"rule_id": "record_invalid", "reason": str(error)[:200], "raw_text": text}
        for (_, error), text in zip(unfit, texts, strict=True)
    ]
    return pa.Table.from_pylist(rows, FAULTS)


def is_same_record(item: Entity) -> str:
    """SQL for whether the text of reject ``c`` is of the record of row ``n``."""
    return " AND ".join(
        f"SPLIT_PART(SPLIT_PART(c.raw_text, '{before}', 2), '\"', 1) = '{beginning}' || CAST(n.{column} AS VARCHAR)"
        for before, beginning, column in _NAMED[item.name]
    )


def retype(
    entity_name: str, texts: pa.ChunkedArray | pa.Array
) -> tuple[list[tuple[str, pa.Table]], npt.NDArray[np.bool_]]:
    """Rejected records read again, with today's rules.

    Args:
        entity_name: ``orders`` (whose lines and refunds come along), ``products``, ``inventory`` or ``sales_reports``.
        texts: each record as JSON, as ``raw.rejects`` keeps it in ``raw_text``.

    Returns:
        Pairs of raw table name and rows; and for each text whether it could be read now.

    Raises:
        KeyError: an entity that has no records of its own.
    """
    flatten = FLATTEN[entity_name]
    records: list[Record] = []
    places: list[int] = []
    for place, text in enumerate(texts.to_pylist()):
        try:
            record = parse((text or "").encode())
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            records.append(record)
            places.append(place)
    tables, unfit = fitting(flatten, records)
    read = np.zeros(len(texts), dtype=np.bool_)
    read[places] = True
    read[[places[place] for place, _ in unfit]] = False
    return [(entity(SOURCE, name).table, table) for name, table in tables.items()], read
