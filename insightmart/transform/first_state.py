"""The first tables of SQLMesh's state, of which a kill left some: a change to SQLMesh for ``sqlmesh_patches``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlmesh.core.state_sync import EngineAdapterStateSync


def begun_again(migrate: Callable[..., None]) -> Callable[..., None]:
    """They are made anew.

    Why: SQLMesh cannot go on from them, fails, and drops them as it does, so that only the run after it would succeed.

    Test: tests/insightmart/transform/test_state_versions.py
    """

    @functools.wraps(migrate)
    def run(self: EngineAdapterStateSync, *args: Any, **kwargs: Any) -> None:
        from sqlmesh.utils.errors import SQLMeshError

        try:
            migrate(self, *args, **kwargs)
        except SQLMeshError:
            if self.get_versions(validate=False).schema_version:  # it held something, which is there as it was
                raise
            migrate(self, *args, **kwargs)

    return run
