"""The fields that raw is said to be loaded from: each exists at its source, and each is asked for."""

from __future__ import annotations

from pathlib import Path

import yaml
from graphql import GraphQLInterfaceType, GraphQLNamedType, GraphQLObjectType, build_schema, get_named_type

from ingestion.contracts import ENTITIES, REJECTS, entity, raw_tables
from ingestion.shopify import queries, sales_reports
from ingestion.stores.csv.layout import csv_columns
from insightmart.lineage.source_fields import KEY_OF_FILE, source_fields

REPOSITORY = Path(__file__).parents[3]
SCHEMA = build_schema((REPOSITORY / "sandbox/shopify/shopify_admin_2026-10.graphql").read_text(encoding="utf-8"))
STATED = yaml.safe_load((REPOSITORY / "insightmart/lineage/shopify_fields.yml").read_text(encoding="utf-8"))


def test_every_column_of_raw_says_where_it_comes_from() -> None:
    assert set(source_fields()) == {
        f"raw.{table}.{field.name}" for table, fields in raw_tables().items() for field in fields
    }
    by_the_load = {column.split(".", 2)[2] for column, fields in source_fields().items() if not fields}
    from_rejects = {field.name for field in REJECTS.columns}
    assert by_the_load - from_rejects == {
        "_loaded_at",
        "_dlt_load_id",
        "_deleted_at",
        "_row_hash",
        "file_name",  # of a reject
        "file_hash",
        "file_line",
        "file_modified_at",
    }


def test_shopify_fields_are_of_its_schema_and_are_asked_for() -> None:
    texts = "\n".join(value for name, value in vars(queries).items() if isinstance(value, str) and name != "__doc__")
    paths = [path for columns in STATED.values() for stated in columns.values() for path in _listed(stated)]
    assert len(paths) > 100
    for path in paths:
        first, *fields = path.split(".")
        if first == "ShopifyQL":
            assert fields[0] == "sales"
            assert fields[1] in sales_reports.COLUMNS
            continue
        kind: GraphQLNamedType | None = SCHEMA.type_map.get(first)
        for field in fields:
            assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType), path
            assert field in kind.fields, path
            assert field in texts, path
            kind = get_named_type(kind.fields[field].type)


def test_shopify_columns_are_those_of_the_contract() -> None:
    for name, columns in STATED.items():
        assert list(columns) == [column.name for column in entity("shopify", name).columns]
    assert set(STATED) == {item.name for item in ENTITIES if item.source == "shopify"}


def test_cells_of_store_files_are_columns_of_the_files_and_the_day_is_that_of_the_key() -> None:
    for kind in ("inventory", "reference", "tills"):
        fields = {
            field for fields in source_fields().values() for field in fields if field.startswith(f"stores.{kind}.")
        }
        assert fields == {f"stores.{kind}.{name}" for name in (*csv_columns(kind), KEY_OF_FILE)}
    assert source_fields()["raw.stores_reference.reference_date"] == (f"stores.reference.{KEY_OF_FILE}",)
    assert source_fields()["raw.oltp_orders.total_amount"] == ("oltp.orders.total_amount",)


def _listed(stated: str | list[str]) -> list[str]:
    return [stated] if isinstance(stated, str) else stated
