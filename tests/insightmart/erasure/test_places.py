"""Where a customer's personal data stands, in tables made by hand."""

from __future__ import annotations

from pathlib import Path

from ingestion.warehouse import open_duckdb
from insightmart.erasure.customer import Customer
from insightmart.erasure.places import count, empty, places
from insightmart.read_copy import CERTIFIED_COPY


def test_what_readers_see_of_a_table_is_emptied_with_it_and_not_counted_beside_it(tmp_path: Path) -> None:
    tables = [f'"{schema}"."CERTIFIED__DIM_CUSTOMERS__1"' for schema in ("sqlmesh__CERTIFIED", CERTIFIED_COPY)]
    with open_duckdb(tmp_path / "INSIGHTMART.duckdb") as warehouse:
        for table in tables:
            warehouse.execute(f"CREATE SCHEMA {table.partition('.')[0]}")
            warehouse.execute(
                f"CREATE TABLE {table} AS SELECT '1' AS customer_id, 'ab' AS email_hash, 'Ely' AS city"
                " UNION ALL SELECT '2', 'cd', 'Ely'"
            )
        found = places(warehouse, Customer("oltp", 1), [])
        assert count(warehouse, found) == {"certified.dim_customers": 1}
        empty(warehouse, found)
        for table in tables:
            assert warehouse.rows(f"SELECT * FROM {table} ORDER BY 1") == [("1", None, None), ("2", "cd", "Ely")]
