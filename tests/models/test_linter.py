"""The project's own linter rules: which models `sqlmesh lint` refuses, and that it refuses none of the project."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from sqlmesh.utils.errors import LinterError

from tests.models.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from sqlmesh import Context

RULES = (
    "publishedcolumnsarecommented",
    "coreisaudited",
    "descriptionisshort",
    "descriptionisthere",
    "grainisthere",
    "nothingthatsnowflakerefuses",
    "ownerisateam",
    "stepsstayinside",
)

CORE = """
MODEL (
  name core.{name},
  kind FULL,
  owner finance,
  description 'The days.',
  grain (day),
  audits (not_null(columns := (day)))
);
SELECT
  '2026-03-05'::DATE AS day, /* The day */
  'Thursday'::VARCHAR AS weekday /* What it is called */
"""
CERTIFIED = """
MODEL (name certified.{name}, kind FULL, owner finance, description 'The days.', grain (day));
SELECT
  day::DATE AS day, /* The day */
  weekday::VARCHAR AS weekday /* What it is called */
FROM core.sound
"""
REFUSED = (
    "FROM core.sound AS s WHERE NOT EXISTS (SELECT 1 FROM core._step AS o WHERE o.weekday = COALESCE(s.weekday, ''))"
)
STAGING = """
MODEL (name staging.{name}, kind VIEW, owner finance, description 'The days.');
SELECT * FROM core.sound
"""
# name of a model -> the sound model, what is taken from it, what is put there, and the rule that refuses it
MODELS = {
    "sound": (CORE, "", "", None),
    "sound_and_certified": (CERTIFIED, "", "", None),
    "hands_on_whole_rows": (STAGING, "", "", None),
    "without_owner": (CORE, "  owner finance,\n", "", "ownerisateam"),
    "of_somebody": (CORE, "owner finance", "owner somebody", "ownerisateam"),
    "not_described": (CORE, "  description 'The days.',\n", "", "descriptionisthere"),
    "described_by_a_blank": (CORE, "'The days.'", "' '", "descriptionisthere"),
    "described_at_length": (CORE, "'The days.'", f"'{'The days. ' * 25}'", "descriptionisshort"),
    "without_grain": (CORE, "  grain (day),\n", "", "grainisthere"),
    "without_grain_though_it_chooses": (STAGING, "SELECT *", "SELECT day, weekday", "grainisthere"),
    "not_audited": (CORE, ",\n  audits (not_null(columns := (day)))", "", "coreisaudited"),
    "_step": (CORE, " /* What it is called */", "", None),
    "reads_a_step_beside_it": (CORE, "called */", "called */ FROM core._step", None),
    "reads_a_step_above_it": (CERTIFIED, "core.sound", "core._step", "stepsstayinside"),
    "computes_inside": (CORE, "called */", f"called */ {REFUSED}", "nothingthatsnowflakerefuses"),
    "half_explained": (CORE, " /* What it is called */", "", "publishedcolumnsarecommented"),
    "half_commented": (CERTIFIED, " /* What it is called */", "", "publishedcolumnsarecommented"),
}


def test_a_model_that_lacks_something_is_refused_by_the_rule_for_it(
    small_project: Callable[..., Context], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(REPOSITORY / "linter", project / "linter", ignore=shutil.ignore_patterns("__pycache__"))
    with (project / "config.yaml").open("a", encoding="utf-8") as config:
        config.write(f"linter: {{enabled: true, rules: [{', '.join(RULES)}]}}\n")
    models = {name: sql.format(name=name).replace(old, new, 1) for name, (sql, old, new, _) in MODELS.items()}
    context = small_project(**models)

    refused: dict[str, list[str]] = {}
    for item in context.lint_models(raise_on_error=False):
        assert item.violation_type == "error"
        refused.setdefault(item.model.name.split(".")[1], []).append(item.rule.name)
    assert refused == {name: [rule] for name, (_, _, _, rule) in MODELS.items() if rule}
    with pytest.raises(LinterError):
        context.plan(no_prompts=True, auto_apply=True)


def test_every_rule_is_on_and_no_model_is_let_off(project: Context) -> None:
    assert project.config.linter.enabled
    assert set(RULES) <= project.config.linter.rules
    assert [model.name for model in project.models.values() if model.ignored_rules] == []
    project.lint_models()
