"""What the rules of rows mean, as models/staging/rules.yml says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insightmart.definitions.files import mistake, read_mapping

SEVERITIES = ("high", "medium", "low")
# When a rule is checked: models apply those with a condition, @failed_rules__ENTITY() those of rows and
# @failed_rules__ENTITY_GROUP() those of another group; ingestion has its own.
ROWS = "rows"
CHECKED = (ROWS, "with_lines", "without_lines")
GROUPS = (*CHECKED, "ingestion")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ENTITY = re.compile(r"[a-z][a-z0-9_]*\*?")


@dataclass(frozen=True)
class Rule:
    """A rule of one entity; an entity that ends in ``*`` stands for all entities of its source.

    Attributes:
        rule_id: as in ``rule_ids`` and ``reasons`` of quarantine tables and in raw.rejects.
        condition: what a bad row of staging looks like, in SQL; None for a rule of ingestion.
        group: when it is checked, one of GROUPS.
        cure: what to do about a broken one; empty where that is plain.
    """

    rule_id: str
    entity: str
    meaning: str
    severity: str
    owner: str
    condition: str | None = None
    group: str = ROWS
    cure: str = ""


def read_rules(path: Path) -> list[Rule]:
    """The rules in the order of the file.

    Raises:
        ConfigurationError: the file is no YAML, or an entity or rule lacks or misspells something.
    """
    return [rule for entity, block in read_mapping(path).items() for rule in _rules_of(path, entity, block)]


def _rules_of(path: Path, entity: str, block: Mapping[str, Any]) -> Iterator[Rule]:
    if not _ENTITY.fullmatch(entity):
        raise mistake(path, f"{entity!r} is no entity")
    if unknown := block.keys() - {"owner", "severity", *GROUPS}:
        raise mistake(path, f"{entity} has an unknown key {min(unknown)}")
    for group in GROUPS:
        rules = block.get(group) or {}
        if not isinstance(rules, dict):
            raise mistake(path, f"{entity}.{group} is no mapping")
        for rule_id, stated in rules.items():
            facts = {"meaning": stated} if isinstance(stated, str) else stated or {}
            if not isinstance(facts, dict):
                raise mistake(path, f"{entity}.{rule_id} is neither a text nor a mapping")
            rule = Rule(
                rule_id=rule_id,
                entity=entity,
                meaning=facts.get("meaning", ""),
                severity=facts.get("severity", block.get("severity", "")),
                owner=facts.get("owner", block.get("owner", "")),
                condition=facts.get("when"),
                group=group,
                cure=facts.get("cure", ""),
            )
            if lacking := _lacking(rule, facts):
                raise mistake(path, f"{entity}.{rule_id} {lacking}")
            yield rule


def _lacking(rule: Rule, facts: Mapping[str, Any]) -> str:
    """What is wrong with a rule, or an empty text."""
    if not _NAME.fullmatch(rule.rule_id):
        return "is no rule id"
    if unknown := facts.keys() - {"when", "meaning", "severity", "owner", "cure"}:
        return f"has an unknown key {min(unknown)}"
    if not rule.meaning or not rule.owner:
        return "lacks a meaning or an owner"
    if rule.severity not in SEVERITIES:
        return f"has severity {rule.severity!r}, not one of {', '.join(SEVERITIES)}"
    if (rule.group in CHECKED) != bool(rule.condition):
        return "lacks a condition" if rule.group in CHECKED else "has a condition, which ingestion does not read"
    return ""
