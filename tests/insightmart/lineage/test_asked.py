"""Questions about columns, on the real project: both ways, whole ways, and names that mean nothing."""

from __future__ import annotations

import json

import pytest

from insightmart.errors import ConfigurationError
from insightmart.lineage.asked import followed, found, plain
from insightmart.lineage.column_graph import ColumnGraph
from insightmart.lineage.derivation import Use
from insightmart.settings import Settings
from tests.support.workshop import CommandLine

# What a column of certified comes from at the sources, followed by hand through the models.
BY_HAND = {
    "certified.fct_orders.order_status": {"oltp.orders.status"},  # online it is one of four words, by two columns
    "certified.fct_refunds.refund_reason": {"oltp.refunds.reason", "shopify.RefundAgreement.refund.note"},
    "certified.dim_customers.email_hash": {"oltp.customers.email"},
    "certified.dim_stores.timezone": {"stores.reference.timezone"},
}


def ends(graph: ColumnGraph, start: str, *, down: bool, only_values: bool = True) -> set[str]:
    steps = followed(graph, start, down=down, only_values=only_values).steps()
    return {step.name for step in steps if not step.beyond and not step.is_told}


def names(graph: ColumnGraph, start: str, *, down: bool, only_values: bool = False) -> set[str]:
    return {step.name for step in followed(graph, start, down=down, only_values=only_values).steps()}


@pytest.mark.parametrize("column", BY_HAND)
def test_a_certified_column_is_followed_down_to_the_fields_of_its_sources(graph: ColumnGraph, column: str) -> None:
    at_sources = {
        name for name in ends(graph, column, down=False) if name.split(".")[0] in ("oltp", "shopify", "stores")
    }
    assert at_sources == BY_HAND[column]


def test_columns_that_choose_a_value_are_told_apart_from_what_it_is_made_of(graph: ColumnGraph) -> None:
    online = {"shopify.Order.displayFinancialStatus", "shopify.Order.displayFulfillmentStatus"}
    assert online <= names(graph, "certified.fct_orders.order_status", down=False)
    assert not online & names(graph, "certified.fct_orders.order_status", down=False, only_values=True)


def test_stock_comes_from_files_and_from_the_shop_and_the_latest_count_decides(graph: ColumnGraph) -> None:
    column = "certified.agg_inventory_daily.closing_on_hand"
    only_values = names(graph, column, down=False, only_values=True)
    assert {"stores.inventory.on_hand", "shopify.InventoryLevel.quantities.quantity"} <= only_values
    assert "stores.inventory.counted_at" not in only_values
    assert "stores.inventory.counted_at" in names(graph, column, down=False)


def test_a_source_column_reaches_the_dashboard_and_what_finance_closed(graph: ColumnGraph) -> None:
    hit = names(graph, "oltp.order_lines.unit_price", down=True)
    assert {
        "certified.agg_sales_daily.net_sales",
        "certified.fct_order_lines.unit_price",
        "certified.finance_close.net_sales",
        "certified.published_changes.net_sales_after",
    } <= hit


def test_a_column_that_only_filters_hits_whole_tables(graph: ColumnGraph) -> None:
    start = "raw.oltp_orders.is_test"
    assert {name for name in names(graph, start, down=True, only_values=True) if name.startswith("certified")} == set()
    assert {"certified.agg_sales_daily", "certified.fct_orders"} <= names(graph, start, down=True)
    filtered = [step for step in followed(graph, start, down=True).steps() if step.of_rows]
    assert {"core.fct_orders__oltp", "core.fct_refunds__oltp"} <= {step.name for step in filtered}
    assert {step.uses for step in filtered if step.name == "core.fct_orders__oltp"} == {(Use("INDIRECT", "FILTER"),)}


def test_a_rule_that_rejects_is_followed_to_what_it_keeps_out(graph: ColumnGraph) -> None:
    hit = names(graph, "staging._stores_inventory.rule_ids", down=True)
    assert {"core.fct_inventory__stores", "quarantine.stores_inventory", "certified.agg_inventory_daily"} <= hit
    (conditions,) = [
        link.uses
        for link in graph.above["staging._stores_inventory.rule_ids"]
        if link.source == "raw.stores_inventory.on_hand"
    ]
    assert conditions == (Use("INDIRECT", "CONDITIONAL"),)


def test_depth_ends_the_way_and_a_table_is_told_by_tables(graph: ColumnGraph) -> None:
    assert names_at(graph, "certified.fct_orders.total_amount", 1) == {
        "certified.fct_orders__oltp.total_amount",
        "certified.fct_orders__shopify.total_amount",
    }
    assert names_at(graph, "certified.fct_orders__oltp", 1) == {"core.fct_orders__oltp", "gate.sales__oltp"}
    assert {"oltp.orders", "shopify.Order", "stores.reference"} <= names(graph, "certified.fct_orders", down=False)


def names_at(graph: ColumnGraph, start: str, depth: int) -> set[str]:
    return {step.name for step in followed(graph, start, down=False, depth=depth).steps()} - {start}


@pytest.mark.parametrize(
    ("asked", "means"),
    [
        ("agg_sales_daily.net_sales", "certified.agg_sales_daily.net_sales"),
        ('"INSIGHTMART"."CERTIFIED"."AGG_SALES_DAILY"."NET_SALES"', "certified.agg_sales_daily.net_sales"),
        (" fct_orders ", "certified.fct_orders"),
        ("oltp_orders.status", "raw.oltp_orders.status"),
        ("shopify.order.totalpriceset.shopmoney.amount", "shopify.Order.totalPriceSet.shopMoney.amount"),
    ],
)
def test_a_name_is_found_with_and_without_its_schema(graph: ColumnGraph, asked: str, means: str) -> None:
    assert found(graph, asked) == means


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("certified.agg_sales_daily.net_sale", "Did you mean certified.agg_sales_daily.net_sales or"),
        ("certified.agg_sale_daily.net_sales", "Did you mean certified.agg_sales_daily.net_sales"),
        ("certified.dim_dates.zzz", "It has calendar_date"),
        ("net_sales", "may be certified."),
        ("", "there is no table or column ''"),
        ("'; DROP TABLE certified.fct_orders --", "there is no table or column"),
        ("[bold]x[/]\x1b[31m", "there is no table or column"),
        ("x" * 100_000, "there is no table or column 'xxx"),
    ],
)
def test_a_name_that_means_nothing_is_one_line_with_close_names(graph: ColumnGraph, asked: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        found(graph, asked)
    assert said in str(error.value)
    assert len(str(error.value)) < 1_500
    assert str(error.value).isprintable()


def test_every_column_can_be_asked_for_in_both_directions(graph: ColumnGraph) -> None:
    for name, table in graph.tables.items():
        for column in table.columns:
            for down in (False, True):
                json.dumps(plain(graph, f"{name}.{column}", followed(graph, f"{name}.{column}", down=down), None))


def test_the_command_tells_a_tree_and_json_without_any_warehouse(settings: Settings, insightmart: CommandLine) -> None:
    code, out, err = insightmart("lineage", "certified.fct_orders.total_amount", "--upstream")
    assert (code, err) == (0, "")
    assert "oltp.orders.total_amount (table public.orders of PostgreSQL)" in out
    assert "goes into" not in out
    assert not settings.database_path.exists()
    told = insightmart.json("lineage", "dim_customers.email_hash", "--upstream", "--values")
    assert told["asked"] == "certified.dim_customers.email_hash"
    assert {
        "from": "staging.oltp_customers.email",
        "to": "core.dim_customers.email_hash",
        "uses": [{"type": "DIRECT", "subtype": "TRANSFORMATION", "masking": True}],
    } in told["edges"]
    ids = {node["name"] for node in told["nodes"]}
    assert all({edge["from"], edge["to"]} <= ids for edge in told["edges"])
    code, out, err = insightmart("lineage", "certified.fct_order")
    assert (code, out) == (2, "")
    assert err == (
        "insightmart: there is no table or column 'certified.fct_order'. Did you mean certified.fct_orders or"
        " certified.fct_order_lines or certified.fct_orders__oltp?\n"
    )
