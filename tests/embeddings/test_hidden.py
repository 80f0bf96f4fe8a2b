"""One hidden row against sets of output rows: the kernels are autograd's gradient, and the plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.embeddings.windows import (
    DIMENSIONS,
    SPARE,
    Learned,
    assert_close,
    change,
    copy_of,
    differentiate,
    place_outputs,
    random_weights,
)

from rnnkit.embeddings import hidden, reference
from rnnkit.embeddings.compiled import kernel
from rnnkit.embeddings.logistic import TALLY, clear_tally, negative_log
from rnnkit.embeddings.sampling import LANES, Draws
from rnnkit.embeddings.weights import Weights
from rnnkit.nn.word2vec import ContinuousBagOfWords

ROWS = ([7], [9, 12], [30, 5, 17], [5, 9, 5, 11, 5])


@kernel
def _compose(weights: Weights, rows: Any, mean: Any, error: Any) -> None:
    hidden.compose(weights, rows, mean, error)


@kernel
def _learn_outputs(
    weights: Weights, mean: Any, error: Any, draws: Draws, rate: np.float32, steps: Any, tally: Any
) -> float:
    clear_tally(tally)
    hidden.learn_outputs(weights, mean, error, draws, 0, rate, steps, tally)
    return negative_log(tally)


@kernel
def _spread(weights: Weights, rows: Any, error: Any, scale: np.float32) -> None:
    hidden.spread(weights, rows, error, scale)


def learn(weights: Weights, dimension: int, rows: list[int], draws: Draws, rate: float, scale: float) -> Learned:
    after, (mean, error) = copy_of(weights), np.empty((2, weights.stride), np.float32)
    steps, tally = np.empty(LANES, np.float32), np.empty(TALLY, np.float32)
    _compose(after, np.array(rows), mean, error)
    loss = _learn_outputs(after, mean, error, draws, np.float32(rate), steps, tally)
    _spread(after, np.array(rows), error, np.float32(scale))
    return change(weights, after, dimension, loss)


def learn_plainly(
    weights: Weights, dimension: int, rows: list[int], draws: Draws, rate: float, scale: float
) -> Learned:
    after, (mean, error) = copy_of(weights), np.empty((2, weights.stride), np.float32)
    reference.compose(after, np.array(rows), mean, error)
    loss = reference.learn_outputs(after, mean, error, draws, 0, np.float32(rate))
    reference.spread(after, np.array(rows), error, np.float32(scale))
    return change(weights, after, dimension, loss)


@pytest.mark.parametrize("learn", [learn, learn_plainly])
@pytest.mark.parametrize("negatives", [1, 5, 7, 20])
@pytest.mark.parametrize("rows", ROWS, ids=len)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_mean_learns_the_gradient(dimension: int, rows: list[int], negatives: int, learn: Any) -> None:
    weights, outputs, rate = random_weights(dimension), [*range(9, 9 + negatives + 1)], 0.0625
    learned = learn(weights, dimension, rows, place_outputs(outputs), rate, 1 / len(rows))
    assert_close(learned, differentiate(ContinuousBagOfWords, weights, dimension, rows, outputs), rate)


@pytest.mark.parametrize("learn", [learn, learn_plainly])
def test_undivided_gradient_is_as_many_times_too_great_as_there_are_rows(learn: Any) -> None:
    weights, rows, outputs, rate = random_weights(5), [30, 5, 17], [7, 10, 39], 0.0625
    learned = learn(weights, 5, rows, place_outputs(outputs), rate, 1)
    exact = differentiate(ContinuousBagOfWords, weights, 5, rows, outputs)
    assert_close(learned, Learned(exact.loss, 3 * exact.inputs_RD, exact.outputs_VD), rate)


@pytest.mark.parametrize("learn", [learn, learn_plainly])
def test_offsets_are_taken_from_the_scores(learn: Any) -> None:
    weights, rows, outputs, offsets, rate = random_weights(5), [30, 5], [7, 10, 39], [0.5, -1.5, 3.0], 0.0625
    learned = learn(weights, 5, rows, place_outputs(outputs, offsets=offsets), rate, 0.5)
    assert_close(learned, differentiate(ContinuousBagOfWords, weights, 5, rows, outputs, offsets), rate)


@pytest.mark.parametrize("learn", [learn, learn_plainly])
def test_word_drawn_again_counts_again(learn: Any) -> None:
    weights, rows, rate = random_weights(5), [30, 17], 0.0625
    draws = place_outputs([7, 10, SPARE, 39, SPARE, SPARE], totals=[2, 3, 0, 1, 0, 0])
    learned = learn(weights, 5, rows, draws, rate, 0.5)
    assert_close(learned, differentiate(ContinuousBagOfWords, weights, 5, rows, [7, 7, 10, 10, 10, 39]), rate)
