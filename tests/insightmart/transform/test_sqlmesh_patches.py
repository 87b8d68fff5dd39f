"""What SQLMesh does otherwise here: the changes are in place, and a library that has moved on is noticed."""

from __future__ import annotations

import ast
import gc
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlmesh.core.config import Config
from sqlmesh.core.config.connection import PostgresConnectionConfig, SnowflakeConnectionConfig
from sqlmesh.core.config.loader import load_configs
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.core.engine_adapter.snowflake import SnowflakeEngineAdapter
from sqlmesh.core.environment import Environment, EnvironmentNamingInfo, EnvironmentStatements
from sqlmesh.core.loader import SqlMeshLoader
from sqlmesh.core.model import SqlModel, load_sql_based_model
from sqlmesh.core.model.cache import OptimizedQueryCache
from sqlmesh.core.scheduler import Scheduler
from sqlmesh.core.snapshot import Snapshot
from sqlmesh.core.snapshot import cache as snapshot_cache
from sqlmesh.core.snapshot.cache import SnapshotCache
from sqlmesh.core.snapshot.evaluator import SnapshotEvaluator
from sqlmesh.core.state_sync import EngineAdapterStateSync
from sqlmesh.utils.errors import CircuitBreakerError

from insightmart.errors import ConfigurationError
from insightmart.settings import PROJECT
from insightmart.transform.sqlmesh_patches import (
    COLLECT_AFTER,
    asked_of_its_summary,
    made_of_its_parents,
    patch,
    written_once,
)
from insightmart.transform.statement_templates import TEMPLATES, Template, Templates

PLACES = [
    (DuckDBEngineAdapter, "_insert_overwrite_by_condition"),
    (DuckDBEngineAdapter, "merge"),
    (SqlModel, "is_breaking_change"),
    (SqlMeshLoader._Cache, "_model_cache_entry_id"),
    (PostgresConnectionConfig, "create_engine_adapter"),
    (SqlMeshLoader._Cache, "__init__"),
    (OptimizedQueryCache, "with_optimized_query"),
    (snapshot_cache, "optimized_query_cache_pool"),
    (SnapshotCache, "get_or_load"),
    (SqlModel, "_query_renderer"),
    (EngineAdapterStateSync, "promote"),
    (Scheduler, "run_merged_intervals"),
    (SnapshotEvaluator, "_execute_create"),
    (SqlModel, "render_query_or_raise"),
    (SqlModel, "render_audit_query"),
    (SqlModel, "ctas_query"),
    (SnowflakeConnectionConfig, "create_engine_adapter"),
    (SnapshotEvaluator, "evaluate"),
    (SnapshotEvaluator, "audit"),
    (SnowflakeEngineAdapter, "columns"),
    (SnowflakeEngineAdapter, "alter_table"),
    (SnowflakeEngineAdapter, "get_current_catalog"),
    (SnowflakeEngineAdapter, "_df_to_source_queries"),
]


@pytest.mark.parametrize(("owner", "attribute"), PLACES)
def test_every_change_is_in_place_once(owner: Any, attribute: str) -> None:
    changed = getattr(owner, attribute)
    assert changed.changed_by == "insightmart.transform.sqlmesh_patches"
    patch(owner, attribute, lambda operation: lambda *_: None)  # as when SQLMesh loads the project again
    assert getattr(owner, attribute) is changed
    assert not hasattr(getattr(changed, "__wrapped__", None), "changed_by")


def test_a_library_without_the_place_of_a_change_is_refused_with_name_version_and_cure() -> None:
    with pytest.raises(
        ConfigurationError, match=r"SQLMesh \d\S* has no DuckDBEngineAdapter\.mergers.*Install SQLMesh \d"
    ):
        patch(DuckDBEngineAdapter, "mergers", lambda operation: operation)


def model(name: str, columns: str) -> SqlModel:
    found = load_sql_based_model(sqlglot.parse(f"MODEL (name {name}); SELECT {columns} FROM a.b", read="snowflake"))
    assert isinstance(found, SqlModel)
    return found


@pytest.mark.parametrize(
    ("name", "breaking"), [("core.facts", None), ("CORE.facts", None), ("staging.facts", False), ("a.core", False)]
)
def test_a_column_more_is_no_small_change_of_a_candidate(name: str, breaking: bool | None) -> None:
    before, after = model(name, "x::INT AS x"), model(name, "x::INT AS x, y::INT AS y")
    assert after.is_breaking_change(before) is breaking


def test_the_optimised_query_of_a_model_is_read_from_its_file_once(tmp_path: Path) -> None:
    text = "x::INT AS x, @EACH([1, 2], n -> n AS n@n)"
    first, again, changed = model("core.facts", text), model("core.facts", text), model("core.facts", "y::INT AS y")
    cache = OptimizedQueryCache(tmp_path)
    assert not cache.with_optimized_query(first)
    assert OptimizedQueryCache(tmp_path).with_optimized_query(model("core.facts", text))  # it is in the file
    shutil.rmtree(tmp_path)
    assert cache.with_optimized_query(again)
    assert again.render_query() is first.render_query()
    assert again.violated_rules_for_query == first.violated_rules_for_query
    assert again.violated_rules_for_query is not first.violated_rules_for_query
    assert not cache.with_optimized_query(changed)
    assert changed.render_query() == model("core.facts", "y::INT AS y").render_query()


def test_the_optimised_query_of_a_model_of_the_state_is_read_when_somebody_asks_for_it(tmp_path: Path) -> None:
    stored = Snapshot.from_node(model("core.facts", "x::INT AS x, @EACH([1], n -> n AS n@n)"), nodes={})
    stored.node = stored.model.copy()
    cache, queries = SnapshotCache(tmp_path), tmp_path / "optimized_query"
    found, _ = cache.get_or_load({stored.snapshot_id}, lambda _: [stored])
    assert not queries.exists()
    assert found[stored.snapshot_id].model.columns_to_types.keys() == {"x", "n1"}
    assert len(list(queries.iterdir())) == 1
    read, cached = SnapshotCache(tmp_path).get_or_load({stored.snapshot_id}, lambda _: [])
    assert cached == {stored.snapshot_id}
    kept = read[stored.snapshot_id].model
    assert kept.render_query() == stored.model.render_query()
    assert kept.copy().render_query() == stored.model.render_query()


@pytest.mark.parametrize("failing", [False, True])
def test_what_was_evaluated_is_written_to_the_state_once_also_when_something_fails(failing: bool) -> None:
    written: list[list[str]] = []
    state = SimpleNamespace(add_snapshots_intervals=lambda intervals: written.append(list(intervals)))
    write = state.add_snapshots_intervals

    def run(self: Any) -> str:
        for name in ("a", "b"):
            self.state_sync.add_snapshots_intervals([name])
            assert written == []
        if failing:
            raise KeyError("c")
        return "done"

    def evaluate() -> Any:
        return written_once(run)(SimpleNamespace(state_sync=state))

    if failing:
        with pytest.raises(KeyError):
            evaluate()
    else:
        assert evaluate() == "done"
    assert written == [["a", "b"]]
    assert state.add_snapshots_intervals is write


def test_a_run_stops_where_somebody_changes_its_environment_under_it() -> None:
    state = {"prod": ("one", 1), "dev": ("other", 1)}
    known = SimpleNamespace(
        get_environments_summary=lambda: [
            SimpleNamespace(name=name, plan_id=plan, finalized_ts=at) for name, (plan, at) in state.items()
        ]
    )
    asked: list[bool] = []

    def run(self: Any, *, environment_naming_info: EnvironmentNamingInfo, circuit_breaker: Any) -> str:
        assert environment_naming_info.name == "prod"
        if circuit_breaker is None:
            return "a plan"
        asked.append(circuit_breaker())
        for changed in ({"dev": ("another", 2)}, {"prod": ("one", None)}, {"prod": ("two", 2)}):
            state.update(changed)
            asked.append(circuit_breaker())
        del state["prod"]
        asked.append(circuit_breaker())
        return "a run"

    def ran(**breaking: Any) -> str:
        scheduler = SimpleNamespace(state_sync=known)
        prod = EnvironmentNamingInfo(name="prod")
        result: str = asked_of_its_summary(run)(scheduler, environment_naming_info=prod, **breaking)
        return result

    assert ran() == "a plan"
    with pytest.raises(CircuitBreakerError):
        ran(circuit_breaker=lambda: True)
    assert ran(circuit_breaker=lambda: False) == "a run"
    assert asked == [False, False, True, True, True]


def test_what_prod_is_is_recorded_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = DuckDBEngineAdapter(lambda: duckdb.connect(str(tmp_path / "state.duckdb")))
    state = EngineAdapterStateSync(adapter, schema=None)
    state.migrate()
    journal = [EnvironmentStatements(before_all=["SELECT 1"], after_all=["@journal()"], python_env={})]

    def promote(plan_id: str, previous: str | None) -> None:
        prod = {"name": "prod", "snapshots": [], "start_at": "2026-03-05", "plan_id": plan_id}
        state.promote(Environment(**prod, previous_plan_id=previous), environment_statements=journal)

    promote("first", None)
    written = iter([True, False])  # the environment, then its statements
    insert = adapter.insert_append

    def insert_or_fail(*arguments: Any, **named: Any) -> None:
        if not next(written):
            raise KeyError("killed")
        insert(*arguments, **named)

    monkeypatch.setattr(adapter, "insert_append", insert_or_fail)
    with pytest.raises(KeyError, match="killed"):
        promote("second", "first")
    monkeypatch.undo()
    for plan_id, previous in (("first", None), ("third", "first")):
        if previous:
            promote(plan_id, previous)
        found = state.get_environment("prod")
        assert found
        assert found.plan_id == plan_id
        assert state.get_environment_statements("prod") == journal
    state.close()


def test_a_table_is_created_from_what_its_model_reads() -> None:
    parent, child = model("core.a", "x::INT AS x"), model("core.b", "x::INT AS x")
    child = child.copy(update={"depends_on_": {parent.fqn}})
    nodes = {node.fqn: node for node in (parent, child, model("core.c", "x::INT AS x"))}
    snapshots = {name: Snapshot.from_node(node, nodes=nodes) for name, node in nodes.items()}
    found = made_of_its_parents(lambda self, snapshot, **given: given)(
        None, snapshots[child.fqn], create_render_kwargs={"snapshots": snapshots, "more": 1}, dry_run=True
    )
    assert found["create_render_kwargs"].pop("snapshots").keys() == {parent.fqn, child.fqn}
    assert found == {"create_render_kwargs": {"more": 1}, "dry_run": True}


def test_the_plain_command_keeps_templates_beside_its_cache(tmp_path: Path) -> None:
    loader: Any = SimpleNamespace(context=SimpleNamespace(cache_dir=tmp_path))
    SqlMeshLoader._Cache(loader, PROJECT)
    made = TEMPLATES.get("made by `sqlmesh run`", lambda: Template(("SELECT 1",), ()))
    later = Templates()
    later.keep_in(tmp_path)
    assert later.get("made by `sqlmesh run`", lambda: None) == made


def test_models_are_parsed_once_wherever_the_home_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def key(home: str, currency: str = "USD") -> str:
        monkeypatch.setenv("INSIGHTMART_HOME", str(tmp_path / home))
        monkeypatch.setenv("INSIGHTMART_CURRENCY", currency)
        config = load_configs(None, Config, [PROJECT])[PROJECT]
        loader = SimpleNamespace(
            config=config,
            context=SimpleNamespace(cache_dir=tmp_path, default_catalog="INSIGHTMART", gateway="local"),
            _path_mtimes={PROJECT: 1.0},
            _macros_max_mtime=None,
            _signals_max_mtime=None,
            _audits_max_mtime=None,
            _config_mtimes={},
        )
        return SqlMeshLoader._Cache(loader, PROJECT)._model_cache_entry_id(PROJECT)  # type: ignore[arg-type]

    assert key("here") == key("there")
    assert key("here") != key("here", currency="EUR")


def test_a_plain_run_which_loads_no_project_has_every_change_before_it_evaluates() -> None:
    """SQLMesh takes macros out of its state then, as texts: what `before_all` executes brings the changes along, and
    refuses where they come too late."""
    code = (
        "import inspect, sys, types, macros.source_tables as there\n"
        "text = inspect.getsource(there.create_source_tables).replace('@macro()', '')\n"
        "own = {'t': there.t}\n"
        "exec(text, own)\n"
        "stage = types.SimpleNamespace(runtime_stage=sys.argv[1], gateway='snowflake', engine_adapter=None)\n"
        "try:\n"
        "    own['create_source_tables'](stage)\n"
        "except Exception as error:\n"
        "    print(error)\n"
        "print('insightmart.transform.sqlmesh_patches' in sys.modules)\n"
    )
    said = {
        stage: subprocess.run(
            [sys.executable, "-c", code, stage], cwd=PROJECT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for stage in ("loading", "before_all")
    }
    refused = "plain `sqlmesh run` beside Snowflake takes no lock. Use `insightmart sqlmesh run`"
    assert said == {"loading": ["True"], "before_all": [refused, "True"]}


def test_python_clears_up_after_more_objects_than_it_does_by_itself() -> None:
    assert gc.isenabled()
    assert gc.get_threshold() == COLLECT_AFTER


def _changes_of_libraries() -> Iterator[str]:
    """The files of the project that assign to attributes of what they have imported by its class name."""
    for folder in ("ingestion", "insightmart", "macros", "signals", "linter", "sandbox"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr"
                targets = node.targets if isinstance(node, ast.Assign) else []
                named = [t for t in targets if isinstance(t, ast.Attribute) and isinstance(t.value, ast.Name)]
                if called or any(t.value.id[:1].isupper() for t in named):  # type: ignore[attr-defined]
                    yield path.relative_to(PROJECT).as_posix()


def test_no_other_module_changes_a_library() -> None:
    assert set(_changes_of_libraries()) == {"insightmart/transform/sqlmesh_patches.py"}
