"""The statements that create the raw and ops tables, for `before_all` in config.yaml."""

import typing as t

from sqlmesh import macro


@macro()
def create_source_tables(evaluator: t.Any) -> t.List[str]:
    """DDL of the raw and ops schemas on the local warehouse; on Snowflake the bootstrap in deploy/ creates them."""
    from ingestion.warehouse import table_statements

    return list(table_statements()) if evaluator.gateway == "local" else []
