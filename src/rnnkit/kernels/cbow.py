"""One hidden row against sets of output rows: a window of CBOW, or a word composed of its n-grams.

    h    = 1/n sum_r a_r x_r                         the mean of n input rows with weights a_r
    s_o  = h . w_o - offset_o
    g_o  = rate (label_o - sigma(s_o))
    e   += sum_o g_o w_o;  w_o += g_o h              for each set of output rows in turn;
    x_r += scale c_r e,  h += scale 1/n sum_r a_r c_r e

Scale 1/n with rate factors c_r = a_r is the gradient; scale 1 with a_r = c_r = 1 is what word2vec.c and fastText do.

CBOW: the rows are those of the context words, and there is one set, for the center word (Mikolov et al. 2013,
arXiv:1301.3781; its gradient was corrected by Irsoy, Benton and Stratos 2020, arXiv:2012.15332). Skip-gram with
n-grams: the rows are those of the center word, and there is one set per context word (Bojanowski et al. 2017,
arXiv:1607.04606). `word2vec_reference.py` is the same in plain loops; tests compare the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnkit.kernels.logistic_loss import score_gradients
from rnnkit.kernels.negative_sampling import TILE, TILE_LANES, OutputSamples
from rnnkit.kernels.word2vec_arrays import EmbeddingWeights, HiddenRow, WindowBuffers
from rnnkit.kernels.word_vector_compiler import inlined
from rnnkit.kernels.word_vector_simd import broadcast8, broadcast16, horizontal_sums8, load8, load16, store8, store16

_ZERO = np.float32(0)


@inlined
def average_inputs(weights: EmbeddingWeights, rows: Any, mean_weights: Any, hidden: HiddenRow) -> None:
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
        logits = _score(weights, hidden.values, rows) - load8(samples.logit_offsets, index * TILE_LANES)
        counts, signs = load8(samples.counts, index * TILE_LANES), load8(samples.signs, tile * TILE_LANES)
        rates, max_repeats = broadcast8(learning_rate), samples.max_repeats[window]
        steps = score_gradients(logits, signs, counts, max_repeats, rates, buffers.log_sum)
        store8(buffers.gradients, 0, steps)
        _update(weights, hidden, rows, buffers.gradients)


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
def update_inputs(weights: EmbeddingWeights, rows: Any, rate_factors: Any, total_step: Any) -> None:
    """Add c_r times the total update to each input row."""
    inputs, stride = weights.inputs, weights.stride
    for r in range(len(rows)):
        factor = broadcast16(rate_factors[r])
        for d in range(0, stride, 16):
            at = rows[r] * stride + d
            store16(inputs, at, load16(inputs, at) + factor * load16(total_step, d))


@inlined
def _score(weights: EmbeddingWeights, hidden: Any, rows: Any) -> Any:
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
    return horizontal_sums8(s0, s1, s2, s3, s4, s5)


@inlined
def _update(weights: EmbeddingWeights, hidden: HiddenRow, rows: Any, gradients: Any) -> None:
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
