"""Stock of the online location, counted in turns."""

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
LOCATION = 1


@dataclass(frozen=True)
class Levels:
    """Counts of the online location: arrays of the same length."""

    product: Integers
    counted_at: Integers
    on_hand: Integers
    incoming: Integers

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Levels:
        return Levels(self.product[chosen], self.counted_at[chosen], self.on_hand[chosen], self.incoming[chosen])


def levels_of_day(catalogue: Catalogue, day: int) -> Levels:
    """The counts made on one UTC day: each sku once in two days, always at the same minute."""
    count = len(catalogue.skus)
    turn, second = Draws(catalogue.seed, "level turns").below(count, LEVEL_CYCLE_HOURS), Draws(
        catalogue.seed, "level seconds"
    ).below(count, 3600)  # fmt: skip
    draws = Draws(catalogue.seed, "levels", day)
    on_hand, incoming = draws.below(count, 400), draws.below(count, 5) * 24
    on_hand[draws.chance(count, 60)] = 0
    counted_at = catalogue.epoch + day * DAY + turn % 24 * HOUR + second * SECOND
    today = turn // 24 == day % 2
    return Levels(np.arange(count, dtype=np.int64), counted_at, on_hand, incoming)[today]


def level_documents(catalogue: Catalogue, levels: Levels) -> list[dict[str, Any]]:
    """The shop's documents of counts."""
    return [
        {
            "inventoryItemId": FIRST_INVENTORY_ITEM + product,
            "locationId": LOCATION,
            "sku": catalogue.skus[product],
            "available": max(0, on_hand - 2),
            "onHand": on_hand,
            "incoming": incoming,
            "updatedAt": iso(counted_at),
        }
        for product, counted_at, on_hand, incoming in zip(
            *(a.tolist() for a in (levels.product, levels.counted_at, levels.on_hand, levels.incoming)), strict=True
        )
    ]
