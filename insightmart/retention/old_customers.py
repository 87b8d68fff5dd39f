"""Personal columns of customers' old versions: rows stay, since the dimension's history is made of them.

A version is old when another one had taken its place before the horizon; all of a customer's are when the source
deleted the customer before it.
"""

from __future__ import annotations

from datetime import datetime

from ingestion.contracts import CARRIED, entity
from ingestion.warehouse import Warehouse, bind
from insightmart.console_tables import spoken_table

_CUSTOMERS = entity("oltp", "customers")
_GONE = (
    "SELECT customer_id FROM raw.oltp_customers WHERE customer_id IS NOT NULL GROUP BY customer_id"
    " HAVING MAX(_loaded_at) < :before AND MAX(_deleted_at) IS NOT NULL"
)
# the version that held last before the horizon, of each customer
_HELD = (
    "SELECT customer_id, MAX(updated_at) FROM raw.oltp_customers WHERE customer_id IS NOT NULL"
    " AND updated_at IS NOT NULL AND _loaded_at < :before GROUP BY customer_id"
)
_OLD = (
    f"customer_id IN ({_GONE}) OR (customer_id IS NOT NULL AND updated_at IS NOT NULL AND updated_at <= _loaded_at"
    f" AND _loaded_at < :before AND (customer_id, updated_at) NOT IN ({_HELD}))"
)


def old_customers(warehouse: Warehouse, before: datetime) -> dict[str, int]:
    """How many rows still say something, by table."""
    found: dict[str, int] = {}
    for table, _, condition in _tables(warehouse):
        rows = warehouse.value(*bind(f"SELECT COUNT(*) FROM {table} WHERE {condition}", before=before))
        found[spoken_table(table)] = found.get(spoken_table(table), 0) + int(rows)
    return found


def empty_old_customers(warehouse: Warehouse, before: datetime) -> dict[str, int]:
    """Empty them; call it inside a transaction. Returns the rows by table, the dimension first."""
    emptied = old_customers(warehouse, before)
    for table, columns, condition in _tables(warehouse):
        named = ", ".join(f"{name} = NULL" for name in columns)
        warehouse.execute(*bind(f"UPDATE {table} SET {named} WHERE {condition}", before=before))
    return {f"{table}: personal columns emptied": rows for table, rows in emptied.items()}


def _tables(warehouse: Warehouse) -> list[tuple[str, list[str], str]]:
    """Tables with their personal columns and the rows that are old."""
    carried = {*_CUSTOMERS.personal, *(made for name in _CUSTOMERS.personal for made in CARRIED.get(name, ()))}
    built: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in warehouse.rows(
        "SELECT c.table_schema, c.table_name, c.column_name FROM information_schema.columns AS c"
        " JOIN information_schema.tables AS t ON t.table_catalog = c.table_catalog"
        " AND t.table_schema = c.table_schema AND t.table_name = c.table_name"
        " WHERE c.table_catalog = CURRENT_DATABASE() AND t.table_type = 'BASE TABLE'"
        " AND LOWER(c.table_schema) LIKE 'sqlmesh%' AND LOWER(c.table_name) LIKE '%dim_customers%' ORDER BY 1, 2"
    ):
        built.setdefault((schema, table), []).append(column)
    ended = f"(valid_to <= :before OR customer_id IN (SELECT CAST(g.customer_id AS VARCHAR) FROM ({_GONE}) AS g))"
    found = [
        (f'"{schema}"."{table}"', names, _filled(names, ended))
        for (schema, table), columns in built.items()
        if (names := [f'"{column}"' for column in columns if column.lower() in carried])
    ]
    own = list(_CUSTOMERS.personal)
    return [*found, (f"raw.{_CUSTOMERS.table}", own, _filled(own, f"({_OLD})"))]


def _filled(names: list[str], condition: str) -> str:
    return f"({' OR '.join(f'{name} IS NOT NULL' for name in names)}) AND {condition}"
