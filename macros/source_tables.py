"""Creates the raw and ops tables before anything else happens: `before_all` in config.yaml."""

import typing as t

from sqlmesh import macro


@macro()
def create_source_tables(evaluator: t.Any) -> t.List[str]:
    """Bring raw and ops of the local warehouse to the version of this code. On Snowflake `insightmart setup` does it,
    and another version is refused here.

    Also keeps the settings that shape figures with the warehouse, and refuses other ones; and writes to the journal
    what a run that was killed has published. A command of ours has looked at all but the last when it began.

    Executes the statements itself and returns none: dozens of them, rendered by SQLMesh before every plan and run,
    would cost more than a whole layer of models.
    """
    import sys

    # Plain `sqlmesh run` loads no module of the project: it has our changes to SQLMesh from here on, which is too late
    # for those to how it connects, and for the lock of the one writer.
    is_late = "insightmart.transform.sqlmesh_patches" not in sys.modules
    import insightmart.transform.sqlmesh_patches  # noqa: F401
    from ingestion.warehouse import Warehouse
    from insightmart.errors import ConfigurationError
    from insightmart.journal.publish import publish_prod
    from insightmart.kept_private import close_home
    from insightmart.recorded_settings import keep_or_refuse
    from insightmart.runs import command_under_way
    from insightmart.schema_version import make_ready
    from insightmart.settings import load_settings

    if evaluator.runtime_stage == "before_all":
        if is_late and evaluator.gateway != "local":
            raise ConfigurationError(
                "plain `sqlmesh run` beside Snowflake takes no lock", "Use `insightmart sqlmesh run`"
            )
        if not command_under_way():
            adapter, settings, is_local = evaluator.engine_adapter, load_settings(), evaluator.gateway == "local"
            connection, dialect = (adapter.cursor, "duckdb") if is_local else (adapter.connection, "snowflake")
            warehouse = Warehouse(connection, dialect)
            close_home(settings.home)
            make_ready(warehouse, settings)
            keep_or_refuse(warehouse, settings)
        return publish_prod(evaluator) or ["SELECT 1"]
    return ["SELECT 1"]  # SQLMesh warns about a statement that renders to nothing
