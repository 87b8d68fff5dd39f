"""What SQLMesh says while it works, kept as evidence: which intervals it evaluated, what failed and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmesh.core.console import NoopConsole
from sqlmesh.utils.date import to_datetime

from ingestion.clock import utc_now
from insightmart.errors import InsightMartError
from insightmart.runs import ProblemKind, RunProblem, current_run_id
from insightmart.transform.model_graph import short_name


class Recorder(NoopConsole):
    """A console that shows nothing and remembers.

    Attributes:
        intervals: the evaluations as rows of ops.run_intervals; instants are UTC.
        failures: model name -> why it failed.
        skipped: models that were not evaluated because something above them failed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        """Forget everything: another run or plan begins."""
        self.intervals: list[dict[str, Any]] = []
        self.failures: dict[str, RunProblem] = {}
        self.skipped: set[str] = set()

    def update_snapshot_evaluation_progress(
        self,
        snapshot: Any,
        interval: Any,
        batch_idx: int,
        duration_ms: int | None,
        num_audits_passed: int,
        num_audits_failed: int,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self.intervals.append(
            {
                "run_id": current_run_id(),
                "model": short_name(snapshot.name),
                "snapshot_version": snapshot.version,
                "fingerprint": snapshot.fingerprint.to_identifier(),
                "interval_start": _instant(interval[0]),
                "interval_end": _instant(interval[1]),
                "seconds": None if duration_ms is None else duration_ms / 1000,
                "audits_passed": num_audits_passed,
                "audits_failed": num_audits_failed,
                "status": "failed" if duration_ms is None or num_audits_failed else "evaluated",
                "recorded_at": utc_now(),
            }
        )

    def log_failed_models(self, errors: Any) -> None:
        for error in errors:
            node = error.node if isinstance(error.node, str) else getattr(error.node, "snapshot_name", error.node)
            name = short_name(str(node[0] if isinstance(node, tuple) else node))
            self.failures[name] = failure(name, error)

    def log_skipped_models(self, snapshot_names: Any) -> None:
        self.skipped |= {short_name(name) for name in snapshot_names}


def _instant(milliseconds: Any) -> datetime:
    instant: datetime = to_datetime(milliseconds)
    return instant.replace(tzinfo=None)


def failure(model: str, error: BaseException) -> RunProblem:
    """Why a model failed; what our own code raised names the model itself."""
    origin = _origin(error)
    if isinstance(origin, InsightMartError):
        return RunProblem.of_error(ProblemKind.MODEL, model, origin)
    return RunProblem(ProblemKind.MODEL, model, f"{model}: {reason(origin)}")


def _origin(error: BaseException) -> BaseException:
    """The one that matters of a chain of exceptions: ours if there is one, else the innermost."""
    current: BaseException | None = error
    while current is not None:
        last, current = current, current.__cause__ or current.__context__
        if isinstance(last, InsightMartError):
            return last
    return last


def reason(error: BaseException) -> str:
    """What the exception that matters says, in one line."""
    origin = _origin(error)
    lines = [line for line in str(origin).splitlines() if line.strip()]
    return " ".join(lines)[:500] if lines else type(origin).__name__
