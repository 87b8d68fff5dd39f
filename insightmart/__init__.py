"""InsightMart's command line: ingestion, the queue of late corrections, evidence and reports around the SQLMesh project."""

import os

# None of the libraries may call home. Set before any of them is imported, and only here.
os.environ["SQLMESH__DISABLE_ANONYMIZED_ANALYTICS"] = "1"
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["OTEL_SDK_DISABLED"] = "true"
