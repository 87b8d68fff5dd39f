"""What rules mean, read from the one file that says it: macros/rules.yml, beside the macros that apply it.

The file of the project at hand is passed by its path, because SQLMesh may load a copy of the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from insightmart.errors import ConfigurationError

SEVERITIES = ("high", "medium", "low")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ENTITY = re.compile(r"[a-z][a-z0-9_]*\*?")


@dataclass(frozen=True)
class Rule:
    """A rule of one entity; an entity that ends in ``*`` stands for all entities of its source.

    Attributes:
        rule_id: as in ``rule_ids`` and ``reasons`` of quarantine tables and in raw.rejects.
        condition: what a bad row of staging looks like, in SQL; None for a rule of ingestion.
    """

    rule_id: str
    entity: str
    meaning: str
    severity: str
    owner: str
    condition: str | None = None


def read_rules(path: Path) -> list[Rule]:
    """The rules in the order of the file.

    Raises:
        ConfigurationError: the file is no YAML, or an entity or rule lacks or misspells something.
    """
    return [rule for entity, block in _mapping(path).items() for rule in _rules_of(path, entity, block)]


def _rules_of(path: Path, entity: str, block: Mapping[str, Any]) -> Iterator[Rule]:
    if not _ENTITY.fullmatch(entity):
        raise _error(path, f"{entity!r} is no entity")
    if unknown := block.keys() - {"owner", "severity", "rows", "ingestion"}:
        raise _error(path, f"{entity} has an unknown key {min(unknown)}")
    for group in ("rows", "ingestion"):
        for rule_id, stated in (block.get(group) or {}).items():
            facts = {"meaning": stated} if isinstance(stated, str) else stated or {}
            rule = Rule(
                rule_id=rule_id,
                entity=entity,
                meaning=facts.get("meaning", ""),
                severity=facts.get("severity", block.get("severity", "")),
                owner=facts.get("owner", block.get("owner", "")),
                condition=facts.get("when"),
            )
            if lacking := _lacking(rule, facts, group):
                raise _error(path, f"{entity}.{rule_id} {lacking}")
            yield rule


def _lacking(rule: Rule, facts: Mapping[str, Any], group: str) -> str:
    """What is wrong with a rule, or an empty text."""
    if not _NAME.fullmatch(rule.rule_id):
        return "is no rule id"
    if unknown := facts.keys() - {"when", "meaning", "severity", "owner"}:
        return f"has an unknown key {min(unknown)}"
    if not rule.meaning or not rule.owner:
        return "lacks a meaning or an owner"
    if rule.severity not in SEVERITIES:
        return f"has severity {rule.severity!r}, not one of {', '.join(SEVERITIES)}"
    if (group == "rows") != bool(rule.condition):
        return "lacks a condition" if group == "rows" else "has a condition, which ingestion does not read"
    return ""


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise _error(path, " ".join(str(error).split())) from error
    if not isinstance(found, dict) or not all(isinstance(block, dict) for block in found.values()):
        raise _error(path, "not a mapping of mappings")
    return found


def _error(path: Path, cause: str) -> ConfigurationError:
    return ConfigurationError(f"{path.parent.name}/{path.name}: {cause}", "Correct the file")
