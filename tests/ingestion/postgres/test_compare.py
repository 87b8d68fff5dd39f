"""The daily comparison with the PostgreSQL source: deleted records, missed rows, differences that stay; backfills."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import Entity
from ingestion.loading.context import IngestContext, LoadResult, SourceError, Window
from ingestion.postgres import extract as postgres_extract
from ingestion.postgres import reload as postgres_reload
from ingestion.postgres.source import backfill, ingest
from ingestion.warehouse import Warehouse
from tests.support.forked import commands

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]
TODAY, TOMORROW = "2026-03-05T10:00", "2026-03-06T10:00"
FIFTH = Window(datetime(2026, 3, 5), datetime(2026, 3, 6))


def sell(oltp: Oltp, order_id: int, updated_at: str, total: str = "10.00") -> None:
    oltp.add("orders", order_id=order_id, ordered_at=updated_at, total_amount=total, updated_at=updated_at)


def load(context: IngestContext, oltp: Oltp, *entities: str) -> list[LoadResult]:
    """The packages beside the regular load."""
    return ingest(context, oltp.source, entities=entities or ["orders"])[max(len(entities), 1) :]


def orders(context: IngestContext) -> list[tuple[Any, ...]]:
    return context.warehouse.rows(
        "SELECT order_id, total_amount, _deleted_at FROM raw.oltp_orders ORDER BY _dlt_load_id, order_id"
    )


def compared(context: IngestContext, entity: str = "orders") -> dict[date, tuple[str, int, int]]:
    """Status, rows at the source and rows in raw of the days that this run compared, without empty days."""
    found = context.warehouse.rows(
        "SELECT day, status, source_rows, raw_rows FROM ops.source_comparisons WHERE entity = ? AND compared_at = ?",
        [entity, context.as_of],
    )
    return {day: tuple(figures) for day, *figures in found if any(figures[1:])}


def test_a_record_that_is_deleted_gets_a_tombstone_and_its_hour_is_queued(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, "2026-03-05 09:10+00")
    sell(oltp, 2, "2026-03-05 09:20+00")
    sell(oltp, 3, "2026-03-04 09:00+00")
    assert load(at(TODAY), oltp) == []
    oltp.execute("DELETE FROM orders WHERE order_id = 1")
    context = at(TOMORROW)
    reloaded, buried = load(context, oltp)
    assert (reloaded.window, reloaded.rows, buried.rows) == (FIFTH, 0, 1)  # the other order is in raw as it is
    ten = Decimal("10.00")
    deleted = datetime(2026, 3, 6, 10)
    assert orders(context) == [(1, ten, None), (2, ten, None), (3, ten, None), (1, ten, deleted)]
    assert compared(context) == {date(2026, 3, 4): ("equal", 1, 1), date(2026, 3, 5): ("reloaded", 1, 1)}
    assert context.warehouse.rows("SELECT entity, window_start, window_end FROM ops.correction_windows") == [
        ("sales", datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 10))
    ]
    assert load(at("2026-03-06T11:00"), oltp) == []  # once a day
    assert load(at("2026-03-07T10:00"), oltp) == []  # and it is equal then

    sell(oltp, 1, "2026-03-07 11:00+00", "12.00")  # it comes back
    context = at("2026-03-08T10:00")
    assert load(context, oltp) == []
    assert orders(context)[-1] == (1, Decimal("12.00"), None)
    assert compared(context)[date(2026, 3, 7)] == ("equal", 1, 1)


def test_a_row_that_was_committed_too_late_is_found_and_only_its_day_is_reloaded(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, "2026-03-05 09:10+00")
    sell(oltp, 2, "2026-03-04 09:00+00")
    load(at(TODAY), oltp)
    sell(oltp, 3, "2026-03-05 02:00+00")  # the window of 02:00 was read long ago
    context = at(TOMORROW)
    (reloaded,) = load(context, oltp)
    assert (reloaded.window, reloaded.rows) == (FIFTH, 1)
    assert {row[0] for row in orders(context)} == {1, 2, 3}
    assert compared(context)[date(2026, 3, 5)] == ("reloaded", 2, 2)


def test_a_sum_that_differs_alone_is_found(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, "2026-03-05 09:10+00")
    load(at(TODAY), oltp)
    oltp.execute("UPDATE orders SET total_amount = 11 WHERE order_id = 1")  # without touching updated_at
    context = at(TOMORROW)
    (reloaded,) = load(context, oltp)
    assert reloaded.landed_sum == Decimal("11.00")
    assert compared(context) == {date(2026, 3, 5): ("reloaded", 1, 1)}


def test_a_change_that_no_sum_shows_is_found_and_only_its_row_is_loaded_again(at: At, oltp: Oltp) -> None:
    """Same key, same total, same updated_at: somebody set the status by hand. The digest alone differs."""
    for number in range(1, 4):
        sell(oltp, number, "2026-03-05 09:10+00")
    load(at(TODAY), oltp)
    oltp.execute("UPDATE orders SET status = 'cancelled' WHERE order_id = 2")
    context = at(TOMORROW)
    (reloaded,) = load(context, oltp)
    assert (reloaded.rows, reloaded.source_count) == (1, 1)
    latest = "SELECT order_id, status FROM raw.oltp_orders WHERE _dlt_load_id = ?"
    assert context.warehouse.rows(latest, [reloaded.load_id]) == [(2, "cancelled")]
    assert compared(context) == {date(2026, 3, 5): ("reloaded", 3, 3)}
    digests = "SELECT COUNT(*) FROM ops.source_comparisons WHERE source_digest <> raw_digest OR source_digest IS NULL"
    assert context.warehouse.value(digests) == 0
    assert context.warehouse.rows("SELECT window_start FROM ops.correction_windows") == [(datetime(2026, 3, 5, 9),)]
    assert load(at("2026-03-07T10:00"), oltp) == []  # nothing is read again


def test_a_day_loaded_before_content_was_compared_is_read_again_once(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, "2026-03-05 09:10+00")
    load(at(TODAY), oltp)
    context = at(TOMORROW)
    context.warehouse.execute("UPDATE raw.oltp_orders SET _row_hash = NULL")
    (reloaded,) = load(context, oltp)
    assert reloaded.rows == 1
    assert context.warehouse.rows("SELECT window_start FROM ops.correction_windows") == []  # it says what it said
    assert load(at("2026-03-07T10:00"), oltp) == []


def test_changes_since_the_load_and_rejects_are_no_differences(at: At, oltp: Oltp) -> None:
    for number in range(1, 6):
        sell(oltp, number, "2026-03-05 09:10+00")
    sell(oltp, 6, "2026-03-05 09:10+00", "NaN")
    oltp.add("order_lines", order_id=1, line_number=1, unit_price=1, updated_at="2026-03-05 09:10+00")
    oltp.add("order_lines", order_id=1, line_number=2, unit_price=1, updated_at="2026-03-05 09:10+00")
    oltp.add("products", sku="Ü-1", list_price=1, updated_at="2026-03-05 09:10+00")
    everything = ["orders", "order_lines", "products"]
    load(at(TODAY), oltp, *everything)
    oltp.execute("UPDATE orders SET updated_at = '2026-03-06 10:00:01+00' WHERE order_id <= 2")
    oltp.execute("UPDATE order_lines SET updated_at = '2026-03-06 10:00:01+00' WHERE line_number = 1")
    context = at(TOMORROW)
    assert load(context, oltp, *everything) == []
    assert compared(context) == {date(2026, 3, 5): ("equal", 3, 3)}
    assert compared(context, "order_lines") == {date(2026, 3, 5): ("equal", 1, 1)}
    assert compared(context, "products") == {date(2026, 3, 5): ("equal", 1, 1)}


def test_a_difference_that_stays_is_remembered_and_not_reloaded_again(at: At, oltp: Oltp) -> None:
    sell(oltp, 1, "2026-03-05 09:10+00")
    sell(oltp, 1, "2026-03-05 09:10+00", "11.00")  # the source holds the key twice
    load(at(TODAY), oltp)
    context = at(TOMORROW)
    assert [result.rows for result in load(context, oltp)] == [0]  # raw holds both already
    assert compared(context) == {date(2026, 3, 5): ("different", 2, 1)}
    context = at("2026-03-07T10:00")
    assert load(context, oltp) == []
    assert compared(context) == {date(2026, 3, 5): ("different", 2, 1)}


def test_what_cannot_come_to_agree_is_read_once_until_the_source_changes(at: At, oltp: Oltp) -> None:
    """Order 1 stands twice in a day, order 2 on two days, order 3 is NaN. Each content comes into raw once.

    A day of which a row leaves for a later one (order 4) is another one at the source, and its difference is the same.
    On the 8th order 5 changes without a stamp, whatever differs besides: that day alone is read, for one row.
    """
    sell(oltp, 1, "2026-03-05 09:10+00")
    sell(oltp, 1, "2026-03-05 09:10+00", "11.00")
    sell(oltp, 2, "2026-03-04 09:10+00")
    sell(oltp, 2, "2026-03-05 09:10+00", "12.00")
    sell(oltp, 3, "2026-03-05 09:10+00", "NaN")
    for number in (4, 5):
        sell(oltp, number, "2026-03-05 09:10+00")
    assert [result.rows for result in load(at(TODAY), oltp)] == [0]  # the 4th is over already
    versions = "SELECT order_id, total_amount, COUNT(*) FROM raw.oltp_orders GROUP BY 1, 2 ORDER BY 1, 2"
    first = [(1, 10, 1), (1, 11, 1), (2, 10, 1), (2, 12, 1), (4, 10, 1), (5, 10, 1)]
    latest = "SELECT total_amount FROM raw.oltp_orders WHERE order_id = 1 ORDER BY _dlt_load_id DESC, 1 DESC LIMIT 1"
    context = at(TOMORROW)
    read = [(result.window.start.day, result.rows) for result in load(context, oltp) if result.window]
    assert (read, context.warehouse.rows(versions)) == ([(5, 0)], first)
    assert compared(context) == {date(2026, 3, 4): ("different", 1, 0), date(2026, 3, 5): ("different", 5, 4)}

    oltp.execute("UPDATE orders SET updated_at = '2026-03-06 11:00+00' WHERE order_id = 4")
    context = at("2026-03-07T10:00")
    assert load(context, oltp) == []
    assert compared(context)[date(2026, 3, 5)] == ("different", 4, 3)

    oltp.execute("UPDATE orders SET total_amount = 13 WHERE order_id = 5")
    context = at("2026-03-08T10:00")
    (reloaded,) = load(context, oltp)
    assert (reloaded.window, reloaded.rows) == (FIFTH, 1)
    assert load(at("2026-03-09T10:00"), oltp) == []
    assert context.warehouse.rows(versions) == [*first[:4], (4, 10, 2), (5, 10, 1), (5, 13, 1)]
    assert context.warehouse.value(latest) == 11  # which of two contents counts does not turn with the day


def test_of_a_key_that_stands_twice_the_content_that_raw_lacks_is_loaded(at: At, oltp: Oltp) -> None:
    """The copy that counted is changed by hand: what counts is what the source has now, not what it had."""
    sell(oltp, 1, "2026-03-05 09:10+00")
    sell(oltp, 1, "2026-03-05 09:10+00", "11.00")
    load(at(TODAY), oltp)
    oltp.execute("UPDATE orders SET total_amount = 9 WHERE total_amount = 11")
    context = at(TOMORROW)
    (reloaded,) = load(context, oltp)
    assert reloaded.rows == 2  # 9, and 10 again, which is the one of the two that counts
    latest = "SELECT total_amount FROM raw.oltp_orders WHERE _dlt_load_id = ? ORDER BY 1"
    assert context.warehouse.rows(latest, [reloaded.load_id]) == [(9,), (10,)]
    assert load(at("2026-03-07T10:00"), oltp) == []


def test_a_run_that_ended_before_it_compared_compares_when_it_is_repeated(
    at: At, oltp: Oltp, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(oltp, 1, "2026-03-05 09:10+00")
    load(at(TODAY), oltp)
    sell(oltp, 2, "2026-03-05 02:00+00")
    typed = postgres_extract.typed_rows
    regular = iter([True])  # the next load, of the order of 2026-03-06
    sell(oltp, 3, "2026-03-06 09:50+00")

    def type_or_fail(block: bytes, item: Entity, added: Any) -> Any:
        if not next(regular, False):
            raise SourceError("oltp", "lost", "Wait")
        return typed(block, item, added)

    with monkeypatch.context() as patch:
        patch.setattr(postgres_extract, "typed_rows", type_or_fail)
        with pytest.raises(SourceError, match="lost"):
            load(at(TOMORROW), oltp)
    context = at(TOMORROW)
    assert [result.rows for result in load(context, oltp)] == [1]
    assert compared(context)[date(2026, 3, 5)] == ("reloaded", 2, 2)


def test_a_backfill_reloads_the_days_that_differ_and_queues_their_hours(
    at: At, oltp: Oltp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_reload, "PIECE_ROWS", 2)
    for number in range(1, 4):
        sell(oltp, number, f"2026-03-02 0{number}:10+00")
    sell(oltp, 4, "2026-03-04 09:10+00")
    load(at(TODAY), oltp)
    oltp.execute("DELETE FROM orders WHERE order_id = 3")
    sell(oltp, 5, "2026-03-02 20:00+00")
    context = at("2026-03-05T11:00")
    window = Window(datetime(2026, 3, 2), datetime(2026, 3, 5))
    results = backfill(context, oltp.source, window, ["orders"])
    noon = datetime(2026, 3, 2, 12)
    assert [(result.window.start, result.window.end, result.rows) for result in results if result.window] == [
        (datetime(2026, 3, 2), noon, 0),
        (datetime(2026, 3, 2), noon, 1),
        (noon, datetime(2026, 3, 3), 1),
    ]
    assert context.warehouse.rows("SELECT window_start, window_end FROM ops.correction_windows ORDER BY 1") == [
        (datetime(2026, 3, 2, 3), datetime(2026, 3, 2, 4)),
        (datetime(2026, 3, 2, 20), datetime(2026, 3, 2, 21)),
    ]
    assert backfill(context, oltp.source, window, ["orders"]) == []  # nothing differs any more
    assert context.warehouse.value("SELECT MAX(covered_through) FROM ops.source_watermarks") == datetime(2026, 3, 5, 10)


@pytest.mark.slow
def test_the_command_backfills_and_names_the_hours_it_queued(
    at: At, oltp: Oltp, home: Path, warehouse: Warehouse
) -> None:
    sell(oltp, 1, "2026-03-02 01:10+00")
    load(at(TODAY), oltp)
    sell(oltp, 2, "2026-03-02 20:00+00")
    warehouse.connection.close()  # the command is another process
    command = ["backfill", "oltp", "--entity", "orders", "--json"]
    command += ["--from", "2026-03-02", "--to", "2026-03-04", "--as-of", "2026-03-05T11:00"]
    given = {"OLTP_DSN": oltp.source.dsn, "INSIGHTMART_HOME": str(home), "INSIGHTMART_START": "2026-03-01"}
    environment = os.environ | given | {"PYTHON_DOTENV_DISABLED": "1"}
    done = commands().call("insightmart", *command, environment=environment)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [(item["entity"], item["rows"], item["start"]) for item in answer["loads"]] == [
        ("orders", 1, "2026-03-02T00:00:00")
    ]
    assert answer["queued"] == [
        {"source": "oltp", "entity": "sales", "start": "2026-03-02T20:00:00", "end": "2026-03-02T21:00:00"}
    ]
