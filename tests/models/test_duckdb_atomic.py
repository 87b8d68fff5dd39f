"""Local DuckDB: a window or a merge is replaced as a whole or not at all.

Both failures happen where it hurts: after the old rows have been deleted and before the new ones are in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlmesh import Context

pytestmark = pytest.mark.slow

WINDOW = """
MODEL (name core.refunds, kind INCREMENTAL_BY_TIME_RANGE (time_column refunded_at));
SELECT refunded_at::TIMESTAMP_NTZ AS refunded_at, refund_id::BIGINT AS refund_id, reason::INT AS reason
FROM raw.oltp_refunds
WHERE refunded_at BETWEEN @start_ts AND @end_ts
"""
MERGED = """
MODEL (name core.refunds, kind INCREMENTAL_BY_UNIQUE_KEY (unique_key refund_id));
SELECT refund_id::BIGINT AS refund_id, MAX(refunded_at)::TIMESTAMP_NTZ AS refunded_at, MAX(reason::INT)::INT AS reason
FROM raw.oltp_refunds
WHERE refunded_at BETWEEN @start_ts AND @end_ts
GROUP BY refund_id
"""

Projects = Callable[..., "Context"]


def published(project: Projects, model: str) -> Context:
    """A project whose model holds four refunds, one an hour."""
    context = project(refunds=model)
    context.plan(auto_apply=True, no_prompts=True, skip_tests=True, execution_time="2026-03-05 00:00")
    for number in range(1, 5):
        add_refund(context, number, f"0{number - 1}:00", "0")
    assert context.run(execution_time="2026-03-05 04:00").is_success
    assert refunds(context) == [(1, 0), (2, 0), (3, 0), (4, 0)]
    return context


def add_refund(context: Context, number: int, at: str, reason: str | None) -> None:
    """A raw refund at an hour of 2026-03-05. The models make a number of its reason."""
    stated = f"'{reason}'" if reason else "NULL"
    context.engine_adapter.execute(
        "INSERT INTO raw.oltp_refunds (refund_id, refunded_at, reason)"
        f" VALUES ({number}, TIMESTAMP '2026-03-05 {at}', {stated})"
    )


def state_reason(context: Context, number: int, reason: str) -> None:
    """Change the reason of a raw refund."""
    context.engine_adapter.execute(f"UPDATE raw.oltp_refunds SET reason = '{reason}' WHERE refund_id = {number}")


def refunds(context: Context) -> list[tuple[int, int]]:
    """What readers see."""
    return context.engine_adapter.fetchall("SELECT refund_id, reason FROM core.refunds ORDER BY 1")


def restate_two_hours(context: Context) -> None:
    """Rebuild 00:00 to 02:00."""
    context.plan(
        restate_models=["core.refunds"],
        start="2026-03-05 00:00",
        end="2026-03-05 02:00",
        execution_time="2026-03-05 04:00",
        auto_apply=True,
        no_prompts=True,
        skip_tests=True,
    )


def test_a_failed_restatement_leaves_the_rows_that_were_there(small_project: Projects) -> None:
    from sqlmesh.utils.errors import PlanError

    context = published(small_project, WINDOW)
    state_reason(context, 1, "7")
    state_reason(context, 2, "none")  # no number: the INSERT meets it after the DELETE of both hours
    with pytest.raises(PlanError):
        restate_two_hours(context)
    assert refunds(context) == [(1, 0), (2, 0), (3, 0), (4, 0)]

    state_reason(context, 2, "8")
    restate_two_hours(context)
    assert refunds(context) == [(1, 7), (2, 8), (3, 0), (4, 0)]


def test_a_failed_merge_leaves_the_rows_that_were_there(small_project: Projects) -> None:
    context = published(small_project, MERGED)
    table = context.get_snapshot("core.refunds", raise_if_missing=True).table_name()
    context.engine_adapter.execute(f"ALTER TABLE {table} ALTER COLUMN REASON SET NOT NULL")
    add_refund(context, 1, "04:10", "7")
    add_refund(context, 5, "04:20", None)  # the table refuses it after the rows of refund 1 are deleted
    assert context.run(execution_time="2026-03-05 05:00").is_failure
    assert refunds(context) == [(1, 0), (2, 0), (3, 0), (4, 0)]

    state_reason(context, 5, "8")
    assert context.run(execution_time="2026-03-05 05:00").is_success
    assert refunds(context) == [(1, 7), (2, 0), (3, 0), (4, 0), (5, 8)]


@pytest.mark.parametrize("model", [WINDOW, MERGED], ids=["time range", "unique key"])
def test_a_run_of_another_process_keeps_what_the_first_one_published(small_project: Projects, model: str) -> None:
    """With a catalog in lower case the second run lost the rows of the first, and said it succeeded."""
    published(small_project, model)
    context = small_project()
    add_refund(context, 5, "04:30", "1")
    assert context.run(execution_time="2026-03-05 05:00").is_success
    assert refunds(context) == [(1, 0), (2, 0), (3, 0), (4, 0), (5, 1)]
