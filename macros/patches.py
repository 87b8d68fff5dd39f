"""Applies our changes to SQLMesh whenever the project loads, because SQLMesh imports every module in macros/."""

import insightmart.transform.sqlmesh_patches  # noqa: F401
