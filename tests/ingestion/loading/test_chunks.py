"""Long readings go on where they stopped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from ingestion.loading.chunks import begin, begun
from ingestion.loading.package import EPOCH, IngestContext, Window

At = Callable[[str], IngestContext]
WINDOW = Window(EPOCH, datetime(2026, 3, 5))


def test_a_reading_goes_on_with_its_pieces_and_ends(at: At) -> None:
    first = begin(at("2026-03-05T10:00"), "oltp", "orders", WINDOW)
    first.add("1..100", "load", 100)
    again = begin(at("2026-03-05T11:00"), "oltp", "orders", WINDOW)
    assert (again.reading_id, again.done, again.begun_as_of) == (
        first.reading_id,
        {"1..100": 100},
        datetime(2026, 3, 5, 10),
    )
    again.complete()
    anew = begin(at("2026-03-05T12:00"), "oltp", "orders", WINDOW)
    assert anew.reading_id != first.reading_id
    assert anew.done == {}


def test_a_reading_is_of_one_entity_and_window(at: At) -> None:
    context = at("2026-03-05T10:00")
    first = begin(context, "oltp", "orders", WINDOW)
    assert begin(context, "oltp", "refunds", WINDOW).reading_id != first.reading_id
    later = Window(EPOCH, datetime(2026, 3, 6))
    found = begun(context, "oltp", "orders", EPOCH)
    assert found is not None
    assert found.window == WINDOW
    assert begin(context, "oltp", "orders", later).reading_id != first.reading_id
    assert begun(context, "stores", "inventory", EPOCH) is None


def test_a_piece_stands_or_falls_with_its_load(at: At) -> None:
    context = at("2026-03-05T10:00")
    reading = begin(context, "oltp", "orders", WINDOW)
    with pytest.raises(ZeroDivisionError), context.warehouse.transaction():
        reading.add("1..100", "load", 100)
        raise ZeroDivisionError
    assert begin(context, "oltp", "orders", WINDOW).done == {}
