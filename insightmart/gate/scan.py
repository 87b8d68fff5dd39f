"""The quality gate: a Soda scan of exactly the physical tables and the window that a plan or a run wants to publish."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.errors import GateError
from insightmart.gate.check_contract import check_contract
from insightmart.gateway import open_warehouse
from insightmart.runs import current_run_id
from insightmart.settings import load_settings

if TYPE_CHECKING:
    from sqlmesh import ExecutionContext

DATA_SOURCE = "insightmart"
BLOCKING = "critical"
PAST_WEEKS = 4
PUBLISHED_BEFORE = timedelta(days=1)


@dataclass(frozen=True)
class Published:
    """A certified table that a gate reads beside its candidates, as it stands: name, instant column, other columns."""

    table: str
    instant: str
    columns: tuple[str, ...]

    def select(self, warehouse: Warehouse, start: datetime, end: datetime) -> str:
        """Its rows of a window; none while it is not published yet."""
        there = warehouse.value(
            "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES"
            " WHERE UPPER(TABLE_SCHEMA) = 'CERTIFIED' AND UPPER(TABLE_NAME) = ?",
            [self.table.upper()],
        )
        if there:
            listed = ", ".join(self.columns)
            return f"SELECT {listed} FROM certified.{self.table} WHERE {_bounds(self.instant, start, end)}"
        return f"SELECT {', '.join(f'CAST(NULL AS VARCHAR) AS {column}' for column in self.columns)} WHERE FALSE"


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
    whole: Mapping[str, str] | None = None,
    published: Mapping[str, Published] | None = None,
    sources: Sequence[str] = (),
    whole_days: bool = False,
) -> pd.DataFrame:
    """Scan the candidates of one window and say yes by returning.

    The scan sees views named as the checks name them, over the physical tables of the very snapshots under evaluation,
    cut to the window. Every result is written to ops.check_results on a connection of its own, so that it outlives the
    transaction that a failure rolls back.

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
        whole: variable of the checks -> model, all of it; for looking up keys.
        published: variable of the checks -> what is published, cut to the window and the day before it. Read without
            depending on it: what another area publishes must not hold this one back.
        sources: names of the sources whose watermarks the window stands on.
        whole_days: widen the window to whole UTC dates.

    Raises:
        GateError: a critical check failed, or the scan itself could not run.
    """
    asked = _window(start, end)
    window_start, window_end = _whole_days(*asked) if whole_days else asked
    gate = f"{area}__{part}" if part else area
    scan_id = uuid.uuid4().hex
    scratch = f"GATE_SCAN_{scan_id[:12].upper()}"
    views = {name: (model, column, "window") for name, (model, column) in datasets.items()}
    views |= {name: (model, column, "since") for name, (model, column) in (changed_since or {}).items()}
    views |= {name: (model, column, "weeks before") for name, (model, column) in (weeks_before or {}).items()}
    models = [*(model for model, _, _ in views.values()), *(whole or {}).values()]
    tables = {model: str(context.resolve_table(model)) for model in models}
    looked_at = {
        "SCHEMA": scratch,
        "SOURCES": ", ".join(f"'{source}'" for source in sources) or "''",
        "WINDOW_START": f"CAST('{window_start}' AS TIMESTAMP)",
        "WINDOW_END": f"CAST('{window_end}' AS TIMESTAMP)",
        **{name: tables[model] for name, model in (whole or {}).items()},
        **{name: f"{scratch}.{name}" for name in [*(weeks_before or {}), *(published or {})]},
    }

    with _own_connection(context) as warehouse:
        warehouse.execute(f"CREATE SCHEMA {scratch}")
        try:
            for name, (model, column, cut) in views.items():
                condition = _cut(cut, column, window_start, window_end)
                warehouse.execute(f"CREATE VIEW {scratch}.{name} AS SELECT * FROM {tables[model]}{condition}")
            for name, source in (published or {}).items():
                selected = source.select(warehouse, window_start - PUBLISHED_BEFORE, window_end)
                warehouse.execute(f"CREATE VIEW {scratch}.{name} AS {selected}")
            outcomes = _scan(warehouse, scratch, checks, variables, looked_at)
        finally:
            warehouse.execute(f"DROP SCHEMA IF EXISTS {scratch} CASCADE")
        # the gate's own table stands for the version of its checks
        scanned = snapshot_versions({**tables, f"gate.{gate}": str(context.resolve_table(f"gate.{gate}"))})
        _record(warehouse, gate, scan_id, outcomes, window_start, window_end, scanned, execution_time)

    failed = [o for o in outcomes if o["outcome"] == "fail" and o["severity"] == BLOCKING]
    broken = [o for o in outcomes if o["outcome"] == "error"]
    if broken:
        raise GateError(
            f"gate.{gate} {_spoken(window_start, window_end)}: the scan could not run: {broken[0]['value']}"
        )
    if failed:
        listed = "; ".join(_finding(outcome) for outcome in failed)
        raise GateError(f"gate.{gate} {_spoken(window_start, window_end)}: {listed}")
    return pd.DataFrame(
        [
            {
                "WINDOW_START": asked[0],
                "WINDOW_END": asked[1],
                "SCAN_ID": scan_id,
                "CHECKS_PASSED": sum(o["outcome"] == "pass" for o in outcomes),
                "CHECKS_WARNED": sum(o["outcome"] in ("warn", "fail") for o in outcomes),
                "SCANNED_AT": utc_now(),
            }
        ]
    )


def snapshot_versions(tables: Mapping[str, str]) -> str:
    """What a scan is evidence for, as in ops.check_results: model -> physical table, the gate itself included."""
    return json.dumps(dict(sorted(tables.items())))


def _finding(outcome: Mapping[str, str]) -> str:
    """A failed check in words: what it demands, what it found, who owns it."""
    allowed, owner = check_contract(outcome["definition"])
    against = f", allowed {allowed}" if allowed else ""
    return f"{outcome['check_name']} (found {outcome['value']}{against}{f'; ask {owner}' if owner else ''})"


def _own_connection(context: ExecutionContext) -> Warehouse:
    """A connection beside SQLMesh's, so that results survive a rollback.

    On DuckDB a cursor of SQLMesh's own connection: a file opened twice in one process under two spellings of its path
    would be two databases.
    """
    if context.engine_adapter.dialect == "duckdb":
        return Warehouse(context.engine_adapter.connection.cursor(), "duckdb")
    return open_warehouse(load_settings())


def _window(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The half-open window in UTC without a zone."""
    first, last = start.replace(tzinfo=None), end.replace(tzinfo=None)
    if last.microsecond == 999999:  # SQLMesh makes the end inclusive for Python models
        last += timedelta(microseconds=1)
    return first, last


def _whole_days(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The UTC dates that a window touches."""
    last_day = (end - timedelta(microseconds=1)).date()
    return datetime.combine(start.date(), time.min), datetime.combine(last_day, time.min) + timedelta(days=1)


def _bounds(column: str, start: datetime, end: datetime) -> str:
    # Both values come from SQLMesh's own intervals; a view cannot bind parameters.
    return f"{column} >= TIMESTAMP '{start}' AND {column} < TIMESTAMP '{end}'"


def _cut(cut: str, column: str | None, start: datetime, end: datetime) -> str:
    """The condition of a view; empty for a whole table."""
    if column is None:
        return ""
    if cut == "since":
        return f" WHERE {column} >= TIMESTAMP '{start}'"
    if cut == "weeks before":
        weeks = [timedelta(weeks=week) for week in range(1, PAST_WEEKS + 1)]
        return f" WHERE {' OR '.join(f'({_bounds(column, start - week, end - week)})' for week in weeks)}"
    return f" WHERE {_bounds(column, start, end)}"


def _spoken(start: datetime, end: datetime) -> str:
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"


def _scan(
    warehouse: Warehouse, schema: str, checks: str, variables: str, looked_at: Mapping[str, str]
) -> list[dict[str, str]]:
    """Run Soda on the views: one record a check. An error of the scan is a record too, never "no failures"."""
    from soda.scan import Scan

    thresholds = {name: str(value) for name, value in yaml.safe_load(variables)["variables"].items()}
    scan = Scan()
    scan.disable_telemetry()
    scan.set_verbose(False)
    scan.set_data_source_name(DATA_SOURCE)
    if warehouse.dialect == "duckdb":
        scan.add_duckdb_connection(warehouse.connection, DATA_SOURCE)
    else:
        scan.add_configuration_yaml_str(_snowflake_source(warehouse))
    scan.add_variables({**thresholds, **looked_at})
    scan.add_sodacl_yaml_str(checks)
    scan.execute()
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


def _snowflake_source(warehouse: Warehouse) -> str:
    settings = load_settings()
    password = settings.snowflake_password
    source = {
        f"data_source {DATA_SOURCE}": {
            "type": "snowflake",
            "account": settings.snowflake_account,
            "username": settings.snowflake_user,
            "password": password.get_secret_value() if password else None,
            "private_key_path": str(settings.snowflake_private_key_path or "") or None,
            "role": settings.snowflake_role,
            "warehouse": settings.snowflake_warehouse,
            "database": "INSIGHTMART",
        }
    }
    return str(yaml.safe_dump(source))


def _record(
    warehouse: Warehouse,
    gate: str,
    scan_id: str,
    outcomes: list[dict[str, str]],
    start: datetime,
    end: datetime,
    scanned: str,
    execution_time: datetime,
) -> None:
    """Write the results to ops.check_results."""
    shared = {
        "run_id": current_run_id(),
        "scan_id": scan_id,
        "area": gate,
        "window_start": start,
        "window_end": end,
        "snapshot_versions": scanned,
        "scanned_at": utc_now(),
        "as_of": execution_time.replace(tzinfo=None),
    }
    warehouse.insert("ops.check_results", [{**shared, **outcome} for outcome in outcomes])
