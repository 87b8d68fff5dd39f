"""The hourly inventory files of the stores, what is wrong with some of them, and the counts that come out in the end.

A file is sent in the last minutes of the hour it counts (its visible instant), so that the hour is complete when it
ends; a late one comes up to three hours after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

from sandbox.events.catalogue import Catalogue, Store
from sandbox.events.csv_dialects import habit_of
from sandbox.events.draws import Draws, Integers
from sandbox.events.instants import DAY, HOUR, MINUTE, SECOND, to_datetime, zone

HEADER = ("store_id", "sku", "on_hand", "on_order", "counted_at")
CORE_HOURS = 6  # a product of the core assortment is counted every so many hours
LONGEST_DELAY_HOURS = 6  # no version of a file comes later than that after its hour began


@dataclass(frozen=True)
class Count:
    """A row of an inventory file: what it says, and as what the pipeline must take it.

    `fate` is "counts", "rejected" (cannot be typed: raw.rejects) or the quarantine rule it breaks. `on_order` None: the
    file says nothing.
    """

    store_id: int
    product: int
    on_hand: int
    on_order: int | None
    counted_at: int
    fate: str = "counts"


@dataclass(frozen=True)
class InventoryFile:
    """One version of a file: its key below the prefix, when it is sent, its bytes, and the counts that it holds.

    `trusted` is False for a file that is quarantined whole.
    """

    key: str
    visible_at: int
    body: Callable[[], bytes]
    counts: tuple[Count, ...]
    trusted: bool = True


@dataclass(frozen=True)
class CountedDay:
    """The counts of a UTC day as they were made: arrays by store, hour and row of the file."""

    product: Integers
    counted_at: Integers
    on_hand: Integers
    on_order: Integers
    sent_at: Integers  # by store and hour


@lru_cache(maxsize=40)
def _counted_day(seed: int, stores: int, rows: int, products: int, epoch: int, day: int) -> CountedDay:
    draws = Draws(seed, "counts", day)
    shape = (stores, 24, rows)
    size = stores * 24 * rows
    # Half of a file goes through a core assortment, counted several times a day; the other half through all the rest.
    core_rows, hours = rows // 2, np.arange(24) + day * 24
    core, rest = core_rows * CORE_HOURS, products - core_rows * CORE_HOURS
    place = np.arange(rows)[None, None, :] + np.arange(stores)[:, None, None] * 7
    in_core = (place + hours[None, :, None] * core_rows) % max(core, 1)
    in_rest = core + (place + hours[None, :, None] * (rows - core_rows)) % rest
    product = np.where(np.arange(rows)[None, None, :] < core_rows, in_core, in_rest)
    begins = epoch + day * DAY + np.arange(24) * HOUR
    minute = draws.between(stores * 24, 3, 38).reshape(stores, 24)
    counted_at = begins[None, :, None] + minute[:, :, None] * MINUTE + np.arange(rows)[None, None, :] % 60 * 9 * SECOND
    on_hand, on_order = draws.below(size, 250), draws.below(size, 4) * 12
    on_hand[draws.chance(size, 60)] = 0
    sent_at = begins[None, :] + (draws.between(stores * 24, 50 * 60, 59 * 60) * SECOND).reshape(stores, 24)
    return CountedDay(product, counted_at, on_hand.reshape(shape), on_order.reshape(shape), sent_at)


def counted_day(catalogue: Catalogue, day: int) -> CountedDay:
    """The counts of a UTC day, before anything happens to the files."""
    size = catalogue.size
    return _counted_day(catalogue.seed, size.stores, size.skus_per_file, size.products, catalogue.epoch, day)


def key_of(instant: int, store_id: int) -> str:
    """Key of a store's inventory file of the hour that begins at an instant, below the prefix."""
    return f"inventory/{to_datetime(instant):%Y/%m/%d/%H}/store_{store_id:03d}.csv"


def counts_of(catalogue: Catalogue, hour: int, store_id: int) -> tuple[Count, ...]:
    """What one store counted in one hour."""
    day, place = counted_day(catalogue, hour // 24), (store_id - 1, hour % 24)
    rows = zip(*(a[place].tolist() for a in (day.product, day.on_hand, day.on_order, day.counted_at)), strict=True)
    return tuple(Count(store_id, *row) for row in rows)


def sound_file(catalogue: Catalogue, hour: int, store: Store) -> InventoryFile:
    """The file of a store and hour as it is when nothing is wrong with it."""
    sent_at = int(counted_day(catalogue, hour // 24).sent_at[store.store_id - 1, hour % 24])
    counts = counts_of(catalogue, hour, store.store_id)
    key = key_of(catalogue.epoch + hour * HOUR, store.store_id)
    return InventoryFile(key, sent_at, lambda: habit_of(store.store_id).encode(table_of(catalogue, counts)), counts)


def table_of(catalogue: Catalogue, counts: tuple[Count, ...]) -> list[tuple[str, ...]]:
    """Header and rows as text; instants with the offset of the store's zone."""
    return [HEADER, *(row_of(catalogue, count) for count in counts)]


def row_of(catalogue: Catalogue, count: Count) -> tuple[str, ...]:
    """A count as a row of its file, in texts."""
    store = catalogue.stores[count.store_id - 1]
    at = datetime.fromtimestamp(count.counted_at // SECOND, UTC).astimezone(zone(store.timezone)).isoformat()
    on_order = "" if count.on_order is None else str(count.on_order)
    return str(count.store_id), catalogue.skus[count.product], str(count.on_hand), on_order, at
