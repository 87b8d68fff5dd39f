"""A measure of the sales aggregates is written by hand in several places: what one forgets would pass silently."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ingestion.ops_tables import PUBLISHED_MEASURES
from insightmart import tie_out
from sandbox.truth import totals

PROJECT = Path(__file__).parents[2]
METRICS = yaml.safe_load((PROJECT / "models/certified/metrics.yml").read_text(encoding="utf-8"))
AUDIT = (PROJECT / "audits/agrees_with_orders.sql").read_text(encoding="utf-8")
LEVELS = (PROJECT / "insightmart/reconciliation/sql/levels.sql").read_text(encoding="utf-8")


def summed_in(model: str) -> set[str]:
    """The columns of a certified aggregate that are sums: its measures."""
    text = (PROJECT / "models" / "certified" / model).read_text(encoding="utf-8")
    return set(re.findall(r"\bSUM\(.*\)::\w+(?:\([\d, ]+\))? AS (\w+)", text))


@pytest.mark.parametrize("model", ["agg_sales_daily.sql", "agg_sales_hourly.sql"])
@pytest.mark.parametrize(
    ("place", "measures"),
    [
        ("audits/agrees_with_orders.sql", set(re.findall(r"SUM\((\w+)\) <> 0", AUDIT))),
        ("reconciliation/sql/levels.sql", set(re.findall(r"^\s+\('(\w+)'\)", LEVELS, re.MULTILINE))),
        ("insightmart/tie_out.py", set(tie_out.MEASURES)),
        ("sandbox/truth/totals.py", set(totals.MEASURES)),
        ("ingestion/ops_tables.py, for the journal", set(PUBLISHED_MEASURES["agg_sales_daily"])),
    ],
)
def test_every_measure_of_the_aggregates_is_controlled_everywhere(model: str, place: str, measures: set[str]) -> None:
    assert summed_in(model) == measures, place


def test_every_measure_of_the_aggregates_is_a_metric() -> None:
    assert summed_in("agg_sales_daily.sql") <= set(METRICS)
