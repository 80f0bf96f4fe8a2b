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

from rnnkit.ngrams.counts import Flags, Floats, Ints, Level
from rnnkit.ngrams.discounts import Discounts, discount


def smooth(
    levels: Sequence[Level],
    adjusted: Sequence[Ints],
    kept: Sequence[Flags],
    discounts: Sequence[Discounts],
    outcome_V: Flags,
) -> Iterator[tuple[Floats, Floats]]:
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
    shorter_S: Floats = np.array([1 / np.count_nonzero(outcome_V)])
    for order, (level, count_N, kept_N) in enumerate(zip(levels, adjusted, kept, strict=True), start=1):
        context_N, contexts = level.contexts(), len(level.begins_C1) - 1
        discount_N = discount(count_N, discounts[order - 1])
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
