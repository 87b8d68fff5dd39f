"""What the definitions may say, and that what is generated from them is up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from insightmart.definitions.definitions import Rule, read_meanings, read_metrics, read_rules
from insightmart.definitions.documentation import columns_of, commented
from insightmart.errors import ConfigurationError
from insightmart.settings import PROJECT

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


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rules.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_rule_has_severity_and_owner_of_its_entity_unless_it_states_its_own(tmp_path: Path) -> None:
    assert read_rules(_file(tmp_path, RULES)) == [
        Rule("price_missing", "sales", "No price", "high", "operations", "price IS NULL"),
        Rule("price_odd", "sales", "Odd", "low", "pricing", "price > 9"),
        Rule("price_unreadable", "sales", "No number", "high", "operations", None),
    ]


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
    ],
)
def test_a_faulty_rule_is_refused_with_its_place(tmp_path: Path, old: str, new: str, cause: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read_rules(_file(tmp_path, RULES.replace(old, new, 1)))
    assert cause in str(error.value)
    assert "rules.yml" in str(error.value)


METRIC = """
margin:
  title: Margin
  meaning: What is left
  formula: price - cost
  unit: euros
  shopify: The same
  caveats: [Before tax]
  owner: finance
  columns: [sales.margin, sales_daily.margin]
"""
COLUMNS = """
everywhere: {day: The day}
sales: {margin: What is left of one line}
"""


def test_a_column_has_the_words_of_its_table_or_of_its_metric_or_the_common_ones(tmp_path: Path) -> None:
    (tmp_path / "metrics.yml").write_text(METRIC, encoding="utf-8")
    (tmp_path / "columns.yml").write_text(COLUMNS, encoding="utf-8")
    meanings = read_meanings(tmp_path)
    assert meanings.of("sales__oltp", "margin") == "What is left of one line"
    assert meanings.of("sales_daily", "margin") == "What is left; unit: euros"
    assert meanings.of("sales_daily", "day") == "The day"
    assert meanings.of("sales_daily", "hour") is None
    before = ["MODEL (", ");", "", "SELECT"]
    model = [
        *before,
        "  SUM(m)::INT AS margin, /* old */",
        "  day::DATE AS day,",
        "  hour AS hour /* own */",
        "FROM x",
        "",
    ]
    assert commented("\n".join(model), "sales_daily", meanings).split("\n") == [
        *before,
        "  SUM(m)::INT AS margin, /* What is left; unit: euros */",
        "  day::DATE AS day, /* The day */",
        "  hour AS hour",
        "FROM x",
        "",
    ]


@pytest.mark.parametrize(
    ("old", "new"), [("  owner: finance\n", ""), ("  unit: euros", "  unit: euros\n  colour: red")]
)
def test_a_metric_states_all_there_is_to_state_and_nothing_else(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "metrics.yml").write_text(METRIC.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"metrics\.yml: margin lacks or has too much of: (owner|colour)"):
        read_metrics(tmp_path / "metrics.yml")


def test_every_word_of_the_definitions_is_about_a_column_that_exists() -> None:
    certified = PROJECT / "models" / "certified"
    columns: dict[str, set[str]] = {"everywhere": set()}
    for path in certified.glob("*.sql"):
        found = columns_of(path.read_text(encoding="utf-8"))
        columns.setdefault(path.stem.split("__")[0], set()).update(found)
        columns["everywhere"].update(found)
    meanings = read_meanings(certified)
    described = [(table, column) for table, words in meanings.words.items() for column in words]
    measured = [tuple(column.split(".")) for metric in meanings.metrics for column in metric.columns]
    assert [f"{table}.{column}" for table, column in (*described, *measured) if column not in columns[table]] == []
