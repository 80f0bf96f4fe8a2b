"""From a run of text to windows: thin out frequent words, draw window sizes and noise, and learn each window.

A chunk is what one thread learns without a look at the others. Threads write to the same rows without locks, as
text touches most rows rarely: Recht et al. 2011, "Hogwild!" (arXiv:1106.5730). What is drawn depends on the seed and
the place in the text alone, so that one thread gives the same bytes every time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels import cbow, skip_gram, splitmix, word2vec_reference
from rnnkit.kernels.logistic_loss import LOG_SUM_FLOATS, clear_log_sum, negative_log_sum
from rnnkit.kernels.negative_sampling import (
    TILE,
    TILE_LANES,
    NoiseDistribution,
    OutputSamples,
    make_samples,
    sample_outputs,
    subsample,
)
from rnnkit.kernels.row_cache import RowCache, cached_row, fill_cache, shared_row, sync_cache
from rnnkit.kernels.word2vec_arrays import Composition, EmbeddingWeights, aligned_zeros
from rnnkit.kernels.word_vector_compiler import inlined, kernel
from rnnkit.kernels.word_vector_simd import prefetch

SKIP_GRAM, CBOW, SUBWORD_SKIP_GRAM = range(3)
NEGATIVE_SAMPLING, NCE, SOFTMAX = range(3)
MAX_SEGMENT_WORDS = 1000
"""Most words in a segment; longer lines are cut, as in word2vec.c, but nothing of them is lost."""

_CBOW_SHARED_NOISE = (
    2  # words in a row that CBOW holds against the same noise, as it spends most of its time waiting for rows
)
_PREFETCH_DISTANCE = 2  # windows between asking for rows and using them
_MAX_CONTEXTS = 10  # words around that learn from the same old rows: the sum of many more steps would go too far
_CACHE_LINE_FLOATS = 16  # of a cache line


class TrainingMethod(NamedTuple):
    """How windows are learned.

    Attributes:
        kind: SKIPGRAM, CBOW or SUBWORD_SKIPGRAM.
        window: Most words on each side.
        dynamic: Draw each window's size from 1 to `window`.
        negatives: Noise words for each word that was there.
        loss: NEGATIVE sampling, noise-CONTRASTIVE estimation, or the SOFTMAX over the whole vocabulary.
        divided: The rows of a mean share its gradient; else each gets all of it.
        plain: The plain loops of `reference.py` in place of the kernels; the softmax has nothing else.
    """

    kind: int
    window: int
    dynamic: bool
    negatives: int
    loss: int
    divided: bool
    plain: bool


class ThreadState(NamedTuple):
    """Arrays that a thread works in."""

    draws: OutputSamples
    kept: NDArray[np.int64]
    halves: NDArray[np.int64]
    contexts: NDArray[np.int64]
    members: NDArray[np.int64]
    parts: NDArray[np.float32]
    rates: NDArray[np.float32]
    steps: NDArray[np.float32]
    hidden: NDArray[np.float32]
    error: NDArray[np.float32]
    moved: NDArray[np.float32]
    old: NDArray[np.float32]
    tally: NDArray[np.float32]
    loss: NDArray[np.float64]
    since: NDArray[np.int64]


def make_thread_state(
    weights: EmbeddingWeights, composition: Composition, method: TrainingMethod, spare: int
) -> ThreadState:
    """Room for one thread.

    Args:
        weights: What learns.
        composition: What words are made of.
        method: How.
        spare: An output row that may be written but is never looked at.
    """
    draws = make_samples(MAX_SEGMENT_WORDS, method.negatives, spare)
    longest = int(np.diff(composition.starts_V).max(initial=1))
    scores = len(weights.outputs) // weights.stride if method.loss == SOFTMAX else 0
    return ThreadState(
        draws=draws,
        kept=aligned_zeros(MAX_SEGMENT_WORDS + 1, np.int64),
        halves=aligned_zeros(MAX_SEGMENT_WORDS, np.int64),
        contexts=aligned_zeros(2 * method.window, np.int64),
        members=aligned_zeros(2 * method.window * longest, np.int64),
        parts=aligned_zeros(2 * method.window * longest),
        rates=aligned_zeros(2 * method.window * longest),
        steps=aligned_zeros(max(scores, 2 * method.window * draws.tiles * TILE_LANES)),
        hidden=aligned_zeros(weights.stride),
        error=aligned_zeros(weights.stride),
        moved=aligned_zeros(weights.stride),
        old=aligned_zeros(TILE * weights.stride),
        tally=aligned_zeros(LOG_SUM_FLOATS),
        loss=aligned_zeros(1, np.float64),
        since=aligned_zeros(1, np.int64),
    )


@kernel
def fill_row_cache(weights: EmbeddingWeights, hot: RowCache) -> None:
    """Copy the shared rows of frequent words, which a thread must do before its first chunk."""
    fill_cache(weights, hot)


@kernel
def sync_row_cache(weights: EmbeddingWeights, hot: RowCache) -> None:
    """Add to the shared rows what a thread's last chunk has left in its copies."""
    sync_cache(weights, hot)


@kernel
def train_chunk(
    weights: EmbeddingWeights, ids: Any, segments: Any, keep_V: Any, noise: NoiseDistribution, composition: Composition,
    method: TrainingMethod, rate: np.float32, seed: np.uint64, place: int, room: ThreadState,
    spare: int, hot: RowCache,
) -> tuple[float, int]:  # fmt: skip
    """Learn a run of segments.

    Args:
        weights: What learns.
        ids: Words of the text.
        segments: Where each segment begins, and where the last one ends; none is longer than LONGEST.
        keep_V: Chance of each word to be kept.
        noise: Where noise words come from.
        composition: What words are made of.
        method: How.
        rate: Learning rate.
        seed: Of everything that is drawn.
        place: Words of the whole text before `ids`.
        room: The thread's own.
        spare: An output row that may be written but is never looked at.
        hot: The thread's copies of frequent words' rows.

    Returns:
        The loss summed over all predictions, in nats, and their number: pairs of words, or for CBOW words.
    """
    draws, predictions = room.draws, 0
    room.loss[0] = 0
    clear_log_sum(room.tally)
    keep_seed, half_seed, noise_seed = (
        splitmix.random_bits(seed, 0),
        splitmix.random_bits(seed, 1),
        splitmix.random_bits(seed, 2),
    )
    for segment in range(len(segments) - 1):
        start = place + segments[segment]
        count = _subsample_segment(ids, segments, segment, place, keep_V, keep_seed, half_seed, method, hot, room)
        text = room.kept[:count]
        if method.kind == SUBWORD_SKIP_GRAM:
            for i in range(count):
                around = room.contexts[: _collect_contexts(text, i, room.halves[i], room.contexts)]
                index = (start + i) * 2 * method.window * method.negatives
                _sample_windows(weights, around, draws, noise, method, noise_seed, index, spare, hot, 1, True)
                predictions += _train_average(
                    weights, text[i : i + 1], composition, draws, 0, len(around), keep_V, method, rate, room, hot
                )
        else:
            shared = _CBOW_SHARED_NOISE if method.kind == CBOW else 1
            index = start * method.negatives
            _sample_windows(weights, text, draws, noise, method, noise_seed, index, spare, hot, shared, False)
            for i in range(count):
                _prefetch_window(weights, text, draws, i + _PREFETCH_DISTANCE, method.window)
                around = room.contexts[: _collect_contexts(text, i, room.halves[i], room.contexts)]
                if method.kind == CBOW:
                    predictions += _train_average(
                        weights, around, composition, draws, i, 1, keep_V, method, rate, room, hot
                    )
                else:
                    predictions += _train_skip_gram(weights, around, draws, i, keep_V, method, rate, room)
        room.loss[0] += negative_log_sum(room.tally)
        clear_log_sum(room.tally)
        room.since[0] += count
        if room.since[0] >= hot.interval:
            sync_cache(weights, hot)
            room.since[0] = 0
    return room.loss[0], predictions


@inlined
def _subsample_segment(
    ids: Any, segments: Any, segment: int, place: int, keep_V: Any, keep_seed: np.uint64, half_seed: np.uint64,
    method: TrainingMethod, hot: RowCache, room: ThreadState,
) -> int:  # fmt: skip
    """Write the rows of a segment's words that are kept, and how far each looks to both sides; returns how many."""
    start = place + segments[segment]
    count = subsample(ids, segments[segment], segments[segment + 1], keep_V, keep_seed, place, room.kept)
    for i in range(count):
        size = splitmix.bounded_integer(splitmix.random_bits(half_seed, start + i), method.window) + 1
        room.halves[i] = size if method.dynamic else method.window
        room.kept[i] = cached_row(hot, room.kept[i])
    return count


@inlined
def _sample_windows(
    weights: EmbeddingWeights, targets: Any, draws: OutputSamples, noise: NoiseDistribution, method: TrainingMethod,
    seed: np.uint64, index: int, spare: int,
    hot: RowCache, shared: int, fetch: bool,
) -> None:  # fmt: skip
    """Draw the output rows for each of the targets, the noise once for `shared` of them, and perhaps ask for them."""
    for i in range(len(targets)):
        at = index + i // shared * shared * method.negatives
        sample_outputs(draws, i, targets[i], method.negatives, noise, method.loss == NCE, seed, at, spare, hot)
        if fetch:
            _prefetch_outputs(weights, draws, i)


@inlined
def _train_skip_gram(
    weights: EmbeddingWeights,
    around: Any,
    draws: OutputSamples,
    window: int,
    keep_V: Any,
    method: TrainingMethod,
    rate: np.float32,
    room: ThreadState,
) -> int:
    """Each word around against the one in the middle; returns the number of predictions."""
    if len(around) == 0:
        return 0
    if method.loss == SOFTMAX:
        parts, rates = room.parts[:1], room.rates[:1]
        parts[0] = rates[0] = 1
        for c in range(len(around)):
            word2vec_reference.average_inputs(weights, around[c : c + 1], parts, room.hidden, room.error, room.moved)
            target = draws.rows[window * draws.tiles * TILE]
            room.loss[0] += word2vec_reference.update_softmax(
                weights, room.hidden, room.error, target, keep_V, rate, room.steps
            )
            word2vec_reference.update_inputs(weights, around[c : c + 1], rates, room.error)
    else:
        for first in range(0, len(around), _MAX_CONTEXTS):
            some = around[first : first + _MAX_CONTEXTS]
            if method.plain:
                room.loss[0] += word2vec_reference.train_window(
                    weights, some, draws, window, rate, room.steps, room.old
                )
            else:
                skip_gram.train_window(weights, some, draws, window, rate, room.steps, room.tally)
    return len(around)


@inlined
def _train_average(
    weights: EmbeddingWeights, words: Any, composition: Composition, draws: OutputSamples, first: int, count: int,
    keep_V: Any, method: TrainingMethod, rate: np.float32, room: ThreadState, hot: RowCache,
) -> int:  # fmt: skip
    """The mean of some words' rows against `count` sets of output rows; returns the number of predictions."""
    if len(words) == 0 or count == 0:
        return 0
    members = _collect_members(composition, words, room, hot)
    rows, parts, rates = room.members[:members], room.parts[:members], room.rates[:members]
    mean = _mean_product(parts, rates)
    plain = method.plain or method.loss == SOFTMAX
    if plain:
        word2vec_reference.average_inputs(weights, rows, parts, room.hidden, room.error, room.moved)
    else:
        cbow.average_inputs(weights, rows, parts, room.hidden, room.error, room.moved)
    share = np.float32(1) / np.float32(len(rows)) if method.divided else np.float32(1)
    for window in range(first, first + count):
        if method.loss == SOFTMAX:
            target = draws.rows[window * draws.tiles * TILE]
            room.loss[0] += word2vec_reference.update_softmax(
                weights, room.hidden, room.error, target, keep_V, rate, room.steps
            )
        elif plain:
            room.loss[0] += word2vec_reference.update_outputs(weights, room.hidden, room.error, draws, window, rate)
        else:
            cbow.update_outputs(weights, room.hidden, room.error, draws, window, rate, room.steps, room.tally)
        if plain:
            word2vec_reference.update_hidden(room.hidden, room.error, room.moved, share, mean)
        else:
            cbow.update_hidden(room.hidden, room.error, room.moved, share, mean)
    if plain:
        word2vec_reference.update_inputs(weights, rows, rates, room.moved)
    else:
        cbow.update_inputs(weights, rows, rates, room.moved)
    return count


@inlined
def _collect_contexts(text: Any, middle: int, half: int, contexts: Any) -> int:
    """Write the words around one, at most `half` on each side; returns how many."""
    count = 0
    for place in range(max(0, middle - half), min(len(text), middle + half + 1)):
        if place != middle:
            contexts[count] = text[place]
            count += 1
    return count


@inlined
def _collect_members(composition: Composition, words: Any, room: ThreadState, hot: RowCache) -> int:
    """Write the input rows that the words are made of, word by word, their parts and rates; returns how many."""
    count = 0
    for word in words:
        if len(composition.starts_V) == 0:
            room.members[count], room.parts[count], room.rates[count] = word, 1, 1
            count += 1
            continue
        own = shared_row(hot, word)
        for place in range(composition.starts_V[own], composition.starts_V[own + 1]):
            room.members[count] = composition.rows[place]
            room.parts[count], room.rates[count] = composition.parts[place], composition.rates[place]
            count += 1
    return count


@inlined
def _mean_product(a: Any, b: Any) -> np.float32:
    total = np.float32(0)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total / np.float32(len(a))


@inlined
def _prefetch_window(weights: EmbeddingWeights, text: Any, draws: OutputSamples, window: int, reach: int) -> None:
    """Ask for the output rows of a window to come, and for the one input row that it sees first."""
    if window < len(text):
        _prefetch_outputs(weights, draws, window)
    if window + reach < len(text):
        for d in range(0, weights.stride, _CACHE_LINE_FLOATS):
            prefetch(weights.inputs, text[window + reach] * weights.stride + d)


@inlined
def _prefetch_outputs(weights: EmbeddingWeights, draws: OutputSamples, window: int) -> None:
    """Ask for the output rows of a window."""
    for place in range(window * draws.tiles * TILE, (window + 1) * draws.tiles * TILE):
        for d in range(0, weights.stride, _CACHE_LINE_FLOATS):
            prefetch(weights.outputs, draws.rows[place] * weights.stride + d)
