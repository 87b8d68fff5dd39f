"""What needs somebody, in words: what happened, what it holds back, what to do, whom it concerns.

Functions of the facts alone: nothing here asks the warehouse.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from insightmart.certification.observations import OpenCorrection
from insightmart.certification.verdict import PartState, Verdict, spoken
from insightmart.definitions.rules import Rule
from insightmart.deletion_questions import OWNERS, AskedOfEntity
from insightmart.quarantine.meanings import rule_of
from insightmart.runs import ProblemKind, RunProblem, problem_lines
from insightmart.status.facts import Facts
from insightmart.status.recent_runs import RunState
from insightmart.status.reconciliations import DIFFERENCES, Reconciliation

_LEVELS = {
    "held back": "bad",
    "failed": "bad",
    "reconciliation": "bad",
    "corrections pending": "note",
    "lineage": "note",
}
# Problems of a cycle that it has not failed by, each told by itself.
_BESIDE = (ProblemKind.REPORT, ProblemKind.EVIDENCE, ProblemKind.LINEAGE)
_ACTIONS = {  # by the dataset of the check that refused
    "row_counts": "Look at `insightmart quarantine list --entity {entity}` and have the rows corrected at the source.",
    "inventory_coverage": "Ask the stores under Store files for their counts; late files are taken in by themselves.",
}
_OTHER_ACTION = (
    "Look at the rows of the window in core.{dataset}, and have them corrected at the source or in the model."
)


@dataclass(frozen=True)
class Problem:
    """Something that needs somebody: what happened, what it holds back, what to do, whom it concerns."""

    kind: str
    title: str
    what: str
    holds_back: str
    action: str
    owner: str = ""

    @property
    def level(self) -> str:
        """How bad it is: bad, warning or note."""
        return _LEVELS.get(self.kind, "warning")


def needs_attention(facts: Facts) -> list[Problem]:
    """Everything that needs somebody, the worst first. Nothing is told twice."""
    return [
        *(_held_back(state) for state in facts.held_back),
        *_vanished(facts.asked),
        *_refused_corrections(facts.corrections),
        *_unexplained(facts.reconciliation),
        *(_late(state, facts) for state in facts.parts if state.verdict is Verdict.LATE),
        *(_missing(state) for state in facts.parts if state.verdict is Verdict.MISSING),
        *_waiting_for_a_cure(facts),
        *_other_failures(facts),
        *_not_mailed(facts.last_cycle),
        *_not_kept_outside(facts.last_cycle),
        *_not_told(facts.last_cycle),
        *_noticed(facts.notices),
    ]


def _held_back(state: PartState) -> Problem:
    assert state.refused is not None
    first = state.refused.blocking[0] if state.refused.blocking else None
    since = state.held_since
    action = _OTHER_ACTION
    if first and first.outcome == "error":
        action = "The scan itself could not run: `insightmart doctor` checks the set-up; then run the cycle again."
    elif first:
        action = _ACTIONS.get(first.dataset, _OTHER_ACTION)
    source = state.part.inputs[0].split(".")[0]
    action = action.format(entity=f"{source}_order_lines", dataset=first.dataset if first else "")
    times = f" Refused {state.attempts} times in a row." if state.attempts > 1 else ""
    return Problem(
        "held back",
        f"{_capitalised(state.part.name)} held back since {spoken(since)}",
        f"{_capitalised(state.why)}.{times}",
        f"{_tables_of(state)} show nothing of {state.part.name} after {spoken(since)}; what was before is certified.",
        f"{action} The next cycle tries again by itself.",
        ", ".join(sorted({remark.owner for remark in state.refused.blocking if remark.owner})),
    )


def _vanished(asked: Iterable[AskedOfEntity]) -> list[Problem]:
    """Rows that are no longer at their source, and nobody has said whether they are deleted."""
    return [
        Problem(
            "vanished",
            f"{_capitalised(of.source)} {of.entity}: are the rows that vanished deleted?",
            f"{_capitalised(of.what)}.",
            "Figures stay as they were certified, with these rows, until somebody answers or the rows are back.",
            f"{of.cure}.",
            of.owner,
        )
        for of in asked
    ]


def _late(state: PartState, facts: Facts) -> Problem:
    sources = {name.split(".")[0] for name in state.behind}
    errors = [error for source, (_, error) in facts.failed_loads.items() if source in sources]
    errors += [problem.line for problem in _of_sources(facts.last_cycle, sources)]
    what = f"{_capitalised(state.why)}." + (f" Last error: {errors[0]}" if errors else "")
    return Problem(
        "late",
        f"{_capitalised(state.part.name)} late: certified through {spoken(state.through)}",
        what,
        f"{_tables_of(state)} lack what happened after {spoken(state.through)} in {state.part.name}.",
        "`insightmart doctor` says whether the source answers. The next cycle reads everything that was missed.",
        "data-engineering",
    )


def _missing(state: PartState) -> Problem:
    return Problem(
        "not certified yet",
        f"{_capitalised(state.part.name)}: nothing certified yet",
        f"{_capitalised(state.why)}.",
        f"{_tables_of(state)} hold nothing of {state.part.name}.",
        "`insightmart doctor` says whether the source is configured and answers; then `insightmart cycle`.",
        "data-engineering",
    )


def _waiting_for_a_cure(facts: Facts) -> list[Problem]:
    """What is in quarantine until its sender, or a declaration, says what was meant: a problem a rule with a cure."""
    files: dict[Rule, list[str]] = defaultdict(list)
    for file in facts.rejected_files:
        files[rule_of(file.entity, file.rule)].append(file.file_name)
    rows: Counter[Rule] = Counter()
    for count in facts.rejects:
        rows[rule_of(count.entity, count.rule)] += count.rows
    return [
        Problem(
            "in quarantine",
            f"In quarantine: {_amount(len(files[rule]), 'file')}{' and ' if files[rule] and rows[rule] else ''}"
            f"{_amount(rows[rule], 'row')} ({rule.rule_id})",
            f"{rule.meaning}.{f' The newest file: {files[rule][0]}.' if files[rule] else ''}",
            "What they say is in no figure until it can be read as it is meant; everything else flows.",
            f"{rule.cure}.",
            rule.owner,
        )
        for rule in dict.fromkeys([*files, *rows])
        if rule.cure
    ]


def _amount(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}" if count else ""


def _of_sources(cycle: RunState | None, sources: set[str]) -> list[RunProblem]:
    """What a cycle met at these sources."""
    met = cycle.problems if cycle else ()
    return [problem for problem in met if problem.kind is ProblemKind.SOURCE and problem.subject in sources]


def _refused_corrections(corrections: Iterable[OpenCorrection]) -> list[Problem]:
    refused = [item for item in corrections if item.attempts > 0]
    if not refused:
        return []
    first = refused[0]
    return [
        Problem(
            "corrections pending",
            f"{len(refused)} late correction{'s' if len(refused) > 1 else ''} not certified",
            first.last_error or "The restatement did not finish.",
            f"The figures of {spoken(first.window_start)} to {spoken(max(item.window_end for item in refused))} are"
            " certified, but older than what the sources say now.",
            "Correct what the gate names; every cycle tries again.",
            "data-engineering",
        )
    ]


def _unexplained(reconciliation: Reconciliation | None) -> list[Problem]:
    if reconciliation is None or not reconciliation.failed:
        return []
    rows = reconciliation.failed_rows
    examples = "; ".join(
        f"{row['entity']} {row['measure']} on {row['business_date']}{_in_store(row['store_id'])}:"
        f" {row['difference']:,f}"
        for row in rows[:3]
    )
    return [
        Problem(
            "reconciliation",
            f"Reconciliation: {len(rows)}{'+' if len(rows) == DIFFERENCES else ''} differences without an explanation",
            f"{examples}{' and more' if len(rows) > 3 else ''}.",
            "Nothing is held back; the figures of these days do not tie.",
            "`insightmart reconcile` lists them; compare the rows of one store and day from raw to certified.",
            "finance",
        )
    ]


def _in_store(store_id: int | None) -> str:
    return "" if store_id is None else f" in store {store_id}"


def _other_failures(facts: Facts) -> list[Problem]:
    """What went wrong in the last cycle and no other problem accounts for."""
    cycle = facts.last_cycle
    if cycle is None or cycle.status in ("succeeded", "running"):
        return []
    own = [problem for problem in cycle.problems if problem.kind not in _BESIDE]
    left = [problem for problem in own if not _is_accounted_for(problem, facts)]
    if own and not left:
        return []
    return [
        Problem(
            "failed",
            f"The cycle as of {spoken(cycle.as_of)} {cycle.status}",
            "; ".join(problem_lines(left) if own else cycle.lines) or "No reason was recorded.",
            "What was certified before stays as it is.",
            "Correct what the line names; the next cycle does what is left. `insightmart doctor` checks the set-up.",
            "data-engineering",
        )
    ]


def _is_accounted_for(problem: RunProblem, facts: Facts) -> bool:
    """Whether what a cycle met is told by the state of the parts, the queue or the reconciliation."""
    is_gate = problem.kind is ProblemKind.MODEL and problem.subject.startswith("gate.")
    if is_gate or problem.kind is ProblemKind.HELD_BACK:
        return bool(facts.held_back or facts.corrections)
    if problem.kind is ProblemKind.DELETIONS:
        return bool(facts.asked)
    if problem.kind is ProblemKind.RECONCILIATION:
        return facts.reconciliation is not None and facts.reconciliation.failed > 0
    bad = [state for state in facts.parts if state.verdict in (Verdict.LATE, Verdict.MISSING)]
    behind = {name.split(".")[0] for state in bad for name in state.behind}
    return problem.kind is ProblemKind.SOURCE and problem.subject in behind


def _not_mailed(cycle: RunState | None) -> list[Problem]:
    """The last cycle's report that nobody received."""
    unsent = [problem for problem in (cycle.problems if cycle else ()) if problem.kind is ProblemKind.REPORT]
    return [
        Problem(
            "not mailed",
            f"The report of the cycle as of {spoken(cycle.as_of)} was not mailed",
            problem.message.rstrip(".") + ".",
            "Nothing is held back; nobody was told by mail.",
            problem.cure,
            "data-engineering",
        )
        for problem in unsent
        if cycle
    ]


def _not_kept_outside(cycle: RunState | None) -> list[Problem]:
    """Heads of the ledger that the last cycle could not keep where nobody can change them."""
    met = [problem for problem in (cycle.problems if cycle else ()) if problem.kind is ProblemKind.EVIDENCE]
    return [
        Problem(
            "evidence",
            f"Evidence: {problem.subject}",
            f"{problem.message.rstrip('.')}.",
            "Nothing is held back; until then only the mails show whether the ledger was rewritten.",
            problem.cure,
            "data-engineering",
        )
        for problem in met
    ]


def _not_told(cycle: RunState | None) -> list[Problem]:
    """Events of lineage that nobody took in the last cycle."""
    met = [problem for problem in (cycle.problems if cycle else ()) if problem.kind is ProblemKind.LINEAGE]
    return [
        Problem(
            "lineage",
            "Lineage: events were not sent",
            f"{_capitalised(problem.message.rstrip('.'))}.",
            "Nothing is held back; the catalogue that collects them lacks this cycle.",
            problem.cure,
            "data-engineering",
        )
        for problem in met
    ]


def _noticed(notices: Iterable[RunProblem]) -> list[Problem]:
    """What the loads of the last day found at the sources, though nothing failed."""
    return [
        Problem(
            "look at",
            f"Look at {notice.subject.replace('_', ' ', 1)}",
            f"{_capitalised(notice.message.rstrip('.'))}.",
            "Nothing is held back; what is loaded counts.",
            f"{notice.cure.rstrip('.')}.",
            OWNERS.get(notice.subject.partition("_")[0], "data-engineering"),
        )
        for notice in notices
    ]


def _tables_of(state: PartState) -> str:
    area = state.part.area.lower()
    return f"The certified {area} tables"


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
