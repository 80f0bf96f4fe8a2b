"""Options of n-gram language model estimation; light to import, for help pages."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from rnnkit.errors import ConfigError

Smoothing = Literal["kneser-ney", "add-k", "maximum-likelihood"]
SMOOTHINGS: tuple[Smoothing, ...] = get_args(Smoothing)

MAX_ORDER = 64
"""Far above any useful order; the bound exists to report nonsense with a clear error."""


@dataclass(frozen=True)
class NgramOptions:
    """How an n-gram model is estimated.

    Attributes:
        order: Order of the model: length of the longest n-grams, in words.
        smoothing: `kneser-ney` (interpolated, modified), or, for teaching, `add-k` or `maximum-likelihood`.
        prune: Count threshold of each order: n-grams with this count or less are pruned. The last threshold holds for
            all higher orders; empty keeps all n-grams.
        add: k of `add-k`, added to each count.
        closed: Closed vocabulary: <unk> gets no probability and must not occur in the text.
        fallback: Discounts for counts of one, two, and three or more, used for an order whose counts of counts are too
            sparse to estimate them.
    """

    order: int = 5
    smoothing: Smoothing = "kneser-ney"
    prune: tuple[int, ...] = ()
    add: float = 1.0
    closed: bool = False
    fallback: tuple[float, float, float] = (0.5, 1.0, 1.5)

    def thresholds(self) -> tuple[int, ...]:
        """Validate the options and return the pruning threshold of each order.

        Raises:
            ConfigError: An option is out of range, or options contradict each other.
        """
        if not 1 <= self.order <= MAX_ORDER:
            raise ConfigError(
                f"order {self.order} is out of range", f"it must be from 1 to {MAX_ORDER}", option="--order"
            )
        if self.smoothing not in SMOOTHINGS:
            raise ConfigError(
                f"unknown smoothing {self.smoothing!r}", f"choose from {', '.join(SMOOTHINGS)}", option="--smoothing"
            )
        if not 0 < self.add < float("inf"):
            raise ConfigError(
                f"add-k smoothing with k = {self.add} is not possible",
                "k must be a positive number; usual values are 1 or less",
                option="--add-k",
            )
        self._check_fallback()
        return self._expand_thresholds()

    def _check_fallback(self) -> None:
        if len(self.fallback) != 3 or not all(
            0 <= discount <= count for count, discount in enumerate(self.fallback, start=1)
        ):
            raise ConfigError(
                f"fallback discounts {self.fallback} are out of range",
                "there must be three, for counts of 1, 2 and 3 or more, each from 0 to its count",
            )

    def _expand_thresholds(self) -> tuple[int, ...]:
        prune = self.prune or (0,)
        if any(prune) and self.smoothing != "kneser-ney":
            raise ConfigError(
                f"{self.smoothing} smoothing cannot be pruned",
                "it does not pass the probability of pruned n-grams on to other words",
                option="--prune",
            )
        if len(prune) > self.order:
            raise ConfigError(
                f"{len(prune)} pruning thresholds for a model of order {self.order}",
                "there must be at most one per order",
                option="--prune",
            )
        if prune[0] != 0:
            raise ConfigError(
                f"the first pruning threshold is {prune[0]}, but unigrams cannot be pruned: it must be 0",
                hint="`rnnkit vocab --min-count` drops rare words from the vocabulary",
                option="--prune",
            )
        if any(low > high for low, high in pairwise(prune)):
            raise ConfigError(
                f"pruning thresholds {' '.join(map(str, prune))} decrease",
                "an n-gram can be kept only with all shorter n-grams that it contains",
                option="--prune",
            )
        return prune + prune[-1:] * (self.order - len(prune))
