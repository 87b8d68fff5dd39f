"""The gate of the online location's stock. Whole UTC dates, as for the stores."""

from macros.gates import gate

gate(
    "inventory",
    "shopify",
    datasets={
        "FCT_INVENTORY": ("core.fct_inventory__shopify", "counted_hour"),
        "AGG_INVENTORY_DAILY": ("core.agg_inventory_daily__shopify", "counted_date"),
    },
    days_before={"PAST_COUNTS": ("core.fct_inventory__shopify", "counted_hour", 28)},
    whole={"ALL_STORES": "core.dim_stores__reference"},
    whole_days=True,
)
