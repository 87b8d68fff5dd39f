"""The online shop, over Shopify's Admin GraphQL API."""

from ingestion.shopify.source import backfill as backfill
from ingestion.shopify.source import ingest as ingest
