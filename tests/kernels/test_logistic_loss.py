"""The logistic function, its gradient, and the sum of logarithms, compared with float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnkit.kernels.word2vec_updates import (
    LOG_SUM_FLOATS,
    MAX_LOGIT,
    add_log_probabilities,
    clear_log_sum,
    negative_log_sum,
    score_gradients,
    sigmoid8,
)
from rnnkit.kernels.word_vector_simd import broadcast8, kernel, load8, store8

LANES = 8
RATE = 0.25
probabilities = st.floats(2.0**-40, 1, width=32)


@kernel
def _sigmoids(scores: Any, results: Any) -> None:
    for place in range(0, len(scores), 8):
        store8(results, place, sigmoid8(load8(scores, place)))


@kernel
def _negative_log(probabilities: Any, tally: Any) -> float:
    clear_log_sum(tally)
    for place in range(0, len(probabilities), 8):
        add_log_probabilities(tally, load8(probabilities, place))
    return negative_log_sum(tally)


@kernel
def _learn(scores: Any, signs: Any, totals: Any, repeated: int, steps: Any, tally: Any) -> float:
    clear_log_sum(tally)
    learned = score_gradients(
        load8(scores, 0), load8(signs, 0), load8(totals, 0), repeated, broadcast8(np.float32(RATE)), tally
    )
    store8(steps, 0, learned)
    return negative_log_sum(tally)


def sigmoids(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    results = np.empty_like(scores)
    _sigmoids(scores, results)
    return results


def summed_logs(numbers: list[float]) -> float:
    padded = np.ones(-(-len(numbers) // LANES) * LANES, np.float32)
    padded[: len(numbers)] = numbers
    return _negative_log(padded, np.empty(LOG_SUM_FLOATS, np.float32))


def learn(scores: list[float], signs: list[int], totals: list[int]) -> tuple[NDArray[np.float32], float]:
    steps, lanes = np.empty(LANES, np.float32), np.zeros((3, LANES), np.float32)
    lanes[:, : len(scores)] = scores, signs, totals
    loss = _learn(lanes[0], lanes[1], lanes[2], max(totals) - 1, steps, np.empty(LOG_SUM_FLOATS, np.float32))
    return steps, loss


def test_sigmoid_is_exact_to_float32() -> None:
    scores = np.linspace(-MAX_LOGIT, MAX_LOGIT, 80_000, dtype=np.float32)
    exact = 1 / (1 + np.exp(-scores.astype(np.float64)))
    np.testing.assert_allclose(sigmoids(scores), exact, rtol=2e-6, atol=0)
    np.testing.assert_allclose(sigmoids(scores), exact, rtol=0, atol=1.2e-7)


def test_sigmoid_saturates_at_0_and_1() -> None:
    scores = np.array([0, -0.0, 31, 1e30, np.inf, -31, -1e30, -np.inf], np.float32)
    np.testing.assert_allclose(sigmoids(scores), [0.5, 0.5, 1, 1, 1, 0, 0, 0], atol=1e-13)


def test_sigmoid_of_nan_is_nan() -> None:
    scores = np.zeros(LANES, np.float32)
    scores[3] = np.nan
    assert np.isnan(sigmoids(scores)).tolist() == [lane == 3 for lane in range(LANES)]


@given(st.lists(probabilities, max_size=50))
def test_log_sum_is_the_sum_of_logarithms(numbers: list[float]) -> None:
    assert summed_logs(numbers) == pytest.approx(-math.fsum(map(math.log, numbers)), rel=1e-6, abs=1e-5)


def test_log_sum_of_many_tiny_probabilities() -> None:
    numbers = np.random.default_rng(5).uniform(0, 1e-9, 200_000).astype(np.float32) + np.float32(1e-12)
    assert summed_logs(list(numbers)) == pytest.approx(-math.fsum(np.log(numbers.astype(np.float64))), rel=1e-7)


def test_probability_0_counts_as_the_minimum() -> None:
    assert summed_logs([0.0]) == pytest.approx(float(MAX_LOGIT), abs=0.1)


@pytest.mark.parametrize("bad", [np.nan, -np.nan])
def test_log_sum_with_nan_is_nan(bad: float) -> None:
    assert math.isnan(summed_logs([0.5] * 20 + [bad] + [0.25] * 20))


def expected(score: float, sign: int, total: int) -> tuple[float, float]:
    """The step and the loss of a row that was sampled `total` times; the target counts as one of them."""
    there = sign > 0
    noise = total - there if total else 0
    p = 1 / (1 + math.exp(-score))
    return RATE * (there - p * (there + noise)), -there * math.log(p) - noise * math.log(1 - p)


@pytest.mark.parametrize("totals", [[1] * 6, [1, 0, 1, 0, 1, 1], [3, 1, 2, 4, 0, 1]])
def test_steps_are_the_gradient_of_each_sample(totals: list[int]) -> None:
    scores, signs = [0.7, -2.0, 3.5, 11.0, 5.0, -9.0], [1, -1, -1, -1, -1, -1]
    steps, loss = learn(scores, signs, totals)
    rows = [expected(*row) if row[2] else (0.0, 0.0) for row in zip(scores, signs, totals, strict=True)]
    np.testing.assert_allclose(steps[:6], [step for step, _ in rows], atol=1e-7)
    np.testing.assert_array_equal(steps[6:], 0)
    assert loss == pytest.approx(math.fsum(missed for _, missed in rows), rel=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_repeats_of_an_improbable_sample_are_exact(sign: int) -> None:
    _, loss = learn([20.0], [sign], [4])
    assert loss == pytest.approx(20.0 * (3 if sign > 0 else 4), rel=1e-6)


def test_nan_logit_shows_in_step_and_loss() -> None:
    steps, loss = learn([0.5, np.nan], [1, -1], [1, 1])
    assert np.isnan(steps).tolist() == [False, True, *[False] * 6]
    assert math.isnan(loss)
