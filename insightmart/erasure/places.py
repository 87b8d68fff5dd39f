"""Where personal data of a customer stands in the warehouse: every table with a personal column, whoever built it.

The contracts say which columns are personal (``Entity.personal``) and how models call what they make of them
(``CARRIED``). Tables are looked up in the catalogue, so that versions of prod, of every other environment and such as
SQLMesh has not cleared away yet are emptied all the same, and so is what readers see of them on Snowflake. Views need
nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingestion.contracts import CARRIED, ENTITIES
from ingestion.loading.erased import personal_columns
from ingestion.warehouse import Warehouse
from insightmart.console_tables import spoken_table
from insightmart.erasure.customer import Customer
from insightmart.read_copy import CERTIFIED_COPY

_BY_TABLE = {item.table: item for item in ENTITIES}
_OWN = {"raw", "ops"}  # schemas whose tables no model builds


@dataclass(frozen=True)
class Place:
    """Rows of a table whose columns are emptied; ``condition`` is SQL, its values bound."""

    table: str
    columns: tuple[str, ...]
    condition: str
    values: tuple[Any, ...]

    @property
    def filled(self) -> str:
        """SQL for the rows that still say something."""
        return f"({self.condition}) AND ({' OR '.join(f'{name} IS NOT NULL' for name in self.columns)})"


def places(warehouse: Warehouse, customer: Customer, written: Sequence[str]) -> list[Place]:
    """All places of a customer, those of raw last: the others are found by it.

    Args:
        warehouse: open connection.
        customer: whose.
        written: what identifies the person in free text.
    """
    models, raw = [], []
    for (schema, table), columns in sorted(_catalogue(warehouse).items()):
        layer, quoted = schema.lower().removeprefix("sqlmesh__"), f'"{schema}"."{table}"'
        if layer == "raw" and table.lower() in _BY_TABLE:
            raw += _in_raw(quoted, table.lower(), columns, customer, written)
        elif layer not in _OWN and layer != "information_schema":
            models += _in_model(quoted, columns, customer, written)
    return [*models, *raw]


def count(warehouse: Warehouse, found: Sequence[Place]) -> dict[str, int]:
    """Rows that still say something, by table; tables without any are left out, and what readers see of a table is
    not counted beside it."""
    found = [place for place in found if not place.table.startswith(f'"{CERTIFIED_COPY}".')]
    if not found:
        return {}
    counts = " UNION ALL ".join(
        f"SELECT {number} AS place, COUNT(*) AS found FROM {place.table} WHERE {place.filled}"
        for number, place in enumerate(found)
    )
    by_table: dict[str, int] = defaultdict(int)
    for number, rows in warehouse.rows(counts, [value for place in found for value in place.values]):
        by_table[spoken_table(found[number].table)] += int(rows)
    return {table: rows for table, rows in by_table.items() if rows}


def empty(warehouse: Warehouse, found: Iterable[Place]) -> None:
    """Empty them; call it inside a transaction."""
    for place in found:
        emptied = ", ".join(f"{name} = NULL" for name in place.columns)
        warehouse.execute(f"UPDATE {place.table} SET {emptied} WHERE {place.filled}", place.values)


def _catalogue(warehouse: Warehouse) -> dict[tuple[str, str], list[str]]:
    """The columns of every table that holds rows, by schema and name, as the catalogue spells them."""
    here = "CURRENT_DATABASE()"
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for schema, table, column in warehouse.rows(
        "SELECT c.table_schema, c.table_name, c.column_name FROM information_schema.columns AS c"
        " JOIN information_schema.tables AS t ON t.table_catalog = c.table_catalog"
        " AND t.table_schema = c.table_schema AND t.table_name = c.table_name"
        f" WHERE c.table_catalog = {here} AND t.table_type = 'BASE TABLE' ORDER BY 1, 2, c.ordinal_position"
    ):
        found[schema, table].append(column)
    return found


def _in_raw(quoted: str, table: str, columns: Sequence[str], customer: Customer, written: Sequence[str]) -> list[Place]:
    item = _BY_TABLE[table]
    by_name = {column.lower(): f'"{column}"' for column in columns}
    names = tuple(by_name[name] for name in personal_columns(item, list(by_name)))
    if item.person is None or not names:
        return []
    found = []
    if item.source == customer.source:
        condition = f"{by_name[item.person]} = ?" if item.person == "customer_id" else _of_orders(item.person, customer)
        found.append(Place(quoted, names, condition, (customer.key,)))
    if item.person == "order_id":
        found += _mentions(quoted, names, written)
    return found


def _in_model(quoted: str, columns: Sequence[str], customer: Customer, written: Sequence[str]) -> list[Place]:
    by_name = {column.lower(): f'"{column}"' for column in columns}
    of_person = [name for name in by_name if name in names_in_models("customer_id")]
    if "customer_id" in by_name and of_person:
        names = tuple(by_name[name] for name in of_person)
        return [Place(quoted, names, f"{by_name['customer_id']} = ?", (str(customer),))]
    of_order = [name for name in by_name if name in names_in_models("order_id")]
    if "order_id" not in by_name or not of_order:
        return []
    names, condition, values = tuple(by_name[name] for name in of_order), _of_orders(by_name["order_id"], customer), []
    if "source_system" in by_name:
        condition, values = f"{condition} AND {by_name['source_system']} = ?", [customer.source]
    elif f"_{customer.source}_" not in quoted.lower():
        return _mentions(quoted, names, written)
    return [Place(quoted, names, condition, (customer.key, *values)), *_mentions(quoted, names, written)]


def _of_orders(column: str, customer: Customer) -> str:
    orders = f"SELECT CAST(o.order_id AS VARCHAR) FROM raw.{customer.source}_orders AS o WHERE o.customer_id = ?"
    return f"CAST({column} AS VARCHAR) IN ({orders})"


def _mentions(quoted: str, names: Sequence[str], written: Sequence[str]) -> list[Place]:
    """Free text of anybody's rows that names the person."""
    if not written:
        return []
    return [
        Place(
            quoted,
            (name,),
            " OR ".join([f"POSITION(? IN LOWER({name})) > 0"] * len(written)),
            tuple(value.lower() for value in written),
        )
        for name in names
    ]


def names_in_models(person: str) -> set[str]:
    """What models call personal columns of entities whose rows are somebody's by this column."""
    personal = {name for item in ENTITIES if item.person == person for name in item.personal}
    own = personal - {"reason"}  # `reason` is carried as refund_reason; beside it the word means other things
    return own | {carried for name in personal for carried in CARRIED.get(name, ())}
