"""What a query costs, and the bucket of points it is paid from.

Shopify publishes that scalars and enums are free, an object costs 1 and a mutation 10, and that connections are sized
by `first`; staff add that this grows with the logarithm and that the formula stays closed. What is charged here is what
people have measured: 2 for a connection, and floor(2 ln size) times the cost of one of its nodes; values such as money
and pageInfo are free. The requested cost is taken before a query runs; what its answer did not need is given back.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.shopify.selection import Selected

MAX_QUERY_COST = 1000
BUCKET = {"maximum": 20_000, "restore_rate": 2_000}  # the rate of Shopify's biggest plan; the size is not published
MUTATION_COST = 10
FREE_TYPES = {"PageInfo", "MoneyV2", "MoneyBag"}


def requested_cost(selection: Sequence[Selected]) -> int:
    """Points of a selection if every page comes back full."""
    total = 0
    for field in selection:
        if not field.below or field.type_name in FREE_TYPES:
            continue
        if field.owner == "Mutation":
            total += MUTATION_COST
            continue
        inner = requested_cost(field.below)
        size = field.arguments.get("first")
        if field.is_connection:
            total += 2 + _scale(size or 2) * max(1, inner)
        elif field.type_name.endswith("Edge"):
            total += inner
        elif field.is_list and size:
            total += 2 + _scale(size) * (1 + inner)
        else:
            total += 1 + inner
    return total


def actual_cost(selection: Sequence[Selected], answer: Mapping[str, Any]) -> int:
    """Points of what came back: the same rule over the sizes in the answer, nodes at the mean of their costs."""
    return math.ceil(_spent(selection, answer))


def _spent(selection: Sequence[Selected], answer: Mapping[str, Any]) -> float:
    total = 0.0
    for field in selection:
        if not field.below or field.type_name in FREE_TYPES or not (value := answer.get(field.key)):
            continue
        if field.owner == "Mutation":
            total += MUTATION_COST
        elif field.is_connection:
            total += 2 + _spent(field.below, value)
        elif not field.is_list:
            total += (0 if field.owner.endswith("Edge") else 1) + _spent(field.below, value)
        else:
            total += _scale(len(value)) * sum(1 + _spent(field.below, item) for item in value) / len(value)
    return total


def _scale(size: int) -> int:
    return math.floor(2 * math.log(max(2, size)))


class Bucket:
    """The points that are left; refills with time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._available: float = BUCKET["maximum"]
        self._at = time.monotonic()

    def charge(self, cost: int, limits: Mapping[str, Any]) -> bool:
        """Take points, if there are enough."""
        with self._lock:
            self._refill(limits)
            affordable = cost <= self._available
            if affordable:
                self._available -= cost
            return affordable

    def give_back(self, cost: int) -> None:
        """Return points that were charged and not used."""
        with self._lock:
            self._available += cost

    def status(self, limits: Mapping[str, Any]) -> dict[str, Any]:
        """Shopify's throttleStatus."""
        with self._lock:
            self._refill(limits)
            return {
                "maximumAvailable": float(limits["maximum"]),
                "currentlyAvailable": int(self._available),
                "restoreRate": float(limits["restore_rate"]),
            }

    def _refill(self, limits: Mapping[str, Any]) -> None:
        now = time.monotonic()
        refilled = self._available + (now - self._at) * limits["restore_rate"]
        self._available, self._at = min(limits["maximum"], refilled), now
