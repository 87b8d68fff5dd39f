"""`insightmart ingest`: load what is new at the sources. One source's failure does not stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import structlog

from ingestion.contracts import SOURCES
from ingestion.warehouse import Warehouse, create_tables
from insightmart.cli import Instant, as_of_option
from insightmart.errors import FAILED, ConfigurationError
from insightmart.progress import step
from insightmart.settings import Settings, load_settings, utc_now
from insightmart.warehouse import open_warehouse

if TYPE_CHECKING:
    from ingestion.loads import IngestContext, LoadResult, Window

log = structlog.get_logger()

TITLES = {"stores": "Store drops", "oltp": "PostgreSQL", "shopify": "Shopify"}
SETTING = {"stores": "STORES_URL", "oltp": "OLTP_DSN", "shopify": "SHOPIFY_URL"}


@dataclass
class Ingested:
    """What came of one source: its loads, or the line that says why there are none."""

    source: str
    loads: list[LoadResult] = field(default_factory=list)
    error: str | None = None

    @property
    def rows(self) -> int:
        """Rows that landed in raw."""
        return sum(load.rows for load in self.loads)

    @property
    def rejected(self) -> int:
        """Rows that could not be typed."""
        return sum(load.rejected_rows for load in self.loads)


def ingest(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    sources: Sequence[str] = SOURCES,
    window: Window | None = None,
) -> list[Ingested]:
    """Load the given sources one after the other; a failed one is reported in its result and read again next time.

    Raises:
        ConfigurationError: no source at all is configured.
    """
    from ingestion.loads import SourceError

    if not any(_configured(settings, source) for source in sources):
        missing = ", ".join(SETTING[source] for source in sources)
        raise ConfigurationError(f"no source is configured: {missing} not set", "Set it, or try `insightmart demo`")
    create_tables(warehouse)
    results = []
    for source in sources:
        result = Ingested(source)
        with step(TITLES[source]) as progress:
            if not _configured(settings, source):
                result.error = f"{source}: {SETTING[source]} is not set. Set it in the environment or in .env"
            else:
                try:
                    result.loads = _load(ingest_context(warehouse, settings, as_of), settings, source, window)
                except SourceError as error:
                    result.error = str(error)
            progress.failed = result.error is not None
            progress.outcome = result.error or _outcome(result)
        log.debug("ingested", source=source, rows=result.rows, error=result.error)
        results.append(result)
    return results


def _configured(settings: Settings, source: str) -> bool:
    values = {"stores": settings.stores_url, "oltp": settings.oltp_dsn, "shopify": settings.shopify_url}
    return bool(values[source])


def _outcome(result: Ingested) -> str:
    if all(load.status == "skipped" for load in result.loads):
        return "nothing due"
    rejected = f", {result.rejected:,} rejected" if result.rejected else ""
    return f"{result.rows:,} rows{rejected}"


def ingest_context(warehouse: Warehouse, settings: Settings, as_of: datetime) -> IngestContext:
    """What a run of the ingestion reads "now" from and writes to, by the settings."""
    from ingestion.loads import IngestContext

    return IngestContext(
        warehouse=warehouse,
        home=settings.home,
        as_of=as_of,
        history_start=settings.history_start,
        progress=lambda line: log.debug(line),
        destination=_destination(settings),
    )


def _destination(settings: Settings) -> Any:
    import dlt

    if settings.gateway == "local":
        return dlt.destinations.duckdb(str(settings.database_path))
    password = settings.snowflake_password
    return dlt.destinations.snowflake(
        credentials={
            "host": settings.snowflake_account,
            "username": settings.snowflake_user,
            "password": password.get_secret_value() if password else None,
            "private_key_path": str(settings.snowflake_private_key_path or "") or None,
            "database": "INSIGHTMART",
            "warehouse": settings.snowflake_warehouse,
            "role": settings.snowflake_role,
        }
    )


def _load(context: IngestContext, settings: Settings, source: str, window: Window | None) -> list[LoadResult]:
    if source == "oltp" and settings.oltp_dsn:
        from ingestion import postgres

        return postgres.ingest(context, postgres.OltpSource(settings.oltp_dsn.get_secret_value()), window)
    if source == "shopify" and settings.shopify_url:
        from ingestion import shopify

        token = settings.shopify_token.get_secret_value() if settings.shopify_token else ""
        return shopify.ingest(context, shopify.ShopifySource(settings.shopify_url, token), window)
    from ingestion import stores

    drops = stores.StoreDrops(
        settings.stores_url or "", endpoint_url=settings.aws_endpoint_url, grace_minutes=settings.store_grace_minutes
    )
    return stores.ingest(context, drops, window)


def check_as_of(warehouse: Warehouse, as_of: datetime) -> None:
    """Refuse to go back in time: what an earlier run released cannot be unreleased by a clock.

    Raises:
        ConfigurationError: a run at a later instant has been recorded.
    """
    latest = warehouse.value("SELECT MAX(as_of) FROM ops.runs WHERE command IN ('cycle', 'ingest')")
    if latest is not None and as_of < latest:
        raise ConfigurationError(
            f"--as-of {as_of:%Y-%m-%d %H:%M} lies before the last run at {latest:%Y-%m-%d %H:%M} UTC",
            "Use a later instant, or a fresh INSIGHTMART_HOME to replay history",
        )


def instant_or_now(as_of: datetime | None) -> datetime:
    """The given instant, or the wall clock to the second."""
    return as_of or utc_now().replace(microsecond=0)


@click.command()
@click.argument("sources", nargs=-1, type=click.Choice(SOURCES))
@click.option("--from", "start", type=Instant(), help="Read the window from this UTC instant again.")
@click.option("--to", "end", type=Instant(), help="End of the window (exclusive).")
@as_of_option
def ingest_command(
    sources: tuple[str, ...], start: datetime | None, end: datetime | None, as_of: datetime | None
) -> int:
    """Load what is new at SOURCES (default: all) into raw, without running any model.

    Safe to repeat: raw is append-only, and the models keep the latest version of every record. With --from and --to
    that window of changes is read again; the hours it corrects are queued for the next cycle.

    \b
    Examples:
      insightmart ingest
      insightmart ingest oltp --from 2026-03-05 --to 2026-03-06
    """
    from ingestion.loads import Window
    from insightmart.lock import writer_lock
    from insightmart.runs import recorded_run

    if (start is None) != (end is None):
        raise click.UsageError("--from and --to belong together")
    if start and end and end <= start:
        raise click.UsageError("--to must be later than --from")
    settings, now = load_settings(), instant_or_now(as_of)
    window = Window(start, end) if start and end else None
    with writer_lock(settings, "ingest"), open_warehouse(settings) as warehouse:
        create_tables(warehouse)
        if window is None:
            check_as_of(warehouse, now)
        with recorded_run(warehouse, settings, "ingest", now) as run:
            results = ingest(warehouse, settings, now, sources or SOURCES, window)
            errors = [result.error for result in results if result.error]
            run.status = "failed" if errors else "succeeded"
            run.error = "; ".join(errors) or None
            run.summary = {result.source: {"rows": result.rows, "rejected": result.rejected} for result in results}
    click.echo(f"{sum(result.rows for result in results):,} rows in raw")
    return FAILED if errors else 0
