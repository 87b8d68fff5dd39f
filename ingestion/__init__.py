"""Ingestion: what the sources say, appended to the ``raw`` schema with dlt, typed and counted.

One package a source (``postgres``, ``shopify``, ``stores``) with an ``ingest`` function each, and ``loading`` for what
they share: the dlt package, recovery after a kill, watermarks, the queue of corrections. ``contracts`` says what lands,
``warehouse`` where.
"""

import os

# None of the libraries may call home. Set before any of them is imported, and only here (plain `sqlmesh`: config.yaml).
os.environ.update(
    SQLMESH__DISABLE_ANONYMIZED_ANALYTICS="1",
    RUNTIME__DLTHUB_TELEMETRY="false",
    OTEL_SDK_DISABLED="true",
)
