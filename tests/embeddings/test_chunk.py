"""Runs of text: every window is autograd's, and the kernels do what the plain loops do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.embeddings.windows import (
    DIMENSIONS,
    ROWS,
    SPARE,
    SPECIAL,
    Kind,
    Learned,
    assert_close,
    change,
    copy_of,
    differentiate,
    differentiate_softmax,
    random_weights,
)
from tests.references.word2vec import ContinuousBagOfWords, SkipGram

from rnnkit.embeddings import sampling, splitmix
from rnnkit.embeddings.chunk import (
    CBOW,
    CONTRASTIVE,
    LONGEST,
    NEGATIVE,
    SKIPGRAM,
    SOFTMAX,
    SUBWORD_SKIPGRAM,
    Method,
    learn_chunk,
    make_room,
)
from rnnkit.embeddings.composition import Composition, whole_words
from rnnkit.embeddings.hot_rows import HotRows, no_copies
from rnnkit.embeddings.weights import Weights, rows_of

KINDS = {"skipgram": SKIPGRAM, "cbow": CBOW, "subwords": SUBWORD_SKIPGRAM}
LOSSES = {"negative": NEGATIVE, "nce": CONTRASTIVE, "softmax": SOFTMAX}
NGRAMS = 9
COUNTS = np.array([0] * SPECIAL + list(range(1, ROWS - SPECIAL + 1)))
SEED, RATE = np.uint64(9), np.float32(0.0625)
NO_COPIES = no_copies()
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


class Text(NamedTuple):
    """What is learned from, with the number of words before it."""

    ids: NDArray[np.int32]
    segments: NDArray[np.int64]
    place: int = 0


def text_of(*segments: list[int]) -> Text:
    ends = np.cumsum([0, *map(len, segments)])
    return Text(np.array([word for segment in segments for word in segment], np.int32), ends)


def random_text(*lengths: int) -> Text:
    generator = np.random.default_rng(5)
    return text_of(*(generator.integers(SPECIAL, ROWS, length).tolist() for length in lengths))


def method_of(
    kind: int, loss: int = NEGATIVE, *, window: int = 3, dynamic: bool = True, negatives: int = 5,
    divided: bool = True, plain: bool = False,
) -> Method:  # fmt: skip
    return Method(kind, window, dynamic, negatives, loss, divided, plain)


def composition_of(kind: int, weighted: bool = False) -> Composition:
    """Of skip-gram whole words; of the others each word with none to three n-grams, which may repeat.

    Where they are weighted, each has a weight and a rate of its own.
    """
    if kind == SKIPGRAM:
        return whole_words()
    generator = np.random.default_rng(5)
    rows = [[word, *generator.integers(ROWS, ROWS + NGRAMS, word % 4)] for word in range(ROWS)]
    starts_V = np.cumsum([0, *map(len, rows)])
    least, most = (0.5, 2.0) if weighted else (1.0, 1.0)
    weights, rates = generator.uniform(least, most, (2, starts_V[-1])).astype(np.float32)
    return Composition(starts_V, np.concatenate(rows).astype(np.int32), weights, rates)


def learn(
    weights: Weights, dimension: int, text: Text, method: Method, *, sample: float = 0.0, hot: HotRows = NO_COPIES,
    weighted: bool = False,
) -> tuple[Learned, int]:  # fmt: skip
    """What a run of text adds to the weights, and the number of predictions."""
    after, composition = copy_of(weights), composition_of(method.kind, weighted)
    noise = sampling.make_noise(COUNTS, 0.75, method.negatives, method.loss == CONTRASTIVE)
    keep_V = sampling.keep_probabilities(COUNTS, sample)
    room = make_room(after, composition, method, SPARE)
    loss, predictions = learn_chunk(
        after, text.ids, text.segments, keep_V, noise, composition, method, RATE, SEED, text.place, room, SPARE, hot
    )  # fmt: skip
    return change(weights, after, dimension, loss), predictions


def tasks(ids: list[int], method: Method) -> Iterator[tuple[list[int], list[int], int]]:
    """Words whose rows learn together, the words that they predict, and the number of the first draw of noise."""
    for i, word in enumerate(ids):
        around = ids[max(0, i - method.window) : i] + ids[i + 1 : i + 1 + method.window]
        if method.kind == SUBWORD_SKIPGRAM:
            yield [word], around, i * 2 * method.window * method.negatives
        elif method.kind == SKIPGRAM and method.loss == SOFTMAX:
            yield from (([context], [word], 0) for context in around)
        else:
            shared = 2 if method.kind == CBOW else 1  # neighbours in the text have the same noise
            yield around, [word], i // shared * shared * method.negatives


def learn_with_autograd(weights: Weights, dimension: int, text: Text, method: Method) -> Learned:
    """One segment, with windows that are as wide as they may be and every word kept."""
    after, composition = copy_of(weights), composition_of(method.kind)
    inputs_RD, outputs_VD = (rows_of(flat, after.stride, dimension) for flat in after[:2])
    kind: Kind = SkipGram if method.kind == SKIPGRAM else ContinuousBagOfWords
    noise = sampling.make_noise(COUNTS, 0.75, method.negatives, method.loss == CONTRASTIVE)
    seed, loss = np.uint64(splitmix.bits(SEED, 2)), 0.0
    for words, targets, first in tasks(text.ids.tolist(), method):
        rows = members(composition, words)
        for number, target in enumerate(targets):
            at = text.place * draws_a_word(method) + first + number * method.negatives
            drawn = [int(sampling.draw_noise(noise, seed, at + draw)) for draw in range(method.negatives)]
            outputs = [target, *(word for word in drawn if word != target or method.loss == CONTRASTIVE)]
            if method.loss == SOFTMAX:
                learned = differentiate_softmax(kind, after, dimension, rows, target)
            else:
                learned = differentiate(kind, after, dimension, rows, outputs, noise.offsets_V[outputs].tolist())
            loss += learned.loss
            outputs_VD += RATE * learned.outputs_VD
            inputs_RD += RATE * learned.inputs_RD * (1 if method.divided else len(rows))
    return change(weights, after, dimension, loss)


def draws_a_word(method: Method) -> int:
    return method.negatives * (2 * method.window if method.kind == SUBWORD_SKIPGRAM else 1)


def members(composition: Composition, words: list[int]) -> list[int]:
    if not len(composition.starts_V):
        return words
    starts_V = composition.starts_V
    return [int(row) for word in words for row in composition.rows[starts_V[word] : starts_V[word + 1]]]


@pytest.mark.parametrize("place", [0, 1000])
@losses
@kinds
def test_every_window_learns_the_gradient(kind: int, loss: int, place: int) -> None:
    weights = random_weights(5, ROWS + NGRAMS)
    text, method = text_of([7, 30, 12, 39, 5, 18])._replace(place=place), method_of(kind, loss, window=2, dynamic=False)
    learned, predictions = learn(weights, 5, text, method)
    assert predictions == (6 if kind == CBOW else 18)
    assert_close(learned, learn_with_autograd(weights, 5, text, method), 1, tolerance=2e-6)


@pytest.mark.parametrize("plain", [False, True])
@losses
@pytest.mark.parametrize("kind", [CBOW, SUBWORD_SKIPGRAM])
def test_undivided_gradient_goes_whole_to_each_row_of_a_mean(kind: int, loss: int, plain: bool) -> None:
    weights, text = random_weights(5, ROWS + NGRAMS), text_of([7, 30, 12, 39, 5, 18])
    method = method_of(kind, loss, window=2, dynamic=False, divided=False, plain=plain)
    learned, _ = learn(weights, 5, text, method)
    assert_close(learned, learn_with_autograd(weights, 5, text, method), 1, tolerance=2e-6)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@losses
@kinds
def test_kernels_do_what_plain_loops_do(kind: int, loss: int, dimension: int) -> None:
    weights, text = random_weights(dimension, ROWS + NGRAMS), random_text(1, 0, 6, 93, 2, 1, 50)
    for negatives in (1, 5, 7, 20):
        for window in (1, 3):
            method = method_of(kind, loss, negatives=negatives, window=window)
            fast, predictions = learn(weights, dimension, text, method, sample=0.02, weighted=True)
            loops = method._replace(plain=True)
            plain, plain_predictions = learn(weights, dimension, text, loops, sample=0.02, weighted=True)
            assert predictions == plain_predictions
            assert_close(fast, plain, 1, tolerance=1e-4)


@pytest.mark.parametrize("plain", [False, True])
@kinds
def test_words_without_neighbours_predict_nothing(kind: int, plain: bool) -> None:
    weights, method = random_weights(5, ROWS + NGRAMS), method_of(kind, plain=plain)
    for text in (text_of(), text_of([]), text_of([7]), text_of([], [7], [], [8])):
        learned, predictions = learn(weights, 5, text, method)
        assert (learned.loss, predictions) == (0, 0)
        assert not learned.inputs_RD.any()
        assert not learned.outputs_VD.any()


@kinds
def test_windows_end_where_segments_do(kind: int) -> None:
    """Each of two words has the other beside it, and nothing else."""
    _, predictions = learn(random_weights(5, ROWS + NGRAMS), 5, text_of([7, 8], [9, 10], [11]), method_of(kind))
    assert predictions == 4


def test_windows_reach_over_words_that_are_not_counted() -> None:
    special = SPECIAL - 1
    weights, method = random_weights(5), method_of(SKIPGRAM, window=1)
    learned, predictions = learn(weights, 5, text_of([special, 7, special, special, 8]), method)
    assert predictions == 2
    assert np.flatnonzero(learned.inputs_RD.any(axis=1)).tolist() == [7, 8]


def test_longest_segment_fits() -> None:
    _, predictions = learn(random_weights(5), 5, random_text(LONGEST), method_of(SKIPGRAM, dynamic=False))
    assert predictions == 6 * LONGEST - 2 * (3 + 2 + 1)


def test_window_sizes_are_drawn_evenly() -> None:
    """From 1 to 3 words on each side, 2 on average."""
    _, predictions = learn(random_weights(5), 5, random_text(*[LONGEST] * 20), method_of(SKIPGRAM))
    assert predictions / (20 * LONGEST) == pytest.approx(4, abs=0.05)


@losses
@kinds
def test_one_seed_gives_the_same_bytes(kind: int, loss: int) -> None:
    weights, text = random_weights(5, ROWS + NGRAMS), random_text(93, 50)
    (first, _), (again, _) = (learn(weights, 5, text, method_of(kind, loss), sample=0.02) for _ in range(2))
    assert first.loss == again.loss
    assert first.inputs_RD.tobytes() == again.inputs_RD.tobytes()
    assert first.outputs_VD.tobytes() == again.outputs_VD.tobytes()


@kinds
def test_text_may_be_cut_between_segments(kind: int) -> None:
    """What is drawn depends on the place in the text, not on where a run of it begins."""
    weights, text, method = random_weights(5, ROWS + NGRAMS), random_text(40, 7, 50), method_of(kind)
    whole, predictions = learn(weights, 5, text, method, sample=0.02)
    first, first_predictions = learn(weights, 5, Text(text.ids[:47], text.segments[:3]), method, sample=0.02)
    middle = copy_of(weights)
    rows_of(middle.inputs, middle.stride, 5)[:] += first.inputs_RD.astype(np.float32)
    rows_of(middle.outputs, middle.stride, 5)[:] += first.outputs_VD.astype(np.float32)
    second, second_predictions = learn(middle, 5, Text(text.ids[47:], np.array([0, 50]), 47), method, sample=0.02)
    assert predictions == first_predictions + second_predictions
    both = (first.inputs_RD + second.inputs_RD, first.outputs_VD + second.outputs_VD)
    assert_close(Learned(first.loss + second.loss, *both), whole, 1)


@pytest.mark.parametrize("plain", [False, True])
@losses
@kinds
def test_row_that_is_no_number_shows_in_the_loss(kind: int, loss: int, plain: bool) -> None:
    weights = random_weights(5, ROWS + NGRAMS)
    weights.inputs.reshape(-1, weights.stride)[7, 2] = np.nan
    after, method, composition = copy_of(weights), method_of(kind, loss, plain=plain), composition_of(kind)
    noise, keep_V = sampling.make_noise(COUNTS, 0.75, 5, loss == CONTRASTIVE), sampling.keep_probabilities(COUNTS, 0)
    text, room = text_of([5, 7, 8]), make_room(after, composition, method, SPARE)
    found, _ = learn_chunk(
        after, text.ids, text.segments, keep_V, noise, composition, method, RATE, SEED, 0, room, SPARE, NO_COPIES
    )
    assert math.isnan(found)
