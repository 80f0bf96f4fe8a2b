"""The plain loops: the softmax over the vocabulary, and scores beyond what float32 can take the exponential of.

Windows and means are held to autograd together with the kernels, in `test_skipgram.py` and `test_hidden.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.embeddings.windows import (
    DIMENSIONS,
    ROWS,
    SPECIAL,
    Learned,
    assert_close,
    change,
    copy_of,
    differentiate_softmax,
    place_outputs,
    random_weights,
)
from tests.references.word2vec import ContinuousBagOfWords

from rnnkit.embeddings import reference
from rnnkit.embeddings.sampling import TILE
from rnnkit.embeddings.weights import Weights, rows_of


def learn_softmax(weights: Weights, dimension: int, rows: list[int], target: int, rate: float) -> Learned:
    after, (mean, error, moved) = copy_of(weights), np.empty((3, weights.stride), np.float32)
    keep_V = np.array([0] * SPECIAL + [1] * (ROWS - SPECIAL), np.float32)
    ones = np.ones(len(rows), np.float32)
    reference.compose(after, np.array(rows), ones, mean, error, moved)
    scores = np.empty(ROWS, np.float32)
    loss = reference.learn_vocabulary(after, mean, error, target, keep_V, np.float32(rate), scores)
    reference.advance(mean, error, moved, np.float32(1 / len(rows)), np.float32(1))
    reference.spread(after, np.array(rows), ones, moved)
    return change(weights, after, dimension, loss)


@pytest.mark.parametrize("rows", [[7], [9, 12], [30, 5, 30]], ids=len)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_softmax_learns_the_gradient(dimension: int, rows: list[int]) -> None:
    weights, rate = random_weights(dimension), 0.0625
    learned = learn_softmax(weights, dimension, rows, 9, rate)
    assert_close(learned, differentiate_softmax(ContinuousBagOfWords, weights, dimension, rows, 9), rate)


def test_softmax_of_great_scores_is_finite() -> None:
    weights = random_weights(5)
    weights.outputs[:] *= 300
    learned = learn_softmax(weights, 5, [7], 9, 0.0625)
    assert_close(learned, differentiate_softmax(ContinuousBagOfWords, weights, 5, [7], 9), 0.0625, tolerance=1e-3)


def test_loss_of_great_scores_is_finite() -> None:
    """A word that scores 1000 and was there loses nothing; one that is noise loses 1000."""
    weights = random_weights(1)
    inputs, outputs = (rows_of(flat, weights.stride, 1) for flat in weights[:2])
    inputs[7], outputs[[8, 9]] = 1, 1000
    steps, old = np.empty(TILE, np.float32), np.empty(TILE * weights.stride, np.float32)
    loss = reference.learn_window(weights, np.array([7]), place_outputs([8, 9]), 0, np.float32(0.5), steps, old)
    assert loss == pytest.approx(1000)
    assert inputs[7] == pytest.approx(1 - 0.5 * 1000)
    assert outputs[[8, 9], 0].tolist() == [1000, 999.5]
