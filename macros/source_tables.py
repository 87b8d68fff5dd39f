"""Creates the raw and ops tables before anything else happens: `before_all` in config.yaml."""

import typing as t

from sqlmesh import macro


@macro()
def create_source_tables(evaluator: t.Any) -> t.List[str]:
    """Create what is missing of the raw and ops schemas on the local warehouse. On Snowflake the bootstrap does.

    Also keeps the settings that shape figures with the warehouse, and refuses other ones; and writes to the journal
    what a run that was killed has published.

    Executes the statements itself and returns none: two dozen of them, rendered by SQLMesh before every plan and run,
    would cost more than a whole layer of models.
    """
    import sys

    # Plain `sqlmesh run` loads no module of the project: it has our changes to SQLMesh from here on, which is too late
    # for those to how it connects, and for the lock of the one writer.
    is_late = "insightmart.transform.sqlmesh_patches" not in sys.modules
    import insightmart.transform.sqlmesh_patches  # noqa: F401
    from ingestion.ops_tables import table_statements
    from ingestion.warehouse import Warehouse
    from insightmart.errors import ConfigurationError
    from insightmart.journal.publish import publish_prod
    from insightmart.recorded_settings import keep_or_refuse, refuse_other
    from insightmart.settings import load_settings

    if evaluator.runtime_stage == "before_all":
        if is_late and evaluator.gateway != "local":
            raise ConfigurationError(
                "plain `sqlmesh run` beside Snowflake takes no lock", "Use `insightmart sqlmesh run`"
            )
        adapter, settings = evaluator.engine_adapter, load_settings()
        if evaluator.gateway == "local":
            for statement in table_statements():
                adapter.cursor.execute(statement.replace("TIMESTAMP_NTZ", "TIMESTAMP"))
            keep_or_refuse(Warehouse(adapter.cursor, "duckdb"), settings)
        elif adapter.table_exists("ops.settings"):
            refuse_other(dict(adapter.fetchall("SELECT name, value FROM ops.settings")), settings)
        else:
            return ["SELECT 1"]  # the bootstrap has not run, nothing was published
        return publish_prod(evaluator) or ["SELECT 1"]
    return ["SELECT 1"]  # SQLMesh warns about a statement that renders to nothing
