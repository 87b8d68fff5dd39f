"""A cycle without its loads, in the process that calls: what was put into raw is transformed, gated, reconciled."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.evidence import counted_evidence
from bench.ingestion.costs import cost_of
from bench.raw_rows import HOUR, Span

if TYPE_CHECKING:
    from ingestion.warehouse import Warehouse

PHASES = {"corrections": "apply_corrections", "reconcile": "_reconcile", "report": "_report"}
MODELS = "models and gates"
# Tables of ops in which a run writes rows of its own.
RECORDS = ("runs", "run_intervals", "check_results", "reconciled", "reconciliations")
HOURS_AT_ONCE = 2_000  # of records that are repeated: their texts are sorted in memory
COPY = "copy into raw"
PHASE_NAMES = (COPY, "corrections", MODELS, "reconcile", "report")


class CycleFailed(Exception):
    """The cycle did not publish everything that was due: its time means nothing."""


class WrongTotals(Exception):
    """Certified holds something else than was put into raw."""


@dataclass
class Played:
    """What a cycle cost.

    Attributes:
        seconds: of the processor, by phase; what it takes to import and to open the project is in none.
        statements: sent to the warehouse, by phase.
        rows: (table, statement) -> rows that scans looked at; empty where none were counted.
        elapsed: seconds from the first phase to the end of the last.
        peak_bytes: the most memory that the process held.
        evaluations: model intervals.
        corrections: queue entries that were closed.
        evidence: seconds that the journal, the ledger and records take; the end of the run is in no phase.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    statements: dict[str, int] = field(default_factory=dict)
    rows: dict[tuple[str, str], int] = field(default_factory=dict)
    elapsed: float = 0.0
    peak_bytes: int = 0
    evaluations: int = 0
    corrections: int = 0
    evidence: dict[str, float] = field(default_factory=dict)

    @property
    def total_seconds(self) -> float:
        """Of all phases."""
        return sum(self.seconds.values())


def load(home: Path, span: Span) -> None:
    """Put hours of business into raw; the warehouse is made where there is none."""
    from bench.counted_duckdb import connect_counted
    from bench.raw_rows import fill
    from insightmart.commands.session import writing

    settings = _settings(home, span)
    connect_counted(settings.database_path)
    with writing(settings, "ingest") as session:
        fill(session.warehouse, span)


def correct(home: Path, span: Span, hours: list[datetime]) -> None:
    """Bring a change to some orders of each of these hours, late, and queue the hours as a load does.

    To be called before the hour itself is loaded, which records all loads of its instant.
    """
    from bench.counted_duckdb import connect_counted
    from insightmart.gateway import open_warehouse

    settings = _settings(home, span)
    connect_counted(settings.database_path)
    with open_warehouse(settings) as warehouse:
        for number, hour in enumerate(hours):
            warehouse.execute(
                "INSERT INTO raw.oltp_orders SELECT * REPLACE ('shipped' AS status, ? AS updated_at, ? AS _loaded_at,"
                " ? AS _dlt_load_id) FROM raw.oltp_orders"
                " WHERE ordered_at >= ? AND ordered_at < ? AND order_id % 10 = 0 AND status = 'completed'",
                [span.end, span.as_of, f"{span.as_of.replace(tzinfo=UTC).timestamp():.0f}.4", hour, hour + HOUR],
            )
            warehouse.insert(
                "ops.correction_windows",
                [
                    {
                        "window_id": f"{span.as_of:%Y%m%d%H}-{number}",
                        "source": "oltp",
                        "entity": "sales",
                        "window_start": hour,
                        "window_end": hour + HOUR,
                        "reason": "rows new or changed after the hour had been released",
                        "queued_at": span.as_of,
                        "status": "open",
                        "attempts": 0,
                    }
                ],
            )


def play(home: Path, span: Span, counting: bool = False, files: Path | None = None) -> Played:
    """Run the cycle of the hour at which the last hour of a span is loaded.

    Args:
        home: of the warehouse.
        span: what was put into raw last, or is in ``files``.
        counting: count the rows that scans look at.
        files: parquet files of raw that the cycle begins with; the warehouse is then as DuckDB keeps it by itself.

    Raises:
        CycleFailed: a gate, a model or the reconciliation found something.
    """
    from bench.counted_duckdb import Counts, connect_counted
    from bench.raw_rows import copy_into_raw, record
    from insightmart.commands import cycle
    from insightmart.logs import configure_logging
    from insightmart.progress import console

    configure_logging(False)
    console.quiet = True
    settings = _settings(home, span)
    counts = connect_counted(settings.database_path) if files is None else Counts()
    played = Played()

    def loaded(warehouse: Any, *_: Any, **__: Any) -> list[Any]:
        if files:
            copy_into_raw(warehouse.connection, files)
            record(warehouse, span)
        return []

    def measured(phase: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def measuring(*arguments: Any, **named: Any) -> Any:
            seconds, statements = _processor_seconds(), counts.statements
            try:
                return run(*arguments, **named)
            finally:
                played.seconds[phase] = _processor_seconds() - seconds
                played.statements[phase] = counts.statements - statements

        return measuring

    setattr(cycle, "ingest", loaded)  # noqa: B010 - no source is configured
    for phase, name in {COPY: "ingest", **PHASES, MODELS: "_build"}.items():
        setattr(cycle, name, measured(phase, getattr(cycle, name)))
    with cycle.open_cycles(settings) as run, counted_evidence() as played.evidence:
        counts.counting = counting
        results: list[Any] = []
        cost = cost_of(lambda: results.append(run(span.as_of)))
        counts.counting = False
    (result,) = results
    if result.errors:
        raise CycleFailed("; ".join(result.errors))
    played.seconds[MODELS] -= played.seconds["corrections"]
    played.statements[MODELS] -= played.statements["corrections"]
    played.rows, played.elapsed, played.peak_bytes = dict(counts.rows), cost.seconds, cost.peak_bytes
    played.evaluations, played.corrections = result.intervals_evaluated, result.corrections_closed
    return played


def check_totals(home: Path, spans: list[Span]) -> None:
    """Hold certified against what the spans, which are all there is, come to.

    Raises:
        WrongTotals: they differ.
    """
    from bench.raw_rows import certified, expected

    wanted = expected(spans)
    with warehouse_of(home, spans[-1]) as warehouse:
        found = certified(warehouse)
    if found != wanted:
        raise WrongTotals(f"certified holds {found}, put in was {wanted}")


def repeat_records(home: Path, span: Span) -> None:
    """Give every hour of history the records of the last run, so that these tables have a past as the others do."""
    from bench.counted_duckdb import connect_counted
    from insightmart.gateway import open_warehouse

    settings = _settings(home, span)
    connect_counted(settings.database_path)
    with open_warehouse(settings) as warehouse:
        (run,) = warehouse.rows("SELECT run_id, started_at FROM ops.runs ORDER BY started_at DESC LIMIT 1")
        for table in RECORDS:
            columns = warehouse.rows(
                "SELECT column_name, data_type FROM information_schema.columns"
                " WHERE lower(table_schema) = 'ops' AND lower(table_name) = ?",
                [table],
            )
            moved = [f"{name} - to_hours(h) AS {name}" for name, kind in columns if kind == "TIMESTAMP"]
            moved += [f"{name} - CAST(h // 24 AS INTEGER) AS {name}" for name, kind in columns if kind == "DATE"]
            warehouse.execute(f"CREATE TEMP TABLE own AS SELECT * FROM ops.{table}")
            warehouse.execute(f"DELETE FROM ops.{table}")
            hours = (span.end - span.begins) // HOUR
            for last in range(hours, 0, -HOURS_AT_ONCE):
                warehouse.execute(
                    f"INSERT INTO ops.{table} SELECT own.* REPLACE ({', '.join(moved)}, run_id || '-' || h AS run_id)"
                    " FROM own, (SELECT UNNEST(RANGE(?, ?)) AS h) AS hours WHERE run_id = ? ORDER BY h DESC",
                    [max(1, last - HOURS_AT_ONCE), last, run[0]],
                )
            warehouse.execute(f"INSERT INTO ops.{table} SELECT * FROM own")
            warehouse.execute("DROP TABLE own")
        # the first build published everything just now: as if each day had been published when it was over
        warehouse.execute(
            "CREATE TEMP TABLE own AS SELECT * REPLACE ("
            "LEAST(published_at, business_date + INTERVAL 1 DAY) AS published_at,"
            " recorded_at - (published_at - LEAST(published_at, business_date + INTERVAL 1 DAY)) AS recorded_at)"
            " FROM ops.published_changes"
        )
        warehouse.execute("DELETE FROM ops.published_changes")
        warehouse.execute("INSERT INTO ops.published_changes SELECT * FROM own ORDER BY published_at, publication")
        warehouse.execute("DROP TABLE own")
        warehouse.checkpoint()


def warehouse_of(home: Path, span: Span) -> Warehouse:
    """The warehouse, opened."""
    from insightmart.gateway import open_warehouse

    return open_warehouse(_settings(home, span))


def _settings(home: Path, span: Span) -> Any:
    """The settings of a warehouse whose history begins when the first of all hours did; no source is configured."""
    from bench.ingestion.services import environment
    from insightmart.settings import load_settings

    own = environment(
        {"INSIGHTMART_HOME": str(home), "INSIGHTMART_GATEWAY": "local", "INSIGHTMART_START": f"{span.begins:%Y-%m-%d}"}
    )
    for name in set(os.environ) - set(own):
        del os.environ[name]
    os.environ.update(own)
    return load_settings()


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
