"""One production hour of every source through the ingestion, with the limit of the machine beside it."""
