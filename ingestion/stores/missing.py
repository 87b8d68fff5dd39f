"""When a store's file is in: the one place in Python for the rule. ``core.inventory_coverage`` says it in SQL.

The inventory file of an hour is expected from every store that is open on the hour's date in the store's own time zone:
from the day it opens to the day before it closes, both taken from its latest reference. It is in when its rows were
loaded, when its content came before, and when it is quarantined: whoever looks at it then, waiting does not help. An
empty file is not in, the right one is still expected.

The model counts which of the expected stores have counts in ``fct_inventory``; so a quarantined file is in here, and
its store does not report there. ``tests/models/test_stated_twice.py`` holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ingestion.loading.context import Window
from ingestion.loading.intervals import HOUR, hours
from ingestion.warehouse import Warehouse


class _Store(NamedTuple):
    """What the latest reference of a store says."""

    store_id: int
    timezone: str
    opened_on: date | None
    closed_on: date | None

    def is_open(self, hour: datetime) -> bool:
        day = hour.replace(tzinfo=UTC).astimezone(ZoneInfo(self.timezone)).date()
        return (self.opened_on is None or self.opened_on <= day) and (self.closed_on is None or day < self.closed_on)


def is_in(file: str) -> str:
    """SQL for whether a row of ``ops.files`` makes the file of its store and hour in; ``file`` is the row's alias."""
    return f"{file}.status IN ('loaded', 'duplicate', 'quarantined')"


def expected_files(warehouse: Warehouse, since: datetime, until: datetime) -> list[tuple[datetime, int]]:
    """The inventory files that stores have to send, those of hours that begin in ``since`` to ``until`` (UTC).

    Returns:
        Hour (its start, UTC without a zone) and store id, in order.
    """
    if until <= since:
        return []
    stores = _stores(warehouse)
    return [(hour, store.store_id) for hour in hours(Window(since, until)) for store in stores if store.is_open(hour)]


def missing_files(warehouse: Warehouse, since: datetime, until: datetime | None = None) -> list[tuple[datetime, int]]:
    """The inventory files that open stores did not send.

    Args:
        warehouse: where ``ops.files`` and ``raw.stores_reference`` are.
        since: first hour, UTC.
        until: end of the last hour; None takes the watermark: hours that are still waited for miss nothing yet.

    Returns:
        Hour (its start, UTC without a zone) and store id, in order.
    """
    if until is None:
        until = warehouse.value(
            "SELECT covered_through FROM ops.source_watermarks WHERE source = 'stores' AND entity = 'inventory'"
        )
    return [] if until is None else _not_sent(warehouse, expected_files(warehouse, since, until), since, until)


def _not_sent(
    warehouse: Warehouse, expected: Sequence[tuple[datetime, int]], since: datetime, until: datetime
) -> list[tuple[datetime, int]]:
    """Those of the files that stores had to send (``expected_files``) that are not in."""
    sent = set(
        warehouse.rows(
            "SELECT DISTINCT file_hour, store_id FROM ops.files AS f WHERE source = 'stores' AND entity = 'inventory'"
            f" AND {is_in('f')} AND file_hour >= ? AND file_hour < ?",
            [since, until],
        )
    )
    return [place for place in expected if place not in sent]


def is_complete(warehouse: Warehouse, hour: datetime) -> bool:
    """Whether every open store's file of an hour is in; without any reference nobody knows, and it is not."""
    expected = expected_files(warehouse, hour, hour + HOUR)
    if not expected:
        return bool(_stores(warehouse))
    return not _not_sent(warehouse, expected, hour, hour + HOUR)


def _stores(warehouse: Warehouse) -> list[_Store]:
    """Every store that sent a reference, in order of its id."""
    rows = warehouse.rows(
        "SELECT store_id, timezone, opened_on, closed_on FROM raw.stores_reference QUALIFY ROW_NUMBER() OVER"
        " (PARTITION BY store_id ORDER BY reference_date DESC, _dlt_load_id DESC, file_line DESC) = 1 ORDER BY store_id"
    )
    return [_Store(*row) for row in rows]
