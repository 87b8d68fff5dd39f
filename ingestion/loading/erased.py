"""Customers whose personal data was erased: whatever a source sends of them again arrives without it.

``ops.erasures`` remembers them by the bare key, as orders do: it says nothing about a person by itself, and without it
nobody could keep the data out. A run asks once which there are, and looks at no row where there are none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import ENTITIES, INT, LOAD_COLUMNS, SOURCES, TEXT, Entity
from ingestion.loading.context import IngestContext
from ingestion.warehouse import Warehouse

UNREADABLE = "the record does not fit its contract; what it said was erased with its customer"
_BY_TABLE = {item.table: item for item in ENTITIES}
_FIELD = re.compile(r'(?:\A|,)((?:"(?:[^"]|"")*")?)')  # of a rejected row: every text is quoted, NULL is nothing
_OF_SHOP = {name for item in ENTITIES if item.source == "shopify" for name in item.personal}


@dataclass
class Erased:
    """The erased customers of one source, and their orders as far as they are known.

    Attributes:
        customers: their keys.
        orders: keys of their orders; those that a load brings are added as they come.
    """

    customers: frozenset[int] = frozenset()
    orders: set[int] = field(default_factory=set)

    def emptied(self, table: str, batch: pa.Table) -> pa.Table:
        """A batch for a raw table, without the personal data of erased customers."""
        item = _BY_TABLE.get(table)
        if not self.customers or item is None or item.person is None:
            return batch
        whose = self.customers if item.person == "customer_id" else self.orders
        is_theirs = pc.is_in(batch[item.person], value_set=pa.array(sorted(whose), INT))
        if not pc.any(is_theirs).as_py():
            return batch
        if item.name == "orders":
            self.orders.update(filter(None, batch.filter(is_theirs)["order_id"].to_pylist()))
        for name in personal_columns(item, batch.column_names):
            batch = batch.set_column(batch.column_names.index(name), name, _emptied(batch[name], is_theirs))
        return batch

    def faults(self, item: Entity, faults: pa.Table) -> pa.Table:
        """Records that cannot be typed, without the personal data of erased customers in their text."""
        if not self.customers or not faults.num_rows:
            return faults
        given = faults["raw_text"].to_pylist()
        texts = [text and self.text(item, text) for text in given]
        if texts == given:
            return faults
        changed = pa.array([new != old for new, old in zip(texts, given, strict=True)])
        reason = pc.if_else(changed, pa.scalar(UNREADABLE, TEXT), faults["reason"])
        places = {name: faults.column_names.index(name) for name in ("raw_text", "reason")}
        faults = faults.set_column(places["raw_text"], "raw_text", pa.array(texts, TEXT))
        return faults.set_column(places["reason"], "reason", reason)

    def text(self, item: Entity, text: str) -> str:
        """The text of a rejected record, without personal data if it is of an erased customer."""
        return self._shop_record(text) if item.source == "shopify" else self._row(item, text)

    def _row(self, item: Entity, text: str) -> str:
        if item.person is None or not item.personal:
            return text
        names = [column.name for column in item.columns]
        fields = _FIELD.findall(text)
        if len(fields) < len(names):
            return text
        if _number(fields[names.index(item.person)]) not in (
            self.customers if item.person == "customer_id" else self.orders
        ):
            return text
        names += [f"beyond the contract {place}" for place in range(len(fields) - len(names))]
        emptied = personal_columns(item, names)
        return ",".join("" if name in emptied else said for name, said in zip(names, fields, strict=True))

    def _shop_record(self, text: str) -> str:
        try:
            record = orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
        if not isinstance(record, dict):
            return text
        customer = record.get("customer")
        named = customer.get("id") if isinstance(customer, dict) else None
        if _number(str(named or "").rpartition("/")[2]) not in self.customers and (
            _number(str(record.get("id") or "").rpartition("/")[2]) not in self.orders
        ):
            return text
        return orjson.dumps(_without(record, _OF_SHOP)).decode()


def personal_columns(item: Entity, names: Collection[str]) -> list[str]:
    """Which of the columns of a raw table are personal. Of customers also all that nobody has declared."""
    if item.name != "customers":
        return [name for name in names if name in item.personal]
    known = {column.name for column in (*item.columns, *item.deletion, *item.content, *LOAD_COLUMNS)}
    return [name for name in names if name in item.personal or name not in known]


def erased_of(context: IngestContext, source: str) -> Erased:
    """The erased customers of a source, asked for once a run."""
    if source not in context.erased:
        context.erased.update(erased_customers(context.warehouse))
    found: Erased = context.erased[source]
    return found


def erased_customers(warehouse: Warehouse) -> dict[str, Erased]:
    """By source the erased customers as ops.erasures has them now, with their orders; none for one without any."""
    customers: dict[str, set[int]] = {source: set() for source in SOURCES}
    for source, key in warehouse.rows("SELECT DISTINCT source, customer_id FROM ops.erasures"):
        customers[source].add(int(key))
    return {
        source: Erased(frozenset(keys), _orders_of_erased(warehouse, source)) if keys else Erased()
        for source, keys in customers.items()
    }


def _orders_of_erased(warehouse: Warehouse, source: str) -> set[int]:
    orders = warehouse.rows(
        f"SELECT DISTINCT order_id FROM raw.{source}_orders"
        " WHERE customer_id IN (SELECT customer_id FROM ops.erasures WHERE source = ?) AND order_id IS NOT NULL",
        [source],
    )
    return {int(key) for (key,) in orders}


def _emptied(column: pa.ChunkedArray, where: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_dictionary(column.type):
        return pc.if_else(where, pa.scalar(None, column.type), column)
    plain = pc.if_else(where, pa.scalar(None, TEXT), column.cast(TEXT))
    return plain.dictionary_encode().cast(column.type)


def _number(text: str) -> int | None:
    digits = text.strip('"')
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _without(value: Any, names: Iterable[str]) -> Any:
    if isinstance(value, dict):
        return {name: None if name in names else _without(item, names) for name, item in value.items()}
    if isinstance(value, list):
        return [_without(item, names) for item in value]
    return value
