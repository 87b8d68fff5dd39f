"""The audits with parameters: what each finds, on models of a few rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.models.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from sqlmesh import Context

pytestmark = pytest.mark.slow

VERSIONS = """
MODEL (name core.versions, kind FULL, audits (periods_are_seamless(key := id)));
SELECT id::INT AS id, valid_from::TIMESTAMPNTZ AS valid_from, valid_to::TIMESTAMPNTZ AS valid_to
FROM (VALUES {rows}) AS v(id, valid_from, valid_to)
"""
LINES = """
MODEL (name core.lines, kind INCREMENTAL_BY_TIME_RANGE (time_column sold_at));
SELECT id::INT AS id, amount::DECIMAL(18, 4) AS amount, sold_at::TIMESTAMPNTZ AS sold_at
FROM (VALUES (1, 2.5000, '2026-03-05 00:10:00'), (1, 0.0001, '2026-03-05 00:20:00'), (2, 7.0000, '2026-03-05 01:00:00'))
  AS v(id, amount, sold_at)
WHERE sold_at BETWEEN @start_ts AND @end_ts
"""
ORDERS = """
MODEL (
  name core.orders,
  kind INCREMENTAL_BY_TIME_RANGE (time_column sold_at),
  audits (
    sums_agree(measure := total, theirs := amount, made_of := core.lines, instant := sold_at),
    has_parent(child := core.lines, key := id, instant := sold_at)
  )
);
SELECT id::INT AS id, SUM(amount)::DECIMAL(18, 4) AS total, MIN(sold_at)::TIMESTAMPNTZ AS sold_at
FROM core.lines WHERE sold_at BETWEEN @start_ts AND @end_ts AND {condition} GROUP BY id
"""


def built(small_project: Callable[..., Context], tmp_path: Path, **models: str) -> bool:
    """Whether the models of two hours pass their audits."""
    from sqlmesh.utils.errors import PlanError

    shutil.copytree(REPOSITORY / "audits", tmp_path / "project" / "audits")
    context = small_project(**models)
    try:
        context.plan(auto_apply=True, no_prompts=True, skip_tests=True, execution_time="2026-03-05 02:00:00")
    except PlanError:
        return False
    return True


@pytest.mark.parametrize(
    ("rows", "seamless"),
    [
        ("(1, '1970-01-01', '2026-03-01'), (1, '2026-03-01', '9999-12-31'), (2, '1970-01-01', '9999-12-31')", True),
        ("(1, '1970-01-01', '2026-03-02'), (1, '2026-03-01', '9999-12-31')", False),
        ("(1, '1970-01-01', '2026-03-01'), (1, '2026-03-02', '9999-12-31')", False),
        ("(1, '1970-01-01', '9999-12-31'), (1, '1970-01-01', '9999-12-31')", False),
        ("(1, '1970-01-01', '2026-03-01')", False),
        ("(1, '2026-03-01', '9999-12-31')", False),
    ],
    ids=["seamless", "overlap", "hole", "twice", "ends", "begins late"],
)
def test_periods_of_a_key_neither_overlap_nor_leave_holes(
    small_project: Callable[..., Context], tmp_path: Path, rows: str, seamless: bool
) -> None:
    assert built(small_project, tmp_path, versions=VERSIONS.format(rows=rows)) is seamless


@pytest.mark.parametrize(
    ("condition", "agrees"),
    [("TRUE", True), ("amount > 0.0001", False), ("id = 2", False)],
    ids=["all", "a ten-thousandth short", "an order missing"],
)
def test_sums_agree_to_the_last_digit_and_no_child_is_without_its_parent(
    small_project: Callable[..., Context], tmp_path: Path, condition: str, agrees: bool
) -> None:
    models = {"lines": LINES, "orders": ORDERS.format(condition=condition)}
    assert built(small_project, tmp_path, **models) is agrees
