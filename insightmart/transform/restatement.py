"""The queue of late corrections: windows that a load touched after they had been released, restated by plan.

An entry closes only when its window is certified again. A plan that fails, or is killed, leaves it open, and the next
cycle tries again; SQLMesh's own state would call the window complete.

Windows that a gate refuses together are tried in smaller parts until each has been tried alone, but for those that
share a record: one that is refused keeps no other one from being certified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial, reduce

from ingestion.clock import utc_now
from ingestion.loading.context import Window
from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.runs import ProblemKind, RunProblem, problem_lines
from insightmart.transform.correction_plans import Restatement, open_restatements, queue_by_us, whole_hour
from insightmart.transform.model_graph import Kind, restated_by, with_steps
from insightmart.transform.moved_records import tied_together
from insightmart.transform.transformer import Transformer

BY_HAND = "manual"  # source of an entry that somebody queued; its entity is the model

# How many plans a cycle applies at most to try parts of what was refused. Those tried least come first, so that the
# cycles after it get to the others.
TRIES = 12

_COVERED = (
    "status = 'open' AND source = ? AND entity = ? AND window_start >= ? AND window_start < ? AND window_end <= ?"
)


@dataclass(frozen=True)
class Restated:
    """What came of a restatement.

    Attributes:
        closed: how many queue entries it closed.
        failures: per failed model why.
        plan_id: SQLMesh's id of the plan.
        refused: kinds whose entries stay open -> the failed models that they wait for.
    """

    closed: int
    failures: dict[str, RunProblem]
    plan_id: str | None
    refused: Mapping[Kind, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Part:
    """A part of a refused restatement, and how often it was tried before."""

    plan: Restatement
    attempts: int


def models_of(kinds: Iterable[Kind], transformer: Transformer) -> dict[Kind, list[str]]:
    """What queue entries of these kinds restate: all that the graph knows of the source, or the model that an entry
    made by hand names. None for what is not in the project."""
    known, by_source = transformer.models(), restated_by(transformer.context)
    wanted = {
        kind: with_steps(transformer.context, kind[1]) if kind[0] == BY_HAND else by_source.get(kind, ())
        for kind in kinds
    }
    return {kind: [name for name in names if name in known] for kind, names in wanted.items()}


def gates_of(transformer: Transformer) -> dict[Kind, str]:
    """What queue entries of a kind are certified through: the gate of the part that they are corrections of."""
    known = transformer.models()
    named = {(source, area): f"gate.{area}__{source}" for source, area in restated_by(transformer.context)}
    return {kind: gate for kind, gate in named.items() if gate in known}


def apply_corrections(
    warehouse: Warehouse, transformer: Transformer, as_of: datetime
) -> tuple[int, dict[str, RunProblem]]:
    """Restate every open window. While a gate fails, only what stands above that gate stays in the queue, and of that
    only the windows that it refuses.

    Nothing that stands in the queue keeps the rest from being restated: a plan that SQLMesh refuses and an entry whose
    model is gone are failures of their own.

    Returns:
        How many queue entries were closed, and per failed model why.
    """
    failures: dict[str, RunProblem] = {}
    built = partial(_is_built, transformer)
    restatements = open_restatements(warehouse, as_of, gates_of(transformer), transformer.history_start, built)
    if restatements:  # facts take their business date from the stores' time zones: the load may have brought new ones
        failures |= transformer.run(as_of, only=["core.dim_stores__reference"]).failures
    closed, tries = 0, TRIES
    for restatement in restatements:
        result = restate(warehouse, transformer, restatement, as_of)
        closed += result.closed
        for kind, waits_for in result.refused.items():
            parts = _parts(warehouse, transformer, restatement, kind, waits_for, as_of)
            tried, is_all_tried = _in_parts(warehouse, transformer, parts, as_of, tries)
            tries -= len(tried)
            closed += sum(part.closed for part in tried)
            if parts and is_all_tried:  # what they say is truer
                result = replace(result, failures={n: why for n, why in result.failures.items() if n not in waits_for})
            for part in tried:
                failures |= part.failures
        failures |= result.failures
    return closed, failures


def _is_built(transformer: Transformer, kind: Kind, window: Window) -> bool:
    return transformer.has_built(models_of([kind], transformer)[kind], window)


def _parts(
    warehouse: Warehouse,
    transformer: Transformer,
    restatement: Restatement,
    kind: Kind,
    waits_for: Iterable[str],
    as_of: datetime,
) -> list[_Part]:
    """What a refused restatement of a kind can be tried in, in order of time: windows of the queue, or those that share
    a record. None where nothing is gained: it was one already, or its hours are held back."""
    known_by_core = all(name.partition(".")[0] in ("core", "gate") for name in waits_for)
    if restatement.is_held or not known_by_core:
        return []
    rows = warehouse.rows(
        f"SELECT window_start, window_end, MIN(attempts) FROM ops.correction_windows WHERE {_COVERED} GROUP BY 1, 2",
        [*kind, restatement.start, whole_hour(as_of), restatement.end],
    )
    attempts = {Window(start, end): tried for start, end, tried in rows}
    models = models_of([kind], transformer)[kind]
    found = []
    for tied in tied_together(warehouse, transformer.context, models, list(attempts)) if models and attempts else []:
        plan = Restatement(tied[0].start, max(window.end for window in tied), frozenset({kind}))
        found.append(_Part(plan, min(attempts[window] for window in tied)))
    is_whole = [(part.plan.start, part.plan.end) for part in found] == [(restatement.start, restatement.end)]
    return [] if is_whole else found


def _in_parts(
    warehouse: Warehouse, transformer: Transformer, parts: Sequence[_Part], as_of: datetime, tries: int
) -> tuple[list[Restated], bool]:
    """Restate parts by halves, and halves of what is refused, until each was tried alone or there are no tries left.

    Returns:
        What came of each, and whether every part was tried.
    """
    pending = _halves(parts)
    results: list[Restated] = []
    while pending and len(results) < tries:
        pending.sort(key=lambda some: sum(part.attempts for part in some) / len(some))
        some = pending.pop(0)
        result = restate(warehouse, transformer, reduce(Restatement.with_, [part.plan for part in some]), as_of)
        results.append(result)
        if result.refused and len(some) > 1:
            pending += _halves(some)
    return results, not pending


def _halves(parts: Sequence[_Part]) -> list[Sequence[_Part]]:
    middle = (len(parts) + 1) // 2
    return [half for half in (parts[:middle], parts[middle:]) if half]


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
    closed, refused = 0, {}
    for kind, names in models.items():
        below = transformer.downstream(names) or [kind[1], " ".join(kind)]
        met = {model: why for model, why in failures.items() if model in below}
        if met:
            refused[kind] = frozenset(met)
        closed += _settle(warehouse, restatement, kind, as_of, plan_id, "; ".join(problem_lines(met.values())) or None)
    return Restated(closed, failures, plan_id, refused)


def _settle(
    warehouse: Warehouse, restatement: Restatement, kind: Kind, as_of: datetime, plan_id: str | None, error: str | None
) -> int:
    """Close the open entries of a kind that lie in the window, or note why they stay open. Returns how many closed."""
    bounds = [*kind, restatement.start, whole_hour(as_of), restatement.end]
    found = int(warehouse.value(f"SELECT COUNT(*) FROM ops.correction_windows WHERE {_COVERED}", bounds))
    warehouse.execute(
        "UPDATE ops.correction_windows SET status = ?, closed_at = ?, attempts = attempts + 1, last_error = ?,"
        f" plan_id = ?, settled_at = ? WHERE {_COVERED}",
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
    queue_by_us(warehouse, BY_HAND, model, start, end, as_of, "restated by hand")
