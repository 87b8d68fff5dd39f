"""Shopify's records as Arrow tables of the contract: nested answers taken apart by columns, never record by record.

A page becomes one nested Arrow array (its types say what the queries ask for); from there on ids, instants, amounts and
sums are made by Arrow, a column at a time. What does not fit exactly raises: nothing is rounded, cut or left NULL.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import FLAG, INSTANT, INT, MONEY, TEXT, entity
from ingestion.loading.rejects import FAULTS

SOURCE = "shopify"
Record = dict[str, Any]
Flatten = Callable[[Sequence[Record]], dict[str, pa.Table]]

# What a record that does not fit raises, here or in what reads it.
UNFIT = (pa.ArrowException, ArithmeticError, LookupError, TypeError, AttributeError, ValueError)

_SUMMED = pa.decimal128(30, 10)  # amounts that are added up; only their sum has to fit MONEY
_WHOLE = pa.decimal128(19, 0)  # whole numbers: Arrow's integers would take 2.5 and make 2 of it


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection inside: a parsed page is a hundred thousand new objects and no garbage.

    The collector would walk through them again and again; parsing is six times as fast without it.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def parse(content: bytes) -> Any:
    """What a JSON text says. Raises ``orjson.JSONDecodeError`` (a ValueError) when it is none, or breaks off."""
    with collector_paused():
        return orjson.loads(content)


# --- what does not fit -------------------------------------------------------------------------------------------


def fitting(flatten: Flatten, records: Sequence[Record]) -> tuple[dict[str, pa.Table], list[tuple[int, Exception]]]:
    """The tables of the records that fit the contract exactly; of the others the place and what is wrong with each."""
    try:
        return flatten(records), []
    except UNFIT:
        pass
    unfit = list(_unfit(flatten, records, 0))
    places = {place for place, _ in unfit}
    return flatten([record for place, record in enumerate(records) if place not in places]), unfit


def _unfit(flatten: Flatten, records: Sequence[Record], start: int) -> Iterator[tuple[int, Exception]]:
    try:
        flatten(records)
        return
    except UNFIT as error:
        if len(records) == 1:
            yield start, error
            return
    middle = len(records) // 2
    yield from _unfit(flatten, records[:middle], start)
    yield from _unfit(flatten, records[middle:], start + middle)


def faults(records: Sequence[Record], unfit: Sequence[tuple[int, Exception]]) -> pa.Table:
    """Records that do not fit, each whole as JSON, as a table for ``new_rejects``."""
    rows = [
        {
            "rule_id": "record_invalid",
            "reason": f"{type(error).__name__}: {error}"[:200],
            "raw_text": orjson.dumps(records[place]).decode(),
        }
        for place, error in unfit
    ]
    return pa.Table.from_pylist(rows, FAULTS)


def retype(
    entity_name: str, texts: pa.ChunkedArray | pa.Array
) -> tuple[list[tuple[str, pa.Table]], npt.NDArray[np.bool_]]:
    """Rejected records read again, with today's rules.

    Args:
        entity_name: ``orders`` (whose lines and refunds come along), ``products`` or ``inventory``.
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
            record = parse(text.encode())
        except UNFIT:
            continue
        if isinstance(record, dict):
            records.append(record)
            places.append(place)
    tables, unfit = fitting(flatten, records)
    read = np.zeros(len(texts), dtype=np.bool_)
    read[places] = True
    read[[places[place] for place, _ in unfit]] = False
    return [(entity(SOURCE, name).table, table) for name, table in tables.items()], read


# --- the shapes of the queries -----------------------------------------------------------------------------------


def _struct(**fields: pa.DataType) -> pa.DataType:
    """A record; a field whose name ends with ``_`` (left off) may be null, every other has a value."""
    return pa.struct([pa.field(name.rstrip("_"), kind, nullable=name.endswith("_")) for name, kind in fields.items()])


def _connection(node: pa.DataType) -> pa.DataType:
    return _struct(nodes=pa.list_(pa.field("item", node, nullable=False)))


_BAG = _struct(shopMoney=_struct(amount=TEXT))
LINE = _struct(
    id=TEXT,
    sku_=TEXT,
    title=TEXT,
    quantity=_WHOLE,
    currentQuantity=_WHOLE,
    originalUnitPriceSet=_BAG,
    discountAllocations=pa.list_(pa.field("item", _struct(allocatedAmountSet=_BAG), nullable=False)),
    taxLines=pa.list_(pa.field("item", _struct(priceSet=_BAG), nullable=False)),
)
_REFUND_LINE = _struct(
    id_=TEXT, quantity=_WHOLE, lineItem=_struct(id=TEXT, sku_=TEXT), subtotalSet=_BAG, totalTaxSet=_BAG
)
_SHIPPING_LINE = _struct(subtotalAmountSet=_BAG, taxAmountSet=_BAG)
_REFUND = _struct(
    id=TEXT,
    createdAt_=TEXT,
    note_=TEXT,
    totalRefundedSet=_BAG,
    refundLineItems=_connection(_REFUND_LINE),
    refundShippingLines=_connection(_SHIPPING_LINE),
)
_HEADER: dict[str, pa.DataType] = {
    "id": TEXT,
    "name": TEXT,
    "createdAt": TEXT,
    "processedAt": TEXT,
    "updatedAt": TEXT,
    "cancelledAt_": TEXT,
    "test": FLAG,
    "currencyCode": TEXT,
    "displayFinancialStatus_": TEXT,
    "displayFulfillmentStatus": TEXT,
    "customer_": _struct(id=TEXT),
    "subtotalPriceSet_": _BAG,
    "totalDiscountsSet_": _BAG,
    "totalTaxSet_": _BAG,
    "totalShippingPriceSet": _BAG,
    "totalPriceSet": _BAG,
}
HEADER = _struct(**_HEADER)
ORDER = _struct(**_HEADER, lineItems=_connection(LINE), refunds=pa.list_(pa.field("item", _REFUND, nullable=False)))


def nested(records: Sequence[Record], kind: pa.DataType) -> pa.StructArray:
    """Records as one array of a type above.

    Raises what ``UNFIT`` names: a value of another type, or none where Shopify's schema promises one.
    """
    array = pa.array(records, kind)
    _check(array, kind, "record")
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
        raise pa.ArrowInvalid(f"{name} is missing")
    if pa.types.is_nested(part.type):
        _check(array, part.type, name)


# --- columns -----------------------------------------------------------------------------------------------------


def _part(array: pa.StructArray, *path: str) -> pa.Array:
    for name in path:
        array = array.field(name) if array.null_count == 0 else pc.struct_field(array, name)
    return array


def _ids(texts: pa.Array, kind: str) -> pa.Array:
    """The numbers of global ids such as ``gid://shopify/Order/1``; raises ArrowInvalid for an id of another kind."""
    prefix = f"gid://shopify/{kind}/"
    if not pc.all(pc.starts_with(texts, prefix), min_count=0).as_py():
        raise pa.ArrowInvalid(f"an id that does not begin with {prefix}")
    return pc.utf8_slice_codeunits(texts, start=len(prefix)).cast(INT)


def ids_of(texts: Sequence[str], kind: str) -> pa.Array:
    """The numbers of global ids of one kind. Raises what ``UNFIT`` names."""
    return _ids(pa.array(texts, TEXT), kind)


def _instants(texts: pa.Array) -> pa.Array:
    return texts.cast(pa.timestamp("us", "UTC")).cast(INSTANT)


def _amounts(array: pa.StructArray, *path: str, kind: pa.DataType = MONEY) -> pa.Array:
    return _part(array, *path, "shopMoney", "amount").cast(kind)


def _sums(amounts: pa.Array, owners: pa.Array, count: int) -> pa.Array:
    """The exact sum of the amounts of each owner 0, 1, .. ``count`` - 1; zero where it has none."""
    zero = pa.scalar(0, pa.decimal128(38, 10))
    if not len(amounts):
        return pa.repeat(zero, count)
    having = owners.unique()
    if len(having) == len(amounts):  # none has two, as most
        having, sums = owners, amounts.cast(zero.type)
    else:
        grouped = pa.table({"owner": owners, "amount": amounts}).group_by("owner", use_threads=False)
        summed = grouped.aggregate([("amount", "sum")]).combine_chunks()
        having, sums = summed["owner"].combine_chunks(), summed["amount_sum"].combine_chunks()
    places = pc.index_in(pa.array(np.arange(count)), value_set=having.cast(INT))
    return pc.fill_null(sums.take(places), zero)


def _table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    fields = entity(SOURCE, name).columns
    return pa.table([columns[column.name] for column in fields], schema=pa.schema(fields))


# --- orders ------------------------------------------------------------------------------------------------------


def flatten_orders(orders: Sequence[Record]) -> dict[str, pa.Table]:
    """Complete orders, as the queries return them, as ``orders``, ``order_lines`` and ``refunds``.

    A refund has a row for each of its lines. What it gives back beyond them is one row without a line: the shipping
    with its tax, and as subtotal what was paid back for no line at all (a free amount).

    Raises:
        UNFIT: an order does not fit the contract exactly.
    """
    rows = nested(orders, ORDER)
    headers = header_table(rows)
    ids, versions = headers["order_id"].combine_chunks(), headers["updated_at"].combine_chunks()
    lines = _part(rows, "lineItems", "nodes")
    of_order = lines.value_parent_indices()
    places = np.arange(1, len(of_order) + 1) - _starts(lines)[np.asarray(of_order)]
    return {
        "orders": headers,
        "order_lines": line_table(lines.flatten(), ids.take(of_order), versions.take(of_order), places),
        "refunds": _refund_table(_part(rows, "refunds"), ids, versions),
    }


def header_table(rows: pa.StructArray) -> pa.Table:
    """Orders without their children as rows of ``orders``."""
    columns = {
        "order_id": _ids(_part(rows, "id"), "Order"),
        "name": _part(rows, "name"),
        "customer_id": _ids(_part(rows, "customer", "id"), "Customer"),
        "is_test": _part(rows, "test"),
        "currency": _part(rows, "currencyCode"),
        "financial_status": _part(rows, "displayFinancialStatus"),
        "fulfillment_status": _part(rows, "displayFulfillmentStatus"),
        "created_at": _instants(_part(rows, "createdAt")),
        "processed_at": _instants(_part(rows, "processedAt")),
        "cancelled_at": _instants(_part(rows, "cancelledAt")),
        "subtotal_amount": _amounts(rows, "subtotalPriceSet"),
        "discount_amount": _amounts(rows, "totalDiscountsSet"),
        "tax_amount": _amounts(rows, "totalTaxSet"),
        "shipping_amount": _amounts(rows, "totalShippingPriceSet"),
        "total_amount": _amounts(rows, "totalPriceSet"),
        "updated_at": _instants(_part(rows, "updatedAt")),
    }
    return _table("orders", columns)


def line_table(lines: pa.StructArray, order_ids: pa.Array, versions: pa.Array, places: Any) -> pa.Table:
    """Order lines as rows of ``order_lines``.

    Args:
        lines: of the type ``LINE``.
        order_ids: the order of each line.
        versions: when that order was last changed.
        places: the place of each line in its order, from 1 on.
    """
    # allocations, not totalDiscountSet: that one leaves out the share of discounts on the whole order
    discounts = _part(lines, "discountAllocations")
    taxes = _part(lines, "taxLines")
    columns = {
        "order_id": order_ids,
        "order_updated_at": versions,
        "line_item_id": _ids(_part(lines, "id"), "LineItem"),
        "line_position": pa.array(places, INT),
        "sku": _part(lines, "sku"),
        "title": _part(lines, "title"),
        "quantity": _part(lines, "quantity").cast(INT),
        "current_quantity": _part(lines, "currentQuantity").cast(INT),
        "unit_price": _amounts(lines, "originalUnitPriceSet"),
        "discount_amount": _list_sums(discounts, "allocatedAmountSet"),
        "tax_amount": _list_sums(taxes, "priceSet"),
    }
    return _table("order_lines", columns)


def _list_sums(lists: pa.ListArray, name: str) -> pa.Array:
    amounts = _amounts(lists.flatten(), name, kind=_SUMMED)
    return _sums(amounts, lists.value_parent_indices(), len(lists)).cast(MONEY)


def _refund_table(lists: pa.ListArray, order_ids: pa.Array, versions: pa.Array) -> pa.Table:
    refunds, of_order = lists.flatten(), lists.value_parent_indices()
    if not len(refunds):
        return pa.schema(entity(SOURCE, "refunds").columns).empty_table()
    ids, at = _ids(_part(refunds, "id"), "Refund"), _instants(_part(refunds, "createdAt"))
    given = {
        "order_id": order_ids.take(of_order),
        "order_updated_at": versions.take(of_order),
        "refund_id": ids,
        "note": _part(refunds, "note"),
        "refunded_at": at,
    }
    lines = _part(refunds, "refundLineItems", "nodes")
    of_refund, lines = lines.value_parent_indices(), lines.flatten()
    by_line = {name: values.take(of_refund) for name, values in given.items()} | {
        "refund_line_id": _ids(_part(lines, "id"), "RefundLineItem"),
        "line_item_id": _ids(_part(lines, "lineItem", "id"), "LineItem"),
        "sku": _part(lines, "lineItem", "sku"),
        "quantity": _part(lines, "quantity").cast(INT),
        "subtotal_amount": _amounts(lines, "subtotalSet"),
        "tax_amount": _amounts(lines, "totalTaxSet"),
        "shipping_amount": pa.repeat(pa.scalar(0, MONEY), len(lines)),
    }
    beyond = _beyond_lines(refunds, lines, of_refund)
    without_line = {name: values.filter(beyond["has_any"]) for name, values in given.items()} | {
        name: values.filter(beyond["has_any"]) for name, values in beyond.items() if name != "has_any"
    }
    none = {
        column.name: pa.nulls(len(without_line["refund_id"]), column.type)
        for column in entity(SOURCE, "refunds").columns
        if column.name not in without_line
    }
    return pa.concat_tables([_table("refunds", by_line), _table("refunds", without_line | none)])


def _beyond_lines(refunds: pa.StructArray, lines: pa.StructArray, of_refund: pa.Array) -> dict[str, pa.Array]:
    """What each refund gives back beyond its lines, and whether that is anything.

    Money that was paid back (``totalRefundedSet``) and that neither lines nor shipping explain is a free amount. Less
    money than they say is none: the goods came back all the same (an order that was never paid, a fee that was kept).
    """
    shipping = _part(refunds, "refundShippingLines", "nodes")
    of_shipping, shipping = shipping.value_parent_indices(), shipping.flatten()
    ships = _amounts(shipping, "subtotalAmountSet", kind=_SUMMED)
    ship_taxes = _amounts(shipping, "taxAmountSet", kind=_SUMMED)
    explained = [_amounts(lines, name, kind=_SUMMED) for name in ("subtotalSet", "totalTaxSet")] + [ships, ship_taxes]
    paid = _amounts(refunds, "totalRefundedSet", kind=_SUMMED)
    owners = [pa.array(np.arange(len(refunds))), *([of_refund] * 2), *([of_shipping] * 2)]
    free = _sums(
        pa.concat_arrays([paid, *(pc.negate(amounts) for amounts in explained)]),
        pa.concat_arrays([owner.cast(INT) for owner in owners]),
        len(refunds),
    )
    zero = pa.scalar(0, free.type)
    found = {
        "subtotal_amount": pc.if_else(pc.greater(free, zero), free, zero),
        "tax_amount": _sums(ship_taxes, of_shipping, len(refunds)),
        "shipping_amount": _sums(ships, of_shipping, len(refunds)),
    }
    has_any = pa.repeat(pa.scalar(False), len(refunds))
    for amounts in found.values():
        has_any = pc.or_(has_any, pc.not_equal(amounts, zero))
    return {name: amounts.cast(MONEY) for name, amounts in found.items()} | {"has_any": has_any}


def _starts(lists: pa.ListArray) -> npt.NDArray[np.int64]:
    """Where each list begins in the flattened values."""
    lengths = pc.fill_null(lists.value_lengths(), 0).to_numpy(zero_copy_only=False)
    starts: npt.NDArray[np.int64] = np.cumsum(lengths) - lengths
    return starts


# --- products and inventory --------------------------------------------------------------------------------------

_VARIANT = _struct(
    id=TEXT,
    sku_=TEXT,
    title=TEXT,
    price=TEXT,
    updatedAt=TEXT,
    inventoryItem=_struct(id=TEXT, unitCost_=_struct(amount=TEXT)),
)
_PRODUCT = _struct(
    id=TEXT,
    title=TEXT,
    vendor=TEXT,
    productType=TEXT,
    status=TEXT,
    updatedAt=TEXT,
    variants=_connection(_VARIANT),
)
_LEVEL = _struct(
    updatedAt=TEXT,
    location=TEXT,
    item=_struct(id=TEXT, sku_=TEXT),
    quantities=pa.list_(pa.field("item", _struct(name=TEXT, quantity=_WHOLE), nullable=False)),
)


def flatten_products(products: Sequence[Record]) -> dict[str, pa.Table]:
    """Products with all their variants as ``products``: a row a variant. Raises what ``UNFIT`` names."""
    rows = nested(products, _PRODUCT)
    variants = _part(rows, "variants", "nodes")
    of_product, variants = variants.value_parent_indices(), variants.flatten()
    changed, variant_changed = _instants(_part(rows, "updatedAt")), _instants(_part(variants, "updatedAt"))
    columns = {
        "variant_id": _ids(_part(variants, "id"), "ProductVariant"),
        "product_id": _ids(_part(rows, "id"), "Product").take(of_product),
        "inventory_item_id": _ids(_part(variants, "inventoryItem", "id"), "InventoryItem"),
        "sku": _part(variants, "sku"),
        "title": _part(rows, "title").take(of_product),
        "variant_title": _part(variants, "title"),
        "vendor": _part(rows, "vendor").take(of_product),
        "product_type": _part(rows, "productType").take(of_product),
        "status": _part(rows, "status").take(of_product),
        "price": _part(variants, "price").cast(MONEY),
        "unit_cost": _part(variants, "inventoryItem", "unitCost", "amount").cast(MONEY),
        "updated_at": pc.max_element_wise(changed.take(of_product), variant_changed),
    }
    return {"products": _table("products", columns)}


def flatten_inventory(levels: Sequence[Record]) -> dict[str, pa.Table]:
    """Inventory levels, each with the id of its ``location``, as ``inventory``. Raises what ``UNFIT`` names."""
    rows = nested(levels, _LEVEL)
    columns = {
        "inventory_item_id": _ids(_part(rows, "item", "id"), "InventoryItem"),
        "location_id": _ids(_part(rows, "location"), "Location"),
        "sku": _part(rows, "item", "sku"),
        "available": _quantity(rows, "available"),
        "on_hand": _quantity(rows, "on_hand"),
        "on_order": _quantity(rows, "incoming"),
        "updated_at": _instants(_part(rows, "updatedAt")),
    }
    return {"inventory": _table("inventory", columns)}


def _quantity(rows: pa.StructArray, name: str) -> pa.Array:
    """The quantity of this name of each level; raises ArrowInvalid where a level does not say it once."""
    lists = _part(rows, "quantities")
    said, of_level = lists.flatten(), lists.value_parent_indices()
    named = pc.equal(_part(said, "name"), name)
    owners = of_level.filter(named)
    if not np.array_equal(np.asarray(owners), np.arange(len(rows))):
        raise pa.ArrowInvalid(f"a level that does not say once how much is {name}")
    return _part(said, "quantity").filter(named).cast(INT)


FLATTEN: dict[str, Flatten] = {
    "orders": flatten_orders,
    "products": flatten_products,
    "inventory": flatten_inventory,
}
