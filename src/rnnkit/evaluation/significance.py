"""Confidence intervals and tests for counts of right and wrong answers: Wilson's interval and McNemar's test.

Both take answers to be independent of each other. Those to the words of a sentence are not, which makes the interval
too narrow and the p-value too small; `label_bootstrap.py` resamples sentences instead.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""0.975 quantile of the standard normal distribution."""

TAIL = 0.025
"""Probability that a 95 % interval leaves out at either end."""

TOLERANCE = 1e-12
"""Scores closer than this are equal: they differ by rounding alone."""


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float


def wilson_interval(correct: int, total: int) -> Interval:
    """Compute the score interval of a proportion (Wilson 1927).

    With the proportion p of n and the normal quantile z, its bounds are

        (p + z^2 / 2n ± z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Args:
        correct: Number of successes.
        total: Number of trials, at least one.
    """
    share, square = correct / total, Z_95**2
    center = (share + square / (2 * total)) / (1 + square / total)
    half = Z_95 * math.sqrt(share * (1 - share) / total + square / (4 * total**2)) / (1 + square / total)
    return Interval(0.0 if not correct else center - half, 1.0 if correct == total else center + half)


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Compute the p-value of McNemar's test with the exact binomial distribution, two-sided (McNemar 1947).

    If both systems are equally good, each item that only one of them has right is as likely to be the first's as the
    second's. The p-value is twice the probability of the smaller count or less, at most 1.

    Args:
        only_first: Items that only the first system has right.
        only_second: Items that only the second system has right.
    """
    total, smaller = only_first + only_second, min(only_first, only_second)
    if only_first == only_second:
        return 1.0
    # log C(n, k) = sum of log((n - j + 1) / j) for j from 1 to k
    steps = np.arange(1, smaller + 1, dtype=np.float64)
    logarithms = np.concatenate(([0.0], np.cumsum(np.log((total - steps + 1) / steps)))) - total * math.log(2)
    return float(min(1.0, 2 * np.exp(logarithms).sum()))


def percentile_interval(values: NDArray[np.float64]) -> Interval:
    """Return the percentile bootstrap interval of a score's resamples (Efron and Tibshirani 1993)."""
    low, high = np.quantile(values, (TAIL, 1 - TAIL))
    return Interval(float(low), float(high))


def bootstrap_p_value(differences: NDArray[np.float64], observed: float) -> float:
    """Compute the two-sided p-value of a difference between two systems from paired resamples.

    Under the null hypothesis of equal systems, resampled differences are centered at zero instead of at the observed
    one. The p-value is the share of resamples whose centered difference is at least as large as the observed one, the
    observed one included, so two equal systems have p = 1.

    Args:
        differences: Difference of the scores in each resample.
        observed: Difference on the data.
    """
    extreme = np.abs(differences - differences.mean()) >= abs(observed) - TOLERANCE
    return (int(extreme.sum()) + 1) / (len(differences) + 1)
