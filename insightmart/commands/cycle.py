"""`insightmart cycle`: the hourly job in one process under one lock."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial

import click
from click.core import ParameterSource

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.alerts.after_cycle import Telling, tell
from insightmart.alerts.heartbeat import beat
from insightmart.alerts.not_running import telling_if_it_cannot_run
from insightmart.commands.options import SIMULATED, as_of_option
from insightmart.commands.session import Session, acting_clocks, writing
from insightmart.costs.budget_watch import watch_budget
from insightmart.damage import refuse_earlier_warehouse, refuse_lost_warehouse
from insightmart.erasure.erase import finish_begun
from insightmart.errors import FAILED, InsightMartError
from insightmart.gateway import open_beside
from insightmart.journal.figures import unexplained
from insightmart.pages.site import write_page
from insightmart.pages.upload import upload_or_say
from insightmart.progress import Step, console, step
from insightmart.reconciliation import reconcile
from insightmart.runs import ProblemKind, Run, RunProblem, end_run, problem_lines, record_problems
from insightmart.settings import Settings, load_settings
from insightmart.source_clocks import Clocks
from insightmart.sources import check_as_of, ingest
from insightmart.status.facts import gather
from insightmart.transform import history
from insightmart.transform.correction_plans import whole_hour
from insightmart.transform.done_hours import due_again
from insightmart.transform.restatement import apply_corrections
from insightmart.transform.transformer import Outcome, Transformer, open_transformer
from insightmart.watchdog import TimeIsUp, Watchdog, watched

STANDS_STILL = (
    "it still says the instant of the last cycle, so nothing new was looked for, and no sign of life is sent",
    "Unset it where this is no simulation; in a sandbox, `insightmart sandbox advance` and take its settings again",
)
UNSEEN = (
    "only a part of what belongs together could be written, so readers are not shown what was written since",
    "Correct what the failing model names; the next cycle that writes all of it shows it",
)


@dataclass
class CycleResult:
    """What a cycle did. Without `problems` everything that was due is published.

    Attributes:
        is_again: the last cycle that went through all its steps had the same instant.
    """

    as_of: datetime
    is_again: bool = False
    rows_loaded: int = 0
    rows_rejected: int = 0
    corrections_closed: int = 0
    intervals_evaluated: int = 0
    reconciliation_differences: int = 0
    mails: list[str] = field(default_factory=list)
    page: str | None = None
    problems: list[RunProblem] = field(default_factory=list)
    notices: list[RunProblem] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        """The problems for people, one a line."""
        return problem_lines(self.problems)


@contextmanager
def open_cycles(settings: Settings) -> Iterator[Callable[..., CycleResult]]:
    """Everything a cycle needs, opened once: call the result with the instant to act as if it were now (UTC).

    Raises:
        InsightMartError: another writer is at work, or the warehouse or the project cannot be opened. A cycle itself
            raises it when its instant lies before the last run.
    """
    with watched() as watchdog:
        watchdog.begin(settings.cycle_limit)
        try:
            with writing(settings, "cycle") as session:
                _finish_erasures(session)
                with step("Loading the project"), ExitStack() as stack:
                    transformer = stack.enter_context(open_transformer(settings, session.warehouse))
                    kept_open = stack.pop_all()
                watchdog.end()
                with kept_open:
                    yield partial(_cycle, session, transformer, watchdog)
        except TimeIsUp:  # before there was a run to record it, or after
            raise InsightMartError(*_time_is_up(settings.cycle_limit, watchdog)) from None


def _finish_erasures(session: Session) -> None:
    """Those that were killed: before anything else has the warehouse open."""
    try:
        finish_begun(session.warehouse, session.settings)
    except InsightMartError as error:  # the next one tries again; sales do not wait for it
        console.print(str(error), markup=False, style="red")


def _cycle(
    session: Session,
    transformer: Transformer,
    watchdog: Watchdog,
    as_of: datetime,
    clocks: Clocks | None = None,
) -> CycleResult:
    """Ingest, restate corrections, run the models, reconcile, report. Each step goes on with what the others left."""
    warehouse, settings = session.warehouse, session.settings
    latest, last, published = check_as_of(warehouse, as_of)
    if transformer.is_set_up():
        if last is None:
            refuse_lost_warehouse(warehouse, settings)
        refuse_earlier_warehouse(warehouse, settings, transformer.gated_through(), published)
    since = last or settings.history_start
    result = CycleResult(as_of, is_again=as_of == last)
    began, is_ended = utc_now(), False
    with session.recorded_run(as_of) as run:
        seconds = _seconds(settings, transformer, last, as_of)
        watchdog.begin(seconds, partial(_record_end, session, run, seconds), partial(_stop, session, transformer))
        session.knows_models(run, transformer)
        try:
            _load(warehouse, settings, as_of, clocks, result)
            if latest and whole_hour(latest) == whole_hour(as_of):
                due_again(warehouse, transformer, as_of)
            _build(warehouse, transformer, since, as_of, result)
            session.knows_models(run, transformer)
            _reconcile(warehouse, settings, as_of, run, result)
            if since.date() < as_of.date():  # all that is certified was compared with the journal
                result.problems += unexplained(warehouse, began)
                result.notices += watch_budget(warehouse, settings, as_of)
        except BaseException as error:
            if not watchdog.is_up(error):
                raise
            is_ended = True
            with suppress(Exception):  # what was interrupted in a transaction of this connection
                warehouse.execute("ROLLBACK")
            result.problems.append(RunProblem(ProblemKind.TIME_LIMIT, "cycle", *_time_is_up(seconds, watchdog)))
        watchdog.conclude()
        if transformer.is_unseen():
            result.notices.append(RunProblem(ProblemKind.READERS, "certified", *UNSEEN))
        run.fail(result.problems)
        run.note(result.notices)
        if not is_ended:  # with a summary it has gone through all its steps
            run.summary = {
                key: value
                for key, value in asdict(result).items()
                if key not in ("is_again", "problems", "notices", "mails", "page")
            }
    beside = (ProblemKind.EVIDENCE, ProblemKind.LINEAGE, ProblemKind.READERS)
    later = [problem for problem in run.notices if problem.kind in beside and problem not in result.notices]
    result.notices += later
    _report(warehouse, settings, as_of, run, result)
    watchdog.end()
    return result


def _seconds(settings: Settings, transformer: Transformer, last: datetime | None, as_of: datetime) -> float | None:
    """The time of a cycle: CYCLE_LIMIT for each hour since the last one that went through all its steps, so that one
    that was ended has more when it is tried again. None, as long as it takes, for the first one."""
    if last is None or not transformer.is_set_up():
        return None
    return settings.cycle_limit * max(1, math.ceil((as_of - last) / timedelta(hours=1)))


def _time_is_up(seconds: float | None, watchdog: Watchdog) -> tuple[str, str]:
    """What to say of a cycle that was ended: cause and cure."""
    at = f", at: {'; '.join(watchdog.at)}" if watchdog.at else ""
    return (
        f"the cycle was not through within {seconds or 0:,.0f} s and was ended{at}",
        "What was not done is done by the next cycle, which has more time for it; see what took so long in the log, or"
        " raise CYCLE_LIMIT",
    )


def _stop(session: Session, transformer: Transformer) -> None:
    session.warehouse.interrupt()
    transformer.interrupt()


def _record_end(session: Session, run: Run, seconds: float | None) -> None:
    """The process is ended from outside of what hangs: so say so from there."""
    problem = RunProblem(ProblemKind.TIME_LIMIT, "cycle", *_time_is_up(seconds, Watchdog()))
    with open_beside(session.warehouse, session.settings) as own:
        record_problems(own, run.run_id, [problem])
        end_run(own, run, "failed", problem.line)


def _load(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    clocks: Clocks | None,
    result: CycleResult,
) -> None:
    result.notices += clocks.problems if clocks else ()
    loaded = ingest(warehouse, settings, as_of, clocks=clocks.by_source if clocks else None)
    result.rows_loaded = sum(source.rows for source in loaded)
    result.rows_rejected = sum(source.rejected for source in loaded)
    result.problems += [problem for source in loaded for problem in source.problems]
    result.notices += [notice for source in loaded for notice in source.notices]


def _build(
    warehouse: Warehouse, transformer: Transformer, since: datetime, as_of: datetime, result: CycleResult
) -> None:
    if not transformer.is_set_up():
        with step("Setting up an empty warehouse"):
            transformer.set_up(as_of)
    if transformer.is_unfinished():
        with step("Finishing a plan that was killed") as progress:
            failures = transformer.finish(as_of).failures
            _tell(progress, failures, "done")
            result.problems += failures.values()
    windows = history.parts(warehouse, since, as_of)
    if len(windows) > 1:
        with step("History") as progress:
            history.build(transformer, windows, as_of, progress.say)
            progress.outcome = f"{len(windows)} parts"
    with step("Late corrections") as progress:
        result.corrections_closed, failures = apply_corrections(warehouse, transformer, as_of)
        _tell(progress, failures, f"{result.corrections_closed} windows restated")
    with step("Models") as progress:
        outcome = transformer.run(as_of, clean_up=as_of.hour == 0)
        result.intervals_evaluated = outcome.evaluated
        _tell(progress, outcome.failures, f"{outcome.evaluated} evaluations")
    result.problems += dict.fromkeys([*failures.values(), *outcome.failures.values(), *_held_back(outcome)])


def _tell(progress: Step, failures: dict[str, RunProblem], success: str) -> None:
    progress.failed = bool(failures)
    progress.outcome = "; ".join(problem_lines(failures.values())) or success


def _held_back(outcome: Outcome) -> list[RunProblem]:
    names = sorted(name for name in outcome.skipped if name.startswith("certified."))
    return [RunProblem(ProblemKind.HELD_BACK, name, "held back: something above it failed") for name in names]


def _reconcile(warehouse: Warehouse, settings: Settings, as_of: datetime, run: Run, result: CycleResult) -> None:
    with step("Reconciliation") as progress:
        reconciled = reconcile.reconcile(warehouse, settings, as_of, run.run_id, only_changes=True)
        result.reconciliation_differences = reconciled.differences
        progress.failed = reconciled.differences > 0
        progress.outcome = reconciled.summary
        result.problems += reconciled.problems


def _report(warehouse: Warehouse, settings: Settings, as_of: datetime, run: Run, result: CycleResult) -> None:
    with step("Reports") as progress:
        facts = gather(warehouse, settings, as_of)
        try:
            page = write_page(warehouse, settings, as_of, facts=facts)
            result.page, unseen = str(page), upload_or_say(settings, page.parent)
        except InsightMartError as error:  # people are told all the same
            unseen = [RunProblem.of_error(ProblemKind.READERS, "the pages", error)]
        record_problems(warehouse, run.run_id, unseen)
        result.notices += unseen
        try:
            telling = tell(warehouse, settings, facts, run, as_of)
        except (InsightMartError, OSError) as error:
            telling = Telling(problems=[RunProblem.of_error(ProblemKind.REPORT, "mail", error)])
        record_problems(warehouse, run.run_id, [*telling.problems, *telling.notices])
        result.mails = telling.titles
        result.problems += telling.problems
        result.notices += telling.notices
        progress.failed = bool(telling.problems)
        progress.outcome = f"told: {'; '.join(result.mails)}" if result.mails else "page written, nothing to tell"


@click.command()
@as_of_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def cycle_command(as_of: datetime | None, as_json: bool) -> int:
    """Load what is new, restate late corrections, run the models through the gate, reconcile, report.

    Made for a cron at a few minutes past every hour. Safe to repeat and to kill: whatever was not finished is done by
    the next cycle. On an empty warehouse it sets everything up first.

    Exit codes: 0 everything due is published; 1 a source, a gate or a step failed (the rest is done); 75 another cycle
    is at work.
    """
    with telling_if_it_cannot_run(as_of):
        settings = load_settings()
        now, clocks = acting_clocks(settings, as_of)
        with open_cycles(settings) as cycle:
            result = cycle(now, clocks)
    is_set = click.get_current_context().get_parameter_source("as_of") is ParameterSource.ENVIRONMENT
    if result.is_again and is_set:  # as long as it is forgotten there, nothing new is looked for
        result.notices.append(RunProblem(ProblemKind.CLOCK, SIMULATED, *STANDS_STILL))
    elif not result.problems and (missed := beat(settings)):
        result.notices.append(missed)
    if as_json:
        click.echo(json.dumps(asdict(result) | {"errors": result.errors}, default=str))
    for line in problem_lines(result.notices):
        console.print(line, markup=False, style="yellow")
    for line in result.errors:
        console.print(line, markup=False, style="red")
    return FAILED if result.errors else 0
