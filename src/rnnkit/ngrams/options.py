"""What can be chosen about a counted language model; light to import, for help pages."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from rnnkit.errors import ConfigError

Smoothing = Literal["kneser-ney", "add-k", "maximum-likelihood"]
SMOOTHINGS: tuple[Smoothing, ...] = get_args(Smoothing)

MAX_ORDER = 64
"""Far beyond what text has use for; a bound for the sake of a clear error."""


@dataclass(frozen=True)
class NgramOptions:
    """How a model is estimated.

    Attributes:
        order: Words of the longest n-gram.
        smoothing: `kneser-ney` (interpolated, modified), `add-k`, or `maximum-likelihood`, the last two for teaching.
        prune: Least counts are above these, order by order; the last holds for all longer n-grams. Empty: keep all.
        add: What `add-k` adds to each count.
        closed: Unknown words are impossible: <unk> gets no probability, and the text may not hold it.
        fallback: Discounts of n-grams counted once, twice and more often, where the text is too thin to tell them.
    """

    order: int = 5
    smoothing: Smoothing = "kneser-ney"
    prune: tuple[int, ...] = ()
    add: float = 1.0
    closed: bool = False
    fallback: tuple[float, float, float] = (0.5, 1.0, 1.5)

    def thresholds(self) -> tuple[int, ...]:
        """For each order, the greatest count that is dropped.

        Raises:
            ConfigError: A choice is out of its range, or choices exclude each other.
        """
        if not 1 <= self.order <= MAX_ORDER:
            raise ConfigError(f"an order of {self.order} is not possible", f"it lies between 1 and {MAX_ORDER}")
        if self.smoothing not in SMOOTHINGS:
            raise ConfigError(f"there is no smoothing {self.smoothing!r}", f"there are {', '.join(SMOOTHINGS)}")
        if not 0 < self.add < float("inf"):
            raise ConfigError(f"add-k cannot add {self.add}", "k is a number above 0, often 1 or less")
        self._check_fallback()
        return self._spread_thresholds()

    def _check_fallback(self) -> None:
        if len(self.fallback) != 3 or not all(
            0 <= discount <= count for count, discount in enumerate(self.fallback, start=1)
        ):
            raise ConfigError(
                f"fallback discounts {self.fallback} are not possible",
                "there are three, for counts of 1, 2 and more; none is below 0 or above its count",
            )

    def _spread_thresholds(self) -> tuple[int, ...]:
        prune = self.prune or (0,)
        if any(prune) and self.smoothing != "kneser-ney":
            raise ConfigError(
                f"{self.smoothing} is not pruned", "what is taken away could not be given to the other words"
            )
        if len(prune) > self.order:
            raise ConfigError(f"{len(prune)} thresholds for pruning, the model has order {self.order}")
        if prune[0] != 0:
            raise ConfigError(
                f"words cannot be pruned: the first threshold is {prune[0]}, not 0",
                hint="`rnnkit vocab --min-count` leaves rare words out of the vocabulary",
            )
        if any(low > high for low, high in pairwise(prune)):
            raise ConfigError(
                f"the thresholds {' '.join(map(str, prune))} for pruning fall",
                "an n-gram that is kept needs the shorter ones within it",
            )
        return prune + prune[-1:] * (self.order - len(prune))
