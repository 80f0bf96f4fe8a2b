"""Threads that learn slabs: nothing twice, nothing left out, and with one thread the same bytes every time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnkit.embeddings.chunk import CBOW, NEGATIVE, SKIPGRAM, SOFTMAX, SUBWORD_SKIPGRAM, Method
from rnnkit.embeddings.composition import Composition, whole_words, with_subwords
from rnnkit.embeddings.learner import Learner, Lesson
from rnnkit.embeddings.sampling import keep_probabilities, make_noise
from rnnkit.embeddings.subwords import Subwords
from rnnkit.embeddings.weights import make_weights
from rnnkit.text import special_tokens

FIRST = len(special_tokens.NAMES)
WORDS = 11
ROWS = FIRST + WORDS
SUBWORDS = Subwords(1, 2, 7)
LENGTHS = [7, 0, 1, 5, 3, 12, 0, 2, 9, 1, 1, 30, 4]
KINDS = {"skipgram": SKIPGRAM, "cbow": CBOW, "subwords": SUBWORD_SKIPGRAM}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)

SEGMENTS = np.cumsum([0, *LENGTHS])
IDS = np.random.default_rng(5).integers(FIRST, ROWS, int(SEGMENTS[-1])).astype(np.int32)


def make_learner(
    kind: int, threads: int, *, loss: int = NEGATIVE, sample: float = 0.1, dynamic: bool = True, seed: int = 1
) -> Learner:
    counts_V = np.bincount(IDS, minlength=ROWS)
    composition: Composition = whole_words()
    if kind == SUBWORD_SKIPGRAM:
        composition = with_subwords([f"w{number}".encode() for number in range(WORDS)], SUBWORDS)
    inputs = ROWS + (SUBWORDS.buckets if kind == SUBWORD_SKIPGRAM else 0)
    lesson = Lesson(
        make_weights(inputs, ROWS, 5, FIRST, seed=1),
        keep_probabilities(counts_V, sample),
        make_noise(counts_V, 0.75, 3, contrastive=False),
        composition,
        Method(kind, 3, dynamic, 3, loss, kind == CBOW, False),
        seed,
    )
    return Learner(lesson, threads)


def learn(learner: Learner, cuts: list[int], epochs: int = 2) -> tuple[bytes, float, int]:
    """Learn the text, cut before these segments; returns the bytes of the weights, the loss and the predictions."""
    losses, predictions = 0.0, 0
    for epoch in range(epochs):
        for first, last in pairwise([0, *cuts, len(LENGTHS)]):
            bounds = SEGMENTS[first : last + 1]
            ids = IDS[bounds[0] : bounds[-1]]
            loss, count = learner.learn(ids, bounds - bounds[0], int(bounds[0]), epoch, 0.25)
            losses, predictions = losses + loss, predictions + count
    weights = learner.lesson.weights
    return weights.inputs.tobytes() + weights.outputs.tobytes(), losses, predictions


def pairs(reach: int) -> int:
    """How many words stand around words, at most so far away."""
    return sum(min(reach, i) + min(reach, length - 1 - i) for length in LENGTHS for i in range(length))


@kinds
def test_one_thread_gives_the_same_bytes_however_the_text_is_cut(kind: int) -> None:
    learned, loss, predictions = learn(make_learner(kind, 1), [])
    for cuts in ([], [1], [5, 6], list(range(1, len(LENGTHS)))):
        again, same_loss, same_predictions = learn(make_learner(kind, 1), cuts)
        assert again == learned
        assert same_predictions == predictions
        assert same_loss == pytest.approx(loss)


@kinds
def test_another_seed_or_epoch_draws_otherwise(kind: int) -> None:
    learned, _, _ = learn(make_learner(kind, 1), [], epochs=1)
    assert learn(make_learner(kind, 1, seed=2), [], epochs=1)[0] != learned
    again = make_learner(kind, 1)
    again.learn(IDS, SEGMENTS, 0, 1, 0.25)
    assert again.lesson.weights.inputs.tobytes() + again.lesson.weights.outputs.tobytes() != learned


def test_a_seed_may_be_any_number() -> None:
    seeds = [0, 1 << 44, (1 << 44) + 1, 10**30]
    assert len({learn(make_learner(SKIPGRAM, 1, seed=seed), [], epochs=1)[0] for seed in seeds}) == 3
    assert seeds[0] % (1 << 44) == seeds[1] % (1 << 44), "44 bits of a seed count"


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@kinds
def test_threads_learn_everything_once(kind: int, threads: int) -> None:
    learner = make_learner(kind, threads, sample=0, dynamic=False)
    _, loss, predictions = learn(learner, [4, 9], epochs=1)
    expected = sum(length for length in LENGTHS if length > 1) if kind == CBOW else pairs(reach=3)
    assert predictions == expected
    assert 0 < loss / predictions < 4 * np.log(2) * 1.5, "about that of a coin for each of four outputs"


@kinds
def test_the_softmax_too(kind: int) -> None:
    learned, loss, predictions = learn(make_learner(kind, 1, loss=SOFTMAX), [3])
    assert learn(make_learner(kind, 1, loss=SOFTMAX), [5])[0] == learned
    assert loss / predictions == pytest.approx(np.log(WORDS), rel=0.2)


@kinds
def test_special_rows_say_nothing(kind: int) -> None:
    """They are where threads write what counts for nothing."""
    learned = []
    for spare in (0.0, 9.0):
        learner = make_learner(kind, 1)
        weights = learner.lesson.weights
        outputs_VD = weights.outputs.reshape(ROWS, -1)
        outputs_VD[:FIRST] = spare
        learn(learner, [])
        assert not weights.inputs.reshape(-1, weights.stride)[:FIRST].any()
        learned.append(weights.inputs.tobytes() + outputs_VD[FIRST:].tobytes())
    assert learned[0] == learned[1]


def empty() -> NDArray[np.int32]:
    return np.empty(0, np.int32)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_slab_without_words(threads: int) -> None:
    learner = make_learner(SKIPGRAM, threads)
    assert learner.learn(empty(), np.zeros(3, np.int64), 0, 0, 0.1) == (0, 0)
