"""The rules of rules.yml as macros: ``@failed_rules__ENTITY()`` for each entity, ``@failed_rules__ENTITY_with_lines()``
and the like for its other groups, ``@described_rules()`` for all.

A macro an entity, because SQLMesh keeps in each model what its macros refer to: a changed condition changes just the
models of that entity, and one table of all rules would change every model of staging.
"""

import typing as t
from pathlib import Path

from sqlglot import exp
from sqlmesh import macro

from insightmart.definitions.files import RULES
from insightmart.definitions.rules import ROWS, read_rules

ROW_RULES = read_rules(Path(__file__).parents[1] / RULES)


def _failed(conditions: t.Tuple[t.Tuple[str, str], ...], evaluator: t.Any) -> str:
    """The ids of the rules that a row breaks, separated by ', '; NULL for a good row."""
    settings = {
        "@history_start": f"CAST('{evaluator.var('history_start')}' AS TIMESTAMP_NTZ)",
        "@company_currency": f"'{evaluator.var('company_currency')}'",
    }
    parts = []
    for rule_id, condition in conditions:
        for name, value in settings.items():
            condition = condition.replace(name, value)
        parts.append(f"CASE WHEN {condition} THEN '{rule_id}, ' ELSE '' END")
    return f"NULLIF(RTRIM({' || '.join(parts)}, ', '), '')"


def _conditions(entity: str, group: str) -> t.Tuple[t.Tuple[str, str], ...]:
    rules = [rule for rule in ROW_RULES if (rule.entity, rule.group) == (entity, group)]
    return tuple((rule.rule_id, str(rule.condition)) for rule in rules)


def _applied_to_rows(entity: str) -> None:
    """Register the macro of the rules of an entity's rows."""
    conditions_of_rows = _conditions(entity, ROWS)

    def failed_rules(evaluator: t.Any) -> str:
        return _failed(conditions_of_rows, evaluator)

    macro(f"failed_rules__{entity}")(failed_rules)


def _applied_to_group(entity: str, group: str) -> None:
    """Register the macro of another group of rules.

    Function and conditions have names of their own: of what macros refer to, a model keeps one a name.
    """
    conditions_of_group = _conditions(entity, group)

    def failed_group_rules(evaluator: t.Any) -> str:
        return _failed(conditions_of_group, evaluator)

    macro(f"failed_rules__{entity}_{group}")(failed_group_rules)


for _entity, _group in sorted({(rule.entity, rule.group) for rule in ROW_RULES if rule.condition}):
    if _group == ROWS:
        _applied_to_rows(_entity)
    else:
        _applied_to_group(_entity, _group)


DESCRIBED_RULES = tuple(
    (rule.rule_id, rule.entity, rule.meaning, rule.severity, rule.owner, rule.condition) for rule in ROW_RULES
)


@macro()
def described_rules(evaluator: t.Any) -> exp.Select:
    """A query of all rules: rule_id, entity, meaning, severity, owner, condition."""
    columns = ["rule_id", "entity", "meaning", "severity", "owner", "condition"]
    return exp.select(*columns).from_(exp.values(DESCRIBED_RULES, alias="rules", columns=columns))
