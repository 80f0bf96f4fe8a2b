"""Random choices that are the same on every Python version."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Dice:
    """Choices drawn from `random.Random.random`, whose sequence Python promises to keep for a seed.

    `choice` and `shuffle` of the standard library carry no such promise, and the corpora are committed:
    the same seed has to give the same bytes in years to come.
    """

    def __init__(self, seed: str) -> None:
        """Start the sequence that belongs to this seed."""
        self._random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random.random() < probability

    def choice(self, items: Sequence[Item]) -> Item:
        """One of the items, each equally likely."""
        return items[self.integer(0, len(items) - 1)]

    def weighted(self, items: Sequence[tuple[float, Item]]) -> Item:
        """One of the items, each with the weight that stands before it."""
        left = self._random.random() * sum(weight for weight, _ in items)
        for weight, item in items:
            left -= weight
            if left < 0:
                return item
        return items[-1][1]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """The items in a random order."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = self.integer(0, last)
            result[last], result[other] = result[other], result[last]
        return result
