"""Pseudo-random numbers that are the same on every machine, NumPy and Python version.

Only the raw bit stream of PCG64 and of SeedSequence is used, which NumPy promises never to change; its distribution
methods carry no such promise. Everything on top is multiplication, comparison and integer arithmetic.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class Draws:
    """The stream of draws that belongs to one topic, e.g. `Draws(seed, "orders", day)`.

    Streams of different topics or numbers are independent, so a day can be made without the days before it.
    """

    def __init__(self, seed: int, topic: str, *numbers: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, crc32(topic.encode()), *numbers]))

    def uniform(self, count: int) -> NDArray[np.float64]:
        """`count` numbers in [0, 1)."""
        raw = np.asarray(self._bits.random_raw(count), dtype=np.uint64)
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, count: int, bound: int | Integers) -> Integers:
        """`count` integers in [0, bound); `bound` may be an array of one bound a draw."""
        return np.floor(self.uniform(count) * bound).astype(np.int64)

    def between(self, count: int, low: int, high: int) -> Integers:
        """`count` integers in [low, high]."""
        return low + self.below(count, high - low + 1)

    def chance(self, count: int, per_mille: int) -> NDArray[np.bool_]:
        """`count` coins that show True in `per_mille` of 1000 throws."""
        return self.uniform(count) * 1000 < per_mille

    def weighted(self, count: int, weights: list[int] | Integers) -> Integers:
        """`count` indexes into `weights` (integers), each as often as its weight says."""
        cumulative = np.cumsum(np.asarray(weights, dtype=np.int64))
        return np.searchsorted(cumulative, self.below(count, int(cumulative[-1])), side="right").astype(np.int64)

    def shuffled(self, indexes: Integers) -> Integers:
        """The same indexes in random order."""
        return indexes[np.argsort(self.uniform(len(indexes)), kind="stable")]
