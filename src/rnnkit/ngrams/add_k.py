"""Two ways to smooth that are taught first: adding k to each count, and no smoothing at all.

Laplace, Lidstone: each word of the vocabulary is counted k times more in each context of `order - 1` words,

    p(w | h) = (c(h w) + k) / (c(h) + k V)            c(h) = sum_v c(h v)

so that a context never seen makes all words equally likely. Written with back-off weights, every shorter n-gram has the
uniform probability 1 / V, and b(h) = k V / (c(h) + k V). Contexts at a line's start are shorter: nothing stands before
<s>.

Maximum likelihood: relative frequencies, p(w | h) = c(h w) / c(h). What never followed h is impossible: probability 0,
logarithm minus infinity, and any text that holds it has an infinite perplexity. That is why the other ways exist. A
context that never occurred has no relative frequencies (0 / 0); the longest part of it that did occur speaks instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rnnkit.ngrams.counts import Flags, Floats, Level


def add_k(levels: Sequence[Level], k: float, outcome_V: Flags) -> Iterator[tuple[Floats, Floats]]:
    """Estimate all probabilities by adding k. Arguments and results as those of `kneser_ney.smooth`."""
    size = np.count_nonzero(outcome_V)
    for order, level in enumerate(levels, start=1):
        context_N, total_C = level.contexts(), context_counts(level)
        probability_N = (level.count_N + k) / (total_C[context_N] + k * size)
        backoff_C = k * size / (total_C + k * size)
        if order < len(levels):
            shorter_N = np.ones(len(level), dtype=np.bool_)  # those that do not reach back to <s>
            if order > 1:
                shorter_N[level.from_start] = False
            probability_N[shorter_N] = 1 / size
            backoff_C[context_N[shorter_N]] = 1.0
        if order == 1:
            probability_N[~outcome_V] = 0.0
        yield probability_N, backoff_C


def maximum_likelihood(levels: Sequence[Level]) -> Iterator[tuple[Floats, Floats]]:
    """Relative frequencies. Results as those of `kneser_ney.smooth`."""
    for level in levels:
        total_C = context_counts(level)
        yield level.count_N / total_C[level.contexts()], np.where(total_C > 0, 0.0, 1.0)


def context_counts(level: Level) -> Floats:
    """How often each context of a level was followed by a word, shape (C,)."""
    total_C = np.bincount(level.contexts(), level.count_N, minlength=len(level.begins_C1) - 1)
    return np.asarray(total_C, dtype=np.float64)
