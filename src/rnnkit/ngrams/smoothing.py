"""Interpolated modified Kneser-Ney smoothing, as KenLM's lmplz has it.

For an n-gram h w, context h and word w, with h' the context without its first word (Chen and Goodman 1998; Heafield,
Pouzyrevsky, Clark and Koehn 2013):

    p(w | h) = (a(h w) - D(a(h w))) / sum_v a(h v)  +  b(h) p(w | h')
    b(h)     = sum_v D(a(h v)) / sum_v a(h v)

a is the adjusted count (`counts.adjust`): occurrences of the longest n-grams and of those that begin with <s>, and for
the others the number of different words seen before them. Kneser and Ney's thought: how likely a word is where the
context says nothing depends on how many contexts it is at home in, not on how often it was written. "Francisco" is
frequent, but it follows little else than "San".

D takes one of three discounts (`discounts.py`), and b gives what was taken to the shorter context. Recursion ends with
the empty context, whose shorter context gives each word of the vocabulary, </s> and <unk> too, the same 1 / V. So a
word that was never counted, <unk> first of all, has b() / V.

Of a context whose rare n-grams are pruned, the counts of those go to the shorter context whole:

    b(h) = (sum over kept v of D(a(h v))  +  sum over pruned v of a(h v)) / sum_v a(h v)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rnnkit.kernels.array_types import BoolArray, Float64Array, Int32Array
from rnnkit.ngrams.ngram_counts import NgramLevel


def modified_kneser_ney(
    levels: Sequence[NgramLevel],
    adjusted: Sequence[Int32Array],
    kept: Sequence[BoolArray],
    discounts: Sequence[Discounts],
    outcome_V: BoolArray,
) -> Iterator[tuple[Float64Array, Float64Array]]:
    """Estimate all probabilities, from the shortest n-grams to the longest.

    Args:
        levels: The n-grams.
        adjusted: Their adjusted counts.
        kept: Which of them are kept. With an n-gram, those within it are kept too.
        discounts: Discounts of each order.
        outcome_V: What can be predicted: neither padding nor <s>.

    Yields:
        For each order the probabilities of its n-grams (N,), those of pruned ones being of no meaning, and the back-off
        weights of their contexts (C,).
    """
    shorter_S: Float64Array = np.array([1 / np.count_nonzero(outcome_V)])
    for order, (level, count_N, kept_N) in enumerate(zip(levels, adjusted, kept, strict=True), start=1):
        context_N, contexts = level.contexts(), len(level.begins_C1) - 1
        discount_N = discount_counts(count_N, discounts[order - 1])
        total_C = np.bincount(context_N, count_N, minlength=contexts)
        given_C = np.bincount(context_N, np.where(kept_N, discount_N, count_N), minlength=contexts)
        backoff_C = np.ones(contexts)  # where nothing was ever seen behind it, the shorter context speaks alone
        np.divide(given_C, total_C, out=backoff_C, where=total_C > 0)
        probability_N = shorter_S[level.suffix_N]
        probability_N *= backoff_C[context_N]
        probability_N += np.subtract(count_N, discount_N, out=discount_N) / total_C[context_N]
        if order == 1:
            probability_N[~outcome_V] = 0.0
        yield probability_N, backoff_C
        shorter_S = probability_N


Discounts = tuple[float, float, float]

MAX_DISCOUNTED_COUNT = 3
"""Counts from here on have the same discount."""


def estimate_discounts(count_N: Int32Array) -> Discounts | str:
    """The discounts of one order, or why there are none.

    Args:
        count_N: Adjusted counts of its n-grams, before any are pruned.
    """
    n = (
        np.bincount(np.minimum(count_N, MAX_DISCOUNTED_COUNT + 2), minlength=MAX_DISCOUNTED_COUNT + 3)
        .astype(float)
        .tolist()
    )
    for count in range(1, MAX_DISCOUNTED_COUNT + 1):
        if not n[count]:
            return f"none has the count {count}"
    y = n[1] / (n[1] + 2 * n[2])
    d1, d2, d3 = (count - (count + 1) * y * n[count + 1] / n[count] for count in range(1, MAX_DISCOUNTED_COUNT + 1))
    for count, discount in enumerate((d1, d2, d3), start=1):
        if discount <= 0:
            return f"the discount for the count {count} would be {discount:.3g}"
    return d1, d2, d3


def discount_counts(count_N: Int32Array, discounts: Discounts) -> Float64Array:
    """What is taken from each count."""
    table = np.array([0.0, *discounts])
    taken_N: Float64Array = table[np.minimum(count_N, MAX_DISCOUNTED_COUNT)]
    return taken_N


def add_k(levels: Sequence[NgramLevel], k: float, outcome_V: BoolArray) -> Iterator[tuple[Float64Array, Float64Array]]:
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


def maximum_likelihood(levels: Sequence[NgramLevel]) -> Iterator[tuple[Float64Array, Float64Array]]:
    """Relative frequencies. Results as those of `kneser_ney.smooth`."""
    for level in levels:
        total_C = context_counts(level)
        yield level.count_N / total_C[level.contexts()], np.where(total_C > 0, 0.0, 1.0)


def context_counts(level: NgramLevel) -> Float64Array:
    """How often each context of a level was followed by a word, shape (C,)."""
    total_C = np.bincount(level.contexts(), level.count_N, minlength=len(level.begins_C1) - 1)
    return np.asarray(total_C, dtype=np.float64)
