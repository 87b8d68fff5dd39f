"""The quality gate: a Soda scan of exactly the physical tables and the window that a plan or a run wants to publish."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from ingestion.clock import utc_now
from ingestion.loading.context import Window
from ingestion.warehouse import Warehouse
from insightmart.errors import GateError
from insightmart.gate.candidates import TEMPORARY, Candidates, Hourly, Published, asked_window
from insightmart.gate.candidates import whole_days as asked_whole_days
from insightmart.gate.check_contract import check_contract
from insightmart.gate.evidence import record, snapshot_versions
from insightmart.gateway import open_warehouse
from insightmart.settings import load_settings

if TYPE_CHECKING:
    from sqlmesh import ExecutionContext

DATA_SOURCE = "insightmart"
BLOCKING = "critical"

# Gates that scan on Snowflake at the same time: each has a session of its own, and to open one costs more than to wait
# for another scan.
_AT_ONCE = threading.BoundedSemaphore(2)


def scan_window(
    context: ExecutionContext,
    *,
    area: str,
    part: str | None,
    start: datetime,
    end: datetime,
    execution_time: datetime,
    checks: str,
    variables: str,
    datasets: Mapping[str, tuple[str, str | None]],
    changed_since: Mapping[str, tuple[str, str]] | None = None,
    weeks_before: Mapping[str, tuple[str, str]] | None = None,
    days_before: Mapping[str, tuple[str, str, int]] | None = None,
    whole: Mapping[str, str] | None = None,
    published: Mapping[str, Published] | None = None,
    hourly: Mapping[str, Hourly] | None = None,
    sources: Sequence[str] = (),
    whole_days: bool = False,
) -> pd.DataFrame:
    """Scan the candidates of one window and say yes by returning.

    The scan runs on SQLMesh's connection and sees views named as the checks name them, over the physical tables of the
    very snapshots under evaluation, cut to the window. Every result is written to ops.check_results on a connection of
    its own, so that it outlives the transaction that a failure rolls back.

    Args:
        context: SQLMesh's context of this evaluation; it knows the physical tables.
        area: subject area, the name of the file in soda/checks.
        part: source within the area, or None.
        start: first instant of the window, UTC.
        end: last instant of the window as SQLMesh hands it over (inclusive), UTC.
        execution_time: the run's "now".
        checks: SodaCL text.
        variables: YAML text of the thresholds.
        datasets: name in the checks -> (model, column that holds its instant or date; None to scan the whole table).
        changed_since: name in the checks -> (model, column); cut to what changed since the window began.
        weeks_before: variable of the checks -> (model, column); cut to the same window of each of the last 4 weeks.
        days_before: variable of the checks -> (model, column, days); cut to so many days before the window.
        whole: variable of the checks -> model, all of it; for looking up keys.
        published: variable of the checks -> what is published, cut to the window and the day before it. Read without
            depending on it: what another area publishes must not hold this one back.
        hourly: name in the checks -> a fact, cut to the hours to be published and to those of their dates that are not
            published as they are.
        sources: names of the sources whose watermarks the window stands on.
        whole_days: widen the window to whole UTC dates.

    Raises:
        GateError: a critical check failed, or the scan itself could not run.
    """
    asked = asked_window(start, end)
    window = asked_whole_days(asked) if whole_days else asked
    gate = f"{area}__{part}" if part else area
    scan_id = uuid.uuid4().hex
    scratch = TEMPORARY if context.engine_adapter.dialect == "snowflake" else f"GATE_SCAN_{scan_id[:12].upper()}"
    candidates = Candidates(
        datasets, changed_since or {}, weeks_before or {}, days_before or {}, whole or {}, published or {}, hourly or {}
    )
    tables = {model: str(context.resolve_table(model)) for model in candidates.models()}
    looked_at = {
        "SOURCES": ", ".join(f"'{source}'" for source in sources) or "''",
        "WINDOW_START": f"CAST('{window.start}' AS TIMESTAMP)",
        "WINDOW_END": f"CAST('{window.end}' AS TIMESTAMP)",
        **candidates.variables(scratch, tables),
    }

    with _own_connection(context) as warehouse:
        with candidates.seen(warehouse, scratch, tables, window, asked):
            outcomes = _scan(warehouse, scratch, checks, variables, looked_at)
        # the gate's own table stands for the version of its checks
        scanned = snapshot_versions({**tables, f"gate.{gate}": str(context.resolve_table(f"gate.{gate}"))})
        record(warehouse, gate, scan_id, outcomes, window.start, window.end, scanned, execution_time)

    failed = [o for o in outcomes if o["outcome"] == "fail" and o["severity"] == BLOCKING]
    broken = [o for o in outcomes if o["outcome"] == "error"]
    if broken:
        raise GateError(f"gate.{gate} {_spoken(window)}: the scan could not run: {broken[0]['value']}")
    if failed:
        listed = "; ".join(_finding(outcome) for outcome in failed)
        raise GateError(f"gate.{gate} {_spoken(window)}: {listed}")
    return pd.DataFrame(
        [
            {
                "WINDOW_START": asked.start,
                "WINDOW_END": asked.end,
                "SCAN_ID": scan_id,
                "CHECKS_PASSED": sum(o["outcome"] == "pass" for o in outcomes),
                "CHECKS_WARNED": sum(o["outcome"] in ("warn", "fail") for o in outcomes),
                "SCANNED_AT": utc_now(),
            }
        ]
    )


def _finding(outcome: Mapping[str, str]) -> str:
    """A failed check in words: what it demands, what it found, who owns it."""
    allowed, owner = check_contract(outcome["definition"])
    against = f", allowed {allowed}" if allowed else ""
    return f"{outcome['check_name']} (found {outcome['value']}{against}{f'; ask {owner}' if owner else ''})"


@contextmanager
def _own_connection(context: ExecutionContext) -> Iterator[Warehouse]:
    """A connection beside SQLMesh's, so that results survive a rollback, and on Snowflake on the warehouse of gates:
    what is scanned was committed when its own model was evaluated.

    On DuckDB a cursor of SQLMesh's own connection: a file opened twice in one process under two spellings of its path
    would be two databases.
    """
    if context.engine_adapter.dialect == "duckdb":
        yield Warehouse(context.engine_adapter.connection.cursor(), "duckdb")
        return
    with _AT_ONCE, open_warehouse(load_settings(), "gate") as warehouse:
        yield warehouse


def _spoken(window: Window) -> str:
    return f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"


def _scan(
    warehouse: Warehouse, schema: str, checks: str, variables: str, looked_at: Mapping[str, str]
) -> list[dict[str, str]]:
    """Run Soda on the views: one record a check. An error of the scan is a record too, never "no failures"."""
    from insightmart.gate.known_checks import KnownScan

    thresholds = {name: str(value) for name, value in yaml.safe_load(variables)["variables"].items()}
    scan = KnownScan(load_settings().home / "cache")
    scan.disable_telemetry()
    scan.set_verbose(False)
    scan.set_data_source_name(DATA_SOURCE)
    if warehouse.dialect == "duckdb":
        scan.add_duckdb_connection(warehouse.connection, DATA_SOURCE)
    else:
        from insightmart.gate.snowflake_source import add_snowflake_connection

        add_snowflake_connection(scan, warehouse.connection, DATA_SOURCE)
    scan.add_variables({**thresholds, **looked_at})
    scan.add_checks(checks)
    scan.execute()
    scan.keep()
    results = scan.get_scan_results()["checks"]
    outcomes = [_outcome(result) for result in results]
    if scan.has_error_logs() or not outcomes:
        reason = next(
            (line for line in scan.get_error_logs_text().splitlines() if line.strip()), "no check was evaluated"
        )
        outcomes.append(
            {
                "check_name": "scan",
                "dataset": "",
                "severity": BLOCKING,
                "outcome": "error",
                "value": reason.replace(schema, "candidate").strip()[:500],
                "definition": "",
            }
        )
    return outcomes


def _outcome(result: Mapping[str, Any]) -> dict[str, str]:
    attributes = {item["name"]: item["value"] for item in result.get("resourceAttributes", [])}
    diagnostics = result.get("diagnostics") or {}
    return {
        "check_name": str(result["name"]),
        "dataset": str(result.get("table") or "").rsplit(".", 1)[-1],
        "severity": str(attributes.get("severity", BLOCKING)),
        "outcome": str(result["outcome"] or "error"),
        "value": str(diagnostics.get("value")),  # never diagnostics.blocks: they may hold personal data
        "definition": str(result.get("definition", ""))[:2000],
    }
