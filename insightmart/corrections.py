"""The queue of late corrections: windows that a load touched after they had been released, restated by plan.

An entry closes only when its window is certified again. A plan that fails, or is killed, leaves it open, and the next
cycle tries again; SQLMesh's own state would call the window complete.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import click
from rich.console import Console
from rich.table import Table

from ingestion.warehouse import Warehouse, create_tables
from insightmart.cli import Instant, as_of_option
from insightmart.errors import FAILED, USAGE, ConfigurationError
from insightmart.progress import step
from insightmart.settings import Settings, load_settings
from insightmart.transform import Transformer, open_transformer
from insightmart.warehouse import open_warehouse

# What a queue entry of a source restates; everything below follows by itself.
MODELS: dict[tuple[str, str], tuple[str, ...]] = {
    ("oltp", "sales"): ("staging._oltp_orders", "staging._oltp_order_lines", "staging._oltp_refunds"),
    ("shopify", "sales"): ("staging._shopify_orders", "staging._shopify_order_lines", "staging._shopify_refunds"),
    ("shopify", "inventory"): ("staging._shopify_inventory",),
    ("stores", "inventory"): ("staging._stores_inventory",),
}
BY_HAND = "manual"  # source of an entry that somebody queued; its entity is the model

Kind = tuple[str, str]  # source and entity of a queue entry

# What a plan costs beside its rows, in hours of one kind that could be rebuilt instead: seconds of planning against
# tens of milliseconds an hour locally, a round trip for each statement of thirty models on Snowflake.
PLAN_COST_HOURS = 96


@dataclass
class Restatement:
    """One plan to apply: the kinds of rows to restate, the window, and the queue entries it closes, by kind."""

    start: datetime
    end: datetime
    entries: dict[Kind, list[str]]

    @property
    def models(self) -> list[str]:
        """Names of the models to restate."""
        return [model for kind in self.entries for model in models_of(kind)]

    @property
    def cost(self) -> float:
        """What it costs to apply, in hours of one kind."""
        return PLAN_COST_HOURS + len(self.entries) * ((self.end - self.start) / timedelta(hours=1))

    def with_(self, other: Restatement) -> Restatement:
        """Both in one plan."""
        entries = {kind: list(ids) for kind, ids in self.entries.items()}
        for kind, ids in other.entries.items():
            entries.setdefault(kind, []).extend(ids)
        return Restatement(min(self.start, other.start), max(self.end, other.end), entries)


def models_of(kind: Kind) -> tuple[str, ...]:
    """What a queue entry restates; an entry made by hand names its model itself."""
    source, entity = kind
    return (entity,) if source == BY_HAND else MODELS[kind]


def open_restatements(warehouse: Warehouse) -> list[Restatement]:
    """The open entries of the queue as the plans that rebuild them most cheaply."""
    entries = warehouse.rows(
        "SELECT window_start, window_end, source, entity, window_id FROM ops.correction_windows"
        " WHERE status = 'open' ORDER BY window_start, window_end, source, entity"
    )
    return cheapest_cover(
        [Restatement(start, end, {(source, entity): [i]}) for start, end, source, entity, i in entries]
    )


def cheapest_cover(plans: Sequence[Restatement]) -> list[Restatement]:
    """Put plans together as long as one costs no more than two: near windows, and sources with similar ones."""
    covered: list[Restatement] = []
    for plan in plans:
        for place, other in enumerate(covered):
            if (merged := other.with_(plan)).cost <= other.cost + plan.cost:
                covered[place] = merged
                break
        else:
            covered.append(plan)
    return covered if len(covered) == len(plans) else cheapest_cover(covered)


def apply_corrections(warehouse: Warehouse, transformer: Transformer, as_of: datetime) -> tuple[int, dict[str, str]]:
    """Restate every open window. While a gate fails, only what stands above that gate stays in the queue.

    Returns:
        How many queue entries were closed, and per failed model why.
    """
    closed, failures = 0, {}
    restatements = open_restatements(warehouse)
    if restatements:  # facts take their business date from the stores' time zones: the load may have brought new ones
        failures.update(transformer.run(as_of, only=["core.dim_stores"]).failures)
    for restatement in restatements:
        outcome = transformer.restate(restatement.models, restatement.start, restatement.end, as_of)
        failures.update(outcome.failures)
        for kind, window_ids in restatement.entries.items():
            below = transformer.downstream(models_of(kind))
            error = "; ".join(f"{model}: {why}" for model, why in outcome.failures.items() if model in below)
            _settle(warehouse, window_ids, as_of, error or None)
            closed += 0 if error else len(window_ids)
    return closed, failures


def _settle(warehouse: Warehouse, window_ids: Sequence[str], as_of: datetime, error: str | None) -> None:
    status, closed_at = ("open", None) if error else ("closed", as_of)
    for window_id in window_ids:
        warehouse.execute(
            "UPDATE ops.correction_windows SET status = ?, closed_at = ?, attempts = attempts + 1, last_error = ?"
            " WHERE window_id = ?",
            [status, closed_at, error[:1000] if error else None, window_id],
        )


def queue_by_hand(warehouse: Warehouse, model: str, start: datetime, end: datetime, as_of: datetime) -> None:
    """Queue a window of one model."""
    warehouse.insert(
        "ops.correction_windows",
        [
            {
                "window_id": uuid.uuid4().hex,
                "source": BY_HAND,
                "entity": model,
                "window_start": start,
                "window_end": end,
                "reason": "restated by hand",
                "queued_at": as_of,
                "status": "open",
                "attempts": 0,
            }
        ],
    )


@click.command()
@click.argument("model")
@click.option("--from", "start", type=Instant(), required=True, help="First UTC instant of the window.")
@click.option("--to", "end", type=Instant(), required=True, help="End of the window (exclusive).")
@click.option("--yes", is_flag=True, help="Apply without asking.")
@as_of_option
def restate_command(model: str, start: datetime, end: datetime, yes: bool, as_of: datetime | None) -> int:
    """Rebuild a window of MODEL and of everything below it, through the gate, in prod.

    Shows what would be rebuilt and asks. The window is queued first: if the gate refuses it or the process dies, it
    stays in the queue and the next cycle tries again.

    \b
    Example:
      insightmart restate staging._oltp_orders --from 2026-03-05T14:00 --to 2026-03-05T16:00
    """
    from insightmart.ingest import instant_or_now
    from insightmart.lock import writer_lock
    from insightmart.runs import recorded_run

    if end <= start:
        raise click.UsageError("--to must be later than --from")
    settings, now = load_settings(), instant_or_now(as_of)
    with writer_lock(settings, "restate"), open_warehouse(settings) as warehouse:
        create_tables(warehouse)
        with open_transformer(settings, warehouse) as transformer:
            name, below = _affected(transformer, model)
            _show(settings, name, below, start, end)
            if not yes and not click.confirm("Apply?"):
                return USAGE
            with recorded_run(warehouse, settings, "restate", now) as run:
                queue_by_hand(warehouse, name, start, end, now)
                with step(f"Restating {name}") as progress:
                    _, failures = apply_corrections(warehouse, transformer, now)
                    progress.failed = bool(failures)
                    progress.outcome = "; ".join(failures.values()) or f"{len(below) + 1} models"
                run.status = "failed" if failures else "succeeded"
                run.error = "; ".join(failures.values()) or None
    return FAILED if failures else 0


def _affected(transformer: Transformer, model: str) -> tuple[str, list[str]]:
    """The model's name as SQLMesh knows it, and the models below it, in order of evaluation."""
    context = transformer.context
    wanted = model.lower()
    found = {name.replace('"', "").lower().split(".", 1)[1]: name for name in context.models}
    if wanted not in found or context.models[found[wanted]].kind.is_external:
        near = [name for name in sorted(found) if wanted.split(".")[-1] in name][:5]
        hint = f"Did you mean {', '.join(near)}?" if near else "`sqlmesh dag` shows the models"
        raise ConfigurationError(f"there is no model {model!r}", hint)
    below = context.dag.downstream(found[wanted])
    return wanted, [name.replace('"', "").lower().split(".", 1)[1] for name in below]


def _show(settings: Settings, model: str, below: Sequence[str], start: datetime, end: datetime) -> None:
    hours = int((end - start) / timedelta(hours=1))
    table = Table(
        title=f"Restatement of {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC ({hours} hours, {settings.gateway})"
    )
    table.add_column("Model")
    table.add_column("Why")
    table.add_row(model, "asked for")
    for name in below:
        table.add_row(name, "reads it" if not name.startswith("gate.") else "scans it before it is published")
    Console().print(table)
