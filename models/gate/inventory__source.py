"""The gate of stock, one a source. The figures of a UTC date are published with each of its hours, so whole dates are
scanned: the figures of a date, and of its counts the hours to be published and those not published as they are.
"""

from macros.gates import gate

COUNT = ("STORE_ID", "SKU", "BUSINESS_DATE", "ON_HAND", "ON_ORDER", "COUNTED_AT", "RAW_LOAD_ID")
COVERAGE = {"INVENTORY_COVERAGE": ("core.inventory_coverage", "counted_hour")}

for source, coverage, past_days in (("stores", COVERAGE, 1), ("shopify", {}, 28)):
    gate(
        "inventory",
        source,
        checks=("inventory_coverage",) if coverage else (),
        datasets={"AGG_INVENTORY_DAILY": (f"core.agg_inventory_daily__{source}", "counted_date"), **coverage},
        hourly={
            "FCT_INVENTORY": (
                f"core.fct_inventory__{source}",
                "counted_hour",
                f"fct_inventory__{source}",
                COUNT,
                "DATE_COUNTS",
            )
        },
        days_before={"PAST_COUNTS": (f"core.fct_inventory__{source}", "counted_hour", past_days)},
        whole={"ALL_STORES": "core.dim_stores__reference"},
        whole_days=True,
    )
