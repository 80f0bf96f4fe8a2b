"""Copies of frequent words' rows: a thread alone learns the same with them, and two threads add up."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.kernels.word2vec_windows import ROWS, SPARE, SPECIAL, copy_of, random_weights

from rnnkit.embeddings.train.word_composition import whole_words
from rnnkit.kernels import negative_sampling
from rnnkit.kernels.row_cache import (
    MAX_CACHED_ROWS,
    RowCache,
    cached_composition,
    cached_row,
    most_used_rows,
    no_cache,
    shared_row,
    total_cache_rows,
)
from rnnkit.kernels.word2vec_arrays import Composition, EmbeddingWeights
from rnnkit.kernels.word2vec_chunk import (
    CBOW,
    NCE,
    NEGATIVE_SAMPLING,
    SKIP_GRAM,
    SUBWORD_SKIP_GRAM,
    TrainingMethod,
    fill_row_cache,
    make_thread_state,
    sync_row_cache,
    train_chunk,
)
from rnnkit.kernels.word_vector_compiler import kernel

COUNTS = np.array([0] * SPECIAL + list(range(ROWS - SPECIAL, 0, -1)))
SEED, RATE = np.uint64(9), np.float32(0.0625)
IDS = np.random.default_rng(5).integers(SPECIAL, ROWS, 4500).astype(np.int32)
SEGMENTS = np.array([*range(0, 4500, 900), 4500])


NGRAMS = 9


def first_words(rows: int, first: int) -> RowCache:
    """Copies where each word is its own row."""
    return RowCache(rows, first, np.arange(rows), first)


def some_ngrams() -> Composition:
    """Words of their own row and up to three n-grams', which may repeat."""
    generator = np.random.default_rng(7)
    rows = [[word, *generator.integers(ROWS, ROWS + NGRAMS, word % 4)] for word in range(ROWS)]
    return composition_of(np.cumsum([0, *map(len, rows)]), np.concatenate(rows))


def composition_of(starts_V: NDArray[np.int64], rows: NDArray[np.int64]) -> Composition:
    """All rows count the same."""
    ones = np.ones(len(rows), np.float32)
    return Composition(starts_V, rows.astype(np.int32), ones, ones)


@kernel
def _there_and_back(hot: RowCache, word: int) -> tuple[int, int]:
    row = cached_row(hot, word)
    return row, shared_row(hot, row)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("loss", [NEGATIVE_SAMPLING, NCE], ids=["negative", "nce"])
@pytest.mark.parametrize("kind", [SKIP_GRAM, CBOW, SUBWORD_SKIP_GRAM], ids=["skipgram", "cbow", "subwords"])
def test_one_thread_learns_the_same_with_copies(kind: int, loss: int, plain: bool) -> None:
    ngrams, composition = (NGRAMS, some_ngrams()) if kind == SUBWORD_SKIP_GRAM else (0, whole_words())
    start, method = (
        random_weights(7, ROWS + ngrams + 24, ROWS + 24),
        TrainingMethod(kind, 3, True, 7, loss, True, plain),
    )
    busiest = most_used_rows(composition, COUNTS.astype(np.float64), 12)
    noise, keep_V = (
        negative_sampling.make_noise_distribution(COUNTS, 0.75, 7, loss == NCE),
        negative_sampling.keep_probabilities(COUNTS, 0),
    )
    learned = []
    for hot in (no_cache(), RowCache(12, ROWS, busiest, ROWS + ngrams)):
        weights, own = copy_of(start), cached_composition(composition, hot)
        room = make_thread_state(weights, own, method, SPARE)
        fill_row_cache(weights, hot)
        result = train_chunk(weights, IDS, SEGMENTS, keep_V, noise, own, method, RATE, SEED, 0, room, SPARE, hot)
        sync_row_cache(weights, hot)
        learned.append((weights, result))
    (without, (loss_without, count)), (with_copies, (loss_with, same_count)) = learned
    assert count == same_count
    assert loss_with == pytest.approx(loss_without, rel=1e-4)
    for size, one, other, before in (
        ((ROWS + ngrams) * start.stride, with_copies.inputs, without.inputs, start.inputs),
        (ROWS * start.stride, with_copies.outputs, without.outputs, start.outputs),
    ):
        np.testing.assert_allclose(one[:size], other[:size], atol=2e-3)
        assert np.abs(other[:size] - before[:size]).max() > 0.1


def test_copies_of_ngrams_are_what_a_thread_writes_to() -> None:
    """The shared rows stay as they were until the exchange."""
    start, composition = random_weights(7, ROWS + NGRAMS + 24, ROWS + 24), some_ngrams()
    busiest = most_used_rows(composition, COUNTS.astype(np.float64), 12)
    hot = RowCache(12, ROWS, busiest, ROWS + NGRAMS)
    weights, own = copy_of(start), cached_composition(composition, hot)
    method = TrainingMethod(SUBWORD_SKIP_GRAM, 3, True, 7, NEGATIVE_SAMPLING, False, False)
    noise, keep_V = (
        negative_sampling.make_noise_distribution(COUNTS, 0.75, 7, False),
        negative_sampling.keep_probabilities(COUNTS, 0),
    )
    fill_row_cache(weights, hot)
    few, room = SEGMENTS[:2], make_thread_state(weights, own, method, SPARE)
    train_chunk(weights, IDS, few, keep_V, noise, own, method, RATE, SEED, 0, room, SPARE, hot)
    rows, before = weights.inputs.reshape(-1, weights.stride), start.inputs.reshape(-1, start.stride)
    assert np.any(busiest >= ROWS), "some n-grams are among them"
    np.testing.assert_array_equal(rows[busiest], before[busiest])
    assert np.abs(rows[hot.first_input : hot.first_input + 12] - before[busiest]).max() > 0
    sync_row_cache(weights, hot)
    np.testing.assert_allclose(rows[busiest], rows[hot.first_input : hot.first_input + 12])

    often = hot._replace(interval=1)
    moved = rows[busiest].copy()
    train_chunk(weights, IDS, few, keep_V, noise, own, method, RATE, SEED, 0, room, SPARE, often)
    assert np.abs(rows[busiest] - moved).max() > 0, "an exchange was due"
    np.testing.assert_allclose(rows[busiest], rows[hot.first_input : hot.first_input + 12])


def test_the_busiest_rows() -> None:
    composition = composition_of(np.array([0, 0, 2, 5, 6]), np.array([1, 4, 2, 5, 4, 3]))
    uses_V = np.array([0.0, 3.0, 2.0, 4.0])  # row 4 is used 5 times, 3 four times, 1 three times, 2 and 5 twice
    assert most_used_rows(composition, uses_V, 3).tolist() == [1, 3, 4]
    assert most_used_rows(composition, uses_V, 4).tolist() == [1, 2, 3, 4], "of equals the first"
    assert most_used_rows(whole_words(), uses_V, 3).tolist() == [0, 1, 2]


def test_what_words_are_made_of_where_a_thread_has_copies() -> None:
    composition = composition_of(np.array([0, 0, 2, 5, 6]), np.array([1, 4, 2, 5, 4, 3]))
    own = cached_composition(composition, RowCache(3, 20, np.array([1, 3, 4]), 30))
    assert own.rows.tolist() == [30, 32, 2, 5, 32, 31]
    assert cached_composition(composition, no_cache()) is composition
    assert cached_composition(whole_words(), first_words(2, 9)).rows.tolist() == []


def test_what_two_threads_learn_adds_up() -> None:
    weights = random_weights(3, 34, 34)
    first, second, stride = first_words(6, 10), first_words(6, 22), weights.stride
    weights = EmbeddingWeights(np.concatenate([weights.inputs, np.zeros(6 * stride, np.float32)]),
                      np.concatenate([weights.outputs, np.zeros(6 * stride, np.float32)]), stride)  # fmt: skip
    before = weights.inputs[: 6 * stride].copy()
    for hot, change in ((first, 0.5), (second, 0.25)):
        fill_row_cache(weights, hot)
        weights.inputs[hot.first * stride : (hot.first + 6) * stride] += np.float32(change)
    sync_row_cache(weights, first)
    sync_row_cache(weights, second)
    np.testing.assert_allclose(weights.inputs[: 6 * stride], before + 0.75, atol=1e-6)
    own = weights.inputs[22 * stride : 28 * stride]
    np.testing.assert_array_equal(own, weights.inputs[: 6 * stride], "the last to exchange has what all have learned")


def test_rows_of_words() -> None:
    hot = first_words(6, 40)
    assert [_there_and_back(hot, word) for word in (0, 5, 6, 39)] == [(40, 0), (45, 5), (6, 6), (39, 39)]
    assert _there_and_back(no_cache(), 3) == (3, 3)


def test_room_for_copies() -> None:
    assert [total_cache_rows(1, 9), total_cache_rows(2, 9), total_cache_rows(3, 10**6)] == [
        0,
        36,
        6 * MAX_CACHED_ROWS,
    ]
