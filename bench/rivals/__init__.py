"""The same tables built by our cycle, by a plain SQLMesh project and by dbt, hour by hour."""
