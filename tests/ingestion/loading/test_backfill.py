"""Long readings go on where they stopped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from ingestion.loading.backfill import begin_backfill, unfinished_backfill
from ingestion.loading.context import EPOCH, IngestContext, Window

At = Callable[[str], IngestContext]
WINDOW = Window(EPOCH, datetime(2026, 3, 5))


def test_a_reading_goes_on_with_its_pieces_and_ends(at: At) -> None:
    first = begin_backfill(at("2026-03-05T10:00"), "oltp", "orders", WINDOW)
    first.add("1..100", "load", 100)
    again = begin_backfill(at("2026-03-05T11:00"), "oltp", "orders", WINDOW)
    assert (again.backfill_id, again.done, again.begun_as_of) == (
        first.backfill_id,
        {"1..100": 100},
        datetime(2026, 3, 5, 10),
    )
    again.complete()
    anew = begin_backfill(at("2026-03-05T12:00"), "oltp", "orders", WINDOW)
    assert anew.backfill_id != first.backfill_id
    assert anew.done == {}


def test_a_reading_is_of_one_entity_and_window(at: At) -> None:
    context = at("2026-03-05T10:00")
    first = begin_backfill(context, "oltp", "orders", WINDOW)
    assert begin_backfill(context, "oltp", "refunds", WINDOW).backfill_id != first.backfill_id
    later = Window(EPOCH, datetime(2026, 3, 6))
    found = unfinished_backfill(context, "oltp", "orders", EPOCH)
    assert found is not None
    assert found.window == WINDOW
    assert begin_backfill(context, "oltp", "orders", later).backfill_id != first.backfill_id
    assert unfinished_backfill(context, "stores", "inventory", EPOCH) is None


def test_a_piece_stands_or_falls_with_its_load(at: At) -> None:
    context = at("2026-03-05T10:00")
    backfill = begin_backfill(context, "oltp", "orders", WINDOW)
    with pytest.raises(ZeroDivisionError), context.warehouse.transaction():
        backfill.add("1..100", "load", 100)
        raise ZeroDivisionError
    assert begin_backfill(context, "oltp", "orders", WINDOW).done == {}
