"""What a metric has to say."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from insightmart.definitions.files import METRICS
from insightmart.definitions.metrics import Ratio, read_metrics, read_ratios
from insightmart.errors import ConfigurationError
from insightmart.settings import PROJECT

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
        ("  meaning: What is left", "  meaning: Left: what is", "mapping values are not allowed"),
    ],
)
def test_a_metric_states_all_there_is_to_state_and_nothing_else(tmp_path: Path, old: str, new: str, cause: str) -> None:
    said = refused(tmp_path, old, new)
    assert cause in said
    assert "metrics.yml" in said
    assert "\n" not in said


RATIO = """
basket:
  title: Basket
  meaning: What an order is worth
  numerator: SUM(gross_sales) - SUM(discounts)
  denominator: SUM(orders)
  unit: company's currency
  shopify: The same
  caveats: [Before returns]
  owner: finance
  tables: [agg_sales_daily]
"""


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("  denominator: SUM(orders)\n", "", "basket lacks or has too much of: denominator"),
        ("[agg_sales_daily]", "agg_sales_daily", "basket has 'agg_sales_daily' for tables, where a list belongs"),
    ],
)
def test_a_ratio_states_what_is_divided_by_what(tmp_path: Path, old: str, new: str, cause: str) -> None:
    (tmp_path / "metrics.yml").write_text(RATIO.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=cause.replace("[", r"\[")):
        read_ratios(tmp_path / "metrics.yml")


# Two stores on 2026-03-06. By hand: (150 + 50 - 10 - 0) / (4 + 1) = 38; (19 + 0) / 190 = 0.1; (7 + 1) / 5 = 1.6;
# like for like (190 - 152) / 152 = 0.25. The average of the stores' own order values would be 42.5.
DAY = """(VALUES (12, 4, 7, 150.0, 10.0, 19.0), (7, 1, 1, 50.0, 0.0, 0.0))
    AS d(store_id, orders, units, gross_sales, discounts, returns)"""
COMPARED = "(VALUES (12, 140.0, 100.0), (7, 50.0, 52.0)) AS d(store_id, net_sales, net_sales_last_year)"
BY_HAND = {
    "average_order_value": (DAY, 38, {12: 35, 7: 50}),
    "return_rate": (DAY, 0.1, {12: 19 / 140, 7: 0}),
    "units_per_order": (DAY, 1.6, {12: 1.75, 7: 1}),
    "like_for_like_growth": (COMPARED, 0.25, {12: 0.4, 7: -2 / 52}),
}


@pytest.mark.parametrize("ratio", read_ratios(PROJECT / METRICS), ids=lambda ratio: ratio.name)
def test_ratios_are_those_worked_out_by_hand(ratio: Ratio) -> None:
    rows, of_all, by_store = BY_HAND[ratio.name]
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {ratio.sql} FROM {rows}").fetchone() == (pytest.approx(of_all),)
        stores = connection.execute(f"SELECT store_id, {ratio.sql} FROM {rows} GROUP BY 1").fetchall()
        assert dict(stores) == pytest.approx(by_store)
        assert connection.execute(f"SELECT {ratio.sql} FROM {rows} WHERE store_id = 1").fetchone() == (None,)


def test_a_ratio_is_worked_out_from_columns_that_its_tables_have() -> None:
    (growth,) = [ratio for ratio in read_ratios(PROJECT / METRICS) if ratio.name == "like_for_like_growth"]
    assert growth.columns == ("agg_sales_like_for_like.net_sales", "agg_sales_like_for_like.net_sales_last_year")
