"""The events of a run: its own, and those of each load and each model that was evaluated in it.

A run of ours is the parent run; a load (``load.oltp.orders``) and a model (``core.fct_orders__oltp``) are jobs with a
run each. Views hold nothing that a run would fill: what each is made of is told without one, whenever something that it
reads was written, so that a chain of tables has no gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any

from openlineage.client.event_v2 import InputDataset, Job, JobEvent, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    documentation_job,
    error_message_run,
    job_type_job,
    nominal_time_run,
    ownership_job,
    parent_run,
    processing_engine_run,
    set_producer,
    source_code_location_job,
    tags_run,
    test_run,
)
from openlineage.client.uuid import generate_static_uuid

from insightmart.lineage.column_graph import ColumnGraph, TableFacts
from insightmart.openlineage.dataset_facets import Assertion, Datasets
from insightmart.openlineage.recorded import Evaluation, Recorded, Row, candidate_of

PRODUCER = f"urn:insightmart:pipeline:{version('insightmart')}"
JOURNAL = "ops.published_changes"
Event = RunEvent | JobEvent
_OUR_TABLE = TableFacts(kind="")
set_producer(PRODUCER)  # of facets


@dataclass(frozen=True)
class Teller:
    """Makes the events of one run.

    Attributes:
        namespace: of the jobs.
        run_id: as in ops.runs.
        command: for example ``cycle``.
        as_of: the now of the run.
        began: when it began, by the clock.
        commit: what is checked out, if anybody can say.
        repository: address of the repository without a user, if it has one.
    """

    namespace: str
    run_id: str
    command: str
    as_of: datetime
    began: datetime
    commit: str | None = None
    repository: str | None = None

    def start(self) -> RunEvent:
        """The run begins."""
        return self._own(RunState.START, self.began, {})

    def end(self, at: datetime, error: str | None) -> RunEvent:
        """The run has ended, with an error if there was one."""
        return self._own(RunState.FAIL if error else RunState.COMPLETE, at, _failed(error))

    def parts(self, found: Recorded, graph: ColumnGraph, datasets: Datasets) -> Iterator[Event]:
        """Loads, models and views, each in the order in which they began."""
        failures = {row["subject"]: row for row in found.problems if row["kind"] in ("model", "source")}
        for load in found.loads:
            yield from self._load(load, datasets)
        for source, problem in failures.items():
            if problem["kind"] == "source":
                yield from self._pair(
                    f"load.{source}", _Done(self.began, problem["recorded_at"], problem["message"]), "LOAD", "DLT"
                )
        for one in found.evaluations:
            yield from self._evaluation(one, found, graph, datasets, failures)
        evaluated = {one.model for one in found.evaluations}
        for model, problem in failures.items():
            if problem["kind"] == "model" and not any(
                one.model == model and one.is_failed for one in found.evaluations
            ):
                at = problem["recorded_at"]
                facts = graph.tables.get(model, _OUR_TABLE)
                inputs = self._inputs(model, facts, found, None, datasets)
                done = _Done(at, at, problem["message"])
                yield from self._pair(model, done, "MODEL", "SQLMESH", facts, inputs=inputs)
        yield from self._views(evaluated, graph, datasets)

    def _load(self, load: Row, datasets: Datasets) -> Iterator[Event]:
        table = f"raw.{load['source']}_{load['entity']}"
        done = _Done(load["started_at"], load["ended_at"], None, load["window_start"], load["window_end"])
        yield from self._pair(
            f"load.{load['source']}.{load['entity']}",
            done,
            "LOAD",
            "DLT",
            inputs=[datasets.read(source) for source in datasets.sources_of(table)],
            outputs=[datasets.written(table, load["row_count"])],
            tags={"load_id": load["load_id"]},
        )

    def _evaluation(
        self,
        one: Evaluation,
        found: Recorded,
        graph: ColumnGraph,
        datasets: Datasets,
        failures: Mapping[str, Row],
    ) -> Iterator[Event]:
        facts = graph.tables.get(one.model, _OUR_TABLE)
        error = None
        if one.is_failed:
            error = failures[one.model]["message"] if one.model in failures else "failed"
        yield from self._pair(
            one.model,
            _Done(one.began, one.ended, error, one.start, one.end),
            "MODEL",
            "SQLMESH",
            facts,
            inputs=self._inputs(one.model, facts, found, one, datasets),
            outputs=[] if error else [datasets.written(one.model, one.rows)],
            tests=[
                test_run.TestExecution(name=name, status="pass", severity="error", type="audit")
                for name in facts.checks
                if not error and one.audits >= len(facts.checks)
            ],
        )

    def _inputs(
        self, model: str, facts: TableFacts, found: Recorded, one: Evaluation | None, datasets: Datasets
    ) -> list[InputDataset]:
        asserted: dict[str, dict[str, Assertion]] = {}
        for check in found.checks if model.startswith("gate.") else ():
            candidate = candidate_of(check)
            is_of_it = one is None or (one.start <= check["window_start"] and check["window_end"] <= one.end)
            if check["area"] == model.removeprefix("gate.") and candidate and is_of_it:
                worst = asserted.setdefault(candidate, {})
                if check["check_name"] not in worst or check["outcome"] != "pass":
                    worst[check["check_name"]] = _assertion(check)
        return [datasets.read(table, list(asserted.get(table, {}).values())) for table in facts.reads]

    def _views(self, evaluated: set[str], graph: ColumnGraph, datasets: Datasets) -> Iterator[Event]:
        told, waiting = set(evaluated), sorted(evaluated)
        while waiting:
            for view in graph.readers.get(waiting.pop(0), ()):
                facts = graph.tables[view]
                if view not in told and (facts.kind == "VIEW" or view == JOURNAL):
                    told.add(view)
                    waiting.append(view)
                    yield JobEvent(
                        eventTime=_instant(self.began),
                        producer=PRODUCER,
                        job=self._job("journal" if view == JOURNAL else view, "MODEL", "SQLMESH", facts),
                        inputs=[datasets.read(table) for table in facts.reads],
                        outputs=[datasets.written(view)],
                    )

    def _pair(
        self,
        name: str,
        done: _Done,
        kind: str,
        integration: str,
        facts: TableFacts = _OUR_TABLE,
        inputs: list[InputDataset] | None = None,
        outputs: list[OutputDataset] | None = None,
        tests: list[test_run.TestExecution] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Iterator[Event]:
        """START and the end of a load or a model."""
        run_id = generate_static_uuid(_utc(done.began), f"{self.run_id} {name} {done.start}".encode())
        parent = parent_run.ParentRunFacet(
            run=parent_run.Run(str(self._uuid)), job=parent_run.Job(self.namespace, self.command)
        )
        facets: dict[str, Any] = {"parent": parent, "processing_engine": _ENGINES[integration](), **_failed(done.error)}
        if done.start is not None:
            facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(
                _instant(done.start), _instant(done.end) if done.end else None
            )
        if tests:
            facets["test"] = test_run.TestRunFacet(tests=tests)
        if tags:
            facets["tags"] = _tags(tags)
        job = self._job(name, kind, integration, facts)
        begun = {name: facet for name, facet in facets.items() if name not in ("errorMessage", "test")}
        yield RunEvent(
            eventTime=_instant(done.began),
            producer=PRODUCER,
            eventType=RunState.START,
            run=Run(str(run_id), facets=begun),
            job=job,
        )
        yield RunEvent(
            eventTime=_instant(max(done.began, done.ended)),
            producer=PRODUCER,
            eventType=RunState.FAIL if done.error else RunState.COMPLETE,
            run=Run(str(run_id), facets=facets),
            job=job,
            inputs=inputs or [],
            outputs=outputs or [],
        )

    def _own(self, state: RunState, at: datetime, facets: Mapping[str, Any]) -> RunEvent:
        tags = {"run_id": self.run_id, **({"git_sha": self.commit} if self.commit else {})}
        known = {
            "nominalTime": nominal_time_run.NominalTimeRunFacet(_instant(self.as_of)),
            "processing_engine": _ENGINES["INSIGHTMART"](),
            "tags": _tags(tags),
        }
        return RunEvent(
            eventTime=_instant(at),
            producer=PRODUCER,
            eventType=state,
            run=Run(str(self._uuid), facets={**known, **facets}),
            job=self._job(self.command, "COMMAND", "INSIGHTMART", _OUR_TABLE),
        )

    @cached_property
    def _uuid(self) -> Any:
        return generate_static_uuid(_utc(self.began), self.run_id.encode())

    def _job(self, name: str, kind: str, integration: str, facts: TableFacts) -> Job:
        facets: dict[str, Any] = {
            "jobType": job_type_job.JobTypeJobFacet(processingType="BATCH", integration=integration, jobType=kind)
        }
        if facts.meaning:
            facets["documentation"] = documentation_job.DocumentationJobFacet(facts.meaning)
        if facts.owner:
            owner = ownership_job.Owner(name=f"team:{facts.owner}", type="OWNER")
            facets["ownership"] = ownership_job.OwnershipJobFacet(owners=[owner])
        if self.repository and self.commit:
            place = f"{self.repository.removesuffix('.git')}/tree/{self.commit}"
            facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
                type="git", url=place, repoUrl=self.repository, version=self.commit
            )
        return Job(self.namespace, name, facets=facets)


@dataclass(frozen=True)
class _Done:
    """When something was done, by the clock, with which error, and the hours that it is of."""

    began: datetime
    ended: datetime
    error: str | None = None
    start: datetime | None = None
    end: datetime | None = None


def _assertion(check: Row) -> Assertion:
    return Assertion(
        assertion="soda",
        success=check["outcome"] == "pass",
        severity="error" if check["severity"] == "critical" else "warn",
        name=check["check_name"],
        actual=None if check["value"] is None else str(check["value"]),
    )


def _failed(error: str | None) -> dict[str, Any]:
    if not error:
        return {}
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(message=error, programmingLanguage="PYTHON")}


def _tags(tags: Mapping[str, str]) -> tags_run.TagsRunFacet:
    return tags_run.TagsRunFacet(
        tags=[tags_run.TagsRunFacetFields(key=key, value=value, source="INSIGHTMART") for key, value in tags.items()]
    )


def _engine(package: str, name: str) -> Any:
    return processing_engine_run.ProcessingEngineRunFacet(version=version(package), name=name)


_ENGINES = {
    "DLT": lambda: _engine("dlt", "dlt"),
    "SQLMESH": lambda: _engine("sqlmesh", "SQLMesh"),
    "INSIGHTMART": lambda: _engine("insightmart", "InsightMart"),
}


def without_user(address: str) -> str | None:
    """A repository's address as a page on the web, without who may read it; None where it is none.

    >>> without_user("https://me:token@git.example/team/shop.git")
    'https://git.example/team/shop.git'
    >>> without_user("git@git.example:team/shop.git")
    'https://git.example/team/shop.git'
    """
    for form in (r"(?:https?|ssh)://(?:[^@/]*@)?([\w.-]+)(?::\d+)?/([\w./~-]+)", r"(?:[^@/:]+@)?([\w.-]+):([\w./~-]+)"):
        if found := re.fullmatch(form, address.strip()):
            return f"https://{found[1]}/{found[2].lstrip('/')}"
    return None


def _instant(at: datetime) -> str:
    return f"{at.isoformat(timespec='microseconds')}Z"


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
