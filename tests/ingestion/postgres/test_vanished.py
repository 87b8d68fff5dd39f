"""Rows that vanish at the PostgreSQL source: a few are deleted, many are a question, and an empty table is not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import entity
from ingestion.loading.backfill import begin_backfill
from ingestion.loading.context import EPOCH, DeletionLimit, IngestContext, LoadResult, Window
from ingestion.loading.deletions import confirm, questions, unanswered
from ingestion.postgres.source import backfill, ingest

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]
TODAY, TOMORROW, LATER = "2026-03-05T10:00", "2026-03-06T10:00", "2026-03-06T11:00"
FIFTH = Window(datetime(2026, 3, 5), datetime(2026, 3, 6))
ORDERS = entity("oltp", "orders")


def sell(oltp: Oltp, first: int, last: int, updated_at: str = "2026-03-05 09:10+00") -> None:
    oltp.execute(
        "INSERT INTO orders (order_id, store_id, total_amount, ordered_at, updated_at)"
        " SELECT n, 1, 10, %s::timestamptz, %s::timestamptz FROM generate_series(%s::int, %s::int) AS n",
        updated_at,
        updated_at,
        first,
        last,
    )


def load(context: IngestContext, oltp: Oltp, *entities: str) -> list[LoadResult]:
    return ingest(context, oltp.source, entities=entities or ["orders"])


def buried(context: IngestContext) -> list[int]:
    found = context.warehouse.rows("SELECT order_id FROM raw.oltp_orders WHERE _deleted_at IS NOT NULL ORDER BY 1")
    return [order_id for (order_id,) in found]


def asked(context: IngestContext) -> list[tuple[Any, ...]]:
    """Entity, day, known, missing, state of every question."""
    return [
        (one.entity, one.day, one.missing.known, one.missing.rows, one.state) for one in questions(context.warehouse)
    ]


def covered(context: IngestContext) -> datetime:
    value: datetime = context.warehouse.value(
        "SELECT covered_through FROM ops.source_watermarks WHERE entity = 'orders'"
    )
    return value


def say_yes(context: IngestContext) -> None:
    open_ones = [one.question_id for one in unanswered(context.warehouse, "oltp")]
    confirm(context.warehouse, open_ones, "ada", "old orders were archived", context.as_of)


@pytest.mark.parametrize(
    ("known", "missing", "few"),
    [
        (100, 0, True),
        (1_000, 50, True),  # just 5 %
        (1_000, 51, False),
        (100, 20, True),  # the floor
        (100, 21, False),
        (21, 20, True),
        (20, 20, False),  # all
        (1, 1, False),
    ],
)
def test_few_are_the_floor_or_the_share_but_never_all(known: int, missing: int, few: bool) -> None:
    assert DeletionLimit(5, 20).allow(known, missing) is few


def test_just_as_many_as_the_share_are_deleted_without_a_question(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 500)
    load(at(TODAY), oltp)
    oltp.execute("DELETE FROM orders WHERE order_id <= 25")  # 25 of 500 are 5 %
    context = at(TOMORROW)
    load(context, oltp)
    assert buried(context) == list(range(1, 26))
    assert asked(context) == []


def test_one_more_than_the_share_is_a_question_and_nothing_is_deleted(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 500)
    load(at(TODAY), oltp)
    oltp.execute("DELETE FROM orders WHERE order_id <= 26")
    context = at(TOMORROW)
    load(context, oltp)
    assert buried(context) == []
    assert asked(context) == [("orders", date(2026, 3, 5), 500, 26, "open")]
    assert context.warehouse.value("SELECT COUNT(*) FROM ops.correction_windows") == 0
    [question] = unanswered(context.warehouse, "oltp", "orders")
    assert (question.window, question.asked_at) == (FIFTH, context.as_of)

    rows = context.warehouse.value("SELECT COUNT(*) FROM raw.oltp_orders")
    for later in (LATER, "2026-03-07T10:00"):  # it stays one question, and the day is not read again each time
        load(at(later), oltp)
    assert asked(context) == [("orders", date(2026, 3, 5), 500, 26, "open")]
    assert context.warehouse.value("SELECT COUNT(*) FROM raw.oltp_orders") == rows


def test_a_share_of_one_s_own_is_kept_to(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 50)
    load(at(TODAY), oltp)
    oltp.execute("DELETE FROM orders WHERE order_id <= 3")
    context = replace(at(TOMORROW), deletions=DeletionLimit(percent=2, rows=2))
    load(context, oltp)
    assert (buried(context), asked(context)) == ([], [("orders", date(2026, 3, 5), 50, 3, "open")])


def test_what_was_confirmed_is_deleted_by_the_next_load_and_just_that(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 30)
    sell(oltp, 31, 60, "2026-03-04 08:10+00")
    load(at(TODAY), oltp)
    oltp.execute("DELETE FROM orders WHERE order_id <= 25")
    load(at(TOMORROW), oltp)
    say_yes(at(TOMORROW))
    context = at(LATER)
    results = load(context, oltp)
    assert [result.rows for result in results] == [0, 25]
    assert buried(context) == list(range(1, 26))
    [question] = questions(context.warehouse)
    assert (question.state, question.confirmed_by, question.reason) == ("deleted", "ada", "old orders were archived")
    assert (question.confirmed_at, question.closed_at) == (datetime(2026, 3, 6, 10), context.as_of)
    assert question.load_id == results[-1].load_id
    assert context.warehouse.rows("SELECT window_start, window_end FROM ops.correction_windows") == [
        (datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 10))
    ]
    load(at("2026-03-07T10:00"), oltp)
    assert len(buried(context)) == 25


def test_other_rows_than_those_confirmed_are_asked_for_anew(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 60)
    load(at(TODAY), oltp)
    oltp.execute("DELETE FROM orders WHERE order_id <= 25")
    load(at(TOMORROW), oltp)
    say_yes(at(TOMORROW))
    sell(oltp, 1, 1)  # as many are missing as before, but not the same ones
    oltp.execute("DELETE FROM orders WHERE order_id = 60")
    context = at(LATER)
    load(context, oltp)
    assert buried(context) == []
    assert asked(context) == [
        ("orders", date(2026, 3, 5), 60, 25, "superseded"),
        ("orders", date(2026, 3, 5), 60, 25, "open"),
    ]


def test_a_question_whose_rows_are_back_withdraws_itself(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 60)
    load(at(TODAY), oltp)
    oltp.execute("DELETE FROM orders WHERE order_id <= 25")
    load(at(TOMORROW), oltp)
    sell(oltp, 1, 25)
    context = at(LATER)
    load(context, oltp)
    assert (buried(context), asked(context)) == ([], [("orders", date(2026, 3, 5), 60, 25, "withdrawn")])


def test_of_rows_that_come_back_in_part_the_few_that_stay_away_are_deleted(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 60)
    load(at(TODAY), oltp)
    oltp.execute("DELETE FROM orders WHERE order_id <= 25")
    load(at(TOMORROW), oltp)
    sell(oltp, 3, 25)
    context = at(LATER)
    load(context, oltp)
    assert (buried(context), asked(context)) == ([1, 2], [("orders", date(2026, 3, 5), 60, 25, "withdrawn")])


def test_the_first_cycle_after_a_truncation_asks_for_the_table_and_lets_its_hours_wait(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 60)
    load(at(TODAY), oltp)
    oltp.execute("TRUNCATE orders")
    context = at("2026-03-05T11:00")
    assert [result.status for result in load(context, oltp)] == ["skipped"]
    assert asked(context) == [("orders", None, 60, 60, "open")]
    assert covered(context) == datetime(2026, 3, 5, 10)
    context = at(TOMORROW)  # the daily comparison asks nothing beside it
    load(context, oltp)
    assert (buried(context), asked(context)) == ([], [("orders", None, 60, 60, "open")])


def test_a_table_that_was_empty_for_a_moment_is_read_on_when_it_is_back(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 60)
    load(at(TODAY), oltp)
    oltp.execute("TRUNCATE orders")
    load(at("2026-03-05T11:00"), oltp)
    sell(oltp, 1, 60)
    sell(oltp, 61, 62, "2026-03-05 10:05+00")  # of the hour that could not be read
    context = at("2026-03-05T12:00")
    assert load(context, oltp)[0].rows == 2
    assert asked(context) == [("orders", None, 60, 60, "withdrawn")]
    assert (buried(context), covered(context)) == ([], datetime(2026, 3, 5, 12))


def test_a_table_that_is_meant_to_be_empty_is_emptied_when_somebody_says_so(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 30)
    sell(oltp, 31, 60, "2026-01-04 08:10+00")  # long before the days that are compared
    load(at(TODAY), oltp)
    oltp.execute("TRUNCATE orders")
    load(at("2026-03-05T11:00"), oltp)
    say_yes(at("2026-03-05T11:30"))
    context = at("2026-03-05T12:00")
    results = load(context, oltp)
    assert [(result.status, result.rows) for result in results] == [("empty", 0), ("loaded", 60)]
    assert buried(context) == list(range(1, 61))
    assert asked(context) == [("orders", None, 60, 60, "deleted")]
    assert covered(context) == datetime(2026, 3, 5, 12)


def test_a_truncated_table_that_sells_on_asks_for_each_day(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 3)
    sell(oltp, 4, 6, "2026-03-04 08:10+00")
    load(at(TODAY), oltp)
    oltp.execute("TRUNCATE orders")
    sell(oltp, 7, 7, "2026-03-06 09:00+00")
    context = at(TOMORROW)
    load(context, oltp)
    assert buried(context) == []
    assert asked(context) == [
        ("orders", date(2026, 3, 4), 3, 3, "open"),
        ("orders", date(2026, 3, 5), 3, 3, "open"),
    ]


def test_a_daily_table_that_is_empty_is_not_read_either(at: At, oltp: Oltp) -> None:
    oltp.add("customers", customer_id=1, updated_at="2026-01-05 09:10+00")
    load(at(TODAY), oltp, "customers")
    oltp.execute("TRUNCATE customers")
    context = at(TOMORROW)
    assert [result.status for result in load(context, oltp, "customers")] == ["skipped"]
    assert asked(context) == [("customers", None, 1, 1, "open")]


def test_a_first_load_that_was_killed_does_not_end_with_an_empty_table(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 3)
    context = at(TODAY)
    load(context, oltp)
    context.warehouse.execute("DELETE FROM ops.source_watermarks")
    begin_backfill(context, "oltp", "orders", Window(EPOCH, context.as_of))
    oltp.execute("TRUNCATE orders")
    context = at("2026-03-05T11:00")
    assert [result.status for result in load(context, oltp)] == ["skipped"]
    assert context.warehouse.value("SELECT COUNT(*) FROM ops.source_watermarks") == 0
    assert asked(context) == [("orders", None, 3, 3, "open")]


def test_a_table_that_never_held_anything_is_read_as_empty(at: At, oltp: Oltp) -> None:
    context = at(TODAY)
    assert [result.status for result in load(context, oltp)] == ["empty"]
    assert (asked(context), covered(context)) == ([], datetime(2026, 3, 5, 10))


def test_a_backfill_asks_as_well(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 60, "2026-01-04 08:10+00")
    load(at(TODAY), oltp)
    oltp.execute("DELETE FROM orders WHERE order_id > 30")
    context = at("2026-03-05T11:00")
    backfill(context, oltp.source, Window(datetime(2026, 1, 4), datetime(2026, 1, 5)), ["orders"])
    assert (buried(context), asked(context)) == ([], [("orders", date(2026, 1, 4), 60, 30, "open")])
    say_yes(context)
    load(at("2026-03-05T12:00"), oltp)
    assert buried(context) == list(range(31, 61))


def test_only_open_questions_can_be_confirmed(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, 60)
    load(at(TODAY), oltp)
    oltp.execute("TRUNCATE orders")
    context = at("2026-03-05T11:00")
    load(context, oltp)
    with pytest.raises(KeyError, match="there is no question nosuch"):
        confirm(context.warehouse, ["nosuch"], "ada", "why", context.as_of)
    say_yes(context)
    [question] = questions(context.warehouse)
    with pytest.raises(KeyError, match="it is confirmed"):
        confirm(context.warehouse, [question.question_id], "ada", "why", context.as_of)
