"""InsightMart's command line: ingestion, late corrections, evidence and reports around the SQLMesh project."""

import ingestion as ingestion  # switches the libraries' telemetry off before any of them is imported
