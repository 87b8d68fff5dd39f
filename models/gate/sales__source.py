"""The gate of the sales tables, one a source: scans exactly the window that is about to be published."""

from macros.gates import gate

# Stores are inferred from PostgreSQL's orders: no other source waits for these.
STORES = {"oltp": "core.dim_stores", "shopify": "core.dim_stores__reference"}

for source, stores in STORES.items():
    gate(
        "sales",
        source,
        datasets={
            "FCT_ORDERS": (f"core.fct_orders__{source}", "ordered_at"),
            "FCT_ORDER_LINES": (f"core.fct_order_lines__{source}", "sold_at"),
            "FCT_REFUNDS": (f"core.fct_refunds__{source}", "refunded_at"),
            "AGG_SALES_HOURLY": (f"core.agg_sales_hourly__{source}", "sold_hour"),
            "ROW_COUNTS": (f"core.row_counts__{source}", "event_hour"),
        },
        weeks_before={"PAST_ROW_COUNTS": (f"core.row_counts__{source}", "event_hour")},
        days_before={"PAST_LINES": (f"core.fct_order_lines__{source}", "sold_at", 28)},
        whole={"ALL_STORES": stores},
        sources=(source,),
    )
