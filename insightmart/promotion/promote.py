"""Publish a reviewed change exactly as it was built and scanned in an environment.

`sqlmesh plan dev` builds a change beside prod, through the gates. What follows proves that what stands there may be
published (tests, lint, gates passed on exactly these versions, nothing moved since), shows the reviewer what it does to
the certified tables, row by row, and then points prod at the tables that exist already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.checkout import Checkout, look_at
from insightmart.errors import InsightMartError
from insightmart.progress import step
from insightmart.promotion.approval import wrote_it_himself
from insightmart.promotion.diff import compare
from insightmart.promotion.environments import Environments
from insightmart.promotion.plan import changes, comparisons, virtual_plan
from insightmart.promotion.proof import (
    built_from_these_files,
    gates_passed,
    prod_stands_where_it_stood,
    unit_tests_and_lint,
)
from insightmart.promotion.reach import reach_of
from insightmart.promotion.review import PassedGate, Review, keep_review, new_folder, review_hash, write_review
from insightmart.promotion.windows import count, listed_names
from insightmart.runs import ProblemKind, Run, RunFailedError, RunProblem
from insightmart.settings import Settings

if TYPE_CHECKING:
    from sqlmesh.core.plan import Plan

CHANGED_FILES_NAMED, CHANGED_FILES_KEPT = 3, 50
SCRATCH = "PROMOTION_SCRATCH"  # holds the rows that differ while a comparison runs; one writer, so one is enough


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
    allow_dirty: str | None = None,
    approved_by: str | None = None,
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
        allow_dirty: why files that no commit has may make prod's models; None where they may not.
        approved_by: who has approved it, which is none of its authors; None: nobody says.

    Raises:
        InsightMartError: something speaks against it, or SQLMesh could not apply the plan; prod is as it was.
    """
    checkout = look_at(environments.project)
    if allow_dirty is None and not dry_run and (uncommitted := not_committed(checkout)):
        raise refusal(environments, uncommitted)
    if approved_by and (own := wrote_it_himself(warehouse, environments.project, approved_by)):
        raise refusal(environments, own)
    with step("Unit tests and linter") as progress:
        unit_tests, reasons = unit_tests_and_lint(environments.transformer)
        progress.failed = bool(reasons)
        progress.outcome = "failed" if reasons else f"{count(unit_tests, 'test')} passed"
    with step("Gates and versions") as progress:
        proof, against = examine(warehouse, environments, allow_backfill, run.as_of)
        progress.failed = proof is None
        progress.outcome = f"{count(len(proof.gates), 'changed gate')} passed" if proof else "refused"
    if reasons or proof is None:
        raise refusal(environments, [*reasons, *against])
    review = Review(
        environment=environments.name,
        gateway=settings.gateway,
        reviewed_at=run.as_of,
        built_at=environments.built_at,
        git_sha=checkout.commit,
        approved_by=approved_by,
        unit_tests=unit_tests,
        changes=changes(environments),
        reach=reach_of(environments),
        warnings=[*proof.warnings, *not_committed(checkout)],
        gates=proof.gates,
        backfill=proof.backfill,
    )
    with step("Comparing with prod") as progress, _scratch(warehouse) as scratch:
        differing, review.unchanged_tables = comparisons(environments)
        review.tables = [compare(warehouse, scratch, comparison) for comparison in differing]
        progress.outcome = f"{count(len(differing), 'certified table')} compared"
    folder = new_folder(settings.home / "promotions" / f"{environments.name}-{run.as_of:%Y%m%dT%H%M%S}")
    page = write_review(folder, review)
    run.note(keep_review(settings, folder, run.run_id))
    run.summary = {"environment": environments.name, "dry_run": dry_run, "report": str(page)}
    run.summary |= {"commit": checkout.commit, "changed_files": list(checkout.changed or ())[:CHANGED_FILES_KEPT]}
    run.summary |= {"allow_dirty": allow_dirty} if allow_dirty is not None and checkout.is_dirty else {}
    run.summary |= {"approved_by": approved_by} if approved_by else {}
    if show is not None:
        show(review, page)
    if dry_run:
        return review
    if ask is not None and not ask():
        run.status = "declined"
        declined = "not applied: the question was answered with no"
        run.problems.append(RunProblem(ProblemKind.PROMOTION, environments.name, declined))
        return review
    with step(f"Promoting {environments.name}") as progress:
        run.plan_id = review.plan_id = _apply(warehouse, environments, allow_backfill, run.as_of)
        review.promoted_at = utc_now().replace(microsecond=0)
        write_review(folder, review)
        run.note(keep_review(settings, folder, run.run_id))
        run.summary |= {"promoted": True, "report_sha256": review_hash(folder)}
        progress.outcome = f"{count(len(review.changes), 'model')} in prod"
    return review


@dataclass(frozen=True)
class Proof:
    """That an environment may be published: the plan that does it, the gates that have passed, what else to know."""

    plan: Plan
    gates: list[PassedGate]
    warnings: list[str]
    backfill: list[str]


def examine(
    warehouse: Warehouse, environments: Environments, allow_backfill: bool, as_of: datetime
) -> tuple[Proof | None, list[str]]:
    """Whether an environment may be published over prod as it is.

    Args:
        warehouse: open connection.
        environments: what is to be published over what.
        allow_backfill: whether prod may compute hours that the environment does not hold.
        as_of: the run's now.

    Returns:
        The proof, None where something speaks against it, and what that is.
    """
    against = built_from_these_files(environments)
    moved, warnings = prod_stands_where_it_stood(environments)
    against += moved
    plan: Plan | None = None
    backfill: list[str] = []
    if not against:  # the plan is made of the files: it means nothing while they differ
        plan, backfill = virtual_plan(environments, as_of)
        if backfill and not allow_backfill:
            against.append(
                f"prod would have to compute {listed_names(backfill)}: {environments.name} lags behind it."
                f" Run `sqlmesh plan {environments.name}` again, or allow it with --allow-backfill"
            )
    gates, refused = gates_passed(warehouse, environments)
    against += refused
    return (Proof(plan, gates, warnings, backfill) if plan and not against else None), against


def not_committed(checkout: Checkout) -> list[str]:
    """What speaks against a working tree whose files no commit has: nobody could build the same models again."""
    if not checkout.changed:
        return []
    named = ", ".join(checkout.changed[:CHANGED_FILES_NAMED])
    more = len(checkout.changed) - CHANGED_FILES_NAMED
    others = f" and {more} more" if more > 0 else ""
    return [f"the working tree differs from its commit ({named}{others}): commit it, or give --allow-dirty REASON"]


def refusal(environments: Environments, against: Sequence[str]) -> InsightMartError:
    """The error that says why an environment is not promoted."""
    reasons = [RunProblem(ProblemKind.PROMOTION, environments.name, reason) for reason in against]
    return RunFailedError(f"{environments.name} is not promoted", reasons)


def _apply(warehouse: Warehouse, environments: Environments, allow_backfill: bool, as_of: datetime) -> str:
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
    proof, against = examine(warehouse, current, allow_backfill, as_of)
    if proof is None:
        raise refusal(current, against)
    outcome = transformer.apply(proof.plan)
    if outcome.failures:
        raise RunFailedError("prod stays as it was", outcome.failures.values())
    if Environments(transformer, environments.name).changed:
        raise InsightMartError("prod is not what was promoted", "Another plan was applied: look at `sqlmesh diff prod`")
    return proof.plan.plan_id


@contextmanager
def _scratch(warehouse: Warehouse) -> Iterator[str]:
    warehouse.execute(f"DROP SCHEMA IF EXISTS {SCRATCH} CASCADE")  # a killed comparison leaves it behind
    warehouse.execute(f"CREATE SCHEMA {SCRATCH}")
    try:
        yield SCRATCH
    finally:
        warehouse.execute(f"DROP SCHEMA IF EXISTS {SCRATCH} CASCADE")
