"""Whether an environment may be published: tests, lint, files, prod, and the scans of exactly its tables."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ingestion.loading.context import Window
from ingestion.loading.intervals import overlaps, subtract
from ingestion.warehouse import Warehouse
from insightmart.gate.evidence import snapshot_versions
from insightmart.gate.scan import BLOCKING
from insightmart.promotion.environments import Environments, table_version, version_id
from insightmart.promotion.review import PassedGate
from insightmart.promotion.windows import count, from_intervals, listed_names, spoken, verdicts
from insightmart.transform.model_graph import short_name
from insightmart.transform.transformer import Transformer

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot


def unit_tests_and_lint(transformer: Transformer) -> tuple[int, list[str]]:
    """Run the project's SQLMesh unit tests and linter. Returns how many tests ran, and why not to go on."""
    from sqlmesh.utils.errors import LinterError, SQLMeshError

    reasons, ran = [], 0
    try:
        result = transformer.context.test(stream=io.StringIO())
    except SQLMeshError as error:
        reasons.append(f"the unit tests cannot run: {str(error).splitlines()[0]}. Run `sqlmesh test`")
    else:
        ran = result.testsRun
        failed = [str(test).split(" (")[0] for test, _ in [*result.failures, *result.errors]]
        if failed:
            reasons.append(f"{count(len(failed), 'unit test')} failed: {listed_names(failed)}. Run `sqlmesh test`")
    try:
        transformer.context.lint_models()
    except LinterError:
        reasons.append("the linter found errors. Run `sqlmesh lint`")
    return ran, reasons


def built_from_these_files(environments: Environments) -> list[str]:
    """Whether the environment holds exactly what the files say, definitions and descriptions alike."""
    local, built = environments.local, environments.after
    names = sorted(name for name in {**local, **built} if version_id(local, name) != version_id(built, name))
    if not names:
        return []
    own = [name for name in names if definition(local, name) != definition(built, name)] or names
    listed = listed_names([short_name(name) for name in own])
    return [
        f"{environments.name} was not built from these files: {listed} differ{'s' if len(own) == 1 else ''}."
        f" Run `sqlmesh plan {environments.name}` again"
    ]


def prod_stands_where_it_stood(environments: Environments) -> tuple[list[str], list[str]]:
    """Whether the environment knows what prod holds: promoting must not undo another change.

    Returns:
        Why not to go on, and what the reviewer should know.
    """
    older, beside = [], []
    for name, now in sorted(environments.before.items()):
        new = environments.after.get(name)
        if new is None:
            if now.created_ts > (environments.candidate.finalized_ts or 0):
                older.append(name)
            continue
        if now.fingerprint.data_hash == new.fingerprint.data_hash:
            continue  # the model itself is the same, whatever happened above it
        earlier = {version.fingerprint.data_hash for version in now.previous_versions}
        if new.fingerprint.data_hash in earlier or new.created_ts < now.created_ts:
            older.append(name)
        elif now.fingerprint.data_hash not in {v.fingerprint.data_hash for v in new.previous_versions}:
            beside.append(name)
    reasons = []
    if older:
        listed = listed_names([short_name(name) for name in older])
        reasons.append(
            f"prod has moved on: it holds a later version of {listed} than {environments.name} does."
            f" Bring the files up to date and run `sqlmesh plan {environments.name}` again; to go back on purpose,"
            " run `sqlmesh plan` with the older files"
        )
    warnings = []
    if beside:
        listed = listed_names([short_name(name) for name in beside])
        warnings.append(
            f"prod's version of {listed} is none that this one was made from: make sure the change contains what prod"
            " has, and does not undo it"
        )
    return reasons, warnings


def gates_passed(warehouse: Warehouse, environments: Environments) -> tuple[list[PassedGate], list[str]]:
    """Whether every gate of a changed candidate passed on exactly the versions that would be published.

    Evidence is ops.check_results: the scans of exactly these physical tables by exactly this gate, the latest verdict
    on each hour. They must cover whatever prod or the environment publishes.
    """
    passed, reasons = [], []
    for name, gate in environments.after.items():
        if not short_name(name).startswith("gate.") or gate.model.kind.is_view:
            continue
        candidates = {parent: environments.after[parent] for parent in sorted(parent.name for parent in gate.parents)}
        scanned = {**candidates, name: gate}
        other = [n for n, snapshot in scanned.items() if table_version(environments.before, n) != snapshot.version]
        if not other:
            continue  # prod publishes these very tables already
        required = from_intervals(
            [*gate.intervals, *(environments.before[name].intervals if name in environments.before else [])]
        )
        scans = _scans(warehouse, name, scanned)
        covered, refusals = verdicts(scans)
        missing = [hole for window in required for hole in subtract(window, covered)]
        if missing:
            why = next((why for window, why in refusals if any(overlaps(window, hole) for hole in missing)), None)
            hours = f"{spoken(missing[0])}{' and more' if len(missing) > 1 else ''}"
            reasons.append(
                f"{short_name(name)} refused {hours}: {why}. Mend it and run `sqlmesh plan {environments.name}` again"
                if why
                else f"{short_name(name)} has not scanned"
                f" {listed_names([short_name(n) for n in other if n != name] or ['everything by its new checks'])}"
                f" in {environments.name}'s version, {hours}: the change was planned as one that breaks nothing."
                f" Plan it as breaking, which is what `sqlmesh plan {environments.name}` proposes"
            )
        elif scans:
            passed.append(PassedGate(short_name(name), len(scans), required[0].start, required[-1].end))
    return passed, reasons


def _scans(warehouse: Warehouse, gate: str, tables: Mapping[str, Snapshot]) -> list[tuple[Window, str | None]]:
    """The scans of exactly these tables in order: window, and why it was refused."""
    from sqlglot import exp

    physical = {
        short_name(name): exp.to_table(snapshot.table_name()).sql(dialect="snowflake", identify=True)
        for name, snapshot in tables.items()
    }
    rows = warehouse.rows(
        "SELECT window_start, window_end, MAX(CASE WHEN outcome = 'error' THEN 'the scan could not run: ' || value"
        " WHEN outcome = 'fail' AND severity = ? THEN check_name || ' (found ' || value || ')' END)"
        " FROM ops.check_results WHERE area = ? AND snapshot_versions = ?"
        " GROUP BY scan_id, window_start, window_end ORDER BY MIN(scanned_at)",
        [BLOCKING, short_name(gate).removeprefix("gate."), snapshot_versions(physical)],
    )
    return [(Window(start, end), why) for start, end, why in rows]


def definition(snapshots: Mapping[str, Snapshot], name: str) -> tuple[str, str] | None:
    """What a model says itself, whatever stands above it."""
    found = snapshots.get(name)
    return (found.fingerprint.data_hash, found.fingerprint.metadata_hash) if found else None
