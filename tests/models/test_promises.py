"""What the project promises about itself: contracts, rules, comments, personal data, exact money."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from sqlglot import exp
from sqlmesh.core.dialect import parse_one  # importing it teaches sqlglot what a model is, which has to come first

from ingestion.contracts import ENTITIES, raw_tables, text_limit
from ingestion.ops_tables import OPS_TABLES
from ingestion.warehouse import sql_type
from insightmart.definitions.documentation import outdated
from insightmart.definitions.files import RULES
from insightmart.definitions.rules import ROWS, read_rules
from insightmart.lineage.column_graph import column_graph
from insightmart.lineage.origins import origins

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.model import Model

REPOSITORY = Path(__file__).parents[2]

# What other teams' checks call by name: every column here has to stay.
CERTIFIED = {
    "fct_order_lines": (
        "source_system order_id line_number ordered_at business_date store_id channel customer_id sku "
        "quantity unit_price gross_sales discount_amount tax_amount net_sales_before_returns currency "
        "order_status source_updated_at raw_load_id"
    ),
    "fct_orders": (
        "source_system order_id ordered_at business_date store_id channel customer_id order_status line_count "
        "units gross_sales discount_amount tax_amount shipping_amount total_amount raw_load_id"
    ),
    "fct_refunds": (
        "source_system refund_id line_number order_id refunded_at business_date store_id channel sku quantity "
        "refund_amount raw_load_id"
    ),
    "fct_inventory": "store_id sku counted_hour on_hand on_order counted_at raw_load_id",
    "dim_customers": "customer_id valid_from valid_to is_current is_inferred region country loyalty_tier email_hash",
    "dim_products": "sku",
    "dim_stores": "store_id valid_from valid_to is_current timezone",
    "dim_dates": "calendar_date",
    "agg_sales_hourly": (
        "business_date business_hour store_id channel orders units gross_sales discounts returns net_sales "
        "taxes shipping total_sales"
    ),
    "agg_sales_daily": (
        "business_date store_id channel orders units gross_sales discounts returns net_sales taxes shipping total_sales"
    ),
    "agg_inventory_daily": "business_date store_id sku closing_on_hand stockout_hours",
}

PERSONAL = {"email", "first_name", "last_name", "phone"}


def models_of(project: Context, *layers: str) -> list[Model]:
    """The models of these schemas, in order of their names."""
    found = [model for model in project.models.values() if model.fully_qualified_table.db.lower() in layers]
    assert found
    return sorted(found, key=lambda model: model.name)


def external_models() -> dict[str, dict[str, str]]:
    """Columns and types by table, as external_models.yaml declares them."""
    entries = yaml.safe_load((REPOSITORY / "external_models.yaml").read_text(encoding="utf-8"))
    assert len({entry["name"] for entry in entries}) == len(entries)
    return {entry["name"]: entry["columns"] for entry in entries}


def declared_columns(declaration: str) -> dict[str, str]:
    """Columns and types of the declaration of a table."""
    table = parse_one(f"CREATE TABLE t ({declaration})", dialect="snowflake")
    return {
        column.name.lower(): _spelled(kind.sql("snowflake"))
        for column in table.find_all(exp.ColumnDef)
        if (kind := column.kind)
    }


def test_external_models_are_the_raw_tables_of_the_contracts() -> None:
    expected = {
        f"raw.{table}": {column.name: sql_type(column.type) for column in columns}
        for table, columns in raw_tables().items()
    }
    declared = external_models()
    assert {name: columns for name, columns in declared.items() if name.startswith("raw.")} == expected
    assert [list(declared[name]) for name in expected] == [list(columns) for columns in expected.values()]


def test_external_models_are_the_ops_tables_of_the_warehouse() -> None:
    expected = {f"ops.{table}": declared_columns(declaration) for table, declaration in OPS_TABLES.items()}
    declared = {name: columns for name, columns in external_models().items() if name.startswith("ops.")}
    for name, columns in declared.items():
        assert {column: _spelled(kind) for column, kind in columns.items()} == expected[name], name
    assert declared.keys() == expected.keys()


def _spelled(kind: str) -> str:
    return exp.DataType.build(kind, dialect="snowflake").sql("snowflake").replace("TIMESTAMPNTZ", "TIMESTAMP_NTZ")


def test_every_group_of_rules_is_applied_once_and_in_a_model_of_its_own_entity() -> None:
    files = sorted((REPOSITORY / "models" / "staging").glob("_*.sql"))
    macro = re.compile(r"@failed_rules__(\w+)\(\)")
    applied = [(path.stem, name) for path in files for name in macro.findall(path.read_text(encoding="utf-8"))]
    rules = read_rules(REPOSITORY / RULES)
    checked = [rule for rule in rules if rule.condition]
    groups = {rule.entity if rule.group == ROWS else f"{rule.entity}_{rule.group}" for rule in checked}
    assert sorted(name for _, name in applied) == sorted(groups)
    entities = {rule.entity for rule in checked}
    # rows of orders are checked as headers, before their lines are known
    homes = {name: model.removeprefix("_").replace("_order_headers", "_orders") for model, name in applied}
    assert {name: home for name, home in homes.items() if name in entities} == {name: name for name in entities}
    assert len({(rule.entity, rule.rule_id) for rule in rules}) == len(rules) > 100


# names that our own code gives, numbers as text, and texts of which a rule allows but a few
_OWN_TEXTS = {
    *("source_system", "raw_load_id", "rule_ids", "file_name", "file_hash", "order_verdict"),
    *("order_id", "customer_id", "refund_id"),
}
_FEW_TEXTS = {"channel", "order_status", "currency", "timezone"}


def test_every_text_of_a_source_has_a_bound_by_its_rule(project: Context) -> None:
    rules = {r.entity: str(r.condition) for r in read_rules(REPOSITORY / RULES) if r.rule_id == "text_too_long"}
    for entity in (item.table for item in ENTITIES):
        model = project.get_model(f"staging._{entity}")
        if model is None or "RULE_IDS" not in (model.columns_to_types or {}):
            continue  # raw rows that another entity's model reads, or a step to one that splits by rules
        texts = {
            name.lower()
            for name, kind in (model.columns_to_types or {}).items()
            if kind.is_type(*exp.DataType.TEXT_TYPES)
        }
        texts -= _OWN_TEXTS | _FEW_TEXTS | ({"sku"} if entity.endswith("refunds") else set())  # that of the order line
        bounds = dict(re.findall(r"LENGTH\((\w+)\) > (\d+)", rules.get(entity, "")))
        assert texts == bounds.keys(), entity
        assert all(int(bound) == text_limit(name.removeprefix("refund_")) for name, bound in bounds.items()), entity


@pytest.mark.parametrize("table", CERTIFIED)
def test_certified_table_has_the_columns_it_promises(project: Context, table: str) -> None:
    model = project.get_model(f"certified.{table}", raise_if_missing=True)
    columns = {column.lower() for column in model.columns_to_types or {}}
    assert set(CERTIFIED[table].split()) - columns == set()


def test_no_certified_or_core_column_is_a_binary_float(project: Context) -> None:
    floats = {exp.DataType.Type.FLOAT, exp.DataType.Type.DOUBLE}
    found = [
        f"{model.name}.{column}"
        for model in models_of(project, "staging", "core", "certified")
        for column, kind in (model.columns_to_types or {}).items()
        if kind.this in floats
    ]
    assert found == []


def test_every_column_of_a_model_has_a_known_type(project: Context) -> None:
    unknown = [
        f"{model.name}.{column}"
        for model in models_of(project, "staging", "quarantine", "core", "certified")
        for column, kind in (model.columns_to_types or {"*": exp.DataType.build("UNKNOWN")}).items()
        if kind.this == exp.DataType.Type.UNKNOWN
    ]
    assert unknown == []


def test_certified_tables_come_out_of_core_behind_a_gate_and_compute_nothing(project: Context) -> None:
    for model in models_of(project, "certified"):
        above = {parent.split(".")[1].strip('"').lower() for parent in model.depends_on or ()}
        is_record = "journal" in model.tags  # of what was certified when: no candidate
        assert above in ([{"ops"}] if is_record else ({"core", "gate"}, {"certified"})), model.name


def test_personal_data_reaches_certified_only_as_a_hash(project: Context) -> None:
    from sqlmesh.core.lineage import column_dependencies

    origins: dict[tuple[str, str], set[tuple[str, str]]] = {}

    def trace(model: str, column: str) -> set[tuple[str, str]]:
        """The columns of raw tables that a column is made of."""
        if (model, column) not in origins:
            origins[model, column] = set()
            found = project.get_model(model)
            if found is None or found.kind.is_external:
                origins[model, column] = {(model.split(".")[1].strip('"').lower(), column.lower())}
            elif found.is_sql:
                for parent, columns in column_dependencies(project, model, column).items():
                    origins[model, column].update(*(trace(parent, name) for name in columns))
        return origins[model, column]

    personal = {
        f"{model.name}.{column}".lower()
        for model in models_of(project, "certified")
        for column in model.columns_to_types or {}
        for table, origin in trace(model.fqn, column)
        if table == "raw" and origin in PERSONAL
    }
    assert personal == {"certified.dim_customers.email_hash"}


def test_a_column_comes_from_what_its_values_are_made_of_in_both_sources(project: Context) -> None:
    found = origins(column_graph(project.models.values()))
    assert found["agg_sales_daily.gross_sales"] == (
        "raw.oltp_order_lines.quantity",
        "raw.oltp_order_lines.unit_price",
        "raw.shopify_sales.discount_before_taxes",
        "raw.shopify_sales.quantity",
        "raw.shopify_sales.tax_amount",
        "raw.shopify_sales.total_amount",
    )
    refunds = {"raw.oltp_refunds.amount", "raw.shopify_sales.total_amount"}
    assert refunds <= set(found["agg_sales_daily.returns"])
    assert "raw.oltp_order_lines.unit_price" in found["agg_sales_daily.returns"]  # given back on the order itself
    assert found["agg_sales_daily.net_sales"] == found["agg_sales_hourly.net_sales"]
    assert set(found["agg_sales_daily.net_sales"]) == {
        *found["agg_sales_daily.gross_sales"],
        *found["agg_sales_daily.discounts"],
        *found["agg_sales_daily.returns"],
    }
    assert found["fct_orders.line_count"] == ()  # counted


def test_generated_files_are_up_to_date(project: Context) -> None:
    assert [path.name for path in outdated(project)] == [], "run `make docs` and commit what it writes"
