"""Calibration error by its definition, and the temperature that maximizes the likelihood."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.evaluation.calibration import BINS, MAX_INVERSE, MIN_INVERSE, fit_temperature, measure_calibration

PREDICTIONS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


@given(PREDICTIONS)
def test_error_is_the_weighted_gap_of_the_bins(predictions: list[tuple[float, bool]]) -> None:
    probabilities, right = zip(*predictions, strict=True)
    found = measure_calibration(np.array(probabilities), np.array(right))
    expected = 0.0
    for low, high, each in zip(np.linspace(0, 1, 16)[:-1], np.linspace(0, 1, 16)[1:], found.bins, strict=True):
        inside = [(p, hit) for p, hit in predictions if low < p <= high or (low == p == 0)]
        assert each.count == len(inside)
        if inside:
            gap = sum(hit for _, hit in inside) / len(inside) - sum(p for p, _ in inside) / len(inside)
            expected += len(inside) / len(predictions) * abs(gap)
    assert found.error == pytest.approx(expected, abs=1e-12)


def test_bins_of_known_predictions() -> None:
    found = measure_calibration(np.array([0.5, 0.5, 1.0, 0.0]), np.array([True, False, True, False]))
    assert found.error == 0
    assert [(round(each.low, 3), each.count, each.accuracy) for each in found.bins if each.count] == [
        (0.0, 1, 0.0), (0.467, 2, 0.5), (0.933, 1, 1.0)
    ]  # fmt: skip
    assert len(found.bins) == BINS


@pytest.mark.parametrize("wrong", [math.nan, -0.1, 1.1, math.inf])
def test_what_is_not_a_probability(wrong: float) -> None:
    with raises(DataError, "probability"):
        measure_calibration(np.array([0.5, wrong]), np.array([True, False]))


def test_no_predictions() -> None:
    with raises(DataError):
        measure_calibration(np.zeros(0), np.zeros(0, dtype=bool))


def likelihood(scores_NC: np.ndarray, label_N: np.ndarray, temperature: float) -> float:
    logits_NC = scores_NC / temperature
    logits_NC = logits_NC - logits_NC.max(axis=1, keepdims=True)
    return float((logits_NC[np.arange(len(label_N)), label_N] - np.log(np.exp(logits_NC).sum(axis=1))).sum())


@given(st.integers(0, 1000), st.integers(2, 5), st.floats(0.1, 10))
def test_temperature_has_the_maximum_likelihood(seed: int, classes: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    scores_NC, label_N = scale * generator.normal(size=(30, classes)), generator.integers(classes, size=30)
    found = fit_temperature(scores_NC, label_N)
    best = likelihood(scores_NC, label_N, found)
    for other in np.geomspace(1 / MAX_INVERSE, 1 / MIN_INVERSE, 50):
        assert best >= likelihood(scores_NC, label_N, float(other)) - 1e-7


def test_temperature_of_sampled_labels() -> None:
    generator = np.random.default_rng(3)
    scores_NC = 3 * generator.normal(size=(20_000, 4))
    noise_NC = generator.gumbel(size=scores_NC.shape)
    label_N = (scores_NC / 2.5 + noise_NC).argmax(axis=1)  # a draw from softmax(scores / 2.5)
    assert fit_temperature(scores_NC, label_N) == pytest.approx(2.5, rel=0.05)
    assert fit_temperature(scores_NC + 100, label_N) == pytest.approx(fit_temperature(scores_NC, label_N))


def test_temperature_within_bounds() -> None:
    scores_NC = np.array([[2.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(scores_NC, np.array([0, 1])) == pytest.approx(1 / MAX_INVERSE, rel=0.01)
    assert fit_temperature(scores_NC, np.array([1, 0])) == pytest.approx(1 / MIN_INVERSE, rel=0.01)
    assert fit_temperature(np.zeros((2, 3)), np.array([0, 1])) == 1


@pytest.mark.parametrize(
    ("scores_NC", "label_N"),
    [([[math.nan, 0.0]], [0]), ([[math.inf, 0.0]], [0]), ([[1.0, 0.0]], [2]), ([[1.0, 0.0]], [-1]), ([[1.0]], [0, 0])],
)
def test_scores_that_cannot_be_scaled(scores_NC: list[list[float]], label_N: list[int]) -> None:
    with raises(DataError):
        fit_temperature(np.array(scores_NC), np.array(label_N))
