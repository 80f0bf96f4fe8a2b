"""Skip-gram: kernel and reference equal autograd's gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.kernels.word2vec_windows import (
    DIMENSIONS,
    PADDING_ROW,
    Learned,
    assert_close,
    change,
    copy_of,
    differentiate,
    make_buffers,
    random_weights,
    samples_of,
)
from tests.references.word2vec import SkipGram

from rnnkit.kernels import word2vec_reference, word2vec_updates
from rnnkit.kernels.negative_sampling import OutputSamples
from rnnkit.kernels.word2vec_updates import clear_log_sum, negative_log_sum
from rnnkit.kernels.word2vec_weights import EmbeddingWeights, WindowBuffers
from rnnkit.kernels.word_vector_simd import kernel

CONTEXTS = ([7], [9, 12], [30, 5, 17], [8, 6, 39, 20, 11])


@kernel
def _train_window(
    weights: EmbeddingWeights, contexts: Any, samples: OutputSamples, rate: np.float32, buffers: WindowBuffers
) -> float:
    clear_log_sum(buffers.log_sum)
    word2vec_updates.train_window(weights, contexts, samples, 0, rate, buffers)
    return negative_log_sum(buffers.log_sum)


def train(
    weights: EmbeddingWeights, dimension: int, contexts: list[int], samples: OutputSamples, rate: float
) -> Learned:
    after, buffers = copy_of(weights), make_buffers(weights, samples, len(contexts))
    loss = _train_window(after, np.array(contexts), samples, np.float32(rate), buffers)
    return change(weights, after, dimension, loss)


def train_reference(
    weights: EmbeddingWeights, dimension: int, contexts: list[int], samples: OutputSamples, rate: float
) -> Learned:
    after, buffers = copy_of(weights), make_buffers(weights, samples, len(contexts))
    loss = word2vec_reference.train_window(after, np.array(contexts), samples, 0, np.float32(rate), buffers)
    return change(weights, after, dimension, loss)


both = pytest.mark.parametrize("train", [train, train_reference])


@both
@pytest.mark.parametrize("offsets", [[], [0.5, -1.5, 2.0, 0.25, -3.0, 1.0]])
@pytest.mark.parametrize("contexts", CONTEXTS, ids=len)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_update_is_the_gradient(dimension: int, contexts: list[int], offsets: list[float], train: Any) -> None:
    weights, outputs, rate = random_weights(dimension), [7, 10, 39, 4, 25, 18], 0.0625
    learned = train(weights, dimension, contexts, samples_of(outputs, offsets=offsets), rate)
    assert_close(learned, differentiate(SkipGram, weights, dimension, contexts, outputs, offsets), rate)


@both
@pytest.mark.parametrize("negatives", [1, 6, 7, 20])
def test_noise_words_fill_several_tiles(negatives: int, train: Any) -> None:
    """The second tile uses updated input rows, so the update is the gradient only at a small learning rate."""
    weights, outputs, rate = random_weights(5), [*range(9, 9 + negatives + 1)], 2.0**-10
    learned = train(weights, 5, [30, 5, 17], samples_of(outputs), rate)
    assert_close(learned, differentiate(SkipGram, weights, 5, [30, 5, 17], outputs), rate, tolerance=0.02)


@both
def test_repeated_samples_count_repeatedly(train: Any) -> None:
    weights, rate = random_weights(5), 0.0625
    samples = samples_of([7, 10, PADDING_ROW, 39, PADDING_ROW, PADDING_ROW], counts=[2, 3, 0, 1, 0, 0])
    learned = train(weights, 5, [30, 17], samples, rate)
    assert_close(learned, differentiate(SkipGram, weights, 5, [30, 17], [7, 7, 10, 10, 10, 39]), rate)


@pytest.mark.parametrize("contexts", [[7, 7], [5, 9, 5], [11, 12, 11, 12, 11]], ids=len)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_repeated_context_words_are_updated_in_turn(dimension: int, contexts: list[int]) -> None:
    weights, samples = random_weights(dimension), samples_of([*range(6, 14)], counts=[2, 1, 0, 4, 1, 1, 3, 1])
    assert_close(
        train(weights, dimension, contexts, samples, 1), train_reference(weights, dimension, contexts, samples, 1), 1
    )
