"""What modified Kneser-Ney takes from each count: three numbers an order, from the counts of counts.

    n_c = n-grams of the order whose count is c            Y  = n_1 / (n_1 + 2 n_2)
    D_1 = 1 - 2 Y n_2 / n_1      D_2 = 2 - 3 Y n_3 / n_2      D_3 = 3 - 4 Y n_4 / n_3, for counts of 3 and more

Chen and Goodman 1998, equation 26. A small or artificial text may have no n-gram of some count, or so many of a higher
count that a discount is negative, or 0, which leaves nothing for words unseen; then it cannot be estimated.

lmplz differs in one thing: for the very last n-gram of each order it takes the occurrences, not the adjusted count,
into the counts of counts. So its D_3 of PTB's words is 1.265 where the definition gives 1.262.
"""

from __future__ import annotations

import numpy as np

from rnnkit.ngrams.counts import Floats, Ints

Discounts = tuple[float, float, float]

LARGEST = 3
"""Counts from here on have the same discount."""


def discounts(count_N: Ints) -> Discounts | str:
    """The discounts of one order, or why there are none.

    Args:
        count_N: Adjusted counts of its n-grams, before any are pruned.
    """
    n = np.bincount(np.minimum(count_N, LARGEST + 2), minlength=LARGEST + 3).astype(float).tolist()
    for count in range(1, LARGEST + 1):
        if not n[count]:
            return f"none has the count {count}"
    y = n[1] / (n[1] + 2 * n[2])
    d1, d2, d3 = (count - (count + 1) * y * n[count + 1] / n[count] for count in range(1, LARGEST + 1))
    for count, discount in enumerate((d1, d2, d3), start=1):
        if discount <= 0:
            return f"the discount for the count {count} would be {discount:.3g}"
    return d1, d2, d3


def discount(count_N: Ints, discounts: Discounts) -> Floats:
    """What is taken from each count."""
    table = np.array([0.0, *discounts])
    taken_N: Floats = table[np.minimum(count_N, LARGEST)]
    return taken_N
