"""The OLTP, a PostgreSQL server."""

from ingestion.postgres.source import backfill as backfill
from ingestion.postgres.source import ingest as ingest
