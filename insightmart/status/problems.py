"""What needs somebody, in words: what happened, what it holds back, what to do, whom it concerns.

Functions of the facts alone: nothing here asks the warehouse.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ingestion.contracts import SOURCES
from insightmart.certification.verdict import PartState, restates, spoken, spoken_windows
from insightmart.definitions.rules import Rule
from insightmart.deletion_questions import OWNERS, AskedOfEntity
from insightmart.quarantine.meanings import rule_of
from insightmart.runs import ProblemKind, RunProblem, problem_lines
from insightmart.status.facts import Facts
from insightmart.status.held_rows import HeldRows
from insightmart.status.late_parts import all_lack, failing_sources, waiting_for_an_answer, waiting_problems
from insightmart.status.problem import Problem, amount, areas_of, capitalised, problem_key, tables_of
from insightmart.status.recent_runs import RunState
from insightmart.status.reconciliations import DIFFERENCES, Reconciliation

# Problems of a cycle that it has not failed by, each told by itself.
_BESIDE = {
    ProblemKind.EVIDENCE: ("Evidence: {subject}", "until then only the mails show whether the ledger was rewritten."),
    ProblemKind.LINEAGE: ("Lineage: events were not sent", "the catalogue that collects them lacks this cycle."),
    ProblemKind.CLOCK: ("Clock: {subject}", "no hour is taken for complete before its source says so."),
    ProblemKind.READERS: ("Readers have an older state: {subject}", "what they open is of the cycle before."),
}
_ACTIONS = {  # by the dataset of the check that refused
    "row_counts": "Look at `insightmart quarantine list --entity {entity}` and have the rows corrected at the source.",
    "inventory_coverage": "Ask the stores under Store files for their counts; late files are taken in by themselves.",
}
REASONS = 3  # why corrections were refused: so many are told
_OTHER_ACTION = (
    "Look at the rows of the window in core.{dataset}, and have them corrected at the source or in the model."
)


def needs_attention(facts: Facts) -> list[Problem]:
    """Everything that needs somebody, the worst first. Nothing is told twice."""
    failing = failing_sources(facts)
    of_sources = [id(row) for source in failing for row in source.differences]
    return [
        *(_held_back(state, facts.held_rows.get(state.part.gate)) for state in facts.held_back),
        *(_vanished(facts, of) for of in facts.asked),
        *_refused_corrections(facts),
        *_unexplained(facts.reconciliation, of_sources),
        *waiting_problems(facts, failing),
        *_waiting_for_a_cure(facts),
        *_other_failures(facts),
        *_not_told_to(facts.last_cycle),
        *_beside(facts.last_cycle),
        *_noticed(notice for notice in facts.notices if notice.kind is ProblemKind.NOTICE),
        *_costly(facts.notices),
    ]


def _held_back(state: PartState, held: HeldRows | None) -> Problem:
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
    older = f", but of {spoken_windows(state.corrections)} older than what the source says" if state.corrections else ""
    times = f" Refused {state.attempts} times in a row." if state.attempts > 1 else ""
    return Problem(
        "held back",
        f"{capitalised(state.part.name)} held back since {spoken(since)}",
        f"{capitalised(state.why)}.{times}",
        f"{tables_of(state)} show nothing of {state.part.name} after {spoken(since)};"
        f" what was before is certified{older}.",
        f"{action} The next cycle tries again by itself.",
        ", ".join(sorted({remark.owner for remark in state.refused.blocking if remark.owner})),
        key=problem_key("held-back", state.part.gate),
        areas=areas_of([state]),
        affects=(state.part.name,),
        stores=held.stores if held else (),
        rows=held.rows if held else None,
        money=held.money if held else None,
    )


def _vanished(facts: Facts, of: AskedOfEntity) -> Problem:
    """Rows that are no longer at their source, and nobody has said whether they are deleted; and what waits for it."""
    waiting = waiting_for_an_answer(facts, of)
    kept = "Figures stay as they were certified, with these rows, until somebody answers or the rows are back."
    return Problem(
        "vanished",
        f"{capitalised(of.source)} {of.entity}: are the rows that vanished deleted?",
        f"{capitalised(of.what)}.",
        f"{all_lack(waiting)} {kept}" if waiting else kept,
        f"{of.cure}.",
        of.owner,
        key=problem_key("vanished", of.source, of.entity),
        areas=areas_of(waiting),
        affects=(f"{of.source} {of.entity}", *(state.part.name for state in waiting)),
        rows=sum(question.missing.rows for question in of.questions),
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
            f"In quarantine: {amount(len(files[rule]), 'file')}{' and ' if files[rule] and rows[rule] else ''}"
            f"{amount(rows[rule], 'row')} ({rule.rule_id})",
            f"{rule.meaning}.{f' The newest file: {files[rule][0]}.' if files[rule] else ''}",
            "What they say is in no figure until it can be read as it is meant; everything else flows.",
            f"{rule.cure}.",
            rule.owner,
            key=problem_key("quarantine", rule.entity, rule.rule_id),
            affects=(rule.entity.replace("_", " ", 1),),
            rows=rows[rule] or None,
        )
        for rule in dict.fromkeys([*files, *rows])
        if rule.cure
    ]


def _refused_corrections(facts: Facts) -> list[Problem]:
    refused = [item for item in facts.corrections if item.attempts > 0]
    if not refused:
        return []
    of_parts = [(state, [item for item in refused if restates(item, state.part)]) for state in facts.parts]
    states = [state for state, items in of_parts if items]
    told = [f"{state.part.name} of {spoken_windows(items)}" for state, items in of_parts if items]
    reasons = dict.fromkeys(item.last_error or "The restatement did not finish." for item in refused)
    return [
        Problem(
            "corrections pending",
            f"{len(refused)} late correction{'s' if len(refused) > 1 else ''} not certified",
            " ".join([*reasons][:REASONS]),
            f"Certified, but older than what the sources say: {'; '.join(told) or 'nothing that a gate publishes'}.",
            "Correct what the gate names; every cycle tries again, each window by itself.",
            "data-engineering",
            key="corrections-refused",
            areas=areas_of(states),
            affects=tuple(state.part.name for state in states),
        )
    ]


def _unexplained(reconciliation: Reconciliation | None, of_sources: Sequence[int]) -> list[Problem]:
    """Totals that differ, but for those that come of a failing source, which are told with it."""
    if reconciliation is None or not reconciliation.failed:
        return []
    rows = [row for row in reconciliation.failed_rows if id(row) not in of_sources]
    if not rows and of_sources:
        return []
    more = "+" if len(reconciliation.failed_rows) == DIFFERENCES else ""
    examples = "; ".join(
        f"{row['entity']} {row['measure']} on {row['business_date']}{_in_store(row['store_id'])}:"
        f" {row['difference']:,f}"
        for row in rows[:3]
    )
    return [
        Problem(
            "reconciliation",
            f"Reconciliation: {len(rows)}{more} differences without an explanation",
            f"{examples}{' and more' if len(rows) > 3 else ''}.",
            "Nothing is held back; the figures of these days do not tie.",
            "`insightmart reconcile` lists them; compare the rows of one store and day from raw to certified.",
            "finance",
            key="reconciliation",
            affects=tuple(dict.fromkeys(str(row["entity"]).replace("_", " ", 1) for row in rows)),
            stores=tuple(sorted({row["store_id"] for row in rows if (row["store_id"] or 0) > 0})),
            rows=len(rows),
        )
    ]


def _in_store(store_id: int | None) -> str:
    return "" if store_id is None else f" in store {store_id}"


def _other_failures(facts: Facts) -> list[Problem]:
    """What went wrong in the last cycle and no other problem accounts for."""
    cycle = facts.last_cycle
    if cycle is None or cycle.status in ("succeeded", "running"):
        return []
    own = [problem for problem in cycle.problems if problem.kind not in (ProblemKind.REPORT, *_BESIDE)]
    left = [problem for problem in own if not _is_accounted_for(problem, facts)]
    if own and not left:
        return []
    return [
        Problem(
            "failed",
            f"The cycle as of {spoken(cycle.as_of)} {_ending(cycle)}",
            "; ".join(problem_lines(left) if own else cycle.lines) or "No reason was recorded.",
            "What was certified before stays as it is.",
            "Correct what the line names; the next cycle does what is left. `insightmart doctor` checks the set-up.",
            "data-engineering",
            key="cycle",
            affects=tuple(dict.fromkeys(problem.subject for problem in left)),
        )
    ]


def _ending(cycle: RunState) -> str:
    is_ended = any(problem.kind is ProblemKind.TIME_LIMIT for problem in cycle.problems)
    return "was ended: its time was over" if is_ended else cycle.status


def _is_accounted_for(problem: RunProblem, facts: Facts) -> bool:
    """Whether what a cycle met is told by the state of the parts, the queue or the reconciliation."""
    is_gate = problem.kind is ProblemKind.MODEL and problem.subject.startswith("gate.")
    if is_gate or problem.kind is ProblemKind.HELD_BACK:
        return bool(facts.held_back or facts.corrections)
    if problem.kind is ProblemKind.DELETIONS:
        return bool(facts.asked)
    if problem.kind is ProblemKind.RECONCILIATION:
        return facts.reconciliation is not None and facts.reconciliation.failed > 0
    return problem.kind is ProblemKind.SOURCE and problem.subject in SOURCES


def _not_told_to(cycle: RunState | None) -> list[Problem]:
    """Messages of the last cycle that somebody did not get."""
    unsent = [problem for problem in (cycle.problems if cycle else ()) if problem.kind is ProblemKind.REPORT]
    if cycle is None or not unsent:
        return []
    return [
        Problem(
            "not mailed",
            f"Not everybody was told of the cycle as of {spoken(cycle.as_of)}",
            " ".join(f"{capitalised(problem.message.rstrip('.'))}." for problem in unsent),
            "Nothing is held back; what could not be sent is kept, and sent as soon as it can be.",
            " ".join(dict.fromkeys(f"{problem.cure.rstrip('.')}." for problem in unsent)),
            "data-engineering",
            key="mail",
        )
    ]


def _beside(cycle: RunState | None) -> list[Problem]:
    """What the last cycle could not do for those outside, and has not failed by."""
    return [
        Problem(
            str(problem.kind),
            title.format(subject=problem.subject),
            f"{_begun_as_sentence(problem.message.rstrip('.'))}.",
            f"Nothing is held back; {lacks}",
            problem.cure,
            "data-engineering",
            key=problem_key(str(problem.kind), problem.subject),
        )
        for kind, (title, lacks) in _BESIDE.items()
        for problem in (cycle.problems if cycle else ())
        if problem.kind is kind
    ]


def _begun_as_sentence(text: str) -> str:
    """With a capital letter in front, unless it begins with an address."""
    return text if "://" in text.partition(" ")[0] else capitalised(text)


def _noticed(notices: Iterable[RunProblem]) -> list[Problem]:
    """What the loads of the last day found at the sources, though nothing failed: one problem a table."""
    by_subject: dict[str, list[RunProblem]] = defaultdict(list)
    for notice in notices:
        by_subject[notice.subject].append(notice)
    return [
        Problem(
            "look at",
            f"Look at {subject.replace('_', ' ', 1)}",
            " ".join(dict.fromkeys(f"{capitalised(notice.message.rstrip('.'))}." for notice in found)),
            "Nothing is held back; what is loaded counts.",
            " ".join(dict.fromkeys(f"{notice.cure.rstrip('.')}." for notice in found)),
            OWNERS.get(subject.partition("_")[0], "data-engineering"),
            key=problem_key("notice", subject),
            affects=(subject.replace("_", " ", 1),),
        )
        for subject, found in by_subject.items()
    ]


def _costly(notices: Iterable[RunProblem]) -> list[Problem]:
    """What the day's look at the bill said, the last one: it is looked at once a day."""
    found = [notice for notice in notices if notice.kind in (ProblemKind.COST, ProblemKind.OVER_BUDGET)][:1]
    return [
        Problem(
            str(notice.kind),
            "The month's budget of Snowflake",
            f"{capitalised(notice.message)}.",
            "Nothing is held back; warehouses stop at their quota.",
            f"{notice.cure}.",
            "data-engineering",
            key="cost",
        )
        for notice in found
    ]
