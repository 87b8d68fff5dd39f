"""Which words a certified column has."""

from __future__ import annotations

from pathlib import Path

import pytest

from insightmart.definitions.columns import Meanings, read_meanings
from insightmart.definitions.files import COLUMNS, METRICS
from insightmart.definitions.projections import commented
from insightmart.errors import ConfigurationError
from tests.insightmart.definitions.test_metrics import METRIC

WORDS = """
everywhere: {day: The day}
sales: {margin: What is left of one line}
"""


def meanings_of(project: Path, words: str = WORDS) -> Meanings:
    """What a project of this metric and these words says."""
    (project / METRICS).parent.mkdir(parents=True)
    (project / METRICS).write_text(METRIC, encoding="utf-8")
    (project / COLUMNS).write_text(words, encoding="utf-8")
    return read_meanings(project)


def test_a_column_has_the_words_of_its_table_or_of_its_metric_or_the_common_ones(tmp_path: Path) -> None:
    meanings = meanings_of(tmp_path)
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


def test_a_meaning_is_a_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"columns\.yml: sales\.margin has 3 where a text belongs"):
        meanings_of(tmp_path, WORDS.replace("What is left of one line", "3"))


def test_words_about_a_column_that_is_not_there_are_found(tmp_path: Path) -> None:
    meanings = meanings_of(tmp_path)
    there = ["sales__oltp.margin", "sales__oltp.day", "sales_daily.margin"]
    assert (meanings.of_no_column(there), meanings.metrics_of_no_column(there)) == ([], [])
    assert meanings.of_no_column(["sales_daily.margin"]) == ["everywhere.day", "sales.margin"]
    assert meanings.metrics_of_no_column(["sales.day", "sales.margin"]) == ["sales_daily.margin"]
