"""The gate of the sales tables, one a source: scans exactly the window that is about to be published."""

import typing as t
from datetime import datetime
from pathlib import Path

import pandas as pd
from sqlmesh import ExecutionContext, model
from sqlmesh.core.model.kind import ModelKindName

# Part of the model, so that a changed check is a reviewed change and runs as it was when it was promoted.
CHECKS = (Path(__file__).parents[2] / "soda" / "checks" / "sales.yml").read_text(encoding="utf-8")
VARIABLES = (Path(__file__).parents[2] / "soda" / "variables.yml").read_text(encoding="utf-8")


@model(
    "gate.sales__@{source}",
    kind={"name": ModelKindName.INCREMENTAL_BY_TIME_RANGE, "time_column": "window_start"},
    blueprints=[{"source": "oltp"}, {"source": "shopify"}],
    cron="@hourly",
    owner="data-engineering",
    grain=["window_start"],
    description="Soda scans of sales candidates; a row is a window that passed; a failed critical check raises.",
    tags=["sales"],
    depends_on=[
        "core.fct_orders__@{source}",
        "core.fct_order_lines__@{source}",
        "core.fct_refunds__@{source}",
        "core.agg_sales_hourly__@{source}",
        "core.row_counts__@{source}",
        "core.dim_stores",
    ],
    columns={
        "window_start": "timestamp_ntz",
        "window_end": "timestamp_ntz",
        "scan_id": "varchar",
        "checks_passed": "int",
        "checks_warned": "int",
        "scanned_at": "timestamp_ntz",
    },
)
def execute(
    context: ExecutionContext, start: datetime, end: datetime, execution_time: datetime, **kwargs: t.Any
) -> pd.DataFrame:
    from insightmart.gate import scan_window

    source = context.blueprint_var("source")
    return scan_window(
        context,
        area="sales",
        part=source,
        start=start,
        end=end,
        execution_time=execution_time,
        checks=CHECKS,
        variables=VARIABLES,
        datasets={
            "FCT_ORDERS": (f"core.fct_orders__{source}", "ordered_at"),
            "FCT_ORDER_LINES": (f"core.fct_order_lines__{source}", "ordered_at"),
            "FCT_REFUNDS": (f"core.fct_refunds__{source}", "refunded_at"),
            "AGG_SALES_HOURLY": (f"core.agg_sales_hourly__{source}", "sold_hour"),
            "ROW_COUNTS": (f"core.row_counts__{source}", "event_hour"),
        },
        weeks_before={"PAST_ROW_COUNTS": (f"core.row_counts__{source}", "event_hour")},
        whole={"ALL_STORES": "core.dim_stores"},
        sources=[source],
    )
