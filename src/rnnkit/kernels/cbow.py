"""One hidden row against sets of output rows: CBOW's window, or a word made of its n-grams.

    h    = 1/n sum_r a_r x_r                         the mean of n input rows, each with its part
    s_o  = h . w_o - offset_o
    g_o  = rate (label_o - sigma(s_o))
    e   += sum_o g_o w_o;  w_o += g_o h              for each set of output rows in turn;
    x_r += scale c_r e,  h += scale 1/n sum_r a_r c_r e

Scale 1/n with rates c_r = a_r is the gradient; scale 1 with a_r = c_r = 1 is what word2vec.c and fastText do.

CBOW: the rows are the words around, and there is one set, for the word in the middle (Mikolov et al. 2013,
arXiv:1301.3781; its gradient put right: Irsoy, Benton and Stratos 2020, arXiv:2012.15332). Skip-gram with n-grams:
the rows are those of the word in the middle, and there is a set for each word around (Bojanowski et al. 2017,
arXiv:1607.04606). `reference.py` has the same in plain loops; tests hold the two together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnkit.kernels.logistic_loss import score_gradients
from rnnkit.kernels.negative_sampling import TILE, TILE_LANES, OutputSamples
from rnnkit.kernels.word2vec_arrays import EmbeddingWeights
from rnnkit.kernels.word_vector_compiler import inlined
from rnnkit.kernels.word_vector_simd import broadcast8, broadcast16, horizontal_sums8, load8, load16, store8, store16

_ZERO = np.float32(0)


@inlined
def average_inputs(weights: EmbeddingWeights, rows: Any, parts: Any, hidden: Any, error: Any, moved: Any) -> None:
    """Write the mean of the rows, each with its part a_r, into `hidden`, and zeros into `error` and `moved`."""
    inputs, stride = weights.inputs, weights.stride
    share = broadcast16(np.float32(1) / np.float32(len(rows)))
    for d in range(0, stride, 16):
        total = broadcast16(_ZERO)
        for r in range(len(rows)):
            total = total + broadcast16(parts[r]) * load16(inputs, rows[r] * stride + d)
        store16(hidden, d, total * share)
        store16(error, d, broadcast16(_ZERO))
        store16(moved, d, broadcast16(_ZERO))


@inlined
def update_outputs(
    weights: EmbeddingWeights,
    hidden: Any,
    error: Any,
    draws: OutputSamples,
    window: int,
    rate: np.float32,
    steps: Any,
    tally: Any,
) -> None:
    """Learn the output rows of one set, and add up in `error` what the hidden row should move by.

    Args:
        weights: Their outputs learn.
        hidden: h.
        error: e.
        draws: Output words.
        window: Number of the set there.
        rate: Learning rate.
        steps: Room for eight numbers.
        tally: Takes the probability of each right answer.
    """
    for tile in range(draws.tiles):
        place = window * draws.tiles + tile
        rows = draws.rows[place * TILE : (place + 1) * TILE]
        scores = _score(weights, hidden, rows) - load8(draws.offsets, place * TILE_LANES)
        totals, signs = load8(draws.totals, place * TILE_LANES), load8(draws.signs, tile * TILE_LANES)
        store8(steps, 0, score_gradients(scores, signs, totals, draws.repeated[window], broadcast8(rate), tally))
        _update(weights, hidden, error, rows, steps)


@inlined
def update_hidden(hidden: Any, error: Any, moved: Any, scale: np.float32, mean: np.float32) -> None:
    """Let the hidden row go as its rows will: the next set of output rows must see what this one has taught.

    Args:
        hidden: h.
        error: e; cleared.
        moved: Takes scale e.
        scale: As above.
        mean: 1/n sum_r a_r c_r.
    """
    share, all_share = broadcast16(scale), broadcast16(mean)
    for d in range(0, len(hidden), 16):
        change = share * load16(error, d)
        store16(hidden, d, load16(hidden, d) + all_share * change)
        store16(moved, d, load16(moved, d) + change)
        store16(error, d, broadcast16(_ZERO))


@inlined
def update_inputs(weights: EmbeddingWeights, rows: Any, rates: Any, moved: Any) -> None:
    """Let each of the rows move by c_r times what was `moved`."""
    inputs, stride = weights.inputs, weights.stride
    for r in range(len(rows)):
        rate = broadcast16(rates[r])
        for d in range(0, stride, 16):
            place = rows[r] * stride + d
            store16(inputs, place, load16(inputs, place) + rate * load16(moved, d))


@inlined
def _score(weights: EmbeddingWeights, hidden: Any, rows: Any) -> Any:
    """The lanes h . w_o for six output rows."""
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
def _update(weights: EmbeddingWeights, hidden: Any, error: Any, rows: Any, steps: Any) -> None:
    """Add sum_o g_o w_o to e and g_o h to the output rows."""
    outputs, stride = weights.outputs, weights.stride
    o0, o1, o2, o3, o4, o5 = (
        rows[0] * stride, rows[1] * stride, rows[2] * stride, rows[3] * stride, rows[4] * stride, rows[5] * stride,
    )  # fmt: skip
    g0, g1, g2 = broadcast16(steps[0]), broadcast16(steps[1]), broadcast16(steps[2])
    g3, g4, g5 = broadcast16(steps[3]), broadcast16(steps[4]), broadcast16(steps[5])
    for d in range(0, stride, 16):
        h = load16(hidden, d)
        w0, w1, w2 = load16(outputs, o0 + d), load16(outputs, o1 + d), load16(outputs, o2 + d)
        w3, w4, w5 = load16(outputs, o3 + d), load16(outputs, o4 + d), load16(outputs, o5 + d)
        store16(error, d, load16(error, d) + g0 * w0 + g1 * w1 + g2 * w2 + g3 * w3 + g4 * w4 + g5 * w5)
        store16(outputs, o0 + d, w0 + g0 * h)
        store16(outputs, o1 + d, w1 + g1 * h)
        store16(outputs, o2 + d, w2 + g2 * h)
        store16(outputs, o3 + d, w3 + g3 * h)
        store16(outputs, o4 + d, w4 + g4 * h)
        store16(outputs, o5 + d, w5 + g5 * h)
