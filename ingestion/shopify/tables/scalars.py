"""Columns of the contract out of nested arrays: ids, instants, amounts and sums, exact or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import INSTANT, INT, MONEY, TEXT, entity
from ingestion.shopify.client import SOURCE
from ingestion.shopify.tables.shapes import UnfitError, typed

SUMMED = pa.decimal128(30, 10)  # amounts that are added up; only their sum has to fit MONEY


def exact(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Values as another type, each exactly. Raises UnfitError where one has no exact value of that type."""
    try:
        return array.cast(kind)
    except pa.ArrowInvalid as error:
        raise UnfitError(str(error)) from None


def part(array: pa.StructArray, *path: str) -> pa.Array:
    """The field of each record that the names lead to; null where a record on the way is."""
    for name in path:
        array = array.field(name) if array.null_count == 0 else pc.struct_field(array, name)
    return array


def ids(texts: pa.Array, kind: str) -> pa.Array:
    """The numbers of global ids such as ``gid://shopify/Order/1``; raises UnfitError for an id of another kind."""
    prefix = f"gid://shopify/{kind}/"
    if not pc.all(pc.starts_with(texts, prefix), min_count=0).as_py():
        raise UnfitError(f"an id that does not begin with {prefix}")
    return exact(pc.utf8_slice_codeunits(texts, start=len(prefix)), INT)


def numbers(texts: pa.Array) -> pa.Array:
    """The numbers of global ids of whatever kind, such as ``gid://shopify/ProductSale/1``. Raises UnfitError."""
    found = pc.struct_field(pc.extract_regex(texts, r"^gid://shopify/[A-Za-z]+/(?P<number>[0-9]+)$"), "number")
    if found.null_count:
        raise UnfitError("an id that is none of Shopify's")
    return exact(found, INT)


def ids_of(texts: Sequence[str], kind: str) -> pa.Array:
    """The numbers of global ids of one kind. Raises UnfitError for an id of another kind."""
    return ids(typed(texts, TEXT), kind)


def instants(texts: pa.Array) -> pa.Array:
    """Instants in UTC without a zone, from texts that state theirs. Raises UnfitError for any other text."""
    return exact(texts, pa.timestamp("us", "UTC")).cast(INSTANT)


def amounts(array: pa.StructArray, *path: str, kind: pa.DataType = MONEY) -> pa.Array:
    """Amounts in the shop's currency. Raises UnfitError for one that the type cannot hold exactly."""
    return exact(part(array, *path, "shopMoney", "amount"), kind)


def sums(values: pa.Array, owners: pa.Array, count: int) -> pa.Array:
    """The exact sum of the values of each owner 0, 1, .. ``count`` - 1; zero where it has none."""
    zero = pa.scalar(0, pa.decimal128(38, 10))
    if not len(values):
        return pa.repeat(zero, count)
    having = owners.unique()
    if len(having) == len(values):  # none has two, as most
        having, sums = owners, values.cast(zero.type)
    else:
        grouped = pa.table({"owner": owners, "amount": values}).group_by("owner", use_threads=False)
        summed = grouped.aggregate([("amount", "sum")]).combine_chunks()
        having, sums = summed["owner"].combine_chunks(), summed["amount_sum"].combine_chunks()
    places = pc.index_in(pa.array(np.arange(count)), value_set=having.cast(INT))
    return pc.fill_null(sums.take(places), zero)


def starts(lists: pa.ListArray) -> npt.NDArray[np.int64]:
    """Where each list begins in the flattened values."""
    lengths = pc.fill_null(lists.value_lengths(), 0).to_numpy(zero_copy_only=False)
    begins: npt.NDArray[np.int64] = np.cumsum(lengths) - lengths
    return begins


def raw_table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """Columns by name as a table of the entity, in the contract's order."""
    fields = entity(SOURCE, name).columns
    return pa.table([columns[column.name] for column in fields], schema=pa.schema(fields))
