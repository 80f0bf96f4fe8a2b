"""Skip-gram, one window at a time: the input rows of all context words against one set of output rows.

    s_co = x_c . w_o - offset_o                      for each context word c and output word o, from the old rows
    g_co = -rate dE/ds_co                            rate (label_o - sigma(s_co))
    for c in order:  w_o += g_co x_c for each o;  x_c += sum_o g_co w_o, with w_o from before the window; six o at once

Mikolov et al. 2013 (arXiv:1310.4546) sample noise for each pair of words. One sample per window turns the pairs into
a matrix product and touches a sixth of the rows: Ji et al. 2016 (arXiv:1604.04661). `word2vec_reference.py` is the
same in plain loops; tests compare the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnkit.kernels.logistic_loss import score_gradients
from rnnkit.kernels.negative_sampling import TILE, TILE_LANES, OutputSamples
from rnnkit.kernels.word2vec_arrays import EmbeddingWeights, WindowBuffers
from rnnkit.kernels.word_vector_compiler import inlined
from rnnkit.kernels.word_vector_simd import broadcast8, broadcast16, horizontal_sums8, load8, load16, store8, store16

_ZERO = np.float32(0)


@inlined
def train_window(
    weights: EmbeddingWeights, contexts: Any, samples: OutputSamples, window: int, learning_rate: np.float32,
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
        _score(weights, contexts, rows, gradients)
        counts, signs = load8(samples.counts, index * TILE_LANES), load8(samples.signs, tile * TILE_LANES)
        offsets = load8(samples.logit_offsets, index * TILE_LANES)
        for c in range(count):
            logits = load8(gradients, c * TILE_LANES) - offsets
            steps = score_gradients(logits, signs, counts, max_repeats, rates, buffers.log_sum)
            store8(gradients, c * TILE_LANES, steps)
    for tile in range(samples.tiles):
        index = window * samples.tiles + tile
        rows = samples.rows[index * TILE : (index + 1) * TILE]
        _update(weights, contexts, rows, buffers.gradients[tile * count * TILE_LANES :])


@inlined
def _score(weights: EmbeddingWeights, contexts: Any, rows: Any, logits: Any) -> None:
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
        store8(logits, second * TILE_LANES, horizontal_sums8(b0, b1, b2, b3, b4, b5))
        store8(logits, c * TILE_LANES, horizontal_sums8(a0, a1, a2, a3, a4, a5))


@inlined
def _update(weights: EmbeddingWeights, contexts: Any, rows: Any, gradients: Any) -> None:
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
