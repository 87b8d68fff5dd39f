"""Plain `sqlmesh` refuses settings that shape figures when the local warehouse was set up with other ones.

SQLMesh imports this module whenever the project loads, which is before anything is planned: with another first day of
history it would show every model as modified. On Snowflake `create_source_tables` looks, before anything is built.
"""

import duckdb
from sqlmesh.utils.errors import ConfigError

from ingestion.warehouse import Warehouse
from insightmart.errors import ConfigurationError
from insightmart.recorded_settings import refuse_recorded_others
from insightmart.settings import load_settings


def _refuse_others() -> None:
    settings = load_settings()
    if settings.gateway != "local" or not settings.database_path.exists():
        return
    try:
        connection = duckdb.connect(str(settings.database_path), read_only=True)
    except duckdb.Error:  # open: in a command of ours, which has looked, or elsewhere, which SQLMesh itself will report
        return
    with Warehouse(connection, "duckdb") as warehouse:
        try:
            refuse_recorded_others(warehouse, settings)
        except ConfigurationError as error:  # as SQLMesh's own, which its command line says in one line
            raise ConfigError(str(error)) from None


_refuse_others()
