"""Search of training options on the validation data within a time budget: what is tried, and what is stopped early.

Random search (Bergstra & Bengio 2012) alternates with steps from the best trial so far, whose size shrinks, as in
fastText's autotune. After a quarter and a half of its training, a trial continues only if its score there is at least
the median of the earlier trials: asynchronous successive halving (Li et al. 2020, arXiv:1810.05934) with two
survivors of four.

A trial is a position in the unit cube, one coordinate per dimension of the space. The first has the defaults, and the
others follow from the seed and the scores of those before, so that a search can be repeated; how many of them the time
allows cannot.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from rnnkit.training.signals import StopRequest

Position = tuple[float, ...]
"""A trial: a coordinate from 0 to 1 for each dimension of the space."""

CHECKED_SHARES: Final = (0.25, 0.5)
"""Shares of a training after which trials are compared."""

MIN_COMPARED: Final = 2
"""Earlier trials that a comparison needs: with one, every second trial would end because of noise."""

FIRST_STEP: Final = 0.3
"""Standard deviation of the first step from the best position, in units of the whole range."""

SMALLEST_STEP: Final = 0.05

CHANGED_SHARE: Final = 0.5
"""Share of the coordinates that a step from the best position changes: the others are probably good."""

MAX_ATTEMPTS: Final = 50
"""Proposals that repeat an earlier trial before the space counts as exhausted."""


class Dimension(Protocol):
    """A dimension of the space: one option, or options that only make sense together."""

    @property
    def names(self) -> tuple[str, ...]:
        """The options."""
        ...

    def values(self, position: float) -> tuple[Any, ...]:
        """Return the values of the options at a position from 0 to 1."""
        ...

    def position(self, values: tuple[Any, ...]) -> float:
        """Return the position of values, or of the nearest ones."""
        ...


@dataclass(frozen=True)
class NumberRange:
    """Numbers between two bounds.

    Attributes:
        name: The option.
        low: Smallest value.
        high: Largest value.
        logarithmic: Whether equal ratios, instead of equal differences, are equally probable.
        multiple: Of an integer, what it is a multiple of; 0 for a real number, which is rounded to two digits, so that
            its printed form is exact.
    """

    name: str
    low: float
    high: float
    logarithmic: bool = False
    multiple: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The option."""
        return (self.name,)

    def values(self, position: float) -> tuple[float]:
        """Return the value at a position from 0 to 1."""
        if self.logarithmic:
            value = self.low * (self.high / self.low) ** position
        else:
            value = self.low + (self.high - self.low) * position
        if self.multiple:
            return (max(1, round(value / self.multiple)) * self.multiple,)
        return (float(f"{value:.2g}"),)

    def position(self, values: tuple[Any, ...]) -> float:
        """Return the position of a value, which lies within the bounds or counts as the nearer one."""
        value = min(max(float(values[0]), self.low), self.high)
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Choices:
    """A few possibilities in an order, so that a small step leads to a similar one.

    Attributes:
        names: The options.
        choices: For each possibility, the values of the options.
    """

    names: tuple[str, ...]
    choices: tuple[tuple[Any, ...], ...]

    def values(self, position: float) -> tuple[Any, ...]:
        """Return the possibility at a position from 0 to 1."""
        return self.choices[min(int(position * len(self.choices)), len(self.choices) - 1)]

    def position(self, values: tuple[Any, ...]) -> float:
        """Return the middle of the range of a possibility; the middle of all for another one."""
        index = self.choices.index(values) if values in self.choices else (len(self.choices) - 1) / 2
        return (index + 0.5) / len(self.choices)


class Proposals:
    """Proposes trials.

    Args:
        space: The dimensions; none shares an option with another.
        defaults: Value of each option in the first trial.
        seed: Another seed gives other trials.
    """

    def __init__(self, space: Sequence[Dimension], defaults: Mapping[str, Any], seed: int) -> None:
        self._space = tuple(space)
        self._seed = seed
        self._defaults = {name: defaults[name] for dimension in self._space for name in dimension.names}
        self._known = [self._defaults]

    def first(self) -> tuple[Position, dict[str, Any]]:
        """Return the first trial: the position of the defaults, and their values."""
        position = (
            dimension.position(tuple(self._defaults[name] for name in dimension.names)) for dimension in self._space
        )
        return tuple(position), dict(self._defaults)

    def values(self, position: Position) -> dict[str, Any]:
        """Return the value of each option at a position."""
        return {
            name: value
            for dimension, coordinate in zip(self._space, position, strict=True)
            for name, value in zip(dimension.names, dimension.values(coordinate), strict=True)
        }

    def propose(self, number: int, best: Position) -> tuple[Position, dict[str, Any]] | None:
        """Propose a trial that differs from all before it.

        Args:
            number: Number of the trial, at least 2; the first has the defaults.
            best: Position of the best trial so far.

        Returns:
            Its position, and its values; None if nothing new was found.
        """
        generator = np.random.default_rng([self._seed, number])
        for _ in range(MAX_ATTEMPTS):
            position = tuple(generator.random(len(self._space)).tolist())
            if number % 2:
                position = _step_from(best, number, generator)
            values = self.values(position)
            if values not in self._known:
                self._known.append(values)
                return position, values
        return None


def _step_from(best: Position, number: int, generator: np.random.Generator) -> Position:
    """Change some coordinates of a position by Gaussian noise, reflected at the bounds."""
    size = len(best)
    changed = generator.random(size) < CHANGED_SHARE
    changed[generator.integers(size)] = True
    noise = generator.normal(0, max(SMALLEST_STEP, FIRST_STEP / math.sqrt(number / 3)), size)
    moved = np.abs(np.array(best) + noise * changed) % 2
    return tuple(np.where(moved > 1, 2 - moved, moved).tolist())


class SuccessiveHalving:
    """Scores of all trials after each of `CHECKED_SHARES`, by which a trial continues or ends."""

    def __init__(self) -> None:
        self._scores: list[list[float]] = [[] for _ in CHECKED_SHARES]

    def continues(self, check: int, score: float) -> bool:
        """Record the score of a trial at a check, and return whether the trial continues."""
        earlier = self._scores[check]
        passed = len(earlier) < MIN_COMPARED or score >= statistics.median(earlier)
        earlier.append(score)
        return passed


FINISHED, HALVED, OUT_OF_TIME, STOPPED = "finished", "unpromising", "out of time", "interrupted"
"""How a trial ends."""


class TrialLimit:
    """Ends a trial: when time is over, after a signal, or if it is unpromising.

    Args:
        deadline: Time of the clock at which the search ends.
        halving: The comparison with earlier trials; None if trials are not compared.
        stop: A request to stop.
        clock: A monotonic clock in seconds.

    Attributes:
        score: Best validation score so far; -inf before the first.
        share: Share of the training at the last validation.
        ending: How the trial ended, if it did.
    """

    def __init__(
        self,
        deadline: float,
        halving: SuccessiveHalving | None = None,
        stop: StopRequest | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deadline = deadline
        self._halving = halving
        self._stop = StopRequest() if stop is None else stop
        self._clock = clock
        self._check = 0
        self.score = -math.inf
        self.share = 0.0
        self.ending = FINISHED

    def is_over(self) -> bool:
        """Return whether no further step is to be taken."""
        return bool(self._stop) or self._clock() >= self._deadline

    def interrupt(self, signum: int) -> None:
        """End the search because of a signal that the training has caught."""
        self._stop.signum = signum
        self.ending = STOPPED

    def is_check_due(self, share: float) -> bool:
        """Return whether the trial is to be validated after this share of its training."""
        return self._check < len(CHECKED_SHARES) and share >= CHECKED_SHARES[self._check]

    def continues(self, share: float, score: float) -> bool:
        """Record a validation score, and return whether the trial continues.

        Args:
            share: Share of the training that is done.
            score: The score.
        """
        self.score, self.share = max(self.score, score), share
        if share >= 1:
            return False
        while self.is_check_due(share):
            self._check += 1
            if self._halving is not None and not self._halving.continues(self._check - 1, self.score):
                self.ending = HALVED
                return False
        if self.is_over():
            self.ending = STOPPED if self._stop else OUT_OF_TIME
            return False
        return True
