"""The reference of word2vec: the full softmax, and logits whose exponential overflows float32.

`test_skip_gram.py` and `test_cbow.py` compare the other functions with autograd, together with the kernels.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.word2vec_windows import (
    DIMENSIONS,
    ROWS,
    SPECIAL,
    Learned,
    assert_close,
    change,
    copy_of,
    differentiate_softmax,
    make_buffers,
    make_hidden,
    random_weights,
    samples_of,
)
from tests.references.word2vec import ContinuousBagOfWords

from rnnkit.kernels import word2vec_reference
from rnnkit.kernels.word2vec_weights import EmbeddingWeights, unpadded_rows


def train_softmax(weights: EmbeddingWeights, dimension: int, rows: list[int], target: int, rate: float) -> Learned:
    after, hidden = copy_of(weights), make_hidden(weights)
    keep_V = np.array([0] * SPECIAL + [1] * (ROWS - SPECIAL), np.float32)
    ones = np.ones(len(rows), np.float32)
    word2vec_reference.average_inputs(after, np.array(rows), ones, hidden)
    logits = np.empty(ROWS, np.float32)
    loss = word2vec_reference.update_softmax(after, hidden, target, keep_V, np.float32(rate), logits)
    word2vec_reference.update_hidden(hidden, np.float32(1 / len(rows)), np.float32(1))
    word2vec_reference.update_inputs(after, np.array(rows), ones, hidden.total_step)
    return change(weights, after, dimension, loss)


@pytest.mark.parametrize("rows", [[7], [9, 12], [30, 5, 30]], ids=len)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_softmax_update_is_the_gradient(dimension: int, rows: list[int]) -> None:
    weights, rate = random_weights(dimension), 0.0625
    learned = train_softmax(weights, dimension, rows, 9, rate)
    assert_close(learned, differentiate_softmax(ContinuousBagOfWords, weights, dimension, rows, 9), rate)


def test_softmax_of_large_logits_is_finite() -> None:
    weights = random_weights(5)
    weights.outputs[:] *= 300
    learned = train_softmax(weights, 5, [7], 9, 0.0625)
    assert_close(learned, differentiate_softmax(ContinuousBagOfWords, weights, 5, [7], 9), 0.0625, tolerance=1e-3)


def test_loss_of_large_logits_is_finite() -> None:
    """The loss of a logit of 1000 is 0 for the target, and 1000 for a noise word."""
    weights = random_weights(1)
    inputs, outputs = (unpadded_rows(flat, weights.stride, 1) for flat in weights[:2])
    inputs[7], outputs[[8, 9]] = 1, 1000
    samples = samples_of([8, 9])
    buffers = make_buffers(weights, samples)
    loss = word2vec_reference.train_window(weights, np.array([7]), samples, 0, np.float32(0.5), buffers)
    assert loss == pytest.approx(1000)
    assert inputs[7] == pytest.approx(1 - 0.5 * 1000)
    assert outputs[[8, 9], 0].tolist() == [1000, 999.5]
