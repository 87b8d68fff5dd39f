"""What the rules of rows may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from insightmart.definitions.rules import Rule, read_rules
from insightmart.errors import ConfigurationError

RULES = """
sales:
  owner: operations
  severity: high
  rows:
    price_missing: {when: price IS NULL, meaning: No price}
    price_odd: {when: price > 9, meaning: Odd, severity: low, owner: pricing}
  ingestion:
    price_unreadable: No number
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rules.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_rule_has_severity_and_owner_of_its_entity_unless_it_states_its_own(tmp_path: Path) -> None:
    assert read_rules(written(tmp_path, RULES)) == [
        Rule("price_missing", "sales", "No price", "high", "operations", "price IS NULL"),
        Rule("price_odd", "sales", "Odd", "low", "pricing", "price > 9"),
        Rule("price_unreadable", "sales", "No number", "high", "operations", None, "ingestion"),
    ]


def test_a_rule_may_say_what_to_do(tmp_path: Path) -> None:
    text = RULES.replace("price_unreadable: No number", "price_unreadable: {meaning: No number, cure: Ask for it}")
    assert [rule.cure for rule in read_rules(written(tmp_path, text))] == ["", "", "Ask for it"]


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("sales:", "Sales:", "'Sales' is no entity"),
        ("  owner: operations\n", "", "sales.price_missing lacks a meaning or an owner"),
        ("severity: high", "severity: huge", "sales.price_missing has severity 'huge', not one of high, medium, low"),
        ("ingestion:", "loading:", "sales has an unknown key loading"),
        ("price_missing:", "price'missing:", "sales.price'missing is no rule id"),
        ("when: price IS NULL, ", "", "sales.price_missing lacks a condition"),
        ("meaning: No price", "meening: No price", "sales.price_missing has an unknown key meening"),
        ("No number", "{when: a, meaning: b}", "sales.price_unreadable has a condition, which ingestion does not read"),
        (RULES, "- a", "not a mapping of mappings"),
        (RULES, "a: [", "while parsing a flow node"),
        ("    price_unreadable: No number", "    - price_unreadable", "sales.ingestion is no mapping"),
        ("price_unreadable: No number", "price_unreadable: [No number]", "neither a text nor a mapping"),
    ],
)
def test_a_faulty_rule_is_refused_with_its_place(tmp_path: Path, old: str, new: str, cause: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read_rules(written(tmp_path, RULES.replace(old, new, 1)))
    assert cause in str(error.value)
    assert "rules.yml" in str(error.value)
