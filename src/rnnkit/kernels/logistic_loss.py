"""The logistic function of eight logits at once, its loss and its gradient.

    sigma(x) = 1 / (1 + 2**-t)          t = x / ln 2 = n + f, n an integer, |f| <= 1/2
    2**f     = sum_i (f ln 2)**i / i!   to the sixth power: exact to float32

There is no table: the word2vec programs look sigma up in a thousand bins, and clip the gradient or skip the update
beyond +-6.
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
"""Logits are clipped to +-MAX_LOGIT, where sigma equals 0 or 1 to the precision of float32."""

LOG_SUM_FLOATS = 16
"""Size of a log-sum accumulator: for each of eight lanes a mantissa, then for each an exponent."""

LN2 = math.log(2)
_PER_LN2 = np.float32(1 / math.log(2))
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(math.log(2) ** i / math.factorial(i)) for i in range(1, 7))
_ZERO, _ONE = np.float32(0), np.float32(1)
_MIN_PROBABILITY = np.float32(1e-13)  # sigma(-MAX_LOGIT)


@inlined
def score_gradients(logits: Any, signs: Any, counts: Any, max_repeats: int, learning_rate: Any, log_sum: Any) -> Any:
    """Compute the step of each logit, and add the log-probabilities of the correct decisions to `log_sum`.

    Args:
        logits: Of eight output rows against one input row.
        signs: 1 for the target, -1 for noise words.
        counts: How often each row was sampled; 0 for an unused lane. The target counts as one, plus one for each
            noise sample that hit it.
        max_repeats: The largest count minus one.
        learning_rate: In every lane.
        log_sum: The accumulator.

    Returns:
        -learning_rate dE/ds, with E = -log sigma(s) for the target and -log sigma(-s) for each noise sample. Times
        the other row, it is the update of a row.
    """
    one = broadcast8(_ONE)
    correct = sigmoid8(signs * logits)
    first = minimum(counts, one)
    add_log_probabilities(log_sum, correct * first + (one - first))
    steps = signs * first * (one - correct)
    if max_repeats > 0:
        absent = sigmoid8(broadcast8(_ZERO) - logits)
        repeats = counts - first
        steps = steps - repeats * (one - absent)
        for repeat in range(max_repeats):
            mask = maximum(minimum(repeats - broadcast8(np.float32(repeat)), one), broadcast8(_ZERO))
            add_log_probabilities(log_sum, absent * mask + (one - mask))
    return steps * learning_rate


@inlined
def sigmoid8(logits: Any) -> Any:
    """Compute the logistic function of each lane."""
    zero, one = broadcast8(_ZERO), broadcast8(_ONE)
    clipped = maximum(minimum(logits, broadcast8(MAX_LOGIT)), broadcast8(-MAX_LOGIT))
    t = zero - clipped * broadcast8(_PER_LN2)
    n = round8(t)
    f = t - n
    series = broadcast8(_C5) + f * broadcast8(_C6)
    series = broadcast8(_C4) + f * series
    series = broadcast8(_C3) + f * series
    series = broadcast8(_C2) + f * series
    series = broadcast8(_C1) + f * series
    return one / (one + (one + f * series) * power_of_two8(n))


@inlined
def clear_log_sum(log_sum: Any) -> None:
    """Reset an accumulator to the empty product."""
    store8(log_sum, 0, broadcast8(_ONE))
    store8(log_sum, 8, broadcast8(_ZERO))


@inlined
def add_log_probabilities(log_sum: Any, probabilities: Any) -> None:
    """Add the logarithms of eight probabilities.

    The accumulator holds a product of mantissas and a sum of exponents: as exact as a sum of logarithms, at a tenth
    of the cost.
    """
    product = load8(log_sum, 0) * maximum(probabilities, broadcast8(_MIN_PROBABILITY))
    store8(log_sum, 8, load8(log_sum, 8) + exponent8(product))
    store8(log_sum, 0, mantissa8(product))


@inlined
def negative_log_sum(log_sum: Any) -> float:
    """Return minus the sum of the logarithms that were added, in nats."""
    total = 0.0
    for lane in range(8):
        total -= math.log(log_sum[lane]) + LN2 * log_sum[8 + lane]
    return total
