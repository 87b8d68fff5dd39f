"""What the rules mean that rows are rejected by."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from insightmart.definitions.files import RULES
from insightmart.definitions.rules import Rule, read_rules
from insightmart.settings import PROJECT


@cache
def rules() -> Mapping[tuple[str, str], Rule]:
    """The rules by (entity, rule id); an entity that ends in ``*`` stands for all of its source."""
    return {(rule.entity, rule.rule_id): rule for rule in read_rules(PROJECT / RULES)}


def rule_of(entity: str, rule_id: str) -> Rule:
    """The rule, or one without a meaning when nobody described it."""
    source = entity.split("_", 1)[0]
    known = rules()
    return known.get((entity, rule_id)) or known.get((f"{source}_*", rule_id)) or Rule(rule_id, entity, "", "", "")
