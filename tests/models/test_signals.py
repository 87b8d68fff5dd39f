"""An hour is processed only when its sources are in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from insightmart.transform import watermarks

if TYPE_CHECKING:
    from sqlmesh import Context

pytestmark = pytest.mark.slow

MODEL = """
MODEL (
  name staging.hours,
  kind INCREMENTAL_BY_TIME_RANGE (time_column event_at),
  signals (source_covered(entities := '{entities}'))
);
SELECT updated_at::TIMESTAMP_NTZ AS event_at, order_id::BIGINT AS order_id
FROM raw.oltp_orders
WHERE updated_at BETWEEN @start_ts AND @end_ts
"""
BELOW = """
MODEL (name core.hours, kind INCREMENTAL_BY_TIME_RANGE (time_column event_at));
SELECT event_at::TIMESTAMP_NTZ AS event_at, order_id::BIGINT AS order_id
FROM staging.hours
WHERE event_at BETWEEN @start_ts AND @end_ts
"""

Projects = Callable[..., "Context"]


def orders_every_half_hour(context: Context, until: str) -> None:
    """Orders 0, 1, 2, ... at 00:00, 00:30, 01:00, ..., before an instant of 2026-03-05."""
    context.engine_adapter.execute(
        "INSERT INTO raw.oltp_orders (order_id, updated_at)"
        " SELECT n, TIMESTAMP '2026-03-05' + n * INTERVAL 30 MINUTE FROM range(48) AS t(n)"
        f" WHERE TIMESTAMP '2026-03-05' + n * INTERVAL 30 MINUTE < TIMESTAMP '2026-03-05 {until}'"
        " AND n NOT IN (SELECT order_id FROM raw.oltp_orders)"
    )


def cover(context: Context, entity: str, until: str) -> None:
    """Set the watermark of an OLTP entity to an instant of 2026-03-05."""
    context.engine_adapter.execute(f"DELETE FROM ops.source_watermarks WHERE entity = '{entity}'")
    context.engine_adapter.execute(
        "INSERT INTO ops.source_watermarks (source, entity, covered_through)"
        f" VALUES ('oltp', '{entity}', TIMESTAMP '2026-03-05 {until}')"
    )


def orders(context: Context, table: str) -> list[int]:
    """The ids of a table."""
    return [row[0] for row in context.engine_adapter.fetchall(f"SELECT order_id FROM {table} ORDER BY 1")]


def run(context: Context, until: str) -> None:
    """A run at an instant of 2026-03-05."""
    assert context.run(execution_time=f"2026-03-05 {until}").is_success


def plan(context: Context, at: str) -> None:
    """The first plan, at an instant of 2026-03-05."""
    context.plan(auto_apply=True, no_prompts=True, skip_tests=True, execution_time=f"2026-03-05 {at}")


def test_an_hour_that_is_loaded_in_part_waits_until_it_is_whole(small_project: Projects) -> None:
    context = small_project(hours=MODEL.format(entities="oltp.orders"), below=BELOW)
    plan(context, "00:00")
    orders_every_half_hour(context, "02:30")
    cover(context, "orders", "02:30")
    run(context, "04:05")
    assert orders(context, "staging.hours") == [0, 1, 2, 3]
    assert orders(context, "core.hours") == [0, 1, 2, 3]

    orders_every_half_hour(context, "04:05")
    cover(context, "orders", "04:05")
    run(context, "04:10")
    assert orders(context, "staging.hours") == [0, 1, 2, 3, 4, 5, 6, 7]
    assert orders(context, "core.hours") == [0, 1, 2, 3, 4, 5, 6, 7]


def test_an_hour_waits_for_the_slowest_of_its_sources(small_project: Projects) -> None:
    context = small_project(hours=MODEL.format(entities="oltp.orders oltp.refunds"))
    plan(context, "00:00")
    orders_every_half_hour(context, "04:00")
    cover(context, "orders", "04:00")
    run(context, "04:05")
    assert orders(context, "staging.hours") == []

    cover(context, "refunds", "01:00")
    run(context, "05:05")
    assert orders(context, "staging.hours") == [0, 1]


def test_a_long_history_is_asked_about_in_parts_and_is_whole(
    small_project: Projects, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlmesh.core.snapshot import definition as sqlmesh_definition

    monkeypatch.setattr(watermarks, "AT_ONCE", 2)
    context = small_project(hours=MODEL.format(entities="oltp.orders"))
    plan(context, "00:00")
    orders_every_half_hour(context, "05:30")
    cover(context, "orders", "05:30")
    asked: list[int] = []
    compare = sqlmesh_definition.call_macro

    def counted(*args: Any, **kwargs: Any) -> Any:
        asked.append(len(kwargs["provided_args"][0]))
        return compare(*args, **kwargs)

    monkeypatch.setattr(sqlmesh_definition, "call_macro", counted)
    run(context, "07:05")
    assert asked == [2, 2, 2, 1]
    assert orders(context, "staging.hours") == list(range(10))


def test_what_takes_from_every_source_waits_for_the_first_of_them_to_load(small_project: Projects) -> None:
    model = MODEL.replace("source_covered(entities := '{entities}')", "anything_loaded()")
    context = small_project(hours=model)
    plan(context, "00:00")
    orders_every_half_hour(context, "02:30")
    run(context, "02:35")
    assert orders(context, "staging.hours") == []

    cover(context, "orders", "02:30")
    cover(context, "refunds", "01:00")  # a source that is behind holds nobody back
    run(context, "04:05")
    assert orders(context, "staging.hours") == [0, 1, 2, 3]


def test_hours_up_to_the_watermark_are_ready() -> None:
    assert ready("03:00", "oltp.orders") == ["00", "01", "02"]
    assert ready("02:59:59.999999", "oltp.orders") == ["00", "01"]
    assert ready("00:59", "oltp.orders") == []


def test_nothing_is_ready_of_a_source_that_was_never_loaded() -> None:
    assert ready("03:00", "oltp.orders oltp.refunds") is False
    assert ready(None, "oltp.orders") is False


def test_names_are_compared_in_any_case() -> None:
    assert ready("01:00", "OLTP.ORDERS") == ["00"]


def ready(covered: str | None, entities: str) -> Any:
    """The hours out of 00 to 05 that the signal lets through."""
    from sqlmesh.core.config import DuckDBConnectionConfig

    from signals.readiness import source_covered

    adapter = DuckDBConnectionConfig().create_engine_adapter()
    adapter.execute("CREATE SCHEMA ops")
    adapter.execute("CREATE TABLE ops.source_watermarks (source TEXT, entity TEXT, covered_through TIMESTAMP)")
    instant = f"TIMESTAMP '2026-03-05 {covered}'" if covered else "NULL"
    adapter.execute(f"INSERT INTO ops.source_watermarks VALUES ('oltp', 'orders', {instant})")

    class Evaluation:
        engine_adapter = adapter

    midnight = datetime(2026, 3, 5, tzinfo=UTC)
    hours = [(midnight + timedelta(hours=n), midnight + timedelta(hours=n + 1)) for n in range(6)]
    try:
        found = source_covered(hours, entities, Evaluation())
    finally:
        adapter.close()
    return [f"{start:%H}" for start, _ in found] if isinstance(found, list) else found
