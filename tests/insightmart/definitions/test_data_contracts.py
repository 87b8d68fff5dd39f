"""The data contracts of certified: valid by the standard, and what the models, audits and checks say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject

from insightmart.definitions.data_contracts import CONTRACTS
from insightmart.settings import PROJECT
from insightmart.transform.model_graph import own_models

if TYPE_CHECKING:
    from sqlmesh import Context

FILES = sorted((PROJECT / CONTRACTS).glob("*"))
STANDARD = jsonschema.Draft201909Validator(json.loads(OpenDataContractStandard.json_schema()))


def read(path: Path) -> tuple[OpenDataContractStandard, SchemaObject]:
    """A contract, and the table that it is of."""
    contract = OpenDataContractStandard.from_file(str(path))
    assert contract.schema_ is not None
    (table,) = contract.schema_
    return contract, table


def of(name: str) -> tuple[OpenDataContractStandard, SchemaObject]:
    return read(PROJECT / CONTRACTS / f"{name}.odcs.yaml")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_contract_is_valid_by_the_standard(path: Path) -> None:
    contract, table = read(path)
    STANDARD.validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert (contract.apiVersion, contract.status, contract.name) == ("v3.2.0", "active", f"certified.{table.name}")
    assert {server.type for server in contract.servers or ()} == {"duckdb", "snowflake"}


def test_a_contract_that_breaks_the_standard_is_noticed() -> None:
    plain = yaml.safe_load(FILES[0].read_text(encoding="utf-8"))
    plain["schema"][0]["properties"][0]["logicalType"] = "money"
    assert not STANDARD.is_valid(plain)


def test_every_certified_table_has_one_with_the_columns_and_types_of_its_model(files: Context) -> None:
    certified = {
        name.removeprefix("certified."): model
        for name, model in own_models(files).items()
        if name.startswith("certified.") and "__" not in name
    }
    assert {path.name.removesuffix(".odcs.yaml") for path in FILES} == set(certified)
    for name, model in certified.items():
        _, table = of(name)
        told = {column.name: (column.physicalType, column.description) for column in table.properties or ()}
        comments = {column.lower(): text for column, text in (model.column_descriptions or {}).items()}
        assert told == {
            column.lower(): (kind.sql("snowflake"), comments[column.lower()])
            for column, kind in (model.columns_to_types or {}).items()
        }


def test_keys_owners_and_promises_are_those_of_the_project() -> None:
    contract, table = of("fct_orders")
    columns = {column.name: column for column in table.properties or ()}
    keys = {name: column.primaryKeyPosition for name, column in columns.items() if column.primaryKey}
    assert keys == {"source_system": 1, "order_id": 2}
    assert {name for name, column in columns.items() if column.required} >= {"order_id", "ordered_at", "store_id"}
    assert not columns["customer_id"].required
    assert getattr(contract.team, "name", None) == "data-engineering"
    promises = {one.property: (one.value, one.unit) for one in contract.slaProperties or ()}
    assert promises == {"frequency": (1, "h"), "latency": (90, "minutes"), "retention": (2, "years")}
    kept = {one.property: one.value for one in of("agg_sales_daily")[0].slaProperties or ()}
    assert kept["retention"] == 5
    assert of("dim_dates")[1].properties[0].unique  # type: ignore[index]


def test_personal_columns_are_classified_by_what_they_are_made_of() -> None:
    personal = {
        f"{table.name}.{column.name}"
        for _, table in map(read, FILES)
        for column in table.properties or ()
        if column.classification == "personal"
    }
    assert personal == {
        "dim_customers.city",
        "dim_customers.email_hash",
        "dim_customers.postal_code",
        "dim_customers.region",
        "fct_refunds.refund_reason",
    }


def test_quality_is_what_the_gate_checks_with_its_thresholds_and_what_is_audited() -> None:
    quality = {one.name: one for one in of("fct_order_lines")[1].quality or ()}
    once = quality["a line counts once"]
    assert (once.engine, once.severity) == ("soda", "error")
    assert "duplicate_count(SOURCE_SYSTEM, ORDER_ID, LINE_NUMBER) = 0" in str(once.implementation)
    assert "5" in str(quality["few lines are free"].description)
    assert quality["audit unique_combination_of_columns"].engine == "sqlmesh"
    known = {"SCHEMA", "CANDIDATE_COLUMNS", "WINDOW_START", "WINDOW_END", "SOURCES"}
    assert "${FREE_LINES_WARN_PERCENT}" not in str(known | {str(one.implementation) for one in quality.values()})
