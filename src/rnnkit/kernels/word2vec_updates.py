"""The update of one window in skip-gram and CBOW, in vector registers: logits, loss, gradient, and the changed rows.

Loss and gradient of eight logits at once:

    sigma(x) = 1 / (1 + 2**-t)          t = x / ln 2 = n + f, n an integer, |f| <= 1/2
    2**f     = sum_i (f ln 2)**i / i!   to the sixth power: exact to float32

There is no table: the word2vec programs look sigma up in a thousand bins, and clip the gradient or skip the update
beyond +-6.

Skip-gram: the input rows of all context words against one set of output rows. Mikolov et al. 2013 (arXiv:1310.4546)
sample noise for each pair of words. One sample per window turns the pairs into a matrix product and touches a sixth of
the rows: Ji et al. 2016 (arXiv:1604.04661).

    s_co = x_c . w_o - offset_o                      for each context word c and output word o, from the old rows
    g_co = -rate dE/ds_co                            rate (label_o - sigma(s_co))
    for c in order:  w_o += g_co x_c for each o;  x_c += sum_o g_co w_o, with w_o from before the window; six o at once

One hidden row against sets of output rows: a window of CBOW, or a word composed of its n-grams.

    h    = 1/n sum_r a_r x_r                         the mean of n input rows with weights a_r
    s_o  = h . w_o - offset_o
    g_o  = rate (label_o - sigma(s_o))
    e   += sum_o g_o w_o;  w_o += g_o h              for each set of output rows in turn;
    x_r += scale c_r e,  h += scale 1/n sum_r a_r c_r e

Scale 1/n with rate factors c_r = a_r is the gradient; scale 1 with a_r = c_r = 1 is what word2vec.c and fastText do.
CBOW: the rows are those of the context words, and there is one set, for the center word (Mikolov et al. 2013,
arXiv:1301.3781; its gradient was corrected by Irsoy, Benton and Stratos 2020, arXiv:2012.15332). Skip-gram with
n-grams: the rows are those of the center word, and there is one set per context word (Bojanowski et al. 2017,
arXiv:1607.04606).

`word2vec_reference.py` is the same in plain loops; tests compare the two.
"""

from __future__ import annotations

import math

import numpy as np

from rnnkit.kernels.compiler import Float32Array, Int64Array
from rnnkit.kernels.negative_sampling import TILE, TILE_LANES, OutputSamples
from rnnkit.kernels.word2vec_weights import EmbeddingWeights, HiddenRow, WindowBuffers
from rnnkit.kernels.word_vector_simd import (
    FloatLanes,
    broadcast8,
    broadcast16,
    exponent8,
    horizontal_sums8,
    inlined,
    load8,
    load16,
    mantissa8,
    maximum,
    minimum,
    power_of_two8,
    round8,
    store8,
    store16,
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
def score_gradients(
    logits: FloatLanes,
    signs: FloatLanes,
    counts: FloatLanes,
    max_repeats: int,
    learning_rate: FloatLanes,
    log_sum: Float32Array,
) -> FloatLanes:
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
def sigmoid8(logits: FloatLanes) -> FloatLanes:
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
def clear_log_sum(log_sum: Float32Array) -> None:
    """Reset an accumulator to the empty product."""
    store8(log_sum, 0, broadcast8(_ONE))
    store8(log_sum, 8, broadcast8(_ZERO))


@inlined
def add_log_probabilities(log_sum: Float32Array, probabilities: FloatLanes) -> None:
    """Add the logarithms of eight probabilities.

    The accumulator holds a product of mantissas and a sum of exponents: as exact as a sum of logarithms, at a tenth
    of the cost.
    """
    product = load8(log_sum, 0) * maximum(probabilities, broadcast8(_MIN_PROBABILITY))
    store8(log_sum, 8, load8(log_sum, 8) + exponent8(product))
    store8(log_sum, 0, mantissa8(product))


@inlined
def negative_log_sum(log_sum: Float32Array) -> float:
    """Return minus the sum of the logarithms that were added, in nats."""
    total = 0.0
    for lane in range(8):
        total -= math.log(log_sum[lane]) + LN2 * log_sum[8 + lane]
    return total


@inlined
def train_window(
    weights: EmbeddingWeights, contexts: Int64Array, samples: OutputSamples, window: int, learning_rate: np.float32,
    buffers: WindowBuffers,
) -> None:  # fmt: skip
    """Train on one window.

    Args:
        weights: Updated in place.
        contexts: Input rows of the context words; may repeat.
        samples: Output rows.
        window: Index of the window in `samples`.
        learning_rate: Of this window.
        buffers: Scratch; its accumulator receives the log-probabilities.
    """
    count, rates, max_repeats = len(contexts), broadcast8(learning_rate), samples.max_repeats[window]
    for tile in range(samples.tiles):
        index = window * samples.tiles + tile
        rows = samples.rows[index * TILE : (index + 1) * TILE]
        gradients = buffers.gradients[tile * count * TILE_LANES :]
        _score_contexts(weights, contexts, rows, gradients)
        counts, signs = load8(samples.counts, index * TILE_LANES), load8(samples.signs, tile * TILE_LANES)
        offsets = load8(samples.logit_offsets, index * TILE_LANES)
        for c in range(count):
            logits = load8(gradients, c * TILE_LANES) - offsets
            steps = score_gradients(logits, signs, counts, max_repeats, rates, buffers.log_sum)
            store8(gradients, c * TILE_LANES, steps)
    for tile in range(samples.tiles):
        index = window * samples.tiles + tile
        rows = samples.rows[index * TILE : (index + 1) * TILE]
        _update_window(weights, contexts, rows, buffers.gradients[tile * count * TILE_LANES :])


@inlined
def _score_contexts(weights: EmbeddingWeights, contexts: Int64Array, rows: Int64Array, logits: Float32Array) -> None:
    """Compute x_c . w_o for six output rows, two context words at a time: twelve sums stay in registers."""
    inputs, outputs, stride = weights
    o0, o1, o2, o3, o4, o5 = (
        rows[0] * stride, rows[1] * stride, rows[2] * stride, rows[3] * stride, rows[4] * stride, rows[5] * stride,
    )  # fmt: skip
    for c in range(0, len(contexts), 2):
        second = min(c + 1, len(contexts) - 1)
        a, b = contexts[c] * stride, contexts[second] * stride
        a0 = a1 = a2 = a3 = a4 = a5 = broadcast16(_ZERO)
        b0 = b1 = b2 = b3 = b4 = b5 = broadcast16(_ZERO)
        for d in range(0, stride, 16):
            x, y = load16(inputs, a + d), load16(inputs, b + d)
            w = load16(outputs, o0 + d)
            a0, b0 = a0 + x * w, b0 + y * w
            w = load16(outputs, o1 + d)
            a1, b1 = a1 + x * w, b1 + y * w
            w = load16(outputs, o2 + d)
            a2, b2 = a2 + x * w, b2 + y * w
            w = load16(outputs, o3 + d)
            a3, b3 = a3 + x * w, b3 + y * w
            w = load16(outputs, o4 + d)
            a4, b4 = a4 + x * w, b4 + y * w
            w = load16(outputs, o5 + d)
            a5, b5 = a5 + x * w, b5 + y * w
        store8(logits, second * TILE_LANES, horizontal_sums8((b0, b1, b2, b3, b4, b5)))
        store8(logits, c * TILE_LANES, horizontal_sums8((a0, a1, a2, a3, a4, a5)))


@inlined
def _update_window(weights: EmbeddingWeights, contexts: Int64Array, rows: Int64Array, gradients: Float32Array) -> None:
    """Add g_co x_c to the output rows and sum_o g_co w_o to the input rows, 16 columns of all rows at a time."""
    inputs, outputs, stride = weights
    o0, o1, o2, o3, o4, o5 = (
        rows[0] * stride, rows[1] * stride, rows[2] * stride, rows[3] * stride, rows[4] * stride, rows[5] * stride,
    )  # fmt: skip
    for d in range(0, stride, 16):
        w0, w1, w2 = load16(outputs, o0 + d), load16(outputs, o1 + d), load16(outputs, o2 + d)
        w3, w4, w5 = load16(outputs, o3 + d), load16(outputs, o4 + d), load16(outputs, o5 + d)
        n0, n1, n2, n3, n4, n5 = w0, w1, w2, w3, w4, w5
        for c in range(len(contexts)):
            at, lane = contexts[c] * stride + d, c * TILE_LANES
            x = load16(inputs, at)
            g0, g1 = broadcast16(gradients[lane]), broadcast16(gradients[lane + 1])
            g2, g3 = broadcast16(gradients[lane + 2]), broadcast16(gradients[lane + 3])
            g4, g5 = broadcast16(gradients[lane + 4]), broadcast16(gradients[lane + 5])
            n0, n1, n2 = n0 + g0 * x, n1 + g1 * x, n2 + g2 * x
            n3, n4, n5 = n3 + g3 * x, n4 + g4 * x, n5 + g5 * x
            store16(inputs, at, x + g0 * w0 + g1 * w1 + g2 * w2 + g3 * w3 + g4 * w4 + g5 * w5)
        store16(outputs, o0 + d, n0)
        store16(outputs, o1 + d, n1)
        store16(outputs, o2 + d, n2)
        store16(outputs, o3 + d, n3)
        store16(outputs, o4 + d, n4)
        store16(outputs, o5 + d, n5)


@inlined
def average_inputs(weights: EmbeddingWeights, rows: Int64Array, mean_weights: Float32Array, hidden: HiddenRow) -> None:
    """Compute the weighted mean of the input rows, and clear the updates of the hidden row."""
    inputs, stride = weights.inputs, weights.stride
    share = broadcast16(np.float32(1) / np.float32(len(rows)))
    for d in range(0, stride, 16):
        total = broadcast16(_ZERO)
        for r in range(len(rows)):
            total = total + broadcast16(mean_weights[r]) * load16(inputs, rows[r] * stride + d)
        store16(hidden.values, d, total * share)
        store16(hidden.step, d, broadcast16(_ZERO))
        store16(hidden.total_step, d, broadcast16(_ZERO))


@inlined
def update_outputs(
    weights: EmbeddingWeights, hidden: HiddenRow, samples: OutputSamples, window: int, learning_rate: np.float32,
    buffers: WindowBuffers,
) -> None:  # fmt: skip
    """Train the output rows of one set, and add the update of the hidden row to `hidden.step`.

    Args:
        weights: The output rows are updated in place.
        hidden: h and its updates.
        samples: Output rows.
        window: Index of the set in `samples`.
        learning_rate: Of this set.
        buffers: Scratch; its accumulator receives the log-probabilities.
    """
    for tile in range(samples.tiles):
        index = window * samples.tiles + tile
        rows = samples.rows[index * TILE : (index + 1) * TILE]
        logits = _score_hidden(weights, hidden.values, rows) - load8(samples.logit_offsets, index * TILE_LANES)
        counts, signs = load8(samples.counts, index * TILE_LANES), load8(samples.signs, tile * TILE_LANES)
        rates, max_repeats = broadcast8(learning_rate), samples.max_repeats[window]
        steps = score_gradients(logits, signs, counts, max_repeats, rates, buffers.log_sum)
        store8(buffers.gradients, 0, steps)
        _update_hidden_rows(weights, hidden, rows, buffers.gradients)


@inlined
def update_hidden(hidden: HiddenRow, scale: np.float32, mean_product: np.float32) -> None:
    """Move the hidden row as its input rows will move, so that the next set of output rows uses the updated mean.

    Args:
        hidden: h and its updates; `step` is cleared.
        scale: The scale of the update, as above.
        mean_product: 1/n sum_r a_r c_r.
    """
    share, hidden_share = broadcast16(scale), broadcast16(mean_product)
    for d in range(0, len(hidden.values), 16):
        change = share * load16(hidden.step, d)
        store16(hidden.values, d, load16(hidden.values, d) + hidden_share * change)
        store16(hidden.total_step, d, load16(hidden.total_step, d) + change)
        store16(hidden.step, d, broadcast16(_ZERO))


@inlined
def update_inputs(
    weights: EmbeddingWeights, rows: Int64Array, rate_factors: Float32Array, total_step: Float32Array
) -> None:
    """Add c_r times the total update to each input row."""
    inputs, stride = weights.inputs, weights.stride
    for r in range(len(rows)):
        factor = broadcast16(rate_factors[r])
        for d in range(0, stride, 16):
            at = rows[r] * stride + d
            store16(inputs, at, load16(inputs, at) + factor * load16(total_step, d))


@inlined
def _score_hidden(weights: EmbeddingWeights, hidden: Float32Array, rows: Int64Array) -> FloatLanes:
    """Compute h . w_o for six output rows, one per lane."""
    outputs, stride = weights.outputs, weights.stride
    o0, o1, o2, o3, o4, o5 = (
        rows[0] * stride, rows[1] * stride, rows[2] * stride, rows[3] * stride, rows[4] * stride, rows[5] * stride,
    )  # fmt: skip
    s0 = s1 = s2 = s3 = s4 = s5 = broadcast16(_ZERO)
    for d in range(0, stride, 16):
        h = load16(hidden, d)
        s0, s1 = s0 + h * load16(outputs, o0 + d), s1 + h * load16(outputs, o1 + d)
        s2, s3 = s2 + h * load16(outputs, o2 + d), s3 + h * load16(outputs, o3 + d)
        s4, s5 = s4 + h * load16(outputs, o4 + d), s5 + h * load16(outputs, o5 + d)
    return horizontal_sums8((s0, s1, s2, s3, s4, s5))


@inlined
def _update_hidden_rows(
    weights: EmbeddingWeights, hidden: HiddenRow, rows: Int64Array, gradients: Float32Array
) -> None:
    """Add sum_o g_o w_o to the update of the hidden row, and g_o h to the output rows."""
    outputs, stride = weights.outputs, weights.stride
    o0, o1, o2, o3, o4, o5 = (
        rows[0] * stride, rows[1] * stride, rows[2] * stride, rows[3] * stride, rows[4] * stride, rows[5] * stride,
    )  # fmt: skip
    g0, g1, g2 = broadcast16(gradients[0]), broadcast16(gradients[1]), broadcast16(gradients[2])
    g3, g4, g5 = broadcast16(gradients[3]), broadcast16(gradients[4]), broadcast16(gradients[5])
    for d in range(0, stride, 16):
        h = load16(hidden.values, d)
        w0, w1, w2 = load16(outputs, o0 + d), load16(outputs, o1 + d), load16(outputs, o2 + d)
        w3, w4, w5 = load16(outputs, o3 + d), load16(outputs, o4 + d), load16(outputs, o5 + d)
        store16(hidden.step, d, load16(hidden.step, d) + g0 * w0 + g1 * w1 + g2 * w2 + g3 * w3 + g4 * w4 + g5 * w5)
        store16(outputs, o0 + d, w0 + g0 * h)
        store16(outputs, o1 + d, w1 + g1 * h)
        store16(outputs, o2 + d, w2 + g2 * h)
        store16(outputs, o3 + d, w3 + g3 * h)
        store16(outputs, o4 + d, w4 + g4 * h)
        store16(outputs, o5 + d, w5 + g5 * h)
