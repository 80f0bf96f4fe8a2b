"""CBOW: kernels and reference equal autograd's gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.kernels.word2vec_windows import (
    DIMENSIONS,
    PADDING_ROW,
    Learned,
    assert_close,
    change,
    copy_of,
    differentiate,
    make_buffers,
    make_hidden,
    random_weights,
    samples_of,
)
from tests.references.word2vec import ContinuousBagOfWords

from rnnkit.kernels import word2vec_reference, word2vec_updates
from rnnkit.kernels.negative_sampling import OutputSamples
from rnnkit.kernels.word2vec_updates import clear_log_sum, negative_log_sum
from rnnkit.kernels.word2vec_weights import EmbeddingWeights, HiddenRow, WindowBuffers, unpadded_rows
from rnnkit.kernels.word_vector_simd import kernel

Factors = tuple[list[float], list[float]]
"""Mean weights and rate factors."""

ROWS = ([7], [9, 12], [30, 5, 17], [5, 9, 5, 11, 5])


@kernel
def _average_inputs(weights: EmbeddingWeights, rows: Any, mean_weights: Any, hidden: HiddenRow) -> None:
    word2vec_updates.average_inputs(weights, rows, mean_weights, hidden)


@kernel
def _update_outputs(
    weights: EmbeddingWeights, hidden: HiddenRow, samples: OutputSamples, rate: np.float32, buffers: WindowBuffers
) -> float:
    clear_log_sum(buffers.log_sum)
    word2vec_updates.update_outputs(weights, hidden, samples, 0, rate, buffers)
    return negative_log_sum(buffers.log_sum)


@kernel
def _update_hidden(hidden: HiddenRow, scale: np.float32, mean_product: np.float32) -> None:
    word2vec_updates.update_hidden(hidden, scale, mean_product)


@kernel
def _update_inputs(weights: EmbeddingWeights, rows: Any, rate_factors: Any, total_step: Any) -> None:
    word2vec_updates.update_inputs(weights, rows, rate_factors, total_step)


def factors_of(rows: list[int], factors: Factors | None) -> tuple[NDArray[np.float32], NDArray[np.float32], np.float32]:
    """The rows' weights and rate factors, all 1 if not given, and the mean of their products."""
    weights, rates = factors or ([1.0] * len(rows), [1.0] * len(rows))
    return np.array(weights, np.float32), np.array(rates, np.float32), np.float32(np.dot(weights, rates) / len(rows))


def train(
    weights: EmbeddingWeights, dimension: int, rows: list[int], samples: OutputSamples, rate: float, scale: float,
    factors: Factors | None = None,
) -> Learned:  # fmt: skip
    after, hidden, buffers = copy_of(weights), make_hidden(weights), make_buffers(weights, samples)
    mean_weights, rate_factors, product = factors_of(rows, factors)
    _average_inputs(after, np.array(rows), mean_weights, hidden)
    loss = _update_outputs(after, hidden, samples, np.float32(rate), buffers)
    _update_hidden(hidden, np.float32(scale), product)
    _update_inputs(after, np.array(rows), rate_factors, hidden.total_step)
    return change(weights, after, dimension, loss)


def train_reference(
    weights: EmbeddingWeights, dimension: int, rows: list[int], samples: OutputSamples, rate: float, scale: float,
    factors: Factors | None = None,
) -> Learned:  # fmt: skip
    after, hidden = copy_of(weights), make_hidden(weights)
    mean_weights, rate_factors, product = factors_of(rows, factors)
    word2vec_reference.average_inputs(after, np.array(rows), mean_weights, hidden)
    loss = word2vec_reference.update_outputs(after, hidden, samples, 0, np.float32(rate))
    word2vec_reference.update_hidden(hidden, np.float32(scale), product)
    word2vec_reference.update_inputs(after, np.array(rows), rate_factors, hidden.total_step)
    return change(weights, after, dimension, loss)


both = pytest.mark.parametrize("train", [train, train_reference])


@both
@pytest.mark.parametrize("negatives", [1, 5, 7, 20])
@pytest.mark.parametrize("rows", ROWS, ids=len)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_update_is_the_gradient(dimension: int, rows: list[int], negatives: int, train: Any) -> None:
    weights, outputs, rate = random_weights(dimension), [*range(9, 9 + negatives + 1)], 0.0625
    learned = train(weights, dimension, rows, samples_of(outputs), rate, 1 / len(rows))
    assert_close(learned, differentiate(ContinuousBagOfWords, weights, dimension, rows, outputs), rate)


@both
def test_undivided_gradient_is_a_multiple_of_the_gradient(train: Any) -> None:
    weights, rows, outputs, rate = random_weights(5), [30, 5, 17], [7, 10, 39], 0.0625
    learned = train(weights, 5, rows, samples_of(outputs), rate, 1)
    exact = differentiate(ContinuousBagOfWords, weights, 5, rows, outputs)
    assert_close(learned, Learned(exact.loss, 3 * exact.inputs_RD, exact.outputs_VD), rate)


@both
def test_mean_weights_and_rate_factors(train: Any) -> None:
    """Rows x = b y with weight 1 / b and rate factor b train as rows y would, at their own scale."""
    weights, rows, outputs, rate = random_weights(5), [30, 5, 17], [7, 10, 39], 0.0625
    scales = np.array([0.5, 1.0, 1.75], np.float32)
    scaled = copy_of(weights)
    inputs_RD = unpadded_rows(scaled.inputs, scaled.stride, 5)
    inputs_RD[rows] *= scales[:, None]
    factors = ((1 / scales).tolist(), scales.tolist())
    learned = train(scaled, 5, rows, samples_of(outputs), rate, 1, factors)
    exact = differentiate(ContinuousBagOfWords, weights, 5, rows, outputs)
    exact.inputs_RD[rows] *= 3 * scales[:, None]
    assert_close(learned, exact, rate)


@pytest.mark.parametrize("use_kernel", [True, False], ids=["kernel", "reference"])
def test_hidden_row_moves_with_the_mean_of_its_inputs(use_kernel: bool) -> None:
    weights, rows, factors = random_weights(5), [30, 5, 17], ([0.5, 1.0, 2.0], [4.0, 1.0, 0.25])
    mean_weights, rate_factors, product = factors_of(rows, factors)
    average, update_hidden, update_inputs = (
        (_average_inputs, _update_hidden, _update_inputs)
        if use_kernel
        else (word2vec_reference.average_inputs, word2vec_reference.update_hidden, word2vec_reference.update_inputs)
    )
    hidden, expected = make_hidden(weights), make_hidden(weights)
    average(weights, np.array(rows), mean_weights, hidden)
    hidden.step[:] = np.linspace(-1, 1, weights.stride, dtype=np.float32)
    update_hidden(hidden, np.float32(0.5), product)
    update_inputs(weights, np.array(rows), rate_factors, hidden.total_step)
    average(weights, np.array(rows), mean_weights, expected)
    np.testing.assert_allclose(hidden.values, expected.values, atol=1e-6)


@both
def test_offsets_are_subtracted_from_the_logits(train: Any) -> None:
    weights, rows, outputs, offsets, rate = random_weights(5), [30, 5], [7, 10, 39], [0.5, -1.5, 3.0], 0.0625
    learned = train(weights, 5, rows, samples_of(outputs, offsets=offsets), rate, 0.5)
    assert_close(learned, differentiate(ContinuousBagOfWords, weights, 5, rows, outputs, offsets), rate)


@both
def test_repeated_samples_count_repeatedly(train: Any) -> None:
    weights, rows, rate = random_weights(5), [30, 17], 0.0625
    samples = samples_of([7, 10, PADDING_ROW, 39, PADDING_ROW, PADDING_ROW], counts=[2, 3, 0, 1, 0, 0])
    learned = train(weights, 5, rows, samples, rate, 0.5)
    assert_close(learned, differentiate(ContinuousBagOfWords, weights, 5, rows, [7, 7, 10, 10, 10, 39]), rate)


@pytest.mark.parametrize("use_kernel", [True, False], ids=["kernel", "reference"])
def test_second_set_uses_the_updated_mean(use_kernel: bool) -> None:
    """Two sets in turn equal two windows in turn, each with the current mean of the rows."""
    weights, rows, rate, one = random_weights(5), [30, 5, 17], np.float32(0.0625), np.float32(1)
    first, second = samples_of([7, 10, 39]), samples_of([8, 11, 12])
    first_only = train(weights, 5, rows, first, 0.0625, 1)
    ones, buffers = np.ones(len(rows), np.float32), make_buffers(weights, first)
    expected, hidden = copy_of(weights), make_hidden(weights)
    for samples in (first, second):
        _average_inputs(expected, np.array(rows), ones, hidden)
        _update_outputs(expected, hidden, samples, rate, buffers)
        _update_hidden(hidden, one, one)
        _update_inputs(expected, np.array(rows), ones, hidden.total_step)
    actual = copy_of(weights)
    _average_inputs(actual, np.array(rows), ones, hidden)
    for samples in (first, second):
        if use_kernel:
            _update_outputs(actual, hidden, samples, rate, buffers)
            _update_hidden(hidden, one, one)
        else:
            word2vec_reference.update_outputs(actual, hidden, samples, 0, rate)
            word2vec_reference.update_hidden(hidden, one, one)
    word2vec_reference.update_inputs(actual, np.array(rows), ones, hidden.total_step)
    np.testing.assert_allclose(actual.inputs, expected.inputs, atol=1e-6)
    np.testing.assert_allclose(actual.outputs, expected.outputs, atol=1e-6)
    assert np.abs(change(weights, actual, 5, 0.0).inputs_RD - first_only.inputs_RD).max() > 1e-3
