"""The gate of what the stores counted. Whole UTC dates: the figures of a date are published with each of its hours."""

from macros.gates import gate

gate(
    "inventory",
    "stores",
    checks=("inventory_coverage",),
    datasets={
        "FCT_INVENTORY": ("core.fct_inventory__stores", "counted_hour"),
        "AGG_INVENTORY_DAILY": ("core.agg_inventory_daily__stores", "counted_date"),
        "INVENTORY_COVERAGE": ("core.inventory_coverage", "counted_hour"),
    },
    days_before={"PAST_COUNTS": ("core.fct_inventory__stores", "counted_hour", 1)},
    whole={"ALL_STORES": "core.dim_stores__reference"},
    whole_days=True,
)
