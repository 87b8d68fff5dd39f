"""The gate of the product dimension."""

from macros.gates import gate

gate(
    "products",
    datasets={"DIM_PRODUCTS": ("core.dim_products", None)},
    published={"PUBLISHED_LINES": ("fct_order_lines", "sold_at", ("sku",))},
)
