"""Creates the raw and ops tables before anything else happens: `before_all` in config.yaml."""

import typing as t

from sqlmesh import macro


@macro()
def create_source_tables(evaluator: t.Any) -> t.List[str]:
    """Create what is missing of the raw and ops schemas on the local warehouse. On Snowflake the bootstrap does.

    Executes the statements itself and returns none: two dozen of them, rendered by SQLMesh before every plan and run,
    would cost more than a whole layer of models.
    """
    from ingestion.ops_tables import table_statements

    if evaluator.runtime_stage == "before_all" and evaluator.gateway == "local":
        for statement in table_statements():
            evaluator.engine_adapter.cursor.execute(statement.replace("TIMESTAMP_NTZ", "TIMESTAMP"))
    return ["SELECT 1"]  # SQLMesh warns about a statement that renders to nothing
