"""The checks of a gate and the thresholds they use, as the files of soda/ state them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import yaml

from insightmart.errors import ConfigurationError

CHECKS = Path("soda/checks")
VARIABLES = Path("soda/variables.yml")
# What a scan sets itself, whatever soda/variables.yml says for a plain `soda scan`.
OF_THE_WINDOW = frozenset({"SCHEMA", "CANDIDATE_COLUMNS", "SOURCES", "WINDOW_START", "WINDOW_END"})
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def read_checks(project: Path, names: Sequence[str]) -> str:
    """The text of these files of soda/checks, one after the other."""
    return "\n".join((project / CHECKS / f"{name}.yml").read_text(encoding="utf-8") for name in names)


def declared_thresholds(project: Path) -> dict[str, object]:
    """All thresholds of soda/variables.yml by name."""
    return dict(yaml.safe_load((project / VARIABLES).read_text(encoding="utf-8"))["variables"])


def with_thresholds(checks: str, thresholds: Mapping[str, object]) -> str:
    """SodaCL text with the thresholds it names filled in."""
    for name, value in thresholds.items():
        checks = checks.replace(f"${{{name}}}", str(value))
    return checks


def thresholds_of(project: Path, checks: str, looked_at: Collection[str]) -> str:
    """The part of soda/variables.yml that these checks use, as YAML.

    No more than that: what a gate is told is part of its model, and a threshold of others must not change it.

    Args:
        project: the folder of the SQLMesh project.
        checks: SodaCL text.
        looked_at: variables that the gate sets itself.

    Raises:
        ConfigurationError: a check uses a threshold that is not declared.
    """
    declared = declared_thresholds(project)
    used = sorted(set(_VARIABLE.findall(checks)) - OF_THE_WINDOW - set(looked_at))
    if unknown := [name for name in used if name not in declared]:
        raise ConfigurationError(f"A check uses {unknown[0]}, which {VARIABLES} does not declare", "Write it there")
    return str(yaml.safe_dump({"variables": {name: str(declared[name]) for name in used}}))
