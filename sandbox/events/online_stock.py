"""Stock of the online location, counted in turns. One SKU is that of two inventory items, whose counts add up; each day
one product is oversold, and its count below zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.events.catalogue import Catalogue
from sandbox.events.draws import Draws, Integers
from sandbox.events.instants import DAY, HOUR, SECOND, iso

FIRST_INVENTORY_ITEM = 46_000_000_000_000
LEVEL_CYCLE_HOURS = 48  # each sku is counted once in so many hours: no poll in between misses a count
HOURS_A_DAY = 24
LOCATION = 1


@dataclass(frozen=True)
class Levels:
    """Counts of the online location: arrays of the same length. Items have the numbers of products, and one more."""

    item: Integers
    product: Integers
    counted_at: Integers
    on_hand: Integers
    incoming: Integers

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Levels:
        return Levels(
            self.item[chosen],
            self.product[chosen],
            self.counted_at[chosen],
            self.on_hand[chosen],
            self.incoming[chosen],
        )


def levels_of_day(catalogue: Catalogue, day: int) -> Levels:
    """The counts made on one UTC day: each item once in two days, always at the same minute."""
    count = len(catalogue.skus)
    turn, second = _turns(catalogue), Draws(catalogue.seed, "level seconds").below(count, 3600)
    draws = Draws(catalogue.seed, "levels", day)
    on_hand, incoming = draws.below(count, 400), draws.below(count, 5) * 24
    on_hand[draws.chance(count, 60)] = 0
    counted_at = catalogue.epoch + day * DAY + turn % HOURS_A_DAY * HOUR + second * SECOND
    today = turn // HOURS_A_DAY == day % 2
    product = np.arange(count, dtype=np.int64)
    oversold = np.flatnonzero(today & (product != shared_product(catalogue)))[:1]
    on_hand[oversold] = -3  # sold and not delivered yet
    item = product.copy()
    if day % 2 == 0:  # the second item of a sku is counted a day before and after the first: no poll sees both anew
        shared = shared_product(catalogue)
        item[shared], today[shared] = second_item(catalogue), True
        on_hand[shared] = 1 + Draws(catalogue.seed, "levels of a second item", day).below(1, 60)[0]
        incoming[shared] = 12
    return Levels(item, product, counted_at, on_hand, incoming)[today]


def shared_product(catalogue: Catalogue) -> int:
    """The product whose sku a second inventory item carries: the first one that is counted on odd days."""
    return int(np.argmax(_turns(catalogue) >= HOURS_A_DAY))


def second_item(catalogue: Catalogue) -> int:
    """The number of that second item."""
    return len(catalogue.skus)


def _turns(catalogue: Catalogue) -> Integers:
    """The hour of its cycle in which each sku is counted."""
    return Draws(catalogue.seed, "level turns").below(len(catalogue.skus), LEVEL_CYCLE_HOURS)


def level_documents(catalogue: Catalogue, levels: Levels) -> list[dict[str, Any]]:
    """The shop's documents of counts."""
    return [
        {
            "inventoryItemId": FIRST_INVENTORY_ITEM + item,
            "locationId": LOCATION,
            "sku": catalogue.skus[product],
            "available": on_hand - 2,
            "onHand": on_hand,
            "incoming": incoming,
            "updatedAt": iso(counted_at),
        }
        for item, product, counted_at, on_hand, incoming in zip(
            *(
                values.tolist()
                for values in (levels.item, levels.product, levels.counted_at, levels.on_hand, levels.incoming)
            ),
            strict=True,
        )
    ]
