"""Word2vec's losses and updates in plain loops, one number at a time: what the kernels must equal.

    s_o = x . w_o - offset_o
    E   = -log sigma(s_t) - sum_noise log sigma(-s_o)      negative sampling: Mikolov et al. 2013 (arXiv:1310.4546);
                                                           with offset_o = log(k P(o)) noise-contrastive estimation:
                                                           Gutmann and Hyvarinen 2010, Mnih and Teh 2012
    dE/ds_o = sigma(s_o) - label_o                         once for each time that o was drawn
    E   = -log(exp s_t / sum_v exp s_v),  dE/ds_v = p_v - label_v        over the whole vocabulary, for tiny ones

The same windows, draws and rows as the kernels; `skipgram.py` and `hidden.py` say what is learned in which order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnkit.kernels.negative_sampling import TILE, TILE_LANES, OutputSamples
from rnnkit.kernels.word2vec_arrays import EmbeddingWeights
from rnnkit.kernels.word_vector_compiler import kernel

_ZERO = np.float32(0)


@kernel
def train_window(
    weights: EmbeddingWeights, contexts: Any, draws: OutputSamples, window: int, rate: np.float32, steps: Any, old: Any
) -> float:
    """As `skipgram.learn_window`, with room for a tile of `old` rows. Returns E in nats, over all context words."""
    inputs, outputs, stride = weights
    loss, lanes = 0.0, draws.tiles * TILE
    for c in range(len(contexts)):
        for lane in range(lanes):
            score = _dot(inputs, contexts[c] * stride, outputs, _row(draws, window, lane) * stride, stride)
            learned, missed = _score_gradient(draws, window, lane, score, rate)
            steps[c * lanes + lane] = learned
            loss += missed
    for tile in range(draws.tiles):
        for lane in range(TILE):
            for d in range(stride):
                old[lane * stride + d] = outputs[_row(draws, window, tile * TILE + lane) * stride + d]
        for c in range(len(contexts)):
            for d in range(stride):
                x = inputs[contexts[c] * stride + d]
                for lane in range(TILE):
                    step = steps[c * lanes + tile * TILE + lane]
                    outputs[_row(draws, window, tile * TILE + lane) * stride + d] += step * x
                    inputs[contexts[c] * stride + d] += step * old[lane * stride + d]
    return loss


@kernel
def average_inputs(weights: EmbeddingWeights, rows: Any, parts: Any, hidden: Any, error: Any, moved: Any) -> None:
    """As `hidden.compose`."""
    for d in range(weights.stride):
        hidden[d] = error[d] = moved[d] = 0
        for r in range(len(rows)):
            hidden[d] += parts[r] * weights.inputs[rows[r] * weights.stride + d] / np.float32(len(rows))


@kernel
def update_outputs(
    weights: EmbeddingWeights, hidden: Any, error: Any, draws: OutputSamples, window: int, rate: np.float32
) -> float:
    """As `hidden.learn_outputs`. Returns E in nats."""
    loss = 0.0
    for lane in range(draws.tiles * TILE):
        first = _row(draws, window, lane) * weights.stride
        score = _dot(hidden, 0, weights.outputs, first, weights.stride)
        step, missed = _score_gradient(draws, window, lane, score, rate)
        loss += missed
        for d in range(weights.stride):
            error[d] += step * weights.outputs[first + d]
            weights.outputs[first + d] += step * hidden[d]
    return loss


@kernel
def update_softmax(
    weights: EmbeddingWeights, hidden: Any, error: Any, target: int, keep_V: Any, rate: np.float32, scores: Any
) -> float:
    """One hidden row against every word: the full softmax. Returns E in nats.

    Args:
        weights: Their outputs learn.
        hidden: h.
        error: Takes what the hidden row should move by.
        target: The word that was there.
        keep_V: Rows with chance 0 are no words of the text.
        rate: Learning rate.
        scores: Room for a number a row.
    """
    stride, words = weights.stride, len(keep_V)
    greatest = -np.inf
    for word in range(words):
        scores[word] = _dot(hidden, 0, weights.outputs, word * stride, stride)
        if keep_V[word] > 0:
            greatest = max(greatest, scores[word])
    total = 0.0
    for word in range(words):
        total += math.exp(scores[word] - greatest) if keep_V[word] > 0 else 0.0
    for word in range(words):
        if keep_V[word] > 0:
            probability = math.exp(scores[word] - greatest) / total
            step = rate * np.float32((word == target) - probability)
            for d in range(stride):
                error[d] += step * weights.outputs[word * stride + d]
                weights.outputs[word * stride + d] += step * hidden[d]
    return greatest - float(scores[target]) + math.log(total)


@kernel
def update_hidden(hidden: Any, error: Any, moved: Any, scale: np.float32, mean: np.float32) -> None:
    """As `hidden.advance`."""
    for d in range(len(hidden)):
        hidden[d] += mean * scale * error[d]
        moved[d] += scale * error[d]
        error[d] = 0


@kernel
def update_inputs(weights: EmbeddingWeights, rows: Any, rates: Any, moved: Any) -> None:
    """As `hidden.spread`."""
    for r in range(len(rows)):
        for d in range(weights.stride):
            weights.inputs[rows[r] * weights.stride + d] += rates[r] * moved[d]


@kernel
def _dot(a: Any, first: int, b: Any, second: int, size: int) -> np.float32:
    total = _ZERO
    for d in range(size):
        total += a[first + d] * b[second + d]
    return total


@kernel
def _row(draws: OutputSamples, window: int, lane: int) -> Any:
    return draws.rows[window * draws.tiles * TILE + lane]


@kernel
def _score_gradient(
    draws: OutputSamples, window: int, lane: int, score: Any, rate: np.float32
) -> tuple[np.float32, float]:
    """-rate dE/ds of one output row, and E."""
    place = window * draws.tiles * TILE_LANES + lane // TILE * TILE_LANES + lane % TILE
    there = lane == 0
    noise = draws.totals[place] - there
    offset_score = score - draws.offsets[place]
    p = 1 / (1 + math.exp(-offset_score))
    step = rate * np.float32(there * (1 - p) - noise * p)
    return step, there * _softplus(-offset_score) + noise * _softplus(offset_score)


@kernel
def _softplus(x: float) -> float:
    """log(1 + exp x) = -log sigma(-x), without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
