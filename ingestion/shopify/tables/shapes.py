"""The shapes that the queries ask for, as Arrow types; what Shopify sends is held against them before anything else.

A page becomes one nested Arrow array of such a type. From there on a value that is missing, or of another type, cannot
be met: where our own code fails on an array, the code is wrong, and not the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ingestion.contracts import TEXT

Record = dict[str, Any]


class UnfitError(Exception):
    """A record is not of the shape that Shopify's schema promises, or has no exact values of the contract."""


def record_of(**fields: pa.DataType) -> pa.DataType:
    """A record; a field whose name ends with ``_`` (left off) may be null, every other has a value."""
    return pa.struct([pa.field(name.rstrip("_"), kind, nullable=name.endswith("_")) for name, kind in fields.items()])


def list_of(kind: pa.DataType) -> pa.DataType:
    """A list without nulls."""
    return pa.list_(pa.field("item", kind, nullable=False))


def connection_of(node: pa.DataType) -> pa.DataType:
    """A connection of GraphQL, all of whose nodes are there."""
    return record_of(nodes=list_of(node))


BAG = record_of(shopMoney=record_of(amount=TEXT))
WHOLE = pa.decimal128(19, 0)  # whole numbers: Arrow's integers would take 2.5 and make 2 of it


def typed(records: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Records, or single values, as one array of a type above.

    Raises UnfitError for a value of another type, or none where Shopify's schema promises one.
    """
    try:
        array = pa.array(records, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UnfitError(str(error)) from None
    _check_field(array, pa.field("record", kind, nullable=False), "record")
    return array


def _check(array: pa.Array, kind: pa.DataType, name: str) -> None:
    """Raise where a value is missing that may not be: a builder takes any null."""
    if pa.types.is_list(kind):
        _check_field(array.flatten(), kind.value_field, name)
    elif pa.types.is_struct(kind):
        if array.null_count:
            array = array.drop_null()
        for number, part in enumerate(kind):
            _check_field(array.field(number), part, part.name)


def _check_field(array: pa.Array, part: pa.Field, name: str) -> None:
    if array.null_count and not part.nullable:
        raise UnfitError(f"{name} is missing")
    if pa.types.is_nested(part.type):
        _check(array, part.type, name)
