"""Every change to how a library behaves: four of SQLMesh, none of any other library, and how often Python clears up.

Importing this module applies them, once a process; `macros/patches.py` imports it whenever the project loads, so that
plain `sqlmesh` has them too. A patch whose place in SQLMesh is gone stops the load: running without it would be wrong.
All were seen to be needed on SQLMesh 0.236.4; look at each of them when its version moves.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.core.loader import SqlMeshLoader
from sqlmesh.core.model.cache import OptimizedQueryCache, OptimizedQueryCacheEntry
from sqlmesh.core.model.definition import SqlModel

from insightmart.definitions.files import DEFINITIONS
from insightmart.errors import ConfigurationError

SEEN_ON = "0.236.4"
CANDIDATES = "core"

# A syntax tree is a circle of objects, millions of them while a project is loaded. At Python's own threshold (700) it
# walks through all of them again and again: a fifth of a cycle's processor time. Trees that are done with still go.
COLLECT_AFTER = (25_000, 20, 20)

Operation = Callable[..., Any]


def in_transaction(operation: Operation) -> Operation:
    """Local DuckDB: a window or a merge is replaced as a whole or not at all.

    Why: SQLMesh's DuckDB adapter declares no transactions, so a failed insert (or a kill) after the DELETE would leave
    a hole that readers can see and that the state calls complete. Just these operations are wrapped: switching
    transactions on for the whole adapter breaks the first plan.

    Test: tests/models/test_duckdb_atomic.py
    """

    @functools.wraps(operation)
    def run(self: DuckDBEngineAdapter, *args: Any, **kwargs: Any) -> Any:
        self.execute("BEGIN TRANSACTION")
        try:
            result = operation(self, *args, **kwargs)
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")
        return result

    return run


def every_change_of_a_candidate_breaks(judge: Operation) -> Operation:
    """Every change of a candidate is scanned again.

    Why: SQLMesh calls a change that only adds columns non-breaking, also with `auto_categorize_changes: full`, and then
    keeps what stands below as it is: the gate would not scan the candidate's new table. Such a change of a model in
    core becomes one that SQLMesh cannot judge, so that `full` takes it for breaking. Elsewhere nothing changes: a
    column added in staging rebuilds nothing that does not read it.

    Test: tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(judge)
    def is_breaking_change(self: SqlModel, previous: Any) -> bool | None:
        breaking: bool | None = judge(self, previous)
        return None if breaking is False and self.schema_name.lower() == CANDIDATES else breaking

    return is_breaking_change


def with_definitions(entry_id: Operation) -> Operation:
    """A changed rule or meaning is seen at once; a home or a password that changes is no other project.

    Why: SQLMesh keeps loaded models in a cache, keyed by the times of the Python and SQL files and by the whole
    configuration. The conditions of the row rules and the meanings of columns stand in YAML; and of where the cache is
    and where connections lead no model is made, so that a moved home need not be parsed anew.

    Test: tests/models/test_rule_change.py, tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(entry_id)
    def run(self: Any, model_path: Path) -> str:
        config = self._loader.config
        nowhere = {"connection": None, "state_connection": None}
        gateways = {name: gateway.copy(update=nowhere) for name, gateway in config.gateways.items()}
        same_anywhere = config.copy(update={"cache_dir": None, "gateways": gateways}).fingerprint
        files = [file for name in DEFINITIONS if (file := self.config_path / name).exists()]
        key = entry_id(self, model_path).replace(config.fingerprint, same_anywhere)
        return "__".join([key, *(str(file.stat().st_mtime_ns) for file in files)])

    return run


def read_once(add: Operation) -> Operation:
    """The optimised query of a model is read from the cache's file once, and not whenever a run or a plan reads the
    state: that is a seventh of the processor time of an hour with corrections.

    Why it is safe: an entry is named after everything that its query is made of, and queries in the cache are not
    changed by who reads them: a model hands out the same one whenever it is asked.

    Test: tests/insightmart/transform/test_sqlmesh_patches.py
    """

    @functools.wraps(add)
    def with_optimized_query(self: Any, model: Any, name: str | None = None) -> bool:
        if not isinstance(model, SqlModel):
            return False
        name = name or self._entry_name(model)
        known: dict[str, tuple[Any, dict[Any, Any]]] = self.__dict__.setdefault("queries_read", {})
        if name in known:
            query, violations = known[name]
            self.with_optimized_query_entry(model, OptimizedQueryCacheEntry(query, dict(violations)))
            return True
        found: bool = add(self, model, name)
        known[name] = model.render_query(), dict(model.violated_rules_for_query)
        return found

    return with_optimized_query


def patch(owner: type, attribute: str, change: Callable[[Operation], Operation]) -> None:
    """Put a changed operation in the place of one of SQLMesh's, once.

    Raises:
        ConfigurationError: SQLMesh has no such operation (any more).
    """
    operation = getattr(owner, attribute, None)
    if operation is None:
        raise ConfigurationError(
            f"SQLMesh {version('sqlmesh')} has no {owner.__qualname__}.{attribute}, which the project changes",
            f"Install SQLMesh {SEEN_ON}, or bring insightmart/transform/sqlmesh_patches.py up to date",
        )
    if not hasattr(operation, "changed_by"):
        changed = change(operation)
        changed.changed_by = __name__  # type: ignore[attr-defined]
        setattr(owner, attribute, changed)


patch(DuckDBEngineAdapter, "_insert_overwrite_by_condition", in_transaction)
patch(DuckDBEngineAdapter, "merge", in_transaction)
patch(SqlModel, "is_breaking_change", every_change_of_a_candidate_breaks)
patch(SqlMeshLoader._Cache, "_model_cache_entry_id", with_definitions)
patch(OptimizedQueryCache, "with_optimized_query", read_once)
gc.set_threshold(*COLLECT_AFTER)
