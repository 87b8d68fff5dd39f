"""How tables, objects and files are called in events: OpenLineage's naming conventions, without users or passwords.

https://openlineage.io/docs/spec/naming
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from ingestion.warehouse import DATABASE
from insightmart.lineage.column_graph import table_of
from insightmart.settings import Settings

_SOURCES = ("oltp", "shopify", "stores")


@dataclass(frozen=True)
class DatasetName:
    """A dataset: where it is kept, and what it is called there."""

    namespace: str
    name: str


class DatasetNames:
    """The names of everything that these settings reach."""

    def __init__(self, settings: Settings) -> None:
        self.warehouse = (
            f"snowflake://{settings.snowflake_account or 'unknown'}"
            if settings.gateway == "snowflake"
            else f"duckdb://{settings.database_path}"  # no convention: as OpenLineage's own integration of dbt has it
        )
        self._oltp, self._database = _postgres(settings)
        shop = urlsplit(settings.shopify_url or "")
        self._shopify = f"shopify://{_host(shop.hostname, shop.port)}"  # no convention
        bucket = urlsplit(settings.stores_url or "")
        self._stores, self._prefix = f"s3://{bucket.hostname or 'unknown'}", bucket.path.strip("/")

    def of_table(self, table: str) -> DatasetName:
        """The name of ``certified.fct_orders``, ``oltp.orders`` or another table of the graph."""
        source, _, name = table.partition(".")
        if source == "oltp":
            return DatasetName(self._oltp, f"{self._database}.public.{name}")
        if source == "shopify":
            return DatasetName(self._shopify, name)
        if source == "stores":
            return DatasetName(self._stores, f"{self._prefix}/{name}".lstrip("/"))
        return DatasetName(self.warehouse, f"{DATABASE}.{table.upper()}")

    def of_column(self, column: str) -> tuple[DatasetName, str]:
        """The dataset of a column, and its name there: in the warehouse identifiers are upper case."""
        table = table_of(column)
        name = column[len(table) + 1 :]
        return self.of_table(table), name if table.split(".")[0] in _SOURCES else name.upper()


def _postgres(settings: Settings) -> tuple[str, str]:
    """Namespace and database of the OLTP."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        stated = conninfo_to_dict(settings.oltp_dsn.get_secret_value() if settings.oltp_dsn else "")
    except ProgrammingError:  # no DSN: the load has said so
        stated = {}
    host = str(stated.get("host") or "localhost").split(",")[0]
    port = str(stated.get("port") or "5432").split(",")[0]
    if host.startswith("/"):  # a socket of this machine
        host = "localhost"
    return f"postgres://{_host(host, port)}", str(stated.get("dbname") or "unknown")


def _host(host: str | None, port: int | str | None) -> str:
    name = f"[{host}]" if host and ":" in host else host or "unknown"
    return f"{name}:{port}" if port else name
