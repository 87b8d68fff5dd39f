"""The changes that `make mutants` makes are one token each, and none in what is no SQL or decides nothing."""

from pathlib import Path

import pytest

from insightmart.definitions.files import RULES as RULES_FILE
from insightmart.settings import PROJECT

MODEL = """MODEL (name a.b, kind VIEW, start '1970-01-01');

SELECT
  *,
  COALESCE(x, 0)::DECIMAL(18, 4) AS x /* not < this */
FROM raw.t
WHERE
  at BETWEEN @start_ts AND @end_ts AND x < 5
"""
RULES = """t:
  rows:
    x_negative:
      when: x < 0
      meaning: x is < 0
"""
MACRO = """@macro()
def counts(evaluator, status):
    return f"COALESCE({status.sql('snowflake')} <> 'cancelled', FALSE)"
"""


@pytest.fixture(autouse=True)
def bench_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not installed."""
    monkeypatch.syspath_prepend(PROJECT)


def found(folder: Path, name: str, text: str) -> list[tuple[str, str, str]]:
    from bench.mutants.changes import changes_of

    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    changes = changes_of(folder)
    for change in changes:
        assert text[change.start :].startswith(change.before)
        assert change.applied_to(text) != text
        assert str(change).startswith(f"{name}:{change.line}:{change.column}  {change.kind}: ")
    return [(change.kind, change.before, change.after) for change in changes]


def test_query_is_changed_and_properties_types_comments_and_the_and_of_between_are_not(tmp_path: Path) -> None:
    assert found(tmp_path, "models/a/b.sql", MODEL) == [
        ("number", "0", "1"),
        ("condition", "at BETWEEN @start_ts AND @end_ts", "TRUE"),
        ("logic", "AND", "OR"),
        ("condition", "x < 5", "TRUE"),
        ("comparison", "<", "<="),
        ("number", "5", "6"),
        ("number", "5", "4"),
    ]


def test_condition_of_a_rule_is_changed_and_its_meaning_is_not(tmp_path: Path) -> None:
    assert found(tmp_path, "macros/rules.yml", RULES) == [
        ("comparison", "<", "<="),
        ("number", "0", "1"),
        ("condition", "x < 0", "FALSE"),
    ]


def test_number_with_decimals_is_changed_in_its_last_place(tmp_path: Path) -> None:
    changes = found(tmp_path, "models/a/b.sql", MODEL.replace("x < 5", "x < 0.05"))
    assert [(before, after) for kind, before, after in changes if kind == "number"] == [
        ("0", "1"),
        ("0.05", "0.06"),
        ("0.05", "0.04"),
    ]


def test_macro_is_changed_where_it_makes_sql(tmp_path: Path) -> None:
    assert found(tmp_path, "macros/sql.py", MACRO) == [
        ("comparison", "<>", "="),
        ("text", "'cancelled'", "'cancelled_'"),
        ("truth", "FALSE", "TRUE"),
    ]


@pytest.mark.slow
def test_each_change_of_a_rule_is_tried_in_the_one_model_that_splits_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.mutants.changes import changes_of
    from bench.mutants.trial import Trial

    monkeypatch.setenv("INSIGHTMART_HOME", str(tmp_path))
    trial = Trial(PROJECT)
    text = (PROJECT / RULES_FILE).read_text(encoding="utf-8")
    changes = [change for change in changes_of(PROJECT) if change.path == RULES_FILE]
    tried = [[model.name for model in trial.changed(change, text)] for change in changes]
    assert len(changes) > 500
    assert {len(models) for models in tried} == {1}
    assert {name for models in tried for name in models} >= {"staging._oltp_order_lines", "staging._shopify_orders"}
