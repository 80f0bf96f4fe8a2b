"""One hidden row against sets of output rows: the kernels are autograd's gradient, and the plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
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
from tests.references.word2vec import ContinuousBagOfWords

from rnnkit.embeddings import hidden, reference
from rnnkit.embeddings.compiled import kernel
from rnnkit.embeddings.logistic import TALLY, clear_tally, negative_log
from rnnkit.embeddings.sampling import LANES, Draws
from rnnkit.embeddings.weights import Weights, rows_of

Shares = tuple[list[float], list[float]]
"""Weights and rates."""

ROWS = ([7], [9, 12], [30, 5, 17], [5, 9, 5, 11, 5])


@kernel
def _compose(weights: Weights, rows: Any, parts: Any, mean: Any, error: Any, moved: Any) -> None:
    hidden.compose(weights, rows, parts, mean, error, moved)


@kernel
def _learn_outputs(
    weights: Weights, mean: Any, error: Any, draws: Draws, rate: np.float32, steps: Any, tally: Any
) -> float:
    clear_tally(tally)
    hidden.learn_outputs(weights, mean, error, draws, 0, rate, steps, tally)
    return negative_log(tally)


@kernel
def _spread(
    weights: Weights, rows: Any, rates: Any, mean: Any, error: Any, moved: Any, scale: np.float32, product: np.float32
) -> None:
    hidden.advance(mean, error, moved, scale, product)
    hidden.spread(weights, rows, rates, moved)


def shares_of(rows: list[int], shares: Shares | None) -> tuple[NDArray[np.float32], NDArray[np.float32], np.float32]:
    """The rows' weights and rates, all 1 where none are given, and the mean of their products."""
    parts, rates = shares or ([1.0] * len(rows), [1.0] * len(rows))
    return np.array(parts, np.float32), np.array(rates, np.float32), np.float32(np.dot(parts, rates) / len(rows))


def learn(
    weights: Weights, dimension: int, rows: list[int], draws: Draws, rate: float, scale: float,
    shares: Shares | None = None,
) -> Learned:  # fmt: skip
    after, (mean, error, moved) = copy_of(weights), np.empty((3, weights.stride), np.float32)
    steps, tally = np.empty(LANES, np.float32), np.empty(TALLY, np.float32)
    parts, rates, product = shares_of(rows, shares)
    _compose(after, np.array(rows), parts, mean, error, moved)
    loss = _learn_outputs(after, mean, error, draws, np.float32(rate), steps, tally)
    _spread(after, np.array(rows), rates, mean, error, moved, np.float32(scale), product)
    return change(weights, after, dimension, loss)


def learn_plainly(
    weights: Weights, dimension: int, rows: list[int], draws: Draws, rate: float, scale: float,
    shares: Shares | None = None,
) -> Learned:  # fmt: skip
    after, (mean, error, moved) = copy_of(weights), np.empty((3, weights.stride), np.float32)
    parts, rates, product = shares_of(rows, shares)
    reference.compose(after, np.array(rows), parts, mean, error, moved)
    loss = reference.learn_outputs(after, mean, error, draws, 0, np.float32(rate))
    reference.advance(mean, error, moved, np.float32(scale), product)
    reference.spread(after, np.array(rows), rates, moved)
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
def test_a_row_counts_and_learns_by_its_share(learn: Any) -> None:
    """Kept is x = b y where y counts b a and goes b^-1 c steps: the same as rows y of their own scale."""
    weights, rows, outputs, rate = random_weights(5), [30, 5, 17], [7, 10, 39], 0.0625
    scales = np.array([0.5, 1.0, 1.75], np.float32)
    scaled = copy_of(weights)
    inputs_RD = rows_of(scaled.inputs, scaled.stride, 5)
    inputs_RD[rows] *= scales[:, None]
    shares = ((1 / scales).tolist(), scales.tolist())
    learned = learn(scaled, 5, rows, place_outputs(outputs), rate, 1, shares)
    exact = differentiate(ContinuousBagOfWords, weights, 5, rows, outputs)
    exact.inputs_RD[rows] *= 3 * scales[:, None]
    assert_close(learned, exact, rate)


@pytest.mark.parametrize("learn_sets", ["kernel", "plain"])
def test_the_mean_goes_as_its_rows_do(learn_sets: str) -> None:
    weights, rows, shares = random_weights(5), [30, 5, 17], ([0.5, 1.0, 2.0], [4.0, 1.0, 0.25])
    parts, rates, product = shares_of(rows, shares)
    compose, spread = (_compose, _spread) if learn_sets == "kernel" else (reference.compose, _spread_plainly)
    mean, error, moved = np.empty((3, weights.stride), np.float32)
    compose(weights, np.array(rows), parts, mean, error, moved)
    error[:] = np.linspace(-1, 1, len(error), dtype=np.float32)
    spread(weights, np.array(rows), rates, mean, error, moved, np.float32(0.5), product)
    again = np.empty_like(mean)
    compose(weights, np.array(rows), parts, again, error, moved)
    np.testing.assert_allclose(mean, again, atol=1e-6)


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
    ones = np.ones(len(rows), np.float32)
    for draws in (first, second):
        mean, error, moved = np.empty((3, weights.stride), np.float32)
        _compose(after, np.array(rows), ones, mean, error, moved)
        _learn_outputs(after, mean, error, draws, np.float32(rate), *_room())
        _spread(after, np.array(rows), ones, mean, error, moved, np.float32(1), np.float32(1))
    together = copy_of(weights)
    mean, error, moved = np.empty((3, weights.stride), np.float32)
    _compose(together, np.array(rows), ones, mean, error, moved)
    for draws in (first, second):
        if learn_sets == "kernel":
            _learn_outputs(together, mean, error, draws, np.float32(rate), *_room())
            _advance(mean, error, moved, np.float32(1), np.float32(1))
        else:
            reference.learn_outputs(together, mean, error, draws, 0, np.float32(rate))
            reference.advance(mean, error, moved, np.float32(1), np.float32(1))
    reference.spread(together, np.array(rows), ones, moved)
    np.testing.assert_allclose(together.inputs, after.inputs, atol=1e-6)
    np.testing.assert_allclose(together.outputs, after.outputs, atol=1e-6)
    assert np.abs(change(weights, together, 5, 0.0).inputs_RD - one_by_one.inputs_RD).max() > 1e-3


@kernel
def _advance(mean: Any, error: Any, moved: Any, scale: np.float32, product: np.float32) -> None:
    hidden.advance(mean, error, moved, scale, product)


def _spread_plainly(
    weights: Weights, rows: Any, rates: Any, mean: Any, error: Any, moved: Any, scale: np.float32, product: np.float32
) -> None:
    reference.advance(mean, error, moved, scale, product)
    reference.spread(weights, rows, rates, moved)


def _room() -> tuple[Any, Any]:
    return np.empty(LANES, np.float32), np.empty(TALLY, np.float32)
