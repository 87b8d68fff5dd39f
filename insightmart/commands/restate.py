"""`insightmart restate`: rebuild a window of a model and of everything below it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from insightmart.commands.options import Instant, as_of_option
from insightmart.commands.session import Session, acting_instant, writing
from insightmart.errors import FAILED, USAGE, ConfigurationError
from insightmart.progress import step
from insightmart.purged import refuse_purged
from insightmart.runs import problem_lines
from insightmart.settings import load_settings
from insightmart.transform.correction_plans import Restatement, whole_hour
from insightmart.transform.preview import preview_restatement, print_preview
from insightmart.transform.restatement import BY_HAND, queue_by_hand, restate
from insightmart.transform.transformer import Transformer, open_transformer


@click.command()
@click.argument("model")
@click.option("--from", "start", type=Instant(), required=True, help="First UTC instant of the window.")
@click.option("--to", "end", type=Instant(), required=True, help="End of the window (exclusive).")
@click.option("--yes", is_flag=True, help="Apply without asking.")
@click.option("--dry-run", is_flag=True, help="Show what would be rebuilt and what it costs; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@as_of_option
def restate_command(
    model: str, start: datetime, end: datetime, yes: bool, dry_run: bool, as_json: bool, as_of: datetime | None
) -> int:
    """Rebuild a window of MODEL and of everything below it, through the gate, in prod.

    Shows the window, every model that would be rebuilt, the rows it holds there and an estimate of the cost, and asks.
    The window is queued first: if the gate refuses it or the process dies, it stays in the queue and the next cycle
    tries again.

    \b
    Example:
      insightmart restate staging._oltp_orders --from 2026-03-05T14:00 --to 2026-03-05T16:00
    """
    if end <= start:
        raise click.UsageError("--to must be later than --from")
    settings = load_settings()
    now = acting_instant(settings, as_of)
    with writing(settings, "restate") as session, open_transformer(settings, session.warehouse) as transformer:
        name = _restatable(transformer, model)
        wanted = Restatement(start, end, frozenset({(BY_HAND, name)}))
        hours = wanted.hours(settings.history_start, now)
        if hours is None:
            raise ConfigurationError(
                f"no hour of history lies between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC",
                f"Choose a window between {settings.history_start:%Y-%m-%d} and {whole_hour(now):%Y-%m-%d %H:%M}",
            )
        refuse_purged(session.warehouse, start, f"the window from {start:%Y-%m-%d %H:%M}")
        preview = preview_restatement(session.warehouse, settings, transformer, name, *hours)
        if not as_json:
            print_preview(preview)
        if not dry_run and not yes and not click.confirm("Apply?", err=as_json):
            return USAGE
        result = preview.as_json() | ({} if dry_run else _restate_by_hand(session, transformer, wanted, now))
    if as_json:
        click.echo(json.dumps(result, default=str, indent=2))
    return FAILED if result.get("failures") else 0


def _restate_by_hand(session: Session, transformer: Transformer, wanted: Restatement, now: datetime) -> dict[str, Any]:
    ((_, name),) = wanted.kinds
    with session.recorded_run(now) as run:
        session.knows_models(run, transformer)
        queue_by_hand(session.warehouse, name, wanted.start, wanted.end, now)
        with step(f"Restating {name}") as progress:
            restated = restate(session.warehouse, transformer, wanted, now)
            run.plan_id = restated.plan_id
            run.fail(restated.failures.values())
            progress.failed = bool(run.problems)
            progress.outcome = "; ".join(problem_lines(run.problems)) or f"{len(transformer.downstream([name]))} models"
    failures = {model: problem.line for model, problem in restated.failures.items()}
    return {"applied": not failures, "failures": failures, "plan_id": restated.plan_id}


def _restatable(transformer: Transformer, model: str) -> str:
    """The model's name as it is written in the project.

    Raises:
        ConfigurationError: there is no such model, or it is none that a window of can be rebuilt.
    """
    known, wanted = transformer.models(), model.lower()
    if wanted not in known:
        near = [name for name in sorted(known) if wanted.split(".")[-1] in name][:5]
        hint = f"Did you mean {', '.join(near)}?" if near else "`sqlmesh dag` shows the models"
        raise ConfigurationError(f"there is no model {model!r}", hint)
    if transformer.context.models[known[wanted]].disable_restatement:
        raise ConfigurationError(
            f"{wanted} follows loads, not windows, and cannot be restated",
            "Load the missing records: every run picks up what a load brought",
        )
    return wanted
