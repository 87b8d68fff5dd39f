"""Local DuckDB: a window or a merge is replaced as a whole or not at all.

SQLMesh's DuckDB adapter declares no transactions, so a failed insert (or a kill) after the DELETE would leave a hole
that readers can see and that the state calls complete. Importing this module, which SQLMesh does whenever the project
loads, wraps just those two operations; switching transactions on for the whole adapter breaks the first plan.
"""

import functools
import typing as t

from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter


def _in_transaction(operation: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    @functools.wraps(operation)
    def run(self: DuckDBEngineAdapter, *args: t.Any, **kwargs: t.Any) -> t.Any:
        self.execute("BEGIN TRANSACTION")
        try:
            result = operation(self, *args, **kwargs)
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")
        return result

    run.insightmart_atomic = True  # type: ignore[attr-defined]
    return run


for _name in ("_insert_overwrite_by_condition", "merge"):
    _operation = getattr(DuckDBEngineAdapter, _name)
    if not hasattr(_operation, "insightmart_atomic"):
        setattr(DuckDBEngineAdapter, _name, _in_transaction(_operation))
