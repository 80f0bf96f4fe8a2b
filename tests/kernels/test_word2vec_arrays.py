"""Initial weights: the layout of rows, and their values."""

from __future__ import annotations

import numpy as np
import pytest

from rnnkit.kernels.word2vec_arrays import CACHE_LINE_BYTES, init_weights, memory_bytes, padded_dimension, unpadded_rows

FIRST = 4


@pytest.mark.parametrize(("dimension", "floats"), [(1, 16), (15, 16), (16, 16), (17, 32), (100, 112), (300, 304)])
def test_rows_are_padded_to_cache_lines(dimension: int, floats: int) -> None:
    assert padded_dimension(dimension) == floats


@pytest.mark.parametrize("dimension", [1, 5, 16, 37])
def test_every_row_begins_a_cache_line(dimension: int) -> None:
    for flat in init_weights(7, 5, dimension, FIRST, seed=1)[:2]:
        rows = unpadded_rows(flat, padded_dimension(dimension), dimension)
        assert [row.ctypes.data % CACHE_LINE_BYTES for row in rows] == [0] * len(rows)


def test_inputs_are_small_and_outputs_zero() -> None:
    dimension = 5
    weights = init_weights(20_003, 7, dimension, FIRST, seed=1)
    inputs = unpadded_rows(weights.inputs, weights.stride, dimension)
    outputs = unpadded_rows(weights.outputs, weights.stride, dimension)
    assert inputs.shape == (20_003, dimension)
    assert outputs.shape == (7, dimension)
    assert not outputs.any()
    bound = 1 / (2 * dimension)
    assert -bound <= inputs.min() < -0.99 * bound
    assert 0.99 * bound < inputs.max() <= bound
    assert len(np.unique(inputs[FIRST:], axis=0)) == 20_003 - FIRST, "no block repeats another"


def test_special_rows_and_padding_are_zero() -> None:
    weights = init_weights(9, 9, 5, FIRST, seed=1)
    rows = weights.inputs.reshape(9, weights.stride)
    assert not rows[:FIRST].any()
    assert not rows[:, 5:].any()
    assert rows[FIRST:, :5].all()


def test_weights_depend_on_the_seed() -> None:
    first, again, other = (init_weights(9, 9, 5, FIRST, seed).inputs for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_rows_are_a_view() -> None:
    weights = init_weights(9, 7, 5, FIRST, seed=1)
    unpadded_rows(weights.outputs, weights.stride, 5)[6] = 1
    assert weights.outputs.sum() == 5


def test_memory_is_what_is_allocated() -> None:
    weights = init_weights(9, 7, 5, FIRST, seed=1)
    assert memory_bytes(9, 7, 5) == weights.inputs.nbytes + weights.outputs.nbytes
