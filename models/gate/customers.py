"""The gate of the customer dimension: scans the candidate before what changed is published."""

from macros.gates import gate

gate(
    "customers",
    datasets={},
    changed_since={"DIM_CUSTOMERS": ("core.dim_customers", "changed_at")},
    whole={"ALL_CUSTOMERS": "core.dim_customers"},
    published={"PUBLISHED_ORDERS": ("fct_orders", "ordered_at", ("customer_id",))},
)
