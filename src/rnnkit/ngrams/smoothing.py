"""Smoothing: from n-gram counts to probabilities and back-off weights.

- `modified_kneser_ney`: interpolated modified Kneser-Ney, as in KenLM's lmplz; the one to use.
- `add_k`: additive smoothing (Laplace, Lidstone), and `maximum_likelihood`: relative frequencies without smoothing;
  both for teaching and comparison.

Each yields, order by order from unigrams up, the probabilities of the n-grams (N,) and the back-off weights of their
contexts (C,). Tests compare them with the same in plain loops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rnnkit.kernels.compiler import BoolArray, Float64Array, Int32Array
from rnnkit.ngrams.ngram_counts import NgramLevel

Discounts = tuple[float, float, float]
"""Discounts of one order for counts of 1, 2, and 3 or more."""

MAX_DISCOUNTED_COUNT = 3
"""Higher counts have the discount of this one."""


def modified_kneser_ney(
    levels: Sequence[NgramLevel],
    adjusted: Sequence[Int32Array],
    kept: Sequence[BoolArray],
    discounts: Sequence[Discounts],
    predictable_V: BoolArray,
) -> Iterator[tuple[Float64Array, Float64Array]]:
    """Estimate probabilities with interpolated modified Kneser-Ney smoothing.

    For an n-gram h w, context h and word w, with h' the context without its first word (Chen and Goodman 1998;
    Heafield, Pouzyrevsky, Clark and Koehn 2013):

        p(w | h) = (a(h w) - D(a(h w))) / sum_v a(h v)  +  b(h) p(w | h')
        b(h)     = sum_v D(a(h v)) / sum_v a(h v)

    a is the adjusted count (`adjust_counts`): for n-grams below the highest order, the number of distinct words that
    precede them. The intuition: the lower order matters where the context is rare, and there a word's probability
    depends on how many contexts it occurs in, not on how often. "Francisco" is frequent, but mostly follows "San".

    D is one of three discounts, and b passes the discounted mass on to the shorter context. The recursion ends at the
    empty context, which interpolates with the uniform distribution 1 / V over the predictable words, </s> and <unk>
    included. So a word that was never counted, such as <unk>, has the probability b() / V.

    The counts of a context's pruned n-grams go to the shorter context as a whole:

        b(h) = (sum over kept v of D(a(h v))  +  sum over pruned v of a(h v)) / sum_v a(h v)

    Args:
        levels: The n-grams of each order.
        adjusted: Their adjusted counts.
        kept: Masks of the n-grams that are not pruned; the n-grams within a kept one are kept too.
        discounts: Discounts of each order.
        predictable_V: Mask of the words that can be predicted: neither padding nor <s>.

    Yields:
        For each order the probabilities of its n-grams (N,), which are meaningless for pruned ones, and the back-off
        weights of their contexts (C,).
    """
    shorter_S: Float64Array = np.array([1 / np.count_nonzero(predictable_V)])
    for order, (level, count_N, kept_N) in enumerate(zip(levels, adjusted, kept, strict=True), start=1):
        context_N, contexts = level.contexts(), len(level.offsets_C1) - 1
        discount_N = discount_counts(count_N, discounts[order - 1])
        total_C = np.bincount(context_N, count_N, minlength=contexts)
        passed_on_C = np.bincount(context_N, np.where(kept_N, discount_N, count_N), minlength=contexts)
        backoff_C = np.ones(contexts)  # a context without n-grams backs off with weight 1
        np.divide(passed_on_C, total_C, out=backoff_C, where=total_C > 0)
        probability_N = shorter_S[level.suffix_N]
        probability_N *= backoff_C[context_N]
        probability_N += np.subtract(count_N, discount_N, out=discount_N) / total_C[context_N]
        if order == 1:
            probability_N[~predictable_V] = 0.0
        yield probability_N, backoff_C
        shorter_S = probability_N


def estimate_discounts(count_N: Int32Array) -> Discounts | str:
    """Estimate the discounts of one order from its counts of counts (Chen and Goodman 1998, equation 26).

        n_c = number of n-grams with count c               Y  = n_1 / (n_1 + 2 n_2)
        D_1 = 1 - 2 Y n_2 / n_1      D_2 = 2 - 3 Y n_3 / n_2      D_3 = 3 - 4 Y n_4 / n_3

    In a small or artificial text some n_c can be 0, or a discount can come out negative, or 0, which would leave no
    probability for unseen words.

    lmplz differs in one detail: for the very last n-gram of each order, its counts of counts include the occurrences
    instead of the adjusted count. So its D_3 of the words of PTB is 1.265, where the definition gives 1.262.

    Args:
        count_N: Adjusted counts of all n-grams of the order, before pruning.

    Returns:
        The discounts, or the reason why they cannot be estimated.
    """
    limit = MAX_DISCOUNTED_COUNT
    n = np.bincount(np.minimum(count_N, limit + 2), minlength=limit + 3).astype(float).tolist()
    for count in range(1, limit + 1):
        if not n[count]:
            return f"no n-gram has count {count}"
    y = n[1] / (n[1] + 2 * n[2])
    d1, d2, d3 = (count - (count + 1) * y * n[count + 1] / n[count] for count in range(1, limit + 1))
    for count, discount in enumerate((d1, d2, d3), start=1):
        if discount <= 0:
            return f"the discount of count {count} would be {discount:.3g}"
    return d1, d2, d3


def discount_counts(count_N: Int32Array, discounts: Discounts) -> Float64Array:
    """Return the discount of each count."""
    table = np.array([0.0, *discounts])
    discount_N: Float64Array = table[np.minimum(count_N, MAX_DISCOUNTED_COUNT)]
    return discount_N


def add_k(
    levels: Sequence[NgramLevel], k: float, predictable_V: BoolArray
) -> Iterator[tuple[Float64Array, Float64Array]]:
    """Estimate probabilities with additive smoothing (Laplace for k = 1, Lidstone otherwise).

    Each word of the vocabulary is counted k more times in each context of `order - 1` words,

        p(w | h) = (c(h w) + k) / (c(h) + k V)            c(h) = sum_v c(h v)

    so that all words are equally probable in an unseen context. As a back-off model: every n-gram of a lower order has
    the uniform probability 1 / V, and b(h) = k V / (c(h) + k V). Contexts at the start of a sentence are shorter, as no
    word precedes <s>.

    Args:
        levels: The n-grams of each order.
        k: Added to each count.
        predictable_V: Mask of the words that can be predicted.

    Yields:
        Probabilities (N,) and back-off weights (C,) of each order.
    """
    size = np.count_nonzero(predictable_V)
    for order, level in enumerate(levels, start=1):
        context_N, total_C = level.contexts(), context_totals(level)
        probability_N = (level.count_N + k) / (total_C[context_N] + k * size)
        backoff_C = k * size / (total_C + k * size)
        if order < len(levels):
            uniform_N = np.ones(len(level), dtype=np.bool_)  # lower-order n-grams that do not begin with <s>
            if order > 1:
                uniform_N[level.bos_range] = False
            probability_N[uniform_N] = 1 / size
            backoff_C[context_N[uniform_N]] = 1.0
        if order == 1:
            probability_N[~predictable_V] = 0.0
        yield probability_N, backoff_C


def maximum_likelihood(levels: Sequence[NgramLevel]) -> Iterator[tuple[Float64Array, Float64Array]]:
    """Estimate relative frequencies, p(w | h) = c(h w) / c(h).

    A word that never followed h has the probability 0, and a text with such a word infinite perplexity; this is what
    smoothing is for. A context that never occurred (0 / 0) backs off to its longest suffix that did.

    Args:
        levels: The n-grams of each order.

    Yields:
        Probabilities (N,) and back-off weights (C,) of each order.
    """
    for level in levels:
        total_C = context_totals(level)
        yield level.count_N / total_C[level.contexts()], np.where(total_C > 0, 0.0, 1.0)


def context_totals(level: NgramLevel) -> Float64Array:
    """Return how often each context of a level is followed by a word, shape (C,)."""
    total_C = np.bincount(level.contexts(), level.count_N, minlength=len(level.offsets_C1) - 1)
    return np.asarray(total_C, dtype=np.float64)
