"""Weights and row caches: initial values, the layout of rows, and training with a cache."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.kernels.word2vec_windows import PADDING_ROW, ROWS, SPECIAL, copy_of, random_weights

from rnnkit.embeddings.embedding_model import whole_word_composition
from rnnkit.kernels import negative_sampling
from rnnkit.kernels.word2vec_chunk import (
    CBOW,
    NCE,
    NEGATIVE_SAMPLING,
    SKIP_GRAM,
    SUBWORD_SKIP_GRAM,
    TextChunk,
    TrainingMethod,
    TrainingSetup,
    make_thread_state,
    train_chunk,
)
from rnnkit.kernels.word2vec_weights import (
    CACHE_LINE_BYTES,
    MAX_CACHED_ROWS,
    Composition,
    EmbeddingWeights,
    RowCache,
    cached_composition,
    cached_row,
    fill_row_cache,
    init_weights,
    memory_bytes,
    most_used_rows,
    no_cache,
    padded_dimension,
    shared_row,
    sync_row_cache,
    total_cache_rows,
    unpadded_rows,
)
from rnnkit.kernels.word_vector_simd import kernel

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


COUNTS = np.array([0] * SPECIAL + list(range(ROWS - SPECIAL, 0, -1)))
SEED, RATE = np.uint64(9), np.float32(0.0625)
IDS = np.random.default_rng(5).integers(SPECIAL, ROWS, 4500).astype(np.int32)
SEGMENTS = np.array([*range(0, 4500, 900), 4500])


NGRAMS = 9


def first_words(rows: int, first: int) -> RowCache:
    """A cache for words without n-grams."""
    return RowCache(rows, first, np.arange(rows), first)


def some_ngrams() -> Composition:
    """Words with up to three n-grams, which may repeat."""
    generator = np.random.default_rng(7)
    rows = [[word, *generator.integers(ROWS, ROWS + NGRAMS, word % 4)] for word in range(ROWS)]
    return composition_of(np.cumsum([0, *map(len, rows)]), np.concatenate(rows))


def composition_of(starts_V: NDArray[np.int64], rows: NDArray[np.int64]) -> Composition:
    """A composition with equal weights."""
    ones = np.ones(len(rows), np.float32)
    return Composition(starts_V, rows.astype(np.int32), ones, ones)


def chunk_of(segments: NDArray[np.int64]) -> TextChunk:
    return TextChunk(IDS, segments, 0, SEED, RATE)


@kernel
def _round_trip(cache: RowCache, word: int) -> tuple[int, int]:
    row = cached_row(cache, word)
    return row, shared_row(cache, row)


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("loss", [NEGATIVE_SAMPLING, NCE], ids=["negative", "nce"])
@pytest.mark.parametrize("kind", [SKIP_GRAM, CBOW, SUBWORD_SKIP_GRAM], ids=["skipgram", "cbow", "subwords"])
def test_one_thread_trains_the_same_with_a_cache(kind: int, loss: int, reference: bool) -> None:
    ngrams, composition = (NGRAMS, some_ngrams()) if kind == SUBWORD_SKIP_GRAM else (0, whole_word_composition())
    start, method = (
        random_weights(7, ROWS + ngrams + 24, ROWS + 24),
        TrainingMethod(kind, 3, True, 7, loss, True, reference),
    )
    most_used = most_used_rows(composition, COUNTS.astype(np.float64), 12)
    noise, keep_V = (
        negative_sampling.make_noise_distribution(COUNTS, 0.75, 7, loss == NCE),
        negative_sampling.keep_probabilities(COUNTS, 0),
    )
    learned = []
    for cache in (no_cache(), RowCache(12, ROWS, most_used, ROWS + ngrams)):
        weights, own = copy_of(start), cached_composition(composition, cache)
        setup = TrainingSetup(weights, own, keep_V, noise, method)
        fill_row_cache(weights, cache)
        result = train_chunk(setup, chunk_of(SEGMENTS), make_thread_state(setup, cache, PADDING_ROW))
        sync_row_cache(weights, cache)
        learned.append((weights, result))
    (without, (loss_without, count)), (with_cache, (loss_with, same_count)) = learned
    assert count == same_count
    assert loss_with == pytest.approx(loss_without, rel=1e-4)
    for size, one, other, before in (
        ((ROWS + ngrams) * start.stride, with_cache.inputs, without.inputs, start.inputs),
        (ROWS * start.stride, with_cache.outputs, without.outputs, start.outputs),
    ):
        np.testing.assert_allclose(one[:size], other[:size], atol=2e-3)
        assert np.abs(other[:size] - before[:size]).max() > 0.1


def test_threads_write_to_cached_ngrams() -> None:
    """The shared rows do not change until the synchronization."""
    start, composition = random_weights(7, ROWS + NGRAMS + 24, ROWS + 24), some_ngrams()
    most_used = most_used_rows(composition, COUNTS.astype(np.float64), 12)
    cache = RowCache(12, ROWS, most_used, ROWS + NGRAMS)
    weights, own = copy_of(start), cached_composition(composition, cache)
    method = TrainingMethod(SUBWORD_SKIP_GRAM, 3, True, 7, NEGATIVE_SAMPLING, False, False)
    noise, keep_V = (
        negative_sampling.make_noise_distribution(COUNTS, 0.75, 7, False),
        negative_sampling.keep_probabilities(COUNTS, 0),
    )
    fill_row_cache(weights, cache)
    setup = TrainingSetup(weights, own, keep_V, noise, method)
    chunk, state = chunk_of(SEGMENTS[:2]), make_thread_state(setup, cache, PADDING_ROW)
    train_chunk(setup, chunk, state)
    rows, before = weights.inputs.reshape(-1, weights.stride), start.inputs.reshape(-1, start.stride)
    assert np.any(most_used >= ROWS), "some n-grams are among them"
    np.testing.assert_array_equal(rows[most_used], before[most_used])
    assert np.abs(rows[cache.first_input : cache.first_input + 12] - before[most_used]).max() > 0
    sync_row_cache(weights, cache)
    np.testing.assert_allclose(rows[most_used], rows[cache.first_input : cache.first_input + 12])

    moved = rows[most_used].copy()
    train_chunk(setup, chunk, state._replace(cache=cache._replace(sync_interval=1)))
    assert np.abs(rows[most_used] - moved).max() > 0, "a synchronization was due"
    np.testing.assert_allclose(rows[most_used], rows[cache.first_input : cache.first_input + 12])


def test_most_used_rows() -> None:
    composition = composition_of(np.array([0, 0, 2, 5, 6]), np.array([1, 4, 2, 5, 4, 3]))
    uses_V = np.array([0.0, 3.0, 2.0, 4.0])  # row 4 is used 5 times, 3 four times, 1 three times, 2 and 5 twice
    assert most_used_rows(composition, uses_V, 3).tolist() == [1, 3, 4]
    assert most_used_rows(composition, uses_V, 4).tolist() == [1, 2, 3, 4], "of equals the first"
    assert most_used_rows(whole_word_composition(), uses_V, 3).tolist() == [0, 1, 2]


def test_cached_composition() -> None:
    composition = composition_of(np.array([0, 0, 2, 5, 6]), np.array([1, 4, 2, 5, 4, 3]))
    own = cached_composition(composition, RowCache(3, 20, np.array([1, 3, 4]), 30))
    assert own.rows.tolist() == [30, 32, 2, 5, 32, 31]
    assert cached_composition(composition, no_cache()) is composition
    assert cached_composition(whole_word_composition(), first_words(2, 9)).rows.tolist() == []


def test_changes_of_two_threads_add_up() -> None:
    weights = random_weights(3, 34, 34)
    first, second, stride = first_words(6, 10), first_words(6, 22), weights.stride
    weights = EmbeddingWeights(np.concatenate([weights.inputs, np.zeros(6 * stride, np.float32)]),
                      np.concatenate([weights.outputs, np.zeros(6 * stride, np.float32)]), stride)  # fmt: skip
    before = weights.inputs[: 6 * stride].copy()
    for cache, change in ((first, 0.5), (second, 0.25)):
        fill_row_cache(weights, cache)
        weights.inputs[cache.first_output * stride : (cache.first_output + 6) * stride] += np.float32(change)
    sync_row_cache(weights, first)
    sync_row_cache(weights, second)
    np.testing.assert_allclose(weights.inputs[: 6 * stride], before + 0.75, atol=1e-6)
    own = weights.inputs[22 * stride : 28 * stride]
    np.testing.assert_array_equal(own, weights.inputs[: 6 * stride], "the last thread to synchronize has all changes")


def test_cached_and_shared_rows_are_inverse() -> None:
    cache = first_words(6, 40)
    assert [_round_trip(cache, word) for word in (0, 5, 6, 39)] == [(40, 0), (45, 5), (6, 6), (39, 39)]
    assert _round_trip(no_cache(), 3) == (3, 3)


def test_total_cache_rows() -> None:
    assert [total_cache_rows(1, 9), total_cache_rows(2, 9), total_cache_rows(3, 10**6)] == [
        0,
        36,
        6 * MAX_CACHED_ROWS,
    ]
