"""Parts that wait: for a source that fails, which is one problem with all that comes of it, or for no known reason.

Functions of the facts alone: nothing here asks the warehouse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingestion.contracts import SOURCES
from insightmart.certification.verdict import PartState, Verdict, spoken, standing
from insightmart.deletion_questions import AskedOfEntity
from insightmart.runs import ProblemKind, RunProblem
from insightmart.status.facts import Facts
from insightmart.status.problem import Problem, amount, areas_of, capitalised, listed, problem_key, tables_of

_WAITING = (Verdict.LATE, Verdict.MISSING)


@dataclass(frozen=True)
class FailingSource:
    """A source that is behind, or could not be read in the last cycle, and all that comes of it.

    Attributes:
        source: oltp, shopify or stores.
        parts: what is late, or has nothing certified yet, because it waits for the source.
        behind: its entities that are late, with where they stand (UTC); None was never loaded.
        errors: why it could not be read, the last one first; empty where nothing says so.
        differences: rows of the reconciliation that differ since, and would not with the source.
    """

    source: str
    parts: tuple[PartState, ...]
    behind: Mapping[str, datetime | None]
    errors: tuple[RunProblem, ...]
    differences: tuple[dict[str, Any], ...]


def failing_sources(facts: Facts) -> list[FailingSource]:
    """The sources that something waits for, or that the last cycle could not read."""
    found = [_failing(source, facts) for source in SOURCES]
    return sorted((one for one in found if one.parts or one.errors), key=lambda one: not one.parts)


def _failing(source: str, facts: Facts) -> FailingSource:
    asked = {f"{of.source}.{of.entity}" for of in facts.asked if of.is_waited_for}
    behind: dict[str, datetime | None] = {}
    parts = []
    for state in facts.parts:
        own = {name: mark for name, mark in state.behind.items() if name.split(".")[0] == source and name not in asked}
        if own and state.verdict in _WAITING:
            parts.append(state)
            behind |= own
    met = facts.last_cycle.problems if facts.last_cycle else ()
    errors = [problem for problem in met if problem.kind is ProblemKind.SOURCE and problem.subject == source]
    if parts and source in facts.failed_loads:
        errors.append(RunProblem(ProblemKind.SOURCE, source, facts.failed_loads[source][1]))
    return FailingSource(source, tuple(parts), behind, tuple(errors), _differences(source, behind, facts))


def waiting_for_an_answer(facts: Facts, asked: AskedOfEntity) -> list[PartState]:
    """The parts that are late because an entity is not read before somebody has answered a question about it."""
    name = f"{asked.source}.{asked.entity}"
    return [
        state for state in facts.parts if asked.is_waited_for and state.verdict in _WAITING and name in state.behind
    ]


def _differences(source: str, behind: Mapping[str, datetime | None], facts: Facts) -> tuple[dict[str, Any], ...]:
    """Totals of days of which the source has not told everything."""
    marks = [mark for mark in behind.values() if mark]
    if facts.reconciliation is None or not marks:
        return ()
    first = min(marks).date()
    return tuple(
        row
        for row in facts.reconciliation.failed_rows
        if str(row["entity"]).startswith(f"{source}_") and row["business_date"] and row["business_date"] >= first
    )


def waiting_problems(facts: Facts, failing: Iterable[FailingSource]) -> list[Problem]:
    """What is late or was never certified: a problem a source, and one for each part that waits for no source."""
    unmoved = [state for state in facts.parts if not state.behind]
    return [
        *(_of_source(source) for source in failing),
        *(_late(state) for verdict in (Verdict.LATE, Verdict.MISSING) for state in unmoved if state.verdict is verdict),
    ]


def _of_source(found: FailingSource) -> Problem:
    """All that comes of one source: what is late, what has nothing yet, what does not tie."""
    late = [state for state in found.parts if state.verdict is Verdict.LATE]
    error = f"{found.errors[0].message.rstrip('.')}." if found.errors else ""
    cure = next((f"{problem.cure.rstrip('.')}. " for problem in found.errors if problem.cure), "")
    if not found.parts:
        title = f"{capitalised(found.source)} could not be read"
        what, holds_back = error, "Nothing is late yet; what was certified before stays as it is."
    else:
        names = capitalised(listed([state.part.name for state in found.parts]))
        if not late:
            title = f"{names}: nothing certified yet"
        elif len(late) < len(found.parts):
            title = f"{names}: late, or nothing certified yet"
        else:
            title = f"{names} late: certified through {spoken(_through(late))}"
        what = f"{capitalised(_standing(found.behind))}." + (f" Last error: {error}" if error else "")
        holds_back = all_lack(found.parts)
    if found.differences:
        holds_back += f" {amount(len(found.differences), 'total')} of these days cannot tie until then."
    return Problem(
        "late" if late else "failed" if found.errors else "not certified yet",
        title,
        what,
        holds_back,
        f"{cure}`insightmart doctor` says whether the source is configured and answers."
        " The next cycle reads everything that was missed.",
        "data-engineering",
        key=problem_key("source", found.source),
        areas=areas_of(found.parts),
        affects=tuple(state.part.name for state in found.parts),
    )


def _through(late: Sequence[PartState]) -> datetime | None:
    """How far they are certified: those that come by the hour, where there are any; others are a day behind anyway."""
    hourly = [state for state in late if state.part.is_hourly]
    return min((state.through for state in hourly or late if state.through), default=None)


def _standing(behind: Mapping[str, datetime | None]) -> str:
    """Where the entities stand; said once where all stand alike."""
    marks = set(behind.values())
    if len(behind) == 1 or len(marks) > 1:
        return standing(behind)
    (mark,) = marks
    return f"the sources {listed(list(behind))} were {f'last read through {spoken(mark)}' if mark else 'never loaded'}"


def all_lack(parts: Sequence[PartState]) -> str:
    """What readers do not see of parts that are late or were never certified, in sentences."""
    if len(parts) == 1 or len({(state.verdict, state.through) for state in parts}) > 1:
        return " ".join(_lacks(state) for state in parts)
    names, first = listed([state.part.name for state in parts]), parts[0]
    if first.verdict is Verdict.MISSING:
        return f"The certified tables hold nothing of {names}."
    return f"The certified tables lack what happened after {spoken(first.through)} in {names}."


def _lacks(state: PartState) -> str:
    if state.verdict is Verdict.MISSING:
        return f"{tables_of(state)} hold nothing of {state.part.name}."
    return f"{tables_of(state)} lack what happened after {spoken(state.through)} in {state.part.name}."


def _late(state: PartState) -> Problem:
    """A part of which nothing was certified for a while, or ever, though its sources are there."""
    if state.verdict is Verdict.MISSING:
        kind, title = "not certified yet", "nothing certified yet"
        action = "`insightmart doctor` says whether the source is configured and answers; then `insightmart cycle`."
    else:
        kind, title = "late", f"certified through {spoken(state.through)}"
        action = "`insightmart report` names what failed in the last cycles; the next one does what is left."
    return Problem(
        kind,
        f"{capitalised(state.part.name)}{' late' if kind == 'late' else ''}: {title}",
        f"{capitalised(state.why)}.",
        _lacks(state),
        action,
        "data-engineering",
        key=problem_key("late", state.part.gate),
        areas=areas_of([state]),
        affects=(state.part.name,),
    )
