"""Copies of frequent words' rows: a thread alone learns the same with them, and two threads add up."""

from __future__ import annotations

import numpy as np
import pytest
from tests.embeddings.windows import ROWS, SPARE, SPECIAL, copy_of, random_weights

from rnnkit.embeddings import sampling
from rnnkit.embeddings.chunk import CBOW, CONTRASTIVE, NEGATIVE, SKIPGRAM, Method, learn_chunk, make_room
from rnnkit.embeddings.compiled import kernel
from rnnkit.embeddings.composition import whole_words
from rnnkit.embeddings.hot_rows import MOST, HotRows, copies, exchange, own_row, shared_row, take
from rnnkit.embeddings.weights import Weights

COUNTS = np.array([0] * SPECIAL + list(range(ROWS - SPECIAL, 0, -1)))
SEED, RATE = np.uint64(9), np.float32(0.0625)


@kernel
def _take(weights: Weights, hot: HotRows) -> None:
    take(weights, hot)


@kernel
def _exchange(weights: Weights, hot: HotRows) -> None:
    exchange(weights, hot)


@kernel
def _there_and_back(hot: HotRows, word: int) -> tuple[int, int]:
    row = own_row(hot, word)
    return row, shared_row(hot, row)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("loss", [NEGATIVE, CONTRASTIVE], ids=["negative", "nce"])
@pytest.mark.parametrize("kind", [SKIPGRAM, CBOW], ids=["skipgram", "cbow"])
def test_one_thread_learns_the_same_with_copies(kind: int, loss: int, plain: bool) -> None:
    start, method = random_weights(7, ROWS + 24, ROWS + 24), Method(kind, 3, True, 7, loss, True, plain)
    ids = np.random.default_rng(5).integers(SPECIAL, ROWS, 4500).astype(np.int32)
    segments = np.array([*range(0, 4500, 900), 4500])
    noise, keep_V = sampling.make_noise(COUNTS, 0.75, 7, loss == CONTRASTIVE), sampling.keep_probabilities(COUNTS, 0)
    learned = []
    for hot in (HotRows(0, 0), HotRows(12, ROWS)):
        weights = copy_of(start)
        room = make_room(weights, whole_words(), method, SPARE)
        result = learn_chunk(
            weights, ids, segments, keep_V, noise, whole_words(), method, RATE, SEED, 0, room, SPARE, hot
        )
        learned.append((weights, result))
    (without, (loss_without, count)), (with_copies, (loss_with, same_count)) = learned
    assert count == same_count
    assert loss_with == pytest.approx(loss_without, rel=1e-4)
    size = ROWS * start.stride
    np.testing.assert_allclose(with_copies.inputs[:size], without.inputs[:size], atol=2e-3)
    np.testing.assert_allclose(with_copies.outputs[:size], without.outputs[:size], atol=2e-3)
    assert np.abs(without.inputs[:size] - start.inputs[:size]).max() > 0.1


def test_what_two_threads_learn_adds_up() -> None:
    weights = random_weights(3, 34, 34)
    first, second, stride = HotRows(6, 10), HotRows(6, 22), weights.stride
    weights = Weights(np.concatenate([weights.inputs, np.zeros(6 * stride, np.float32)]),
                      np.concatenate([weights.outputs, np.zeros(6 * stride, np.float32)]), stride)  # fmt: skip
    before = weights.inputs[: 6 * stride].copy()
    for hot, change in ((first, 0.5), (second, 0.25)):
        _take(weights, hot)
        weights.inputs[hot.first * stride : (hot.first + 6) * stride] += np.float32(change)
    _exchange(weights, first)
    _exchange(weights, second)
    np.testing.assert_allclose(weights.inputs[: 6 * stride], before + 0.75, atol=1e-6)
    own = weights.inputs[22 * stride : 28 * stride]
    np.testing.assert_array_equal(own, weights.inputs[: 6 * stride], "the last to exchange has what all have learned")


def test_rows_of_words() -> None:
    hot = HotRows(6, 40)
    assert [_there_and_back(hot, word) for word in (0, 5, 6, 39)] == [(40, 0), (45, 5), (6, 6), (39, 39)]
    assert _there_and_back(HotRows(0, 0), 3) == (3, 3)


def test_room_for_copies() -> None:
    assert [copies(1, 9), copies(2, 9), copies(3, 10**6)] == [0, 36, 6 * MOST]
