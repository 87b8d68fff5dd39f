"""Plays the hours: our ingestion loads each of them once, all build it from the same raw, and are compared."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from bench.business import PRELOADED, START, Business, as_of, open_business
from bench.cycle import Run, run
from bench.rivals import dbt_project, sqlmesh_project
from bench.rivals.comparison import differences
from bench.rivals.own_models import OwnModel, Window, own_models
from ingestion.warehouse import open_duckdb
from insightmart.settings import PROJECT
from insightmart.transform.correction_plans import open_restatements
from insightmart.transform.model_graph import restated_by

OURS, WHOLE_CYCLE, PLAIN, DBT = "InsightMart", "InsightMart, reconciled and reported", "plain SQLMesh", "dbt"
FLOORS = {
    OURS: "import duckdb, sqlmesh, soda.scan",
    PLAIN: "import duckdb, sqlmesh",
    DBT: "import duckdb, dbt.cli.main, dbt.adapters.duckdb",
}
FIRST, NOTHING_NEW = "a day, into nothing", "nothing new"
STEADY, CORRECTED = "a steady hour", "an hour with late corrections"
DATABASE = "INSIGHTMART.duckdb"
COMPARED = ("certified.fct_", "certified.agg_", "certified.dim_", "certified.inventory_", "certified.row_counts")


@dataclass(frozen=True)
class Hour:
    """What there is to do.

    Attributes:
        as_of: the hour's now.
        first: whether nothing has been built yet.
        restatements: windows that late rows touched: ``models`` to begin with, ``start``, ``end``.
        windows: model -> what has come due of it. SQLMesh finds it by itself; dbt is told.
    """

    as_of: datetime
    first: bool
    restatements: list[dict[str, Any]]
    windows: dict[str, Window] = field(default_factory=dict)


@dataclass
class Measured:
    """What came of it.

    Attributes:
        runs: (what sort of an hour, who) -> what each run cost.
        floors: who -> what importing its libraries costs.
        differences: (hour, table, who, rows that only one has), where not all tables were the same.
        compared: how many tables were compared, and how many rows they held in the end.
    """

    runs: dict[tuple[str, str], list[Run]] = field(default_factory=dict)
    floors: dict[str, list[Run]] = field(default_factory=dict)
    differences: list[tuple[int, str, str, int]] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=dict)


class Play:
    """The three of them in their homes, below one folder."""

    def __init__(self, home: Path, business: Business, dbt_python: Path | None, say: Callable[[str], None]) -> None:
        self.home, self.business, self.dbt_python, self.say = home, business, dbt_python, say
        self.history_start = datetime.fromisoformat(business.environment.get("INSIGHTMART_START", f"{START:%Y-%m-%d}"))
        self.names = [OURS, PLAIN, *([DBT] if dbt_python else [])]
        for name in self.names:
            self._home_of(name).mkdir()
        self.models, self.restated = self._projects()
        self.measured = Measured()

    def floors(self, times: int) -> None:
        """What each must import before it can do anything."""
        for _ in range(times):
            for name in self.names:
                found = run([str(self._python(name)), "-I", "-c", FLOORS[name]], self.business.environment)
                self.measured.floors.setdefault(name, []).append(found)

    def hour(self, number: int, repeat: int) -> None:
        """Load an hour, and have everybody build it ``repeat`` times from where they were."""
        now = as_of(number)
        run(self._cli("ingest", now), self._environment(OURS))
        for name in self.names[1:]:
            share_raw(self._database(OURS), self._database(name), self._tables_of_raw())
        restatements = self._restatements(now)
        hour = Hour(now, number == PRELOADED, restatements)
        if hour.first:
            self._build(FIRST, hour, repeat, number)
            return
        if restatements:  # first as if nothing had come late, and taken back
            self._build(STEADY, replace(hour, restatements=[]), repeat, number, lasting=False)
        self._build(CORRECTED if restatements else STEADY, hour, repeat, number)

    def nothing_new(self, number: int, repeat: int) -> None:
        """The hour once more, two minutes later. dbt keeps no record of what is done, and builds it again."""
        again = Hour(as_of(number) + timedelta(minutes=2), False, [], self.last_windows)
        self._build(NOTHING_NEW, again, repeat, number)

    def _build(self, kind: str, hour: Hour, repeat: int, number: int, *, lasting: bool = True) -> None:
        for name in self.names:
            shutil.copytree(self._home_of(name), self._kept(name))
        for turn in range(repeat):
            for name in self.names if turn % 2 == 0 else reversed(self.names):
                if turn:
                    self._take_back(name)
                if name == OURS and not lasting:
                    self._hold_corrections()
                covered = self._covered() if name == OURS else {}
                found = run(self._command(name, hour), self._environment(name))
                if name == OURS and not turn:
                    hour = replace(hour, windows=hour.windows or self._windows(covered, hour.as_of))
                self.say(f"{hour.as_of:%d %H:%M} {kind}: {name} {found.seconds:.1f} s")
                self._keep(kind, name, found)
        self._compare(number)
        self.last_windows = hour.windows
        for name in self.names:
            if not lasting:
                self._take_back(name)
            shutil.rmtree(self._kept(name))

    def _take_back(self, name: str) -> None:
        shutil.rmtree(self._home_of(name))
        shutil.copytree(self._kept(name), self._home_of(name))

    def _hold_corrections(self) -> None:
        with open_duckdb(self._database(OURS)) as warehouse:
            warehouse.execute("UPDATE ops.correction_windows SET status = 'cancelled' WHERE status = 'open'")

    def _keep(self, kind: str, name: str, found: Run) -> None:
        if name != OURS:
            self.measured.runs.setdefault((kind, name), []).append(found)
            return
        reached = json.loads(self._reached().read_text())
        for who, run_of in ((OURS, Run(reached["seconds"], reached["peak_bytes"], found.result)), (WHOLE_CYCLE, found)):
            self.measured.runs.setdefault((kind, who), []).append(run_of)

    def _command(self, name: str, hour: Hour) -> list[str]:
        told: dict[str, Any] = {"as_of": hour.as_of.isoformat()}
        if name == OURS:
            told["reached"] = str(self._reached())
            return [sys.executable, "-m", "bench.rivals.children", "our_cycle", json.dumps(told)]
        if name == PLAIN:
            told |= {"project": str(self._project(name)), "first": hour.first, "restatements": hour.restatements}
            return [sys.executable, "-m", "bench.rivals.children", "plain_sqlmesh", json.dumps(told)]
        child = Path(__file__).with_name("dbt_child.py")
        return [str(self._python(name)), "-I", str(child), json.dumps(self._invocations(hour))]

    def _invocations(self, hour: Hour) -> list[dict[str, Any]]:
        """dbt's: one a corrected window, one for the hour. Views stay as they are after the first."""
        built = {model.name: model for model in self.models if model.kind != "view"}
        found = []
        for wanted in hour.restatements:
            names = {*wanted["models"], *(name for model in wanted["models"] for name in built[model].below)}
            window = (*(datetime.fromisoformat(wanted[side]) for side in ("start", "end")), hour.as_of)
            windows = dict.fromkeys([name for name in built if name in names or name == "core.dim_stores"], window)
            found.append(self._invocation(windows, list(windows)))
        due = [name for name in built if name in hour.windows]
        if due:
            found.append(self._invocation(hour.windows, None if hour.first else due))
        return found

    def _invocation(self, windows: Mapping[str, Window], names: Sequence[str] | None) -> dict[str, Any]:
        project, home = self._project(DBT), self._home_of(DBT)
        places = ["--project-dir", project, "--profiles-dir", project]
        places += ["--target-path", home / "target", "--log-path", home / "logs"]
        selected = ["--select", *map(dbt_project.dbt_name, names)] if names else []
        return {
            "arguments": ["build", *map(str, places), *selected],
            "environment": {dbt_project.WINDOWS: dbt_project.told(self.models, windows)},
        }

    def _projects(self) -> tuple[list[OwnModel], dict[Any, tuple[str, ...]]]:
        from sqlmesh import Context

        os.environ.update(self.business.environment | {"INSIGHTMART_HOME": str(self.home / "reading")})
        (self.home / "reading").mkdir()
        context = Context(paths=str(PROJECT), gateway="local")
        try:
            models, restated = own_models(context), restated_by(context)
            sqlmesh_project.write_project(self._project(PLAIN), self._home_of(PLAIN), PROJECT, context.config)
        finally:
            context.close()
        if self.dbt_python:
            dbt_project.write_project(self._project(DBT), self._database(DBT), models)
        return models, restated

    def _restatements(self, now: datetime) -> list[dict[str, Any]]:
        with open_duckdb(self._database(OURS)) as warehouse:
            wanted = open_restatements(warehouse, now)
        found = []
        for restatement in wanted:
            if window := restatement.hours(self.history_start, now):
                models = sorted({name for kind in restatement.kinds for name in self.restated[kind]})
                found.append({"models": models, "start": window[0].isoformat(), "end": window[1].isoformat()})
        return found

    def _covered(self) -> dict[str, datetime]:
        with open_duckdb(self._database(OURS)) as warehouse:
            return dict(warehouse.rows("SELECT model, MAX(interval_end) FROM ops.run_intervals GROUP BY model"))

    def _windows(self, before: dict[str, datetime], now: datetime) -> dict[str, Window]:
        return {
            name: (before.get(name, self.history_start), end, now)
            for name, end in self._covered().items()
            if end > before.get(name, self.history_start)
        }

    def _compare(self, number: int) -> None:
        tables = [model.name for model in self.models if model.name.startswith(COMPARED)]
        found = differences({name: self._database(name) for name in self.names}, tables)
        self.measured.differences += [(number, *difference) for difference in found]
        with duckdb.connect(str(self._database(OURS)), read_only=True) as connection:
            for table in tables:
                row = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
                self.measured.compared[table] = row[0] if row else 0

    def _tables_of_raw(self) -> list[str]:
        return sorted({name for model in self.models for name in model.reads if name.startswith("raw.")})

    def _cli(self, command: str, now: datetime) -> list[str]:
        return [sys.executable, "-m", "insightmart.cli", command, "--as-of", now.isoformat()]

    def _environment(self, name: str) -> dict[str, str]:
        return self.business.environment | {"INSIGHTMART_HOME": str(self._home_of(name))}

    def _home_of(self, name: str) -> Path:
        return self.home / name.replace(" ", "-")

    def _kept(self, name: str) -> Path:
        return self.home / f"{name.replace(' ', '-')}-before"

    def _project(self, name: str) -> Path:
        return self.home / f"{name.replace(' ', '-')}-project"

    def _database(self, name: str) -> Path:
        return self._home_of(name) / DATABASE

    def _reached(self) -> Path:
        return self.home / "reached.json"

    def _python(self, name: str) -> Path:
        return self.dbt_python if name == DBT and self.dbt_python else Path(sys.executable)


def play(
    home: Path, hours: int, size: str, repeat: int, dbt_python: Path | None, say: Callable[[str], None]
) -> Measured:
    """Play the hours of a business, the first one a whole day."""
    sandbox = home / "business"
    sandbox.mkdir()
    with open_business(sandbox, size) as business:
        found = Play(home, business, dbt_python, say)
        found.floors(3)
        for number in range(PRELOADED, PRELOADED + hours + 1):
            if number > PRELOADED:
                business.advance()
            found.hour(number, 1 if number == PRELOADED else repeat)
        found.nothing_new(number, repeat)
    return found.measured


def share_raw(ours: Path, theirs: Path, tables: Sequence[str]) -> None:
    """Bring a rival's warehouse what our ingestion has loaded since: raw is append-only, watermarks are replaced."""
    with duckdb.connect(str(theirs)) as connection:
        connection.execute(f"ATTACH '{ours}' AS ours (READ_ONLY)")
        for table in [*tables, "ops.source_watermarks"]:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.partition('.')[0]}")
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} AS SELECT * FROM ours.{table} LIMIT 0")
            if table in tables:
                connection.execute(
                    f"INSERT INTO {table} BY NAME SELECT * FROM ours.{table}"
                    f" WHERE _dlt_load_id NOT IN (SELECT _dlt_load_id FROM {table}) ORDER BY _loaded_at"
                )
            else:
                connection.execute(f"DELETE FROM {table}")
                connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM ours.{table}")
