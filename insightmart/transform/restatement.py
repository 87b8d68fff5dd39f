"""The queue of late corrections: windows that a load touched after they had been released, restated by plan.

An entry closes only when its window is certified again. A plan that fails, or is killed, leaves it open, and the next
cycle tries again; SQLMesh's own state would call the window complete.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.runs import ProblemKind, RunProblem, problem_lines
from insightmart.transform.model_graph import Kind, restated_by, with_steps
from insightmart.transform.transformer import Transformer

BY_HAND = "manual"  # source of an entry that somebody queued; its entity is the model

HOUR = timedelta(hours=1)

# What a plan costs beside its rows, in hours of one kind that could be rebuilt instead: seconds of planning against
# tens of milliseconds an hour locally, a round trip for each statement of thirty models on Snowflake.
PLAN_COST_HOURS = 96


@dataclass(frozen=True)
class Restatement:
    """One plan to apply: the kinds of rows to restate, and the window. It closes every open entry that lies in it."""

    start: datetime
    end: datetime
    kinds: frozenset[Kind]

    @property
    def cost(self) -> float:
        """What it costs to apply, in hours of one kind."""
        return PLAN_COST_HOURS + len(self.kinds) * ((self.end - self.start) / HOUR)

    def with_(self, other: Restatement) -> Restatement:
        """Both in one plan."""
        return Restatement(min(self.start, other.start), max(self.end, other.end), self.kinds | other.kinds)

    def hours(self, history_start: datetime, as_of: datetime) -> tuple[datetime, datetime] | None:
        """The whole hours of the window that history holds; None when there is none."""
        start = max(whole_hour(self.start), history_start)
        end = min(whole_hour(self.end - timedelta(microseconds=1)) + HOUR, whole_hour(as_of))
        return (start, end) if start < end else None


def whole_hour(instant: datetime) -> datetime:
    """The beginning of the instant's hour."""
    return instant.replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Restated:
    """What came of a restatement: how many queue entries it closed, per failed model why, and the plan's id."""

    closed: int
    failures: dict[str, RunProblem]
    plan_id: str | None


def models_of(kinds: Iterable[Kind], transformer: Transformer) -> dict[Kind, list[str]]:
    """What queue entries of these kinds restate: all that the graph knows of the source, or the model that an entry
    made by hand names. None for what is not in the project."""
    known, by_source = transformer.models(), restated_by(transformer.context)
    wanted = {
        kind: with_steps(transformer.context, kind[1]) if kind[0] == BY_HAND else by_source.get(kind, ())
        for kind in kinds
    }
    return {kind: [name for name in names if name in known] for kind, names in wanted.items()}


def open_restatements(warehouse: Warehouse, as_of: datetime) -> list[Restatement]:
    """The open entries of the queue as the plans that rebuild them most cheaply.

    Entries that begin in the hour of ``as_of`` or later are left in the queue: their hours are not built yet.
    """
    # entries that touch or overlap are one window: however many there are, plans follow the hours they cover
    windows = warehouse.rows(
        """
        SELECT source, entity, MIN(window_start), MAX(window_end)
        FROM (
            SELECT source, entity, window_start, window_end, SUM(begins) OVER (
                PARTITION BY source, entity ORDER BY window_start, window_end ROWS UNBOUNDED PRECEDING
            ) AS island
            FROM (
                SELECT source, entity, window_start, window_end, CASE WHEN window_start <= MAX(window_end) OVER (
                    PARTITION BY source, entity ORDER BY window_start, window_end
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) THEN 0 ELSE 1 END AS begins
                FROM ops.correction_windows
                WHERE status = 'open' AND window_start < ? AND window_end > window_start
            ) AS entries
        ) AS islands
        GROUP BY source, entity, island
        ORDER BY 3, 4, 1, 2
        """,
        [whole_hour(as_of)],
    )
    return cheapest_cover([Restatement(start, end, frozenset({(s, e)})) for s, e, start, end in windows])


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


def apply_corrections(
    warehouse: Warehouse, transformer: Transformer, as_of: datetime
) -> tuple[int, dict[str, RunProblem]]:
    """Restate every open window. While a gate fails, only what stands above that gate stays in the queue.

    Nothing that stands in the queue keeps the rest from being restated: a plan that SQLMesh refuses and an entry whose
    model is gone are failures of their own.

    Returns:
        How many queue entries were closed, and per failed model why.
    """
    failures: dict[str, RunProblem] = {}
    restatements = open_restatements(warehouse, as_of)
    if restatements:  # facts take their business date from the stores' time zones: the load may have brought new ones
        failures |= transformer.run(as_of, only=["core.dim_stores__reference"]).failures
    results = [restate(warehouse, transformer, restatement, as_of) for restatement in restatements]
    for result in results:
        failures |= result.failures
    return sum(result.closed for result in results), failures


def restate(warehouse: Warehouse, transformer: Transformer, restatement: Restatement, as_of: datetime) -> Restated:
    """Apply one restatement and settle the queue entries it covers."""
    models = models_of(restatement.kinds, transformer)
    failures: dict[str, RunProblem] = {}
    plan_id = None
    for source, entity in sorted(kind for kind in models if not models[kind]):
        asked = f"the model {entity}" if source == BY_HAND else f"{entity} of {source}"
        name = entity if source == BY_HAND else f"{source} {entity}"
        failures[name] = RunProblem(
            ProblemKind.MODEL,
            name,
            f"ops.correction_windows asks for {asked}, which is not in the project",
            "Bring the model back, or set the entry's status to 'cancelled'",
        )
    window = restatement.hours(transformer.history_start, as_of)
    wanted = sorted({name for names in models.values() for name in names})
    if window and wanted:
        try:
            outcome = transformer.restate(wanted, *window, as_of)
            failures, plan_id = failures | outcome.failures, outcome.plan_id
        except InsightMartError as error:
            failures |= {name: RunProblem.of_error(ProblemKind.MODEL, name, error) for name in wanted}
    closed = 0
    for kind, names in models.items():
        below = transformer.downstream(names) or [kind[1], " ".join(kind)]
        reason = "; ".join(problem_lines(why for model, why in failures.items() if model in below))
        closed += _settle(warehouse, restatement, kind, as_of, plan_id, reason or None)
    return Restated(closed, failures, plan_id)


def _settle(
    warehouse: Warehouse, restatement: Restatement, kind: Kind, as_of: datetime, plan_id: str | None, error: str | None
) -> int:
    """Close the open entries of a kind that lie in the window, or note why they stay open. Returns how many closed."""
    covered = (
        "status = 'open' AND source = ? AND entity = ? AND window_start >= ? AND window_start < ? AND window_end <= ?"
    )
    bounds = [*kind, restatement.start, whole_hour(as_of), restatement.end]
    found = int(warehouse.value(f"SELECT COUNT(*) FROM ops.correction_windows WHERE {covered}", bounds))
    warehouse.execute(
        "UPDATE ops.correction_windows SET status = ?, closed_at = ?, attempts = attempts + 1, last_error = ?,"
        f" plan_id = ?, settled_at = ? WHERE {covered}",
        [
            "open" if error else "closed",
            None if error else as_of,
            error[:1000] if error else None,
            plan_id,
            None if error else utc_now(),
            *bounds,
        ],
    )
    return 0 if error else found


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
