"""What a gate is made of: a changed threshold changes the gates that use it and what stands below them, no more."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.models.conftest import REPOSITORY
from tests.support.built_homes import new_home

if TYPE_CHECKING:
    from sqlmesh import Context

RETURNS = ('RETURNS_WARN_PERCENT: "60"', 'RETURNS_WARN_PERCENT: "61"', {"gate.sales__oltp", "gate.sales__shopify"})
STORES = ('MISSING_STORES_MAX_PERCENT: "25"', 'MISSING_STORES_MAX_PERCENT: "26"', {"gate.inventory__stores"})
PLAIN_SCAN: tuple[str, str, set[str]] = ("SCHEMA: CERTIFIED", "SCHEMA: ELSEWHERE", set())  # of `soda scan` alone


def versions(context: Context) -> dict[str, str]:
    """Model -> what tells one version of its data from another."""
    snapshots = [snapshot for snapshot in context.snapshots.values() if not snapshot.model.kind.is_external]
    return {snapshot.model.name: snapshot.fingerprint.to_version() for snapshot in snapshots}


def at_and_below(context: Context, gates: set[str]) -> set[str]:
    """The gates and everything that stands on them."""
    names = {fqn: model.name for fqn, model in context.models.items()}
    return gates | {names[low] for fqn, name in names.items() if name in gates for low in context.dag.downstream(fqn)}


@pytest.mark.slow
def test_a_changed_threshold_changes_the_gates_that_use_it(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlmesh import Context

    directory = tmp_path / "project"
    for folder in ("models", "macros", "audits", "signals", "soda", "linter"):
        shutil.copytree(REPOSITORY / folder, directory / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("config.yaml", "external_models.yaml"):
        shutil.copy(REPOSITORY / file, directory)
    monkeypatch.setenv("INSIGHTMART_HOME", str(new_home(tmp_path_factory, tmp_path / "home")))
    variables = directory / "soda" / "variables.yml"
    declared = variables.read_text(encoding="utf-8")

    context = Context(paths=str(directory))
    before = versions(context)
    for old, new, gates in (RETURNS, STORES, PLAIN_SCAN):
        assert old in declared
        variables.write_text(declared.replace(old, new), encoding="utf-8")
        context.load()
        after = versions(context)
        assert {name for name in after if after[name] != before[name]} == at_and_below(context, gates)
    context.close()


def test_a_gate_keeps_its_checks_and_just_the_thresholds_they_use(project: Context) -> None:
    model = project.get_model("gate.customers", raise_if_missing=True)
    told = ast.literal_eval(model.python_env["told"].payload)
    assert told["checks"] == (REPOSITORY / "soda" / "checks" / "customers.yml").read_text(encoding="utf-8")
    assert told["variables"].split() == [
        *("variables:", "DAILY_LOAD_MAX_HOURS:", "'26'"),
        *("UNKNOWN_CUSTOMERS_MAX_PERCENT:", "'5'"),
    ]
