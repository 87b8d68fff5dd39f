"""What rules, metrics and columns mean, read from the files that say it: macros/rules.yml, beside the macros that apply
the rules, and metrics.yml and columns.yml in models/certified, beside the tables that have them.

Files are passed by their paths, because SQLMesh may load a copy of the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
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


@dataclass(frozen=True)
class Metric:
    """A figure of the company; ``columns`` are those of certified where it stands, as ``table.column``."""

    name: str
    title: str
    meaning: str
    formula: str
    unit: str
    shopify: str
    caveats: tuple[str, ...]
    owner: str
    columns: tuple[str, ...]

    @property
    def comment(self) -> str:
        """What a column says that has no words of its own."""
        return f"{self.meaning}; unit: {self.unit}"


@dataclass(frozen=True)
class Meanings:
    """What the columns of certified mean.

    Attributes:
        metrics: in the order of the file.
        words: table or ``everywhere`` -> column -> meaning.
    """

    metrics: tuple[Metric, ...]
    words: Mapping[str, Mapping[str, str]]

    def of(self, table: str, column: str) -> str | None:
        """The meaning of a column of a certified table or of one of its parts; None where nobody has written it."""
        whole = table.split("__")[0]
        if own := self.words.get(whole, {}).get(column):
            return own
        for metric in self.metrics:
            if f"{whole}.{column}" in metric.columns:
                return metric.comment
        return self.words["everywhere"].get(column)


def read_metrics(path: Path) -> tuple[Metric, ...]:
    """The metrics in the order of the file.

    Raises:
        ConfigurationError: the file is no YAML, or a metric lacks or misspells something.
    """
    metrics = []
    wanted = {field.name for field in fields(Metric)} - {"name"}
    for name, stated in _mapping(path).items():
        if stated.keys() != wanted:
            raise _error(path, f"{name} lacks or has too much of: {', '.join(sorted(stated.keys() ^ wanted))}")
        lists = {key: tuple(stated[key]) for key in ("caveats", "columns")}
        texts = [value for key, value in stated.items() if key not in lists] + [*lists["caveats"], *lists["columns"]]
        if odd := [text for text in texts if not isinstance(text, str)]:
            raise _error(path, f"{name} has {odd[0]!r} where a text belongs; quote what has a colon in it")
        metrics.append(Metric(name=name, **{**stated, **lists}))
    return tuple(metrics)


def read_meanings(folder: Path) -> Meanings:
    """What metrics.yml and columns.yml of a folder say.

    Raises:
        ConfigurationError: one of them cannot be read.
    """
    return Meanings(read_metrics(folder / "metrics.yml"), {"everywhere": {}, **_mapping(folder / "columns.yml")})


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
