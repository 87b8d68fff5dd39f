"""`insightmart promote ENV`: publish a reviewed change exactly as it was built and scanned in an environment."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from insightmart.commands.options import as_of_option
from insightmart.commands.session import Session, acting_instant, writing
from insightmart.console_tables import print_table
from insightmart.errors import USAGE
from insightmart.progress import console, step
from insightmart.promotion.approval import FINISHED
from insightmart.promotion.diff import TableDiff
from insightmart.promotion.environments import Environments
from insightmart.promotion.promote import promote, refusal
from insightmart.promotion.proof import built_from_these_files
from insightmart.promotion.review import Review, as_json, as_markdown
from insightmart.runs import RunFailedError
from insightmart.settings import load_settings
from insightmart.transform.transformer import open_transformer


@click.command()
@click.argument("environment", metavar="ENV")
@click.option("--yes", is_flag=True, help="Apply without asking.")
@click.option("--dry-run", is_flag=True, help="Check and write the report; leave prod as it is.")
@click.option("--allow-backfill", is_flag=True, help="Let prod compute hours that ENV does not hold.")
@click.option("--allow-dirty", metavar="REASON", help="Promote files that no commit has; the ledger keeps why.")
@click.option("--approved-by", metavar="NAME", help="Who has approved it, and did not write it; the ledger keeps it.")
@click.option("--json", "as_json_", is_flag=True, help="Print the review as JSON.")
@click.option("--markdown", is_flag=True, help="Print the review as a comment for a pull request.")
@as_of_option
def promote_command(
    environment: str,
    yes: bool,
    dry_run: bool,
    allow_backfill: bool,
    allow_dirty: str | None,
    approved_by: str | None,
    as_json_: bool,
    markdown: bool,
    as_of: datetime | None,
) -> int:
    """Publish what `sqlmesh plan ENV` built: prod is pointed at the tables that were scanned, nothing is computed.

    Runs the unit tests and the linter, checks that ENV was built from exactly these files, that every gate of a changed
    candidate has passed on exactly these versions, and that prod has not moved on; compares each changed certified
    table with prod, row by row; writes the report for the reviewer to HOME/promotions; asks; applies.

    A working tree with files that no commit has is refused: nobody could build the same models again. --allow-dirty
    goes on, and the ledger keeps the reason and the files.

    --approved-by is refused where the name is that of an author of the commits since the promotion before, as git has
    it: name, address, or login at GitHub.

    \b
    Example:
      sqlmesh plan dev
      insightmart promote dev --dry-run   # the report for the reviewer
      insightmart promote dev --dry-run --markdown > comment.md
      insightmart promote dev
    """
    if as_json_ and markdown:
        raise click.UsageError("--json and --markdown exclude each other")
    if allow_dirty is not None and not allow_dirty.strip():
        raise click.UsageError("--allow-dirty must say why")
    if approved_by is not None and not approved_by.strip():
        raise click.UsageError("--approved-by must say who")
    settings = load_settings()
    now = acting_instant(settings, as_of)
    with ExitStack() as stack:
        session = stack.enter_context(writing(settings, "promote"))
        finished = not dry_run and _finish_killed(session, now)
        transformer = stack.enter_context(open_transformer(settings, session.warehouse, local=True))
        environments = Environments(transformer, environment)
        if not environments.changed:
            if unbuilt := built_from_these_files(environments):
                raise refusal(environments, unbuilt)
            click.echo(
                json.dumps({"promoted": False} | ({"finished": True} if finished else {}))
                if as_json_
                else f"{environments.name} is what prod is"
            )
            return 0
        with session.recorded_run(now) as run:
            session.knows_models(run, transformer)
            review = promote(
                session.warehouse,
                settings,
                environments,
                run,
                show=None if as_json_ or markdown else _print_review,
                ask=None if yes else partial(click.confirm, "Promote?", err=as_json_ or markdown),
                allow_backfill=allow_backfill,
                dry_run=dry_run,
                allow_dirty=allow_dirty and allow_dirty.strip(),
                approved_by=approved_by and approved_by.strip(),
            )
            session.knows_models(run, transformer)
    if as_json_:
        click.echo(json.dumps(as_json(review), indent=2))
    if markdown:
        click.echo(as_markdown(review), nl=False)
    return 0 if dry_run or review.promoted_at else USAGE


def _finish_killed(session: Session, now: datetime) -> bool:
    """A promotion that was killed on its way may have said what prod is, and not have shown it: that is done first.

    Returns:
        Whether there was one.

    Raises:
        InsightMartError: it could not be done.
    """
    with open_transformer(session.settings, session.warehouse) as published:
        if not published.is_unfinished():
            return False
        with session.recorded_run(now) as run, step("Finishing a plan that was killed"):
            session.knows_models(run, published)
            run.summary = FINISHED
            outcome = published.finish(now)
            if outcome.failures:
                raise RunFailedError("the plan that was killed could not be finished", outcome.failures.values())
            run.plan_id = outcome.plan_id
    return True


def _print_review(review: Review, page: Path) -> None:
    rows = [
        [t.table, t.rows_before, t.rows_after, t.rows_added, t.rows_removed, t.rows_changed, _columns(t)]
        for t in review.tables
    ]
    print_table(
        f"{review.environment} against prod",
        ["Certified table", "Rows in prod>", "Rows then>", "Added>", "Removed>", "Changed>", "Columns"],
        rows,
        f"{len(review.unchanged_tables)} other certified tables stay as they are. Report: {page}",
    )
    for warning in review.warnings:
        console.print(warning, markup=False, style="yellow")


def _columns(table: TableDiff) -> str:
    parts = [f"+{name}" for name in table.columns_added] + [f"-{name}" for name in table.columns_removed]
    parts += [f"{name}: {old} to {new}" for name, (old, new) in table.columns_retyped.items()]
    return ", ".join(parts + list(table.changed_columns))
