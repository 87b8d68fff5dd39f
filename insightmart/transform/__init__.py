"""SQLMesh from Python."""
