"""Opens the warehouse that the settings name."""

from __future__ import annotations

import duckdb

from ingestion.warehouse import DATABASE, Warehouse, open_duckdb
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.settings import Settings


def open_warehouse(settings: Settings) -> Warehouse:
    """Connect to the local DuckDB file or to Snowflake, whichever gateway is configured.

    Raises:
        ConfigurationError: the Snowflake account is not configured.
        InsightMartError: the local file is in use by another process or unreadable.
    """
    if settings.gateway == "local":
        try:
            return open_duckdb(settings.database_path)
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise InsightMartError(
                    f"{settings.database_path} is open in another process",
                    "Wait for the running cycle to end, or close the program that has the file open",
                ) from None
            raise InsightMartError(f"{settings.database_path} cannot be opened: {error}") from None
    return _open_snowflake(settings)


def _open_snowflake(settings: Settings) -> Warehouse:
    if not (settings.snowflake_account and settings.snowflake_user):
        raise ConfigurationError(
            "the snowflake gateway needs SNOWFLAKE_ACCOUNT and SNOWFLAKE_USER",
            "Set them, or use INSIGHTMART_GATEWAY=local",
        )
    import snowflake.connector

    credentials: dict[str, str] = {"authenticator": settings.snowflake_authenticator}
    if settings.snowflake_private_key_path:
        credentials["private_key_file"] = str(settings.snowflake_private_key_path)
    if settings.snowflake_password:
        credentials["password"] = settings.snowflake_password.get_secret_value()
    connection = snowflake.connector.connect(
        account=settings.snowflake_account,
        user=settings.snowflake_user,
        role=settings.snowflake_role,
        warehouse=settings.snowflake_warehouse,
        database=DATABASE,
        paramstyle="qmark",
        **credentials,
    )
    return Warehouse(connection, "snowflake")
