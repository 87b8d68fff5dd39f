"""An S3 endpoint for the pages."""

from tests.ingestion.conftest import aws, endpoint  # noqa: F401 fixtures
