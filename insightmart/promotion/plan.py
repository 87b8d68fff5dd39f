"""What a promotion does: the plan that points prod at other tables, the models that change, the tables to compare."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from insightmart.errors import InsightMartError
from insightmart.promotion.definition_texts import text_difference
from insightmart.promotion.diff import Build, Comparison
from insightmart.promotion.environments import Environments
from insightmart.promotion.review import Change
from insightmart.promotion.windows import from_intervals, listed_names, spoken
from insightmart.transform.model_graph import PROD, short_name

if TYPE_CHECKING:
    from sqlmesh.core.environment import Environment
    from sqlmesh.core.plan import Plan
    from sqlmesh.core.snapshot import Snapshot


def virtual_plan(environments: Environments, as_of: datetime) -> tuple[Plan, list[str]]:
    """The plan that points prod at the environment's tables, and what it would have to compute: nothing, it should be.

    Args:
        environments: prod, and the one that is to become prod.
        as_of: the run's now: when the figures are published, which the journal goes by.

    Raises:
        InsightMartError: SQLMesh refuses the plan, or a change is forward-only.
    """
    from sqlmesh.utils.errors import SQLMeshError

    changed = [environments.after[name] for name in environments.changed if name in environments.after]
    forward_only = [short_name(s.name) for s in changed if s.is_forward_only]
    if forward_only:
        raise InsightMartError(
            f"{listed_names(forward_only)} was planned forward-only: prod would get other rows than the gate has"
            " scanned",
            f"Plan it without --forward-only: `sqlmesh plan {environments.name}`",
        )
    try:
        built = environments.context.plan_builder(PROD, skip_tests=True, no_auto_categorization=True).build()
        missing = built.missing_intervals
    except SQLMeshError as error:
        raise InsightMartError(
            f"SQLMesh refuses the plan: {str(error).splitlines()[0]}", "Try `sqlmesh plan`"
        ) from error
    # Told to the builder, it would take every hour up to then for one that prod has to compute. The second name is
    # where the plan remembers what it has worked out of the first.
    plan = built.model_copy(update={"execution_time_": as_of, "execution_time": as_of})
    order = {name: place for place, name in enumerate(environments.context.dag.sorted)}
    computed = [item for item in missing if not environments.after[item.snapshot_id.name].model.kind.is_view]
    return plan, [
        f"{short_name(item.snapshot_id.name)} {spoken(from_intervals(item.merged_intervals)[0])}"
        for item in sorted(computed, key=lambda item: order[item.snapshot_id.name])
    ]


def changes(environments: Environments) -> list[Change]:
    """The models that prod would get in another version, those whose own definition changed first."""
    found = []
    for name in environments.changed:
        before, after = environments.before.get(name), environments.after.get(name)
        if before is None:
            rank, what = 0, "new"
        elif after is None:
            rank, what = 0, "removed"
        elif before.fingerprint.data_hash != after.fingerprint.data_hash:
            rank, what = 1, "its definition changed"
        elif before.fingerprint.metadata_hash != after.fingerprint.metadata_hash:
            rank, what = 2, "its description, audits or other metadata changed"
        else:
            found.append((3, Change(short_name(name), "something above it changed")))
            continue
        lines = text_difference(before.model if before else None, after.model if after else None)
        found.append((rank, Change(short_name(name), what, lines)))
    return [change for _, change in sorted(found, key=lambda item: item[0])]


def comparisons(environments: Environments) -> tuple[list[Comparison], list[str]]:
    """Which certified tables to compare, and which hold the same by construction (nothing above them changed)."""
    differing, same = [], []
    for name in sorted({**environments.before, **environments.after}):
        table = short_name(name)
        if not table.startswith("certified.") or "__" in table:  # parts by source are read through their table
            continue
        before, after = environments.before.get(name), environments.after.get(name)
        if before and after and _data(before) == _data(after):
            same.append(table)
            continue
        differing.append(
            Comparison(
                table, _grain(after or before), _build(before, environments.prod), _build(after, environments.candidate)
            )
        )
    return differing, same


def _build(snapshot: Snapshot | None, environment: Environment) -> Build | None:
    if snapshot is None:
        return None
    view = snapshot.qualified_view_name.for_environment(environment.naming_info, dialect=snapshot.model.dialect)
    columns = snapshot.model.columns_to_types or {}
    return Build(view, {name.lower(): kind.sql(dialect="snowflake") for name, kind in columns.items()})


def _grain(snapshot: Snapshot | None) -> list[str]:
    from sqlglot import exp

    grains = snapshot.model.grains if snapshot else []
    return [column.name.lower() for column in grains[0].find_all(exp.Column, bfs=False)] if grains else []


def _data(snapshot: Snapshot) -> tuple[str, str]:
    """What decides a model's rows: its definition and everything above it."""
    return snapshot.fingerprint.data_hash, snapshot.fingerprint.parent_data_hash
