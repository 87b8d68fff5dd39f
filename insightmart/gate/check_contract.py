"""What a check of the gate allows and whom to ask about it, for people."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml

from insightmart.gate.thresholds import declared_thresholds, with_thresholds
from insightmart.settings import PROJECT

OPERATORS = ("<=", ">=", "!=", "=", "<", ">", "between")


def check_contract(definition: str) -> tuple[str, str]:
    """What a check allows and who owns it, out of its SodaCL text; empty texts where it does not say.

    >>> check_contract("checks for T:\\n  - rejected_percent <= 10:\\n      attributes: {owner: operations}")
    ('<= 10', 'operations')
    """
    rule, options = _first_check(definition)
    attributes = options.get("attributes")
    owner = str(attributes.get("owner", "")) if isinstance(attributes, dict) else ""
    if "fail" in options:
        return f"not {str(options['fail']).removeprefix('when ')}", owner
    for operator in OPERATORS:
        if f" {operator} " in rule:
            return f"{operator} {rule.split(f' {operator} ', 1)[1]}", owner
    return "", owner


def _first_check(definition: str) -> tuple[str, dict[str, Any]]:
    """The rule of a SodaCL text's first check and its options; empty where the text is none, or a check without any."""
    try:
        text = yaml.load(with_thresholds(definition, _thresholds()), Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return "", {}
    match text:
        case dict() if len(text) == 1:
            match next(iter(text.values())):
                case [dict() as check, *_] if len(check) == 1:
                    ((rule, options),) = check.items()
                    return (str(rule), options) if isinstance(options, dict) else ("", {})
    return "", {}


@cache
def _thresholds() -> dict[str, object]:
    """They are asked for with every check of a page, and stay the same while a command runs."""
    return declared_thresholds(PROJECT)
