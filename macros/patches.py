"""Applies our changes to SQLMesh whenever the project loads, because SQLMesh imports every module in macros/."""

import insightmart.transform.sqlmesh_patches  # noqa: F401
from insightmart.kept_private import keep_process_private

keep_process_private()
