"""The row rules of rules.yml as macros: ``@failed_rules__ENTITY()`` for each entity, ``@described_rules()`` for all.

A macro an entity, because SQLMesh keeps in each model what its macros refer to: a changed condition changes just the
models of that entity, and one table of all rules would change every model of staging.
"""

import typing as t
from pathlib import Path

from sqlglot import exp
from sqlmesh import macro

from insightmart.definitions.files import RULES
from insightmart.definitions.rules import Rule, read_rules

ROW_RULES = read_rules(Path(__file__).parents[1] / RULES)


def _applied(entity: str) -> None:
    """Register the macro of an entity."""
    conditions_of_entity = tuple((rule.rule_id, str(rule.condition)) for rule in _checked_in_staging(entity))

    def failed_rules(evaluator: t.Any) -> str:
        """The ids of the rules that a row breaks, separated by ', '; NULL for a good row."""
        settings = {
            "@history_start": f"CAST('{evaluator.var('history_start')}' AS TIMESTAMP_NTZ)",
            "@company_currency": f"'{evaluator.var('company_currency')}'",
        }
        parts = []
        for rule_id, condition in conditions_of_entity:
            for name, value in settings.items():
                condition = condition.replace(name, value)
            parts.append(f"CASE WHEN {condition} THEN '{rule_id}, ' ELSE '' END")
        return f"NULLIF(RTRIM({' || '.join(parts)}, ', '), '')"

    macro(f"failed_rules__{entity}")(failed_rules)


def _checked_in_staging(entity: str) -> t.List[Rule]:
    return [rule for rule in ROW_RULES if rule.entity == entity and rule.condition]


for _entity in {rule.entity for rule in ROW_RULES if rule.condition}:
    _applied(_entity)


DESCRIBED_RULES = tuple(
    (rule.rule_id, rule.entity, rule.meaning, rule.severity, rule.owner, rule.condition) for rule in ROW_RULES
)


@macro()
def described_rules(evaluator: t.Any) -> exp.Select:
    """A query of all rules: rule_id, entity, meaning, severity, owner, condition."""
    columns = ["rule_id", "entity", "meaning", "severity", "owner", "condition"]
    return exp.select(*columns).from_(exp.values(DESCRIBED_RULES, alias="rules", columns=columns))
