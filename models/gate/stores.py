"""The gate of the store dimension and the calendar."""

from macros.gates import gate

gate("stores", datasets={"DIM_STORES": ("core.dim_stores", None), "DIM_DATES": ("core.dim_dates", None)})
