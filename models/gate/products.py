"""The gate of the product dimension."""

import typing as t
from datetime import datetime
from pathlib import Path

import pandas as pd
from sqlmesh import ExecutionContext, model
from sqlmesh.core.model.kind import ModelKindName

# Part of the model, so that a changed check is a reviewed change and runs as it was when it was promoted.
CHECKS = (Path(__file__).parents[2] / "soda" / "checks" / "products.yml").read_text(encoding="utf-8")
VARIABLES = (Path(__file__).parents[2] / "soda" / "variables.yml").read_text(encoding="utf-8")


@model(
    "gate.products",
    kind={"name": ModelKindName.INCREMENTAL_BY_TIME_RANGE, "time_column": "window_start"},
    cron="@hourly",
    owner="data-engineering",
    grain=["window_start"],
    description="Soda scans of products candidates; a row is a window that passed; a failed critical check raises.",
    tags=["products"],
    depends_on=[
        "core.dim_products",
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
    from insightmart.gate import Published, scan_window

    return scan_window(
        context,
        area="products",
        part=None,
        start=start,
        end=end,
        execution_time=execution_time,
        checks=CHECKS,
        variables=VARIABLES,
        datasets={
            "DIM_PRODUCTS": ("core.dim_products", None),
        },
        published={"PUBLISHED_LINES": Published("fct_order_lines", "ordered_at", ("sku",))},
    )
