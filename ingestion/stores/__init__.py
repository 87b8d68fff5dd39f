"""The CSV files that stores drop on S3."""

from ingestion.stores.source import backfill as backfill
from ingestion.stores.source import ingest as ingest
