"""Every change of a candidate is scanned again.

SQLMesh calls a change that only adds columns non-breaking, also with `auto_categorize_changes: full`, and then keeps
what stands below as it is: the gate would not scan the candidate's new table. Importing this module, which SQLMesh does
whenever the project loads, makes such a change of a model in core one that SQLMesh cannot judge, so that `full` takes
it for breaking. Elsewhere nothing changes: a column added in staging rebuilds nothing that does not read it.
"""

import functools
import typing as t

from sqlmesh.core.model.definition import SqlModel

CANDIDATES = "core"


def _in_core_unknown(judge: t.Callable[..., bool | None]) -> t.Callable[..., bool | None]:
    @functools.wraps(judge)
    def is_breaking_change(self: SqlModel, previous: t.Any) -> bool | None:
        breaking = judge(self, previous)
        return None if breaking is False and self.schema_name.lower() == CANDIDATES else breaking

    is_breaking_change.insightmart_rescans = True  # type: ignore[attr-defined]
    return is_breaking_change


if not hasattr(SqlModel.is_breaking_change, "insightmart_rescans"):
    SqlModel.is_breaking_change = _in_core_unknown(SqlModel.is_breaking_change)  # type: ignore[method-assign]
