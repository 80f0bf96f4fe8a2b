"""The losses and updates of word2vec in plain loops, one number at a time: the reference for the kernels.

    s_o = x . w_o - offset_o
    E   = -log sigma(s_t) - sum_noise log sigma(-s_o)      negative sampling: Mikolov et al. 2013 (arXiv:1310.4546);
                                                           with offset_o = log(k P(o)) noise-contrastive estimation:
                                                           Gutmann and Hyvarinen 2010, Mnih and Teh 2012
    dE/ds_o = sigma(s_o) - label_o                         once for each time that o was sampled
    E   = -log(exp s_t / sum_v exp s_v),  dE/ds_v = p_v - label_v        full softmax, for tiny vocabularies

Windows, samples and rows are those of the kernels; `word2vec_updates.py` defines the order of the updates.
"""

from __future__ import annotations

import math

import numpy as np

from rnnkit.kernels.compiler import Float32Array, Int64Array
from rnnkit.kernels.negative_sampling import TILE, OutputSamples, lane_index
from rnnkit.kernels.word2vec_weights import EmbeddingWeights, HiddenRow, WindowBuffers
from rnnkit.kernels.word_vector_simd import kernel

_ZERO = np.float32(0)


@kernel
def train_window(
    weights: EmbeddingWeights, contexts: Int64Array, samples: OutputSamples, window: int, learning_rate: np.float32,
    buffers: WindowBuffers,
) -> float:  # fmt: skip
    """Train on one window as `word2vec_updates.train_window` does. Returns the loss of all context words, in nats."""
    inputs, outputs, stride = weights
    gradients, old_outputs = buffers.gradients, buffers.old_outputs
    loss, lanes = 0.0, samples.tiles * TILE
    for c in range(len(contexts)):
        for lane in range(lanes):
            logit = _dot(inputs, contexts[c] * stride, outputs, _row(samples, window, lane) * stride, stride)
            step, lane_loss = _score_gradient(samples, window, lane, logit, learning_rate)
            gradients[c * lanes + lane] = step
            loss += lane_loss
    for tile in range(samples.tiles):
        for lane in range(TILE):
            for d in range(stride):
                row = _row(samples, window, tile * TILE + lane)
                old_outputs[lane * stride + d] = outputs[row * stride + d]
        for c in range(len(contexts)):
            for d in range(stride):
                x = inputs[contexts[c] * stride + d]
                for lane in range(TILE):
                    step = gradients[c * lanes + tile * TILE + lane]
                    outputs[_row(samples, window, tile * TILE + lane) * stride + d] += step * x
                    inputs[contexts[c] * stride + d] += step * old_outputs[lane * stride + d]
    return loss


@kernel
def average_inputs(weights: EmbeddingWeights, rows: Int64Array, mean_weights: Float32Array, hidden: HiddenRow) -> None:
    """Compute the mean of the input rows as `word2vec_updates.average_inputs` does."""
    values = hidden.values
    for d in range(weights.stride):
        values[d] = hidden.step[d] = hidden.total_step[d] = 0
        for r in range(len(rows)):
            values[d] += mean_weights[r] * weights.inputs[rows[r] * weights.stride + d] / np.float32(len(rows))


@kernel
def update_outputs(
    weights: EmbeddingWeights, hidden: HiddenRow, samples: OutputSamples, window: int, learning_rate: np.float32
) -> float:
    """Train the output rows of one set as `word2vec_updates.update_outputs` does. Returns the loss in nats."""
    loss = 0.0
    for lane in range(samples.tiles * TILE):
        first = _row(samples, window, lane) * weights.stride
        logit = _dot(hidden.values, 0, weights.outputs, first, weights.stride)
        step, lane_loss = _score_gradient(samples, window, lane, logit, learning_rate)
        loss += lane_loss
        for d in range(weights.stride):
            hidden.step[d] += step * weights.outputs[first + d]
            weights.outputs[first + d] += step * hidden.values[d]
    return loss


@kernel
def update_softmax(
    weights: EmbeddingWeights,
    hidden: HiddenRow,
    target: int,
    keep_V: Float32Array,
    learning_rate: np.float32,
    logits: Float32Array,
) -> float:
    """Train one hidden row against every word: the full softmax. Returns the loss in nats.

    Args:
        weights: The output rows are updated in place.
        hidden: h; `step` receives its update.
        target: The correct word.
        keep_V: Int64Array with probability 0 are not words of the text.
        learning_rate: Of this prediction.
        logits: Scratch, one number per row.
    """
    stride, words = weights.stride, len(keep_V)
    max_logit = -np.inf
    for word in range(words):
        logits[word] = _dot(hidden.values, 0, weights.outputs, word * stride, stride)
        if keep_V[word] > 0:
            max_logit = max(max_logit, logits[word])
    total = 0.0
    for word in range(words):
        total += math.exp(logits[word] - max_logit) if keep_V[word] > 0 else 0.0
    for word in range(words):
        if keep_V[word] > 0:
            probability = math.exp(logits[word] - max_logit) / total
            step = learning_rate * np.float32((word == target) - probability)
            for d in range(stride):
                hidden.step[d] += step * weights.outputs[word * stride + d]
                weights.outputs[word * stride + d] += step * hidden.values[d]
    return max_logit - float(logits[target]) + math.log(total)


@kernel
def update_hidden(hidden: HiddenRow, scale: np.float32, mean_product: np.float32) -> None:
    """Move the hidden row as `word2vec_updates.update_hidden` does."""
    for d in range(len(hidden.values)):
        hidden.values[d] += mean_product * scale * hidden.step[d]
        hidden.total_step[d] += scale * hidden.step[d]
        hidden.step[d] = 0


@kernel
def update_inputs(
    weights: EmbeddingWeights, rows: Int64Array, rate_factors: Float32Array, total_step: Float32Array
) -> None:
    """Update the input rows as `word2vec_updates.update_inputs` does."""
    for r in range(len(rows)):
        for d in range(weights.stride):
            weights.inputs[rows[r] * weights.stride + d] += rate_factors[r] * total_step[d]


@kernel
def _dot(a: Float32Array, first: int, b: Float32Array, second: int, size: int) -> np.float32:
    total = _ZERO
    for d in range(size):
        total += a[first + d] * b[second + d]
    return total


@kernel
def _row(samples: OutputSamples, window: int, lane: int) -> int:
    return int(samples.rows[window * samples.tiles * TILE + lane])


@kernel
def _score_gradient(
    samples: OutputSamples, window: int, lane: int, logit: np.float32, learning_rate: np.float32
) -> tuple[np.float32, float]:
    """Return -learning_rate dE/ds of one output row, and its part of E."""
    index = lane_index(window, lane, samples.tiles)
    label = lane == 0
    noise = samples.counts[index] - label
    shifted = logit - samples.logit_offsets[index]
    p = 1 / (1 + math.exp(-shifted))
    step = learning_rate * np.float32(label * (1 - p) - noise * p)
    return step, label * _softplus(-shifted) + noise * _softplus(shifted)


@kernel
def _softplus(x: float) -> float:
    """Compute log(1 + exp x) = -log sigma(-x) without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
