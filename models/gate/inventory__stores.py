"""The gate of what the stores counted. Whole UTC dates: the figures of a date are published with each of its hours."""

import typing as t
from datetime import datetime
from pathlib import Path

import pandas as pd
from sqlmesh import ExecutionContext, model
from sqlmesh.core.model.kind import ModelKindName

# Part of the model, so that a changed check is a reviewed change and runs as it was when it was promoted.
CHECKS = (Path(__file__).parents[2] / "soda" / "checks" / "inventory.yml").read_text(encoding="utf-8")
COVERAGE_CHECKS = (Path(__file__).parents[2] / "soda" / "checks" / "inventory_coverage.yml").read_text(encoding="utf-8")
VARIABLES = (Path(__file__).parents[2] / "soda" / "variables.yml").read_text(encoding="utf-8")


@model(
    "gate.inventory__stores",
    kind={"name": ModelKindName.INCREMENTAL_BY_TIME_RANGE, "time_column": "window_start"},
    cron="@hourly",
    owner="data-engineering",
    grain=["window_start"],
    description="Soda scans of inventory candidates; a row is a window that passed; a failed critical check raises.",
    tags=["inventory"],
    depends_on=[
        "core.fct_inventory__stores",
        "core.agg_inventory_daily__stores",
        "core.inventory_coverage",
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

    return scan_window(
        context,
        area="inventory",
        part="stores",
        start=start,
        end=end,
        execution_time=execution_time,
        checks=CHECKS + "\n" + COVERAGE_CHECKS,
        variables=VARIABLES,
        whole_days=True,
        datasets={
            "FCT_INVENTORY": ("core.fct_inventory__stores", "counted_hour"),
            "AGG_INVENTORY_DAILY": ("core.agg_inventory_daily__stores", "counted_date"),
            "INVENTORY_COVERAGE": ("core.inventory_coverage", "counted_hour"),
        },
        whole={"ALL_STORES": "core.dim_stores"},
    )
