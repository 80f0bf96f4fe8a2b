"""SIMD operations, compared with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnkit.kernels.word_vector_simd import (
    SCORES,
    WIDTH,
    broadcast8,
    broadcast16,
    exponent8,
    horizontal_sums8,
    kernel,
    load8,
    load16,
    mantissa8,
    maximum,
    minimum,
    power_of_two8,
    prefetch,
    round8,
    store8,
    store16,
)

NAN = np.float32(np.nan)


def floats(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


@kernel
def _calculate(a: Any, b: Any, results: Any) -> None:
    """Load from an unaligned index."""
    x, y = load16(a, 3), load16(b, 3)
    store16(results, 0, x + y)
    store16(results, 16, x - y)
    store16(results, 32, x * y)
    store16(results, 48, x / y)
    store16(results, 64, broadcast16(b[0]))
    for half in range(0, WIDTH, SCORES):
        x8, y8 = load8(a, 3 + half), load8(b, 3 + half)
        store8(results, 80 + half, minimum(x8, y8))
        store8(results, 96 + half, maximum(x8, y8))
    prefetch(results, 0)


@kernel
def _sum(vectors: Any, sums: Any) -> None:
    a, b, c = load16(vectors, 0), load16(vectors, 16), load16(vectors, 32)
    d, e, f = load16(vectors, 48), load16(vectors, 64), load16(vectors, 80)
    store8(sums, 0, horizontal_sums8((a, b, c, d, e, f)))


@kernel
def _take_apart(numbers: Any, results: Any) -> None:
    x = load8(numbers, 0)
    store8(results, 0, exponent8(x))
    store8(results, 8, mantissa8(x))
    store8(results, 16, power_of_two8(exponent8(x)))
    store8(results, 24, round8(x))
    store8(results, 32, broadcast8(numbers[0]))


def calculate(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    results = np.full(8 * WIDTH, 7, np.float32)
    _calculate(a, b, results)
    return results.reshape(8, WIDTH)


def take_apart(*numbers: float) -> NDArray[np.float32]:
    results = np.empty(5 * SCORES, np.float32)
    _take_apart(np.resize(np.array(numbers, np.float32), SCORES), results)
    return results.reshape(5, SCORES)[:, : len(numbers)]


def test_arithmetic_is_lane_by_lane() -> None:
    a, b = floats(2, 3 + WIDTH)
    x, y = a[3:], b[3:]
    expected = [x + y, x - y, x * y, x / y, np.full(WIDTH, b[0]), np.minimum(x, y), np.maximum(x, y)]
    np.testing.assert_allclose(calculate(a, b)[:7], expected, rtol=2e-7)


def test_stores_write_the_lanes_only() -> None:
    a, b = floats(2, 3 + WIDTH)
    assert (calculate(a, b)[7] == 7).all()


@pytest.mark.parametrize("there", [0, 1])
def test_nan_in_either_operand_is_kept(there: int) -> None:
    arguments = floats(2, 3 + WIDTH)
    arguments[there, 3 + 7] = NAN
    results = calculate(*arguments)
    assert np.isnan(results[[0, 1, 2, 3, 5, 6], 7]).all()
    assert np.isnan(results).sum() == 6


def test_horizontal_sums() -> None:
    vectors, sums = floats(6, WIDTH), np.empty(SCORES, np.float32)
    _sum(vectors.reshape(-1), sums)
    np.testing.assert_allclose(sums, [*vectors.sum(1, dtype=np.float64), 0, 0], atol=1e-6)


def test_mantissa_and_exponent_recompose() -> None:
    numbers = np.array([1, 1.5, 2, 1e-13, 3e37, 1e-37, 0.99999994, 7], np.float32)
    exponents, mantissas, powers, *_ = take_apart(*numbers)
    halves, above = np.frexp(numbers)
    np.testing.assert_array_equal(exponents, above - 1)
    np.testing.assert_array_equal(mantissas, 2 * halves)
    np.testing.assert_array_equal(mantissas * powers, numbers)


def test_mantissa_of_nan_is_nan() -> None:
    assert np.isnan(take_apart(np.nan, -np.nan, 1.0)[1]).tolist() == [True, True, False]


def test_rounding_is_to_nearest_with_ties_to_even() -> None:
    numbers = [0.5, 1.5, -0.5, -1.5, 2.4, -2.6, 41.0, 1e-9]
    np.testing.assert_array_equal(take_apart(*numbers)[3], np.rint(numbers))


def test_broadcast() -> None:
    assert (take_apart(*range(1, 9))[4] == 1).all()
