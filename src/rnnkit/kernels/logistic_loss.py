"""The logistic function on eight scores at once, and the average of the logarithms of probabilities.

    sigma(x) = 1 / (1 + 2**-t)          t = x / ln 2 = n + f, n whole, |f| <= 1/2
    2**f     = sum_i (f ln 2)**i / i!   to the sixth power: exact to float32

No table: the word2vec programs look sigma up in a thousand bins and stop learning, or clip, beyond +-6.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnkit.kernels.word_vector_compiler import inlined
from rnnkit.kernels.word_vector_simd import (
    broadcast8,
    exponent8,
    load8,
    mantissa8,
    maximum,
    minimum,
    power_of_two8,
    round8,
    store8,
)

MAX_LOGIT = np.float32(30.0)
"""Scores beyond +-LIMIT count as that: sigma is 0 or 1 there to every digit that float32 has."""

_PER_LN2 = np.float32(1 / math.log(2))
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(math.log(2) ** i / math.factorial(i)) for i in range(1, 7))
_ZERO, _ONE = np.float32(0), np.float32(1)
_MIN_PROBABILITY = np.float32(1e-13)  # sigma(-LIMIT)
LN2 = math.log(2)


@inlined
def sigmoid8(scores: Any) -> Any:
    """The logistic function of each lane."""
    zero, one = broadcast8(_ZERO), broadcast8(_ONE)
    clipped = maximum(minimum(scores, broadcast8(MAX_LOGIT)), broadcast8(-MAX_LOGIT))
    t = zero - clipped * broadcast8(_PER_LN2)
    n = round8(t)
    f = t - n
    series = broadcast8(_C5) + f * broadcast8(_C6)
    series = broadcast8(_C4) + f * series
    series = broadcast8(_C3) + f * series
    series = broadcast8(_C2) + f * series
    series = broadcast8(_C1) + f * series
    return one / (one + (one + f * series) * power_of_two8(n))


LOG_SUM_FLOATS = 16
"""Numbers of a tally: for each of eight lanes a mantissa, then for each an exponent."""


@inlined
def add_log_probabilities(tally: Any, probabilities: Any) -> None:
    """Multiply eight probabilities into a tally.

    A product of mantissas, with the exponents added up beside it, takes the place of a sum of logarithms: it loses
    nothing and costs a tenth.
    """
    product = load8(tally, 0) * maximum(probabilities, broadcast8(_MIN_PROBABILITY))
    store8(tally, 8, load8(tally, 8) + exponent8(product))
    store8(tally, 0, mantissa8(product))


@inlined
def clear_log_sum(tally: Any) -> None:
    """Begin again, with the product of nothing."""
    store8(tally, 0, broadcast8(_ONE))
    store8(tally, 8, broadcast8(_ZERO))


@inlined
def negative_log_sum(tally: Any) -> float:
    """-log of the product of all probabilities counted, in nats."""
    total = 0.0
    for lane in range(8):
        total -= math.log(tally[lane]) + LN2 * tally[8 + lane]
    return total


@inlined
def score_gradients(scores: Any, signs: Any, totals: Any, repeated: int, rate: Any, tally: Any) -> Any:
    """What to add to each score's two rows, in units of the other row; counts the probabilities.

    Args:
        scores: Of eight output rows against one input row.
        signs: 1 where the row is the word that was there, -1 where it is noise.
        totals: How often each row was drawn; 0 for a lane that is not used. The word that was there counts as one,
            and more than one where noise hit it too.
        repeated: The greatest total less one.
        rate: Learning rate, in every lane.
        tally: Takes the probability of each right answer.

    Returns:
        -rate dE/ds, E being -log sigma(s) of the word that was there and -log sigma(-s) of each noise draw.
    """
    one = broadcast8(_ONE)
    right = sigmoid8(signs * scores)
    first = minimum(totals, one)
    add_log_probabilities(tally, right * first + (one - first))
    steps = signs * first * (one - right)
    if repeated > 0:
        absent = sigmoid8(broadcast8(_ZERO) - scores)
        again = totals - first
        steps = steps - again * (one - absent)
        for turn in range(repeated):
            share = maximum(minimum(again - broadcast8(np.float32(turn)), one), broadcast8(_ZERO))
            add_log_probabilities(tally, absent * share + (one - share))
    return steps * rate
