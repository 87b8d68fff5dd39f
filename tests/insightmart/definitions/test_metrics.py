"""What a metric has to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from insightmart.definitions.metrics import read_metrics
from insightmart.errors import ConfigurationError

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


def refused(tmp_path: Path, old: str, new: str) -> str:
    """What is said about the metric with one text in place of another."""
    assert old in METRIC
    (tmp_path / "metrics.yml").write_text(METRIC.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        read_metrics(tmp_path / "metrics.yml")
    return str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("  owner: finance\n", "", "margin lacks or has too much of: owner"),
        ("  unit: euros", "  unit: euros\n  colour: red", "margin lacks or has too much of: colour"),
        ("unit: euros", "unit: 3", "margin has 3 where a text belongs; quote what has a colon in it"),
        ("[Before tax]", "", "margin has None for caveats, where a list belongs"),
        ("[Before tax]", "Before tax", "margin has 'Before tax' for caveats, where a list belongs"),
        ("[sales.margin, sales_daily.margin]", "[]", "margin has [] for columns, where a list belongs"),
        ("[Before tax]", "[{Before: tax}]", "margin has {'Before': 'tax'} where a text belongs"),
        ("  meaning: What is left", "  meaning: Left: what is", "mapping values are not allowed here"),
    ],
)
def test_a_metric_states_all_there_is_to_state_and_nothing_else(tmp_path: Path, old: str, new: str, cause: str) -> None:
    said = refused(tmp_path, old, new)
    assert cause in said
    assert "metrics.yml" in said
    assert "\n" not in said
