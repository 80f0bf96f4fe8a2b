"""Windows of skip-gram: the kernel is autograd's gradient, and the plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
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
from tests.references.word2vec import SkipGram

from rnnkit.embeddings import reference, skipgram
from rnnkit.embeddings.compiled import kernel
from rnnkit.embeddings.logistic import TALLY, clear_tally, negative_log
from rnnkit.embeddings.sampling import LANES, TILE, Draws
from rnnkit.embeddings.weights import Weights

CONTEXTS = ([7], [9, 12], [30, 5, 17], [8, 6, 39, 20, 11])


@kernel
def _learn_window(weights: Weights, contexts: Any, draws: Draws, rate: np.float32, steps: Any, tally: Any) -> float:
    clear_tally(tally)
    skipgram.learn_window(weights, contexts, draws, 0, rate, steps, tally)
    return negative_log(tally)


def learn(weights: Weights, dimension: int, contexts: list[int], draws: Draws, rate: float) -> Learned:
    after, steps = copy_of(weights), np.empty(len(contexts) * draws.tiles * LANES, np.float32)
    loss = _learn_window(after, np.array(contexts), draws, np.float32(rate), steps, np.empty(TALLY, np.float32))
    return change(weights, after, dimension, loss)


def learn_plainly(weights: Weights, dimension: int, contexts: list[int], draws: Draws, rate: float) -> Learned:
    after, old = copy_of(weights), np.empty(TILE * weights.stride, np.float32)
    steps = np.empty(len(contexts) * draws.tiles * TILE, np.float32)
    loss = reference.learn_window(after, np.array(contexts), draws, 0, np.float32(rate), steps, old)
    return change(weights, after, dimension, loss)


@pytest.mark.parametrize("learn", [learn, learn_plainly])
@pytest.mark.parametrize("offsets", [[], [0.5, -1.5, 2.0, 0.25, -3.0, 1.0]])
@pytest.mark.parametrize("contexts", CONTEXTS, ids=len)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_window_learns_the_gradient(dimension: int, contexts: list[int], offsets: list[float], learn: Any) -> None:
    weights, outputs, rate = random_weights(dimension), [7, 10, 39, 4, 25, 18], 0.0625
    learned = learn(weights, dimension, contexts, place_outputs(outputs, offsets=offsets), rate)
    assert_close(learned, differentiate(SkipGram, weights, dimension, contexts, outputs, offsets), rate)


@pytest.mark.parametrize("learn", [learn, learn_plainly])
@pytest.mark.parametrize("negatives", [1, 6, 7, 20])
def test_noise_fills_tiles_one_after_the_other(negatives: int, learn: Any) -> None:
    """Input rows have moved when the second tile meets them: it is the gradient for a rate that is small."""
    weights, outputs, rate = random_weights(5), [*range(9, 9 + negatives + 1)], 2.0**-10
    learned = learn(weights, 5, [30, 5, 17], place_outputs(outputs), rate)
    assert_close(learned, differentiate(SkipGram, weights, 5, [30, 5, 17], outputs), rate, tolerance=0.02)


@pytest.mark.parametrize("learn", [learn, learn_plainly])
def test_word_drawn_again_counts_again(learn: Any) -> None:
    weights, rate = random_weights(5), 0.0625
    draws = place_outputs([7, 10, SPARE, 39, SPARE, SPARE], totals=[2, 3, 0, 1, 0, 0])
    learned = learn(weights, 5, [30, 17], draws, rate)
    assert_close(learned, differentiate(SkipGram, weights, 5, [30, 17], [7, 7, 10, 10, 10, 39]), rate)


@pytest.mark.parametrize("contexts", [[7, 7], [5, 9, 5], [11, 12, 11, 12, 11]], ids=len)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_context_words_that_repeat_learn_one_after_the_other(dimension: int, contexts: list[int]) -> None:
    weights, draws = random_weights(dimension), place_outputs([*range(6, 14)], totals=[2, 1, 0, 4, 1, 1, 3, 1])
    assert_close(
        learn(weights, dimension, contexts, draws, 1), learn_plainly(weights, dimension, contexts, draws, 1), 1
    )
