"""The events of a command that records a run: START when it begins, everything else when it has ended.

Without OPENLINEAGE_URL nothing is computed. Nothing here ever fails a run.
"""

from __future__ import annotations

import subprocess
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.checkout import look_at
from insightmart.hidden_secrets import without_secrets
from insightmart.openlineage.delivery import Delivery
from insightmart.runs import ProblemKind, Run, RunProblem, problem_lines
from insightmart.settings import PROJECT, Settings

if TYPE_CHECKING:
    from insightmart.openlineage.run_events import Event

log = structlog.get_logger()

CURE = "Nothing depends on it; look at OPENLINEAGE_URL, the next run sends its own again"


class Emission:
    """The events of one run."""

    def __init__(self, settings: Settings, run: Run, began: datetime) -> None:
        from insightmart.openlineage.run_events import Teller, without_user

        self._settings, self._run, self._began = settings, run, began
        self._teller = Teller(
            settings.openlineage_namespace,
            run.run_id,
            run.command,
            run.as_of,
            began,
            look_at().commit,
            without_user(_remote()),
        )
        self._delivery = Delivery(settings)
        self._delivery.put([self._teller.start()])

    def finish(self, warehouse: Warehouse) -> list[RunProblem]:
        """Send what the run did and how it ended. Returns what is to be noted: that nobody took it."""
        if self._delivery.failure is None:
            try:
                self._delivery.put(self._events(warehouse))
            except Exception as error:  # noqa: BLE001 an event that cannot be made is no reason to fail a run
                log.warning("events of lineage could not be made", run=self._run.run_id, error=str(error))
        failure = self._delivery.finish()
        if failure is None:
            return []
        log.warning("events of lineage were not sent", run=self._run.run_id, reason=failure)
        return [RunProblem(ProblemKind.LINEAGE, "openlineage", f"events of the run were not sent: {failure}", CURE)]

    def _events(self, warehouse: Warehouse) -> list[Event]:
        from insightmart.lineage.column_graph import ColumnGraph, loaded_graph
        from insightmart.openlineage.dataset_facets import Datasets
        from insightmart.openlineage.dataset_names import DatasetNames
        from insightmart.openlineage.recorded import recorded

        graph = self._run.column_graph() if self._run.column_graph else loaded_graph()
        assert isinstance(graph, ColumnGraph)
        found = recorded(warehouse, self._run.run_id, self._began)
        for problem in found.problems:
            problem["message"] = without_secrets(problem["message"], self._settings)
        error = without_secrets("; ".join(problem_lines(self._run.problems)), self._settings)
        parts = list(self._teller.parts(found, graph, Datasets(DatasetNames(self._settings), graph)))
        return [*parts, self._teller.end(utc_now(), error)]


def emission(settings: Settings, run: Run, began: datetime) -> Emission | None:
    """The events of a run that has begun; None where nobody wants them."""
    if settings.openlineage_url is None:
        return None
    try:
        return Emission(settings, run, began)
    except Exception as error:  # noqa: BLE001 whatever it is, the run has nothing to do with it
        log.warning("events of lineage are not sent", run=run.run_id, error=str(error))
        return None


def _remote() -> str:
    """The address that the repository was cloned from; empty where there is none."""
    asked = ["git", "config", "--get", "remote.origin.url"]
    try:
        return subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
