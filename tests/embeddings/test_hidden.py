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
def _compose(weights: Weights, rows: Any, mean: Any, error: Any, moved: Any) -> None:
    hidden.compose(weights, rows, mean, error, moved)


@kernel
def _learn_outputs(
    weights: Weights, mean: Any, error: Any, draws: Draws, rate: np.float32, steps: Any, tally: Any
) -> float:
    clear_tally(tally)
    hidden.learn_outputs(weights, mean, error, draws, 0, rate, steps, tally)
    return negative_log(tally)


@kernel
def _spread(weights: Weights, rows: Any, mean: Any, error: Any, moved: Any, scale: np.float32) -> None:
    hidden.advance(mean, error, moved, scale)
    hidden.spread(weights, rows, moved)


def learn(weights: Weights, dimension: int, rows: list[int], draws: Draws, rate: float, scale: float) -> Learned:
    after, (mean, error, moved) = copy_of(weights), np.empty((3, weights.stride), np.float32)
    steps, tally = np.empty(LANES, np.float32), np.empty(TALLY, np.float32)
    _compose(after, np.array(rows), mean, error, moved)
    loss = _learn_outputs(after, mean, error, draws, np.float32(rate), steps, tally)
    _spread(after, np.array(rows), mean, error, moved, np.float32(scale))
    return change(weights, after, dimension, loss)


def learn_plainly(
    weights: Weights, dimension: int, rows: list[int], draws: Draws, rate: float, scale: float
) -> Learned:
    after, (mean, error, moved) = copy_of(weights), np.empty((3, weights.stride), np.float32)
    reference.compose(after, np.array(rows), mean, error, moved)
    loss = reference.learn_outputs(after, mean, error, draws, 0, np.float32(rate))
    reference.advance(mean, error, moved, np.float32(scale))
    reference.spread(after, np.array(rows), moved)
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


@pytest.mark.parametrize("learn_sets", ["kernel", "plain"])
def test_second_set_sees_what_the_first_has_taught(learn_sets: str) -> None:
    """Two sets in turn are two windows in turn, each with the mean of the rows as they are then."""
    weights, rows, rate = random_weights(5), [30, 5, 17], 0.0625
    first, second = place_outputs([7, 10, 39]), place_outputs([8, 11, 12])
    one_by_one = learn(weights, 5, rows, first, rate, 1)
    after = copy_of(weights)
    for draws in (first, second):
        mean, error, moved = np.empty((3, weights.stride), np.float32)
        _compose(after, np.array(rows), mean, error, moved)
        _learn_outputs(after, mean, error, draws, np.float32(rate), *_room())
        _spread(after, np.array(rows), mean, error, moved, np.float32(1))
    together = copy_of(weights)
    mean, error, moved = np.empty((3, weights.stride), np.float32)
    _compose(together, np.array(rows), mean, error, moved)
    for draws in (first, second):
        if learn_sets == "kernel":
            _learn_outputs(together, mean, error, draws, np.float32(rate), *_room())
            _advance(mean, error, moved, np.float32(1))
        else:
            reference.learn_outputs(together, mean, error, draws, 0, np.float32(rate))
            reference.advance(mean, error, moved, np.float32(1))
    reference.spread(together, np.array(rows), moved)
    np.testing.assert_allclose(together.inputs, after.inputs, atol=1e-6)
    np.testing.assert_allclose(together.outputs, after.outputs, atol=1e-6)
    assert np.abs(change(weights, together, 5, 0.0).inputs_RD - one_by_one.inputs_RD).max() > 1e-3


@kernel
def _advance(mean: Any, error: Any, moved: Any, scale: np.float32) -> None:
    hidden.advance(mean, error, moved, scale)


def _room() -> tuple[Any, Any]:
    return np.empty(LANES, np.float32), np.empty(TALLY, np.float32)
