"""Chunks of text: every window equals autograd's, and the kernels equal the reference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.kernels.word2vec_windows import (
    DIMENSIONS,
    PADDING_ROW,
    ROWS,
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

from rnnkit.embeddings.embedding_model import whole_word_composition
from rnnkit.kernels import negative_sampling
from rnnkit.kernels.word2vec_chunk import (
    CBOW,
    MAX_SEGMENT_WORDS,
    NCE,
    NEGATIVE_SAMPLING,
    SKIP_GRAM,
    SOFTMAX,
    SUBWORD_SKIP_GRAM,
    TextChunk,
    TrainingMethod,
    TrainingSetup,
    make_thread_state,
    train_chunk,
)
from rnnkit.kernels.word2vec_weights import Composition, EmbeddingWeights, RowCache, no_cache, unpadded_rows

KINDS = {"skipgram": SKIP_GRAM, "cbow": CBOW, "subwords": SUBWORD_SKIP_GRAM}
LOSSES = {"negative": NEGATIVE_SAMPLING, "nce": NCE, "softmax": SOFTMAX}
NGRAMS = 9
COUNTS = np.array([0] * SPECIAL + list(range(1, ROWS - SPECIAL + 1)))
SEED, RATE = np.uint64(9), np.float32(0.0625)
NO_CACHE = no_cache()
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


class Text(NamedTuple):
    """A text, with its position."""

    ids: NDArray[np.int32]
    segments: NDArray[np.int64]
    position: int = 0


def text_of(*segments: list[int]) -> Text:
    ends = np.cumsum([0, *map(len, segments)])
    return Text(np.array([word for segment in segments for word in segment], np.int32), ends)


def random_text(*lengths: int) -> Text:
    generator = np.random.default_rng(5)
    return text_of(*(generator.integers(SPECIAL, ROWS, length).tolist() for length in lengths))


def method_of(
    kind: int, loss: int = NEGATIVE_SAMPLING, *, window: int = 3, dynamic: bool = True, negatives: int = 5,
    divided: bool = True, reference: bool = False,
) -> TrainingMethod:  # fmt: skip
    return TrainingMethod(kind, window, dynamic, negatives, loss, divided, reference)


def composition_of(kind: int, weighted: bool = False) -> Composition:
    """Whole words for skip-gram; otherwise each word has up to three n-grams, which may repeat.

    If `weighted`, each row has its own weight and rate factor.
    """
    if kind == SKIP_GRAM:
        return whole_word_composition()
    generator = np.random.default_rng(5)
    rows = [[word, *generator.integers(ROWS, ROWS + NGRAMS, word % 4)] for word in range(ROWS)]
    starts_V = np.cumsum([0, *map(len, rows)])
    least, most = (0.5, 2.0) if weighted else (1.0, 1.0)
    weights, rates = generator.uniform(least, most, (2, starts_V[-1])).astype(np.float32)
    return Composition(starts_V, np.concatenate(rows).astype(np.int32), weights, rates)


def train(
    weights: EmbeddingWeights, dimension: int, text: Text, method: TrainingMethod, *,
    sample: float = 0.0, cache: RowCache = NO_CACHE, weighted: bool = False,
) -> tuple[Learned, int]:  # fmt: skip
    """The update of the weights by a text, and the number of predictions."""
    setup = setup_of(copy_of(weights), method, sample, weighted)
    loss, predictions = train_chunk(setup, chunk_of(text), make_thread_state(setup, cache, PADDING_ROW))
    return change(weights, setup.weights, dimension, loss), predictions


def setup_of(
    weights: EmbeddingWeights, method: TrainingMethod, sample: float = 0.0, weighted: bool = False
) -> TrainingSetup:
    noise = negative_sampling.make_noise_distribution(COUNTS, 0.75, method.negatives, method.loss == NCE)
    keep_V = negative_sampling.keep_probabilities(COUNTS, sample)
    return TrainingSetup(weights, composition_of(method.kind, weighted), keep_V, noise, method)


def chunk_of(text: Text) -> TextChunk:
    return TextChunk(text.ids, text.segments, text.position, SEED, RATE)


def tasks(ids: list[int], method: TrainingMethod) -> Iterator[tuple[list[int], list[int], int]]:
    """Words averaged in one hidden row, the words they predict, and the index of the first noise sample."""
    for i, word in enumerate(ids):
        around = ids[max(0, i - method.window) : i] + ids[i + 1 : i + 1 + method.window]
        if method.kind == SUBWORD_SKIP_GRAM:
            yield [word], around, i * 2 * method.window * method.negatives
        elif method.kind == SKIP_GRAM and method.loss == SOFTMAX:
            yield from (([context], [word], 0) for context in around)
        else:
            shared = 2 if method.kind == CBOW else 1  # adjacent words share noise words
            yield around, [word], i // shared * shared * method.negatives


def train_with_autograd(weights: EmbeddingWeights, dimension: int, text: Text, method: TrainingMethod) -> Learned:
    """Train one segment without subsampling and with windows of full size."""
    after, composition = copy_of(weights), composition_of(method.kind)
    inputs_RD, outputs_VD = (unpadded_rows(flat, after.stride, dimension) for flat in after[:2])
    kind: Kind = SkipGram if method.kind == SKIP_GRAM else ContinuousBagOfWords
    noise = negative_sampling.make_noise_distribution(COUNTS, 0.75, method.negatives, method.loss == NCE)
    seed, loss = np.uint64(negative_sampling.random_bits(SEED, 2)), 0.0
    for words, targets, first in tasks(text.ids.tolist(), method):
        rows = members(composition, words)
        for number, target in enumerate(targets):
            at = text.position * draws_a_word(method) + first + number * method.negatives
            drawn = [int(negative_sampling.sample_noise(noise, seed, at + draw)) for draw in range(method.negatives)]
            outputs = [target, *(word for word in drawn if word != target or method.loss == NCE)]
            if method.loss == SOFTMAX:
                learned = differentiate_softmax(kind, after, dimension, rows, target)
            else:
                learned = differentiate(kind, after, dimension, rows, outputs, noise.logit_offsets_V[outputs].tolist())
            loss += learned.loss
            outputs_VD += RATE * learned.outputs_VD
            inputs_RD += RATE * learned.inputs_RD * (1 if method.divide_gradient else len(rows))
    return change(weights, after, dimension, loss)


def draws_a_word(method: TrainingMethod) -> int:
    return method.negatives * (2 * method.window if method.kind == SUBWORD_SKIP_GRAM else 1)


def members(composition: Composition, words: list[int]) -> list[int]:
    if not len(composition.starts_V):
        return words
    starts_V = composition.starts_V
    return [int(row) for word in words for row in composition.rows[starts_V[word] : starts_V[word + 1]]]


@pytest.mark.parametrize("position", [0, 1000])
@losses
@kinds
def test_every_window_equals_autograd(kind: int, loss: int, position: int) -> None:
    weights = random_weights(5, ROWS + NGRAMS)
    text, method = (
        text_of([7, 30, 12, 39, 5, 18])._replace(position=position),
        method_of(kind, loss, window=2, dynamic=False),
    )
    learned, predictions = train(weights, 5, text, method)
    assert predictions == (6 if kind == CBOW else 18)
    assert_close(learned, train_with_autograd(weights, 5, text, method), 1, tolerance=2e-6)


@pytest.mark.parametrize("reference", [False, True])
@losses
@pytest.mark.parametrize("kind", [CBOW, SUBWORD_SKIP_GRAM])
def test_undivided_gradient_goes_to_each_row(kind: int, loss: int, reference: bool) -> None:
    weights, text = random_weights(5, ROWS + NGRAMS), text_of([7, 30, 12, 39, 5, 18])
    method = method_of(kind, loss, window=2, dynamic=False, divided=False, reference=reference)
    learned, _ = train(weights, 5, text, method)
    assert_close(learned, train_with_autograd(weights, 5, text, method), 1, tolerance=2e-6)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@losses
@kinds
def test_kernels_equal_the_reference(kind: int, loss: int, dimension: int) -> None:
    weights, text = random_weights(dimension, ROWS + NGRAMS), random_text(1, 0, 6, 93, 2, 1, 50)
    for negatives in (1, 5, 7, 20):
        for window in (1, 3):
            method = method_of(kind, loss, negatives=negatives, window=window)
            fast, predictions = train(weights, dimension, text, method, sample=0.02, weighted=True)
            plain = method._replace(reference=True)
            expected, count = train(weights, dimension, text, plain, sample=0.02, weighted=True)
            assert predictions == count
            assert_close(fast, expected, 1, tolerance=1e-4)


@pytest.mark.parametrize("reference", [False, True])
@kinds
def test_isolated_words_predict_nothing(kind: int, reference: bool) -> None:
    weights, method = random_weights(5, ROWS + NGRAMS), method_of(kind, reference=reference)
    for text in (text_of(), text_of([]), text_of([7]), text_of([], [7], [], [8])):
        learned, predictions = train(weights, 5, text, method)
        assert (learned.loss, predictions) == (0, 0)
        assert not learned.inputs_RD.any()
        assert not learned.outputs_VD.any()


@kinds
def test_windows_end_where_segments_do(kind: int) -> None:
    """In a segment of two words, each has only the other as context."""
    _, predictions = train(random_weights(5, ROWS + NGRAMS), 5, text_of([7, 8], [9, 10], [11]), method_of(kind))
    assert predictions == 4


def test_windows_extend_over_special_symbols() -> None:
    special = SPECIAL - 1
    weights, method = random_weights(5), method_of(SKIP_GRAM, window=1)
    learned, predictions = train(weights, 5, text_of([special, 7, special, special, 8]), method)
    assert predictions == 2
    assert np.flatnonzero(learned.inputs_RD.any(axis=1)).tolist() == [7, 8]


def test_longest_segment_fits() -> None:
    _, predictions = train(random_weights(5), 5, random_text(MAX_SEGMENT_WORDS), method_of(SKIP_GRAM, dynamic=False))
    assert predictions == 6 * MAX_SEGMENT_WORDS - 2 * (3 + 2 + 1)


def test_window_sizes_are_drawn_evenly() -> None:
    """From 1 to 3 words on each side, 2 on average."""
    _, predictions = train(random_weights(5), 5, random_text(*[MAX_SEGMENT_WORDS] * 20), method_of(SKIP_GRAM))
    assert predictions / (20 * MAX_SEGMENT_WORDS) == pytest.approx(4, abs=0.05)


@losses
@kinds
def test_one_seed_gives_the_same_bytes(kind: int, loss: int) -> None:
    weights, text = random_weights(5, ROWS + NGRAMS), random_text(93, 50)
    (first, _), (again, _) = (train(weights, 5, text, method_of(kind, loss), sample=0.02) for _ in range(2))
    assert first.loss == again.loss
    assert first.inputs_RD.tobytes() == again.inputs_RD.tobytes()
    assert first.outputs_VD.tobytes() == again.outputs_VD.tobytes()


@kinds
def test_text_may_be_split_between_segments(kind: int) -> None:
    """Random numbers depend on the position in the text, not on the chunk."""
    weights, text, method = random_weights(5, ROWS + NGRAMS), random_text(40, 7, 50), method_of(kind)
    whole, predictions = train(weights, 5, text, method, sample=0.02)
    first, first_predictions = train(weights, 5, Text(text.ids[:47], text.segments[:3]), method, sample=0.02)
    middle = copy_of(weights)
    unpadded_rows(middle.inputs, middle.stride, 5)[:] += first.inputs_RD.astype(np.float32)
    unpadded_rows(middle.outputs, middle.stride, 5)[:] += first.outputs_VD.astype(np.float32)
    second, second_predictions = train(middle, 5, Text(text.ids[47:], np.array([0, 50]), 47), method, sample=0.02)
    assert predictions == first_predictions + second_predictions
    both = (first.inputs_RD + second.inputs_RD, first.outputs_VD + second.outputs_VD)
    assert_close(Learned(first.loss + second.loss, *both), whole, 1)


@pytest.mark.parametrize("reference", [False, True])
@losses
@kinds
def test_nan_in_a_row_shows_in_the_loss(kind: int, loss: int, reference: bool) -> None:
    weights = random_weights(5, ROWS + NGRAMS)
    weights.inputs.reshape(-1, weights.stride)[7, 2] = np.nan
    setup = setup_of(copy_of(weights), method_of(kind, loss, reference=reference))
    state = make_thread_state(setup, NO_CACHE, PADDING_ROW)
    found, _ = train_chunk(setup, chunk_of(text_of([5, 7, 8])), state)
    assert math.isnan(found)
