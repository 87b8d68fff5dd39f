"""SQLMesh from Python: one context a process, plans and runs whose failures come back as one line a model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb

from ingestion.loading.context import Window
from ingestion.warehouse import Warehouse
from insightmart.damage import damaged, refuse_lost_state
from insightmart.errors import InsightMartError
from insightmart.runs import RunProblem
from insightmart.schema_version import SETUP
from insightmart.settings import PROJECT, Settings
from insightmart.transform.model_graph import PROD, short_name
from insightmart.transform.watermarks import asked_once

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.model import Model
    from sqlmesh.core.plan import Plan
    from sqlmesh.core.snapshot import Snapshot

    from insightmart.transform.recorder import Recorder


@dataclass
class Outcome:
    """What a run or a plan did.

    Attributes:
        failures: model name -> why it failed.
        skipped: models that were not evaluated because something above them failed.
        evaluated: number of evaluated model intervals.
        plan_id: SQLMesh's id of the plan, None for a run.
    """

    failures: dict[str, RunProblem] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    evaluated: int = 0
    plan_id: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether everything that was due has been done."""
        return not self.failures


class Transformer:
    """The SQLMesh project on one gateway, with simulated time.

    Attributes:
        context: SQLMesh's context.
        history_start: first instant that the models hold anything of, UTC.
    """

    def __init__(self, context: Context, recorder: Recorder, warehouse: Warehouse, history_start: datetime) -> None:
        self.context = context
        self.history_start = history_start
        self._recorder = recorder
        self._warehouse = warehouse

    def is_set_up(self) -> bool:
        """Whether the prod environment exists."""
        return self.context.state_reader.get_environment(PROD) is not None

    def gated_through(self) -> dict[str, datetime]:
        """The end of what prod's gates have done as SQLMesh's state has it, by the gate's name, UTC."""
        from sqlmesh.utils.date import to_datetime

        return {
            short_name(found.name).removeprefix("gate."): to_datetime(found.intervals[-1][1]).replace(tzinfo=None)
            for found in self._in_prod(lambda name: name.startswith("gate."))
            if found.intervals and not found.model.kind.is_view
        }

    def has_built(self, models: Sequence[str], window: Window) -> bool:
        """Whether prod's version of one of these models has some of a window done."""
        from sqlmesh.utils.date import to_timestamp

        start, end = to_timestamp(window.start), to_timestamp(window.end)
        found = self._in_prod(lambda name: name in models)
        return any(first < end and last > start for snapshot in found for first, last in snapshot.intervals)

    def models_hash(self) -> str | None:
        """SHA-256 over the names and fingerprints of all models in prod: what makes figures now. None without prod."""
        environment = self.context.state_reader.get_environment(PROD)
        if environment is None:
            return None
        lines = sorted(f"{found.name} {found.fingerprint.to_identifier()}" for found in environment.snapshots)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def models_in_prod(self) -> list[Model]:
        """The models that prod was built of, whatever the files say."""
        return [snapshot.model for snapshot in self._in_prod(lambda name: True)]

    def _in_prod(self, is_wanted: Callable[[str], bool]) -> list[Snapshot]:
        """Prod's version of the models of these names, with what they have done."""
        environment = self.context.state_reader.get_environment(PROD)
        wanted = [
            found for found in (environment.snapshots if environment else ()) if is_wanted(short_name(found.name))
        ]
        return list(self.context.state_reader.get_snapshots(wanted).values()) if wanted else []

    def set_up(self, as_of: datetime) -> None:
        """Create the prod environment on an empty warehouse, without data: the run that follows fills it, so that a bad
        hour in one area does not keep the others from their first publication.

        Raises:
            InsightMartError: SQLMesh refused the plan.
        """
        from sqlmesh.utils.errors import SQLMeshError

        from insightmart.transform.recorder import reason

        try:
            self.context.plan(
                PROD, auto_apply=True, no_prompts=True, skip_tests=True, skip_backfill=True, execution_time=as_of
            )
        except SQLMeshError as error:
            raise InsightMartError(
                f"SQLMesh could not set up the warehouse: {reason(error)}", "Try `sqlmesh plan`"
            ) from error

    def is_unfinished(self) -> bool:
        """Whether a plan was killed after it had said what prod is, and before all views showed it."""
        environment = self.context.state_reader.get_environment(PROD)
        return environment is not None and not environment.finalized_ts

    def finish(self, as_of: datetime) -> Outcome:
        """Do the rest of a plan that was killed. A run would wait for whoever applies it, for hours; with the writer's
        lock held that is nobody.

        Every view of prod is made anew. Hours that the plan has not built are missing, or open in the queue of
        corrections, as before.

        Raises:
            InsightMartError: SQLMesh refused the plan.
        """
        # as the plan had them: a context that takes its models from the state knows none, and would do away with them
        self.context._environment_statements = self.context.state_reader.get_environment_statements(PROD)
        plan = self.context.plan_builder(
            PROD, execution_time=as_of, skip_backfill=True, skip_tests=True, skip_linter=True
        ).build()
        return self.apply(plan)

    def run(
        self,
        as_of: datetime,
        *,
        only: Sequence[str] | None = None,
        window: Window | None = None,
        clean_up: bool = False,
    ) -> Outcome:
        """Evaluate everything that is due and whose sources are in.

        Args:
            as_of: the run's now.
            only: these models and what they read.
            window: only what is missing of it.
            clean_up: drop what SQLMesh no longer needs.
        """
        start, end = (window.start, window.end) if window else (None, None)
        with self._recorded() as outcome:
            self.context.run(
                PROD, start=start, end=end, execution_time=as_of, skip_janitor=not clean_up, select_models=only
            )
        return outcome

    def is_unseen(self) -> bool:
        """Whether something of certified is written that readers do not see: only part of it could be."""
        from insightmart.transform.shown_tables import is_unseen

        return is_unseen(self.context.engine_adapter)

    def filled_whole_and_by_time(self) -> tuple[list[str], list[str]]:
        """Models that hold something, by whether they are, or stand below, one that is filled by its events' time."""
        by_time = [
            model.fqn
            for model in self.context.models.values()
            if model.kind.is_incremental_by_time_range and model.schema_name.lower() in ("staging", "core")
        ]
        found = {*by_time, *(name for model in by_time for name in self.context.dag.downstream(model))}
        known = [
            (short_name(name), name in found)
            for name in self.context.dag.sorted
            if (model := self.context.models.get(name)) and not (model.kind.is_external or model.kind.is_view)
        ]
        return [name for name, below in known if not below], [name for name, below in known if below]

    def restate(self, models: Sequence[str], start: datetime, end: datetime, as_of: datetime) -> Outcome:
        """Rebuild a window of these models and of everything below them, in prod. Local changes are not deployed.

        Raises:
            InsightMartError: SQLMesh refused the plan itself, for example for an unknown model.
        """
        from sqlmesh.utils.errors import SQLMeshError

        from insightmart.transform.published import PublishedProject
        from insightmart.transform.unchanged_views import no_model_changes

        try:
            plan = self.context.plan_builder(
                PROD,
                restate_models=list(models),
                start=start,
                end=end,
                execution_time=as_of,
                skip_tests=True,
                skip_linter=True,  # prod's models were judged when they became prod's
            ).build()
        except SQLMeshError as error:
            raise InsightMartError(f"SQLMesh refused to restate: {str(error).splitlines()[0]}") from error
        # What a view unites is built with it where it lacks hours of the window. Of a part that a gate holds back that
        # would certify a later hour and hide the one that is missing.
        restated = {snapshot.name for snapshot in plan.restatements}
        with no_model_changes() if isinstance(self.context, PublishedProject) else nullcontext():
            return self.apply(plan.model_copy(update={"models_to_backfill": restated}))

    def apply(self, plan: Plan) -> Outcome:
        """Apply a plan. What a gate or a model refuses is in the outcome.

        Raises:
            InsightMartError: SQLMesh refused the plan itself, for example because its environment has changed since.
        """
        from sqlmesh.utils.errors import SQLMeshError

        from insightmart.transform.recorder import reason

        with self._recorded() as outcome:
            outcome.plan_id = plan.plan_id
            try:
                self.context.apply(plan)
            except SQLMeshError as error:
                if not self._recorder.failures:
                    raise InsightMartError(f"SQLMesh could not apply the plan: {reason(error)}") from error
        return outcome

    def interrupt(self) -> None:
        """Stop a statement of SQLMesh's that is under way on DuckDB, where it has one cursor; seen on 0.236.4."""
        cursor = getattr(self.context.engine_adapter._connection_pool, "_cursor", None)
        if cursor is not None and hasattr(cursor, "interrupt"):
            cursor.interrupt()

    def models(self) -> dict[str, str]:
        """The project's own models: name as it is written, for example ``core.fct_orders__oltp``, -> SQLMesh's name."""
        return {short_name(name): name for name, model in self.context.models.items() if not model.kind.is_external}

    def downstream(self, models: Sequence[str]) -> list[str]:
        """Names of these models and of everything below them, in order of evaluation."""
        known = self.models()
        found = {known[model] for model in models}
        for model in models:
            found.update(self.context.dag.downstream(known[model]))
        return [short_name(name) for name in self.context.dag.sorted if name in found]

    @contextmanager
    def _recorded(self) -> Iterator[Outcome]:
        """Collect what the console hears, and keep it as evidence in ops.run_intervals also when it fails."""
        outcome = Outcome()
        self._recorder.clear()
        try:
            with asked_once():
                yield outcome
        finally:
            outcome.failures = dict(self._recorder.failures)
            outcome.skipped = set(self._recorder.skipped)
            outcome.evaluated = len(self._recorder.intervals)
            self._warehouse.insert("ops.run_intervals", self._recorder.intervals)


@contextmanager
def open_transformer(settings: Settings, warehouse: Warehouse, *, local: bool = False) -> Iterator[Transformer]:
    """Load the project: the models that prod was built of, or with ``local`` (and where there is no prod) the files.

    Raises:
        InsightMartError: a model, check or configuration file cannot be read, or the state is damaged or lost.
    """
    from insightmart.transform.time_zones import compiled_when_asked_for

    compiled_when_asked_for()
    from sqlmesh import Context
    from sqlmesh.core.console import set_console
    from sqlmesh.utils.errors import SQLMeshError

    from insightmart.transform.published import PublishedProject
    from insightmart.transform.recorder import Recorder
    from insightmart.transform.statement_templates import TEMPLATES

    if settings.gateway == "local" and not settings.state_path.exists():  # before SQLMesh makes one
        refuse_lost_state(warehouse, settings)
    TEMPLATES.keep_in(settings.home / "cache")
    recorder = Recorder()
    set_console(recorder)
    os.environ["INSIGHTMART_HOME"] = str(settings.home)
    try:
        context = (Context if local else PublishedProject)(paths=str(PROJECT), gateway=settings.gateway)
    except SQLMeshError as error:
        said = " ".join(str(error).split())[:400]
        cure = SETUP if "sqlmesh migrate" in said else "Try `sqlmesh lint`"
        raise InsightMartError(f"the SQLMesh project cannot be loaded: {said}", cure) from error
    except duckdb.Error as error:
        raise damaged(settings.state_path, error) or error from None
    try:
        transformer = Transformer(context, recorder, warehouse, settings.history_start)
        if not transformer.is_set_up():
            refuse_lost_state(warehouse, settings)
        yield transformer
    finally:
        context.close()
