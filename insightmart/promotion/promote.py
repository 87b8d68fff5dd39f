"""Publish a reviewed change exactly as it was built and scanned in an environment.

`sqlmesh plan dev` builds a change beside prod, through the gates. What follows proves that what stands there may be
published (tests, lint, gates passed on exactly these versions, nothing moved since), shows the reviewer what it does to
the certified tables, row by row, and then points prod at the tables that exist already.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.gate.evidence import snapshot_versions
from insightmart.gate.scan import BLOCKING
from insightmart.progress import step
from insightmart.promotion.diff import Build, Comparison, TableDiff, compare
from insightmart.runs import Run, git_sha
from insightmart.settings import Settings
from insightmart.status.rendering import render
from insightmart.transform.context import PROD, Transformer
from insightmart.transform.graph import short_name

if TYPE_CHECKING:
    from sqlmesh.core.environment import Environment
    from sqlmesh.core.plan import Plan
    from sqlmesh.core.snapshot import Snapshot

SCRATCH = "PROMOTION_SCRATCH"  # holds the rows that differ while a comparison runs; one writer, so one is enough
NAMED = 5  # how many models an error names

Window = tuple[datetime, datetime]


@dataclass(frozen=True)
class Change:
    """A model that prod would get in another version."""

    model: str
    what: str


@dataclass(frozen=True)
class PassedGate:
    """A gate that has scanned the candidates of the environment: how many scans, and what they cover (UTC)."""

    gate: str
    scans: int
    start: datetime
    end: datetime


@dataclass
class Review:
    """What the reviewer gets. Written as HTML and JSON before anything is applied, and again when it has been."""

    environment: str
    gateway: str
    reviewed_at: datetime
    built_at: datetime
    git_sha: str | None
    unit_tests: int = 0
    changes: list[Change] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    gates: list[PassedGate] = field(default_factory=list)
    backfill: list[str] = field(default_factory=list)
    tables: list[TableDiff] = field(default_factory=list)
    unchanged_tables: list[str] = field(default_factory=list)
    promoted_at: datetime | None = None
    plan_id: str | None = None

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        differ = [table for table in self.tables if not table.is_equal]
        if self.promoted_at:
            return f"{self.environment} has been promoted"
        if not differ:
            return f"{self.environment} may be promoted; no certified figure changes"
        noun = "table changes" if len(differ) == 1 else "tables change"
        return f"{self.environment} may be promoted; {len(differ)} certified {noun}"


class Environments:
    """The project's files, an environment and prod, as SQLMesh's state has them at one moment.

    Raises:
        ConfigurationError: the environment cannot be promoted at all, for example because it does not exist.
        InsightMartError: a plan of the environment or of prod has not finished.
    """

    def __init__(self, transformer: Transformer, name: str) -> None:
        from sqlmesh.core.environment import Environment

        self.transformer = transformer
        self.context = transformer.context
        self.name = Environment.sanitize_name(name)
        if self.name == PROD:
            raise ConfigurationError("prod is what an environment is promoted to", "Name another one, for example dev")
        self.prod = self._environment(PROD, "Run `insightmart cycle` first")
        self.candidate = self._environment(self.name, f"Build it with `sqlmesh plan {self.name}`")
        self.local = dict(self.context.snapshots)
        self.before = self._snapshots(self.prod)
        self.after = self._snapshots(self.candidate)

    def _environment(self, name: str, cure: str) -> Environment:
        reader = self.context.state_reader
        found = reader.get_environment(name)
        if found is None:
            known = ", ".join(sorted(e.name for e in reader.get_environments_summary() if e.name != PROD)) or "none"
            raise ConfigurationError(f"there is no environment {name!r} (there is: {known})", cure)
        if found.finalized_ts is None:
            raise InsightMartError(f"the last plan of {name} has not finished", f"Run `sqlmesh plan {name}` again")
        return found

    def _snapshots(self, environment: Environment) -> dict[str, Snapshot]:
        found = self.context.state_reader.get_snapshots(environment.snapshots).values()
        return {snapshot.name: snapshot for snapshot in found}

    @property
    def plan_ids(self) -> tuple[str, str]:
        """What changes when either environment is planned again."""
        return self.candidate.plan_id, self.prod.plan_id

    @property
    def built_at(self) -> datetime:
        """When the environment was planned last, UTC."""
        return _utc(self.candidate.finalized_ts)

    @property
    def changed(self) -> list[str]:
        """SQLMesh names of the models that prod would get in another version, or would lose, in order of evaluation."""
        names = {**self.before, **self.after}
        differing = {name for name in names if _id(self.before, name) != _id(self.after, name)}
        return [name for name in self.context.dag.sorted if name in differing] + sorted(
            differing - set(self.context.dag.sorted)
        )


# --- may it be published? -----------------------------------------------------------------------------------------


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
            reasons.append(f"{_count(len(failed), 'unit test')} failed: {_listed(failed)}. Run `sqlmesh test`")
    try:
        transformer.context.lint_models()
    except LinterError:
        reasons.append("the linter found errors. Run `sqlmesh lint`")
    return ran, reasons


def built_from_these_files(environments: Environments) -> list[str]:
    """Whether the environment holds exactly what the files say, definitions and descriptions alike."""
    local, built = environments.local, environments.after
    names = sorted(name for name in {**local, **built} if _id(local, name) != _id(built, name))
    if not names:
        return []
    own = [name for name in names if _definition(local, name) != _definition(built, name)] or names
    listed = _listed([short_name(name) for name in own])
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
        listed = _listed([short_name(name) for name in older])
        reasons.append(
            f"prod has moved on: it holds a later version of {listed} than {environments.name} does."
            f" Bring the files up to date and run `sqlmesh plan {environments.name}` again"
        )
    warnings = []
    if beside:
        listed = _listed([short_name(name) for name in beside])
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
        other = [n for n, snapshot in scanned.items() if _version(environments.before, n) != snapshot.version]
        if not other:
            continue  # prod publishes these very tables already
        required = _merged(
            [*gate.intervals, *(environments.before[name].intervals if name in environments.before else [])]
        )
        scans = _scans(warehouse, name, scanned)
        covered, refusals = _verdicts(scans)
        missing = [hole for window in required for hole in _without(window, covered)]
        if missing:
            why = next((why for window, why in refusals if any(_overlap(window, hole) for hole in missing)), None)
            spoken = f"{_spoken(missing[0])}{' and more' if len(missing) > 1 else ''}"
            reasons.append(
                f"{short_name(name)} refused {spoken}: {why}. Mend it and run `sqlmesh plan {environments.name}` again"
                if why
                else f"{short_name(name)} has not scanned"
                f" {_listed([short_name(n) for n in other if n != name] or ['everything by its new checks'])}"
                f" in {environments.name}'s version, {spoken}: the change was planned as one that breaks nothing."
                f" Plan it as breaking, which is what `sqlmesh plan {environments.name}` proposes"
            )
        elif scans:
            passed.append(PassedGate(short_name(name), len(scans), required[0][0], required[-1][1]))
    return passed, reasons


def _scans(
    warehouse: Warehouse, gate: str, tables: Mapping[str, Snapshot]
) -> list[tuple[datetime, datetime, str | None]]:
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
    return [(start, end, why) for start, end, why in rows]


def _verdicts(
    scans: list[tuple[datetime, datetime, str | None]],
) -> tuple[list[Window], list[tuple[Window, str]]]:
    """What has passed when the latest scan of each instant decides, and the refusals, latest first."""
    covered: list[Window] = []
    refusals: list[tuple[Window, str]] = []
    for start, end, why in scans:
        covered = [part for window in covered for part in _without(window, [(start, end)])]
        if why is None:
            covered.append((start, end))
        else:
            refusals.insert(0, ((start, end), why))
    return sorted(covered), refusals


def virtual_plan(environments: Environments) -> tuple[Plan, list[str]]:
    """The plan that points prod at the environment's tables, and what it would have to compute: nothing, it should be.

    Raises:
        InsightMartError: SQLMesh refuses the plan, or a change is forward-only.
    """
    from sqlmesh.utils.errors import SQLMeshError

    changed = [environments.after[name] for name in environments.changed if name in environments.after]
    forward_only = [short_name(s.name) for s in changed if s.is_forward_only]
    if forward_only:
        raise InsightMartError(
            f"{_listed(forward_only)} was planned forward-only: prod would get other rows than the gate has scanned",
            f"Plan it without --forward-only: `sqlmesh plan {environments.name}`",
        )
    try:
        plan = environments.context.plan_builder(PROD, skip_tests=True, no_auto_categorization=True).build()
        missing = plan.missing_intervals
    except SQLMeshError as error:
        raise InsightMartError(
            f"SQLMesh refuses the plan: {str(error).splitlines()[0]}", "Try `sqlmesh plan`"
        ) from error
    order = {name: place for place, name in enumerate(environments.context.dag.sorted)}
    computed = [item for item in missing if not environments.after[item.snapshot_id.name].model.kind.is_view]
    return plan, [
        f"{short_name(item.snapshot_id.name)} {_spoken(_merged(item.merged_intervals)[0])}"
        for item in sorted(computed, key=lambda item: order[item.snapshot_id.name])
    ]


# --- what it does to the figures ----------------------------------------------------------------------------------


def changes(environments: Environments) -> list[Change]:
    """The models that prod would get in another version, those whose own definition changed first."""
    found = []
    for name in environments.changed:
        before, after = environments.before.get(name), environments.after.get(name)
        if before is None:
            found.append((0, Change(short_name(name), "new")))
        elif after is None:
            found.append((0, Change(short_name(name), "removed")))
        elif before.fingerprint.data_hash != after.fingerprint.data_hash:
            found.append((1, Change(short_name(name), "its definition changed")))
        elif before.fingerprint.metadata_hash != after.fingerprint.metadata_hash:
            found.append((2, Change(short_name(name), "its description, audits or other metadata changed")))
        else:
            found.append((3, Change(short_name(name), "something above it changed")))
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


@contextmanager
def _scratch(warehouse: Warehouse) -> Iterator[str]:
    warehouse.execute(f"DROP SCHEMA IF EXISTS {SCRATCH} CASCADE")  # a killed comparison leaves it behind
    warehouse.execute(f"CREATE SCHEMA {SCRATCH}")
    try:
        yield SCRATCH
    finally:
        warehouse.execute(f"DROP SCHEMA IF EXISTS {SCRATCH} CASCADE")


# --- the report ---------------------------------------------------------------------------------------------------


def write_review(folder: Path, review: Review) -> Path:
    """Write index.html and promotion.json; the page is complete in itself. Returns the path of the page.

    Raises:
        InsightMartError: the folder cannot be written.
    """
    page = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(render("promotion.html.j2", review=review, nothing="\N{EN DASH}"), encoding="utf-8")
        (folder / "promotion.json").write_text(json.dumps(as_json(review), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InsightMartError(f"{page} cannot be written: {error.strerror}") from None
    return page


def as_json(review: Review) -> dict[str, Any]:
    """The review for a program: decimals as text, exact."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(review), default=str))
    return {"headline": review.headline, "promoted": review.promoted_at is not None, **found}


def promote(
    warehouse: Warehouse,
    settings: Settings,
    environments: Environments,
    run: Run,
    *,
    show: Callable[[Review, Path], None] | None,
    ask: Callable[[], bool] | None,
    allow_backfill: bool,
    dry_run: bool,
) -> Review:
    """Check, compare, report, ask, apply.

    Args:
        warehouse: open connection.
        settings: where the report is written.
        environments: what is to be published over what.
        run: what is recorded of it.
        show: gets the review and its page before the question; None where nobody reads along.
        ask: says whether to apply; None for yes.
        allow_backfill: whether prod may compute hours that the environment does not hold.
        dry_run: end with the report.

    Raises:
        InsightMartError: something speaks against it, or SQLMesh could not apply the plan; prod is as it was.
    """
    with step("Unit tests and linter") as progress:
        unit_tests, reasons = unit_tests_and_lint(environments.transformer)
        progress.failed = bool(reasons)
        progress.outcome = "failed" if reasons else f"{_count(unit_tests, 'test')} passed"
    with step("Gates and versions") as progress:
        proof, against = examine(warehouse, environments, allow_backfill)
        progress.failed = proof is None
        progress.outcome = f"{_count(len(proof.gates), 'changed gate')} passed" if proof else "refused"
    if reasons or proof is None:
        raise refusal(environments, [*reasons, *against])
    review = Review(
        environment=environments.name,
        gateway=settings.gateway,
        reviewed_at=run.as_of,
        built_at=environments.built_at,
        git_sha=git_sha(),
        unit_tests=unit_tests,
        changes=changes(environments),
        warnings=proof.warnings,
        gates=proof.gates,
        backfill=proof.backfill,
    )
    with step("Comparing with prod") as progress, _scratch(warehouse) as scratch:
        differing, review.unchanged_tables = comparisons(environments)
        review.tables = [compare(warehouse, scratch, comparison) for comparison in differing]
        progress.outcome = f"{_count(len(differing), 'certified table')} compared"
    folder = _new_folder(settings.home / "promotions" / f"{environments.name}-{run.as_of:%Y%m%dT%H%M%S}")
    page = write_review(folder, review)
    run.summary = {"environment": environments.name, "dry_run": dry_run, "report": str(page)}
    if show is not None:
        show(review, page)
    if dry_run:
        return review
    if ask is not None and not ask():
        run.status, run.error = "declined", "not applied: the question was answered with no"
        return review
    with step(f"Promoting {environments.name}") as progress:
        run.plan_id = review.plan_id = _apply(warehouse, environments, allow_backfill)
        review.promoted_at = utc_now().replace(microsecond=0)
        write_review(folder, review)
        progress.outcome = f"{_count(len(review.changes), 'model')} in prod"
    return review


@dataclass(frozen=True)
class Proof:
    """That an environment may be published: the plan that does it, the gates that have passed, what else to know."""

    plan: Plan
    gates: list[PassedGate]
    warnings: list[str]
    backfill: list[str]


def examine(warehouse: Warehouse, environments: Environments, allow_backfill: bool) -> tuple[Proof | None, list[str]]:
    """Whether an environment may be published over prod as it is.

    Args:
        warehouse: open connection.
        environments: what is to be published over what.
        allow_backfill: whether prod may compute hours that the environment does not hold.

    Returns:
        The proof, None where something speaks against it, and what that is.
    """
    against = built_from_these_files(environments)
    moved, warnings = prod_stands_where_it_stood(environments)
    against += moved
    plan: Plan | None = None
    backfill: list[str] = []
    if not against:  # the plan is made of the files: it means nothing while they differ
        plan, backfill = virtual_plan(environments)
        if backfill and not allow_backfill:
            against.append(
                f"prod would have to compute {_listed(backfill)}: {environments.name} lags behind it."
                f" Run `sqlmesh plan {environments.name}` again, or allow it with --allow-backfill"
            )
    gates, refused = gates_passed(warehouse, environments)
    against += refused
    return (Proof(plan, gates, warnings, backfill) if plan and not against else None), against


def refusal(environments: Environments, against: Sequence[str]) -> InsightMartError:
    """The error that says why an environment is not promoted."""
    return InsightMartError(f"{environments.name} is not promoted: {'; '.join(against)}")


def _apply(warehouse: Warehouse, environments: Environments, allow_backfill: bool) -> str:
    """Prove it once more, as files and state are now, and point prod at the tables. Returns the plan's id.

    Raises:
        InsightMartError: something moved since the review, or SQLMesh could not apply the plan; prod is as it was.
    """
    transformer = environments.transformer
    transformer.context.refresh()
    current = Environments(transformer, environments.name)
    if current.plan_ids != environments.plan_ids:
        raise InsightMartError(
            f"{environments.name} or prod has been planned since the review", "Nothing was applied. Promote again"
        )
    proof, against = examine(warehouse, current, allow_backfill)
    if proof is None:
        raise refusal(current, against)
    outcome = transformer.apply(proof.plan)
    if outcome.failures:
        raise InsightMartError(f"prod stays as it was: {'; '.join(outcome.failures.values())}")
    if Environments(transformer, environments.name).changed:
        raise InsightMartError("prod is not what was promoted", "Another plan was applied: look at `sqlmesh diff prod`")
    return proof.plan.plan_id


def _new_folder(wanted: Path) -> Path:
    """The wanted folder, or one with a number behind its name when it exists: no review is overwritten."""
    number, folder = 1, wanted
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder


# --- versions and windows -----------------------------------------------------------------------------------------


def _id(snapshots: Mapping[str, Snapshot], name: str) -> Any:
    return snapshots[name].snapshot_id if name in snapshots else None


def _version(snapshots: Mapping[str, Snapshot], name: str) -> str | None:
    return snapshots[name].version if name in snapshots else None


def _definition(snapshots: Mapping[str, Snapshot], name: str) -> tuple[str, str] | None:
    """What a model says itself, whatever stands above it."""
    found = snapshots.get(name)
    return (found.fingerprint.data_hash, found.fingerprint.metadata_hash) if found else None


def _data(snapshot: Snapshot) -> tuple[str, str]:
    """What decides a model's rows: its definition and everything above it."""
    return snapshot.fingerprint.data_hash, snapshot.fingerprint.parent_data_hash


def _utc(milliseconds: int | None) -> datetime:
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC).replace(tzinfo=None, microsecond=0)


def _merged(intervals: Sequence[tuple[int, int]]) -> list[Window]:
    """SQLMesh's intervals as windows, those that touch put together."""
    merged: list[Window] = []
    for start, end in sorted(intervals):
        first, last = _utc(start), _utc(end)
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _without(window: Window, others: Iterable[Window]) -> list[Window]:
    """What is left of a window."""
    left = [window]
    for start, end in others:
        left = [
            part
            for first, last in left
            for part in ((first, min(last, start)), (max(first, end), last))
            if part[0] < part[1]
        ]
    return left


def _overlap(one: Window, other: Window) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _spoken(window: Window) -> str:
    return f"{window[0]:%Y-%m-%d %H:%M} to {window[1]:%Y-%m-%d %H:%M} UTC"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
