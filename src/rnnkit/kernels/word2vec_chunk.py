"""Training of word vectors on one chunk of text: subsampling, windows, noise words, and the update of each window.

A chunk is what one thread trains on without synchronization. Threads write to the same rows without locks, because
text touches most rows rarely: Recht et al. 2011, "Hogwild!" (arXiv:1106.5730). Random numbers depend on the seed and
the position in the text only, so a single thread produces the same bytes every time; several threads do not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels import word2vec_reference, word2vec_updates
from rnnkit.kernels.compiler import Float32Array, Int64Array
from rnnkit.kernels.negative_sampling import (
    TILE,
    TILE_LANES,
    NoiseDistribution,
    OutputSamples,
    bounded_integer,
    make_samples,
    random_bits,
    sample_outputs,
    skip_ahead,
    subsample,
)
from rnnkit.kernels.word2vec_updates import LOG_SUM_FLOATS, clear_log_sum, negative_log_sum
from rnnkit.kernels.word2vec_weights import (
    Composition,
    EmbeddingWeights,
    HiddenRow,
    RowCache,
    WindowBuffers,
    aligned_zeros,
    cached_row,
    shared_row,
    sync_cache,
)
from rnnkit.kernels.word_vector_simd import inlined, kernel, prefetch

SKIP_GRAM, CBOW, SUBWORD_SKIP_GRAM = range(3)
NEGATIVE_SAMPLING, NCE, SOFTMAX = range(3)

MAX_SEGMENT_WORDS = 1000
"""Longest segment. Longer lines are split as in word2vec.c, but no word is dropped."""

_CBOW_SHARED_NOISE = 2
"""Adjacent words that share noise words in CBOW, which spends most of its time waiting for rows from memory."""

_PREFETCH_DISTANCE = 2
"""Windows between the prefetch of rows and their use."""

_MAX_CONTEXTS = 10
"""Context words updated from the same old output rows: the sum of many more steps would overshoot."""

_CACHE_LINE_FLOATS = 16


class TrainingMethod(NamedTuple):
    """How windows are trained.

    Attributes:
        kind: SKIP_GRAM, CBOW or SUBWORD_SKIP_GRAM.
        window: Maximum context words on each side.
        dynamic_window: Draw each window's size uniformly from 1 to `window`.
        negatives: Noise words per target.
        loss: NEGATIVE_SAMPLING, NCE (noise-contrastive estimation), or SOFTMAX over the whole vocabulary.
        divide_gradient: Divide the gradient of a mean among its rows; otherwise each row receives all of it.
        reference: Use the plain loops of `word2vec_reference.py`; the softmax always does.
    """

    kind: int
    window: int
    dynamic_window: bool
    negatives: int
    loss: int
    divide_gradient: bool
    reference: bool


class TrainingSetup(NamedTuple):
    """What stays the same for all chunks of a thread.

    Attributes:
        weights: Updated in place.
        composition: Input rows of each word, cached ones included.
        keep_V: Probability that subsampling keeps each word; 0 for ids that are not words.
        noise: Distribution of noise words.
        method: How windows are trained.
    """

    weights: EmbeddingWeights
    composition: Composition
    keep_V: NDArray[np.float32]
    noise: NoiseDistribution
    method: TrainingMethod


class TextChunk(NamedTuple):
    """A run of segments.

    Attributes:
        ids: Vocabulary ids of its words.
        segments: Start of each segment in `ids`, and the end of the last one; none is longer than MAX_SEGMENT_WORDS.
        position: Position of `ids[0]` in the whole text.
        seed: Of all random numbers.
        learning_rate: Of the whole chunk.
    """

    ids: NDArray[np.int32]
    segments: NDArray[np.int64]
    position: int
    seed: np.uint64
    learning_rate: np.float32


class ThreadState(NamedTuple):
    """The buffers of one thread, and what it carries from chunk to chunk.

    Attributes:
        cache: Its row cache.
        samples: Output rows of the windows of a segment.
        words: Int64Array of the segment's words after subsampling.
        window_sizes: Context words on each side of each of them.
        contexts: Int64Array of the context words of one window.
        members: Input rows of which a mean is composed, with `mean_weights` and `rate_factors`.
        hidden: The hidden row.
        buffers: Scratch of one window.
        loss: The loss of the chunk.
        words_since_sync: Words since the last synchronization of the row cache.
    """

    cache: RowCache
    samples: OutputSamples
    words: NDArray[np.int64]
    window_sizes: NDArray[np.int64]
    contexts: NDArray[np.int64]
    members: NDArray[np.int64]
    mean_weights: NDArray[np.float32]
    rate_factors: NDArray[np.float32]
    hidden: HiddenRow
    buffers: WindowBuffers
    loss: NDArray[np.float64]
    words_since_sync: NDArray[np.int64]


def make_thread_state(setup: TrainingSetup, cache: RowCache, padding_row: int) -> ThreadState:
    """Allocate the buffers of one thread.

    Args:
        setup: What the thread trains, and how.
        cache: Its row cache.
        padding_row: An output row that may be written but is never read.
    """
    weights, method = setup.weights, setup.method
    samples = make_samples(MAX_SEGMENT_WORDS, method.negatives, padding_row)
    max_rows = int(np.diff(setup.composition.starts_V).max(initial=1))
    max_contexts, stride = 2 * method.window, weights.stride
    logits = len(weights.outputs) // stride if method.loss == SOFTMAX else 0
    return ThreadState(
        cache=cache,
        samples=samples,
        words=aligned_zeros(MAX_SEGMENT_WORDS + 1, np.int64),
        window_sizes=aligned_zeros(MAX_SEGMENT_WORDS, np.int64),
        contexts=aligned_zeros(max_contexts, np.int64),
        members=aligned_zeros(max_contexts * max_rows, np.int64),
        mean_weights=aligned_zeros(max_contexts * max_rows),
        rate_factors=aligned_zeros(max_contexts * max_rows),
        hidden=HiddenRow(aligned_zeros(stride), aligned_zeros(stride), aligned_zeros(stride)),
        buffers=WindowBuffers(
            gradients=aligned_zeros(max(logits, max_contexts * samples.tiles * TILE_LANES)),
            log_sum=aligned_zeros(LOG_SUM_FLOATS),
            old_outputs=aligned_zeros(TILE * stride),
        ),
        loss=aligned_zeros(1, np.float64),
        words_since_sync=aligned_zeros(1, np.int64),
    )


@kernel
def train_chunk(setup: TrainingSetup, chunk: TextChunk, state: ThreadState) -> tuple[float, int]:
    """Train on a chunk.

    Returns:
        The loss summed over all predictions, in nats, and their number: pairs of words, or words for CBOW.
    """
    log_sum, predictions = state.buffers.log_sum, 0
    state.loss[0] = 0
    clear_log_sum(log_sum)
    for segment in range(len(chunk.segments) - 1):
        count = _subsample_segment(setup, chunk, state, segment)
        position = chunk.position + chunk.segments[segment]
        if setup.method.kind == SUBWORD_SKIP_GRAM:
            predictions += _train_subword_segment(setup, chunk, state, count, position)
        else:
            predictions += _train_segment(setup, chunk, state, count, position)
        state.loss[0] += negative_log_sum(log_sum)
        clear_log_sum(log_sum)
        state.words_since_sync[0] += count
        if state.words_since_sync[0] >= state.cache.sync_interval:
            sync_cache(setup.weights, state.cache)
            state.words_since_sync[0] = 0
    return state.loss[0], predictions


@inlined
def _subsample_segment(setup: TrainingSetup, chunk: TextChunk, state: ThreadState, segment: int) -> int:
    """Write the rows and window sizes of the words that subsampling keeps; returns their number."""
    first, last = chunk.segments[segment], chunk.segments[segment + 1]
    position = chunk.position + first
    keep_seed, window_seed = random_bits(chunk.seed, 0), random_bits(chunk.seed, 1)
    count = subsample(chunk.ids[first:last], setup.keep_V, keep_seed, position, state.words)
    for i in range(count):
        size = bounded_integer(random_bits(window_seed, position + i), setup.method.window) + 1
        state.window_sizes[i] = size if setup.method.dynamic_window else setup.method.window
        state.words[i] = cached_row(state.cache, state.words[i])
    return count


@inlined
def _train_segment(setup: TrainingSetup, chunk: TextChunk, state: ThreadState, count: int, position: int) -> int:
    """Train skip-gram of whole words, or CBOW, on the `count` words of a segment."""
    method, words, predictions = setup.method, state.words[:count], 0
    noise_seed = random_bits(chunk.seed, 2)
    shared = _CBOW_SHARED_NOISE if method.kind == CBOW else 1
    for i in range(count):
        seed = skip_ahead(noise_seed, (position + i // shared * shared) * method.negatives)
        sample_outputs(state.samples, i, words[i], setup.noise, seed, state.cache)
    for i in range(count):
        _prefetch_window(setup, state.samples, words, i + _PREFETCH_DISTANCE)
        contexts = state.contexts[: _collect_contexts(words, i, state.window_sizes[i], state.contexts)]
        if method.kind == CBOW:
            predictions += _train_average(setup, state, contexts, i, 1, chunk.learning_rate)
        else:
            predictions += _train_pairs(setup, state, contexts, i, chunk.learning_rate)
    return predictions


@inlined
def _train_subword_segment(
    setup: TrainingSetup, chunk: TextChunk, state: ThreadState, count: int, position: int
) -> int:
    """Train skip-gram with n-grams on the `count` words of a segment."""
    method, words, predictions = setup.method, state.words[:count], 0
    noise_seed = random_bits(chunk.seed, 2)
    for i in range(count):
        contexts = state.contexts[: _collect_contexts(words, i, state.window_sizes[i], state.contexts)]
        first = (position + i) * 2 * method.window * method.negatives
        for c in range(len(contexts)):
            seed = skip_ahead(noise_seed, first + c * method.negatives)
            sample_outputs(state.samples, c, contexts[c], setup.noise, seed, state.cache)
            _prefetch_outputs(setup.weights, state.samples, c)
        predictions += _train_average(setup, state, words[i : i + 1], 0, len(contexts), chunk.learning_rate)
    return predictions


@inlined
def _train_pairs(
    setup: TrainingSetup, state: ThreadState, contexts: Int64Array, window: int, learning_rate: np.float32
) -> int:
    """Train each context word to predict the center word; returns the number of predictions."""
    weights, samples, buffers = setup.weights, state.samples, state.buffers
    if len(contexts) == 0:
        return 0
    if setup.method.loss == SOFTMAX:
        target = samples.rows[window * samples.tiles * TILE]
        mean_weights, rate_factors = state.mean_weights[:1], state.rate_factors[:1]
        mean_weights[0] = rate_factors[0] = 1
        for c in range(len(contexts)):
            word = contexts[c : c + 1]
            word2vec_reference.average_inputs(weights, word, mean_weights, state.hidden)
            state.loss[0] += word2vec_reference.update_softmax(
                weights, state.hidden, target, setup.keep_V, learning_rate, buffers.gradients
            )
            word2vec_reference.update_inputs(weights, word, rate_factors, state.hidden.step)
    else:
        for first in range(0, len(contexts), _MAX_CONTEXTS):
            group = contexts[first : first + _MAX_CONTEXTS]
            if setup.method.reference:
                state.loss[0] += word2vec_reference.train_window(
                    weights, group, samples, window, learning_rate, buffers
                )
            else:
                word2vec_updates.train_window(weights, group, samples, window, learning_rate, buffers)
    return len(contexts)


@inlined
def _train_average(
    setup: TrainingSetup, state: ThreadState, words: Int64Array, first: int, count: int, learning_rate: np.float32
) -> int:
    """Train the mean of the words' rows on `count` sets of output rows from set `first`; returns `count`."""
    if len(words) == 0 or count == 0:
        return 0
    weights, method, hidden = setup.weights, setup.method, state.hidden
    members = _collect_members(setup.composition, words, state)
    rows = state.members[:members]
    mean_weights, rate_factors = state.mean_weights[:members], state.rate_factors[:members]
    mean_product = _mean_product(mean_weights, rate_factors)
    reference = method.reference or method.loss == SOFTMAX
    if reference:
        word2vec_reference.average_inputs(weights, rows, mean_weights, hidden)
    else:
        word2vec_updates.average_inputs(weights, rows, mean_weights, hidden)
    scale = np.float32(1) / np.float32(len(rows)) if method.divide_gradient else np.float32(1)
    for window in range(first, first + count):
        _update_outputs(setup, state, window, reference, learning_rate)
        if reference:
            word2vec_reference.update_hidden(hidden, scale, mean_product)
        else:
            word2vec_updates.update_hidden(hidden, scale, mean_product)
    if reference:
        word2vec_reference.update_inputs(weights, rows, rate_factors, hidden.total_step)
    else:
        word2vec_updates.update_inputs(weights, rows, rate_factors, hidden.total_step)
    return count


@inlined
def _update_outputs(
    setup: TrainingSetup, state: ThreadState, window: int, reference: bool, learning_rate: np.float32
) -> None:
    """Train one set of output rows with the loss of the method."""
    weights, samples, hidden, buffers = setup.weights, state.samples, state.hidden, state.buffers
    if setup.method.loss == SOFTMAX:
        target = samples.rows[window * samples.tiles * TILE]
        state.loss[0] += word2vec_reference.update_softmax(
            weights, hidden, target, setup.keep_V, learning_rate, buffers.gradients
        )
    elif reference:
        state.loss[0] += word2vec_reference.update_outputs(weights, hidden, samples, window, learning_rate)
    else:
        word2vec_updates.update_outputs(weights, hidden, samples, window, learning_rate, buffers)


@inlined
def _collect_contexts(words: Int64Array, center: int, size: int, contexts: Int64Array) -> int:
    """Write the context words, at most `size` on each side; returns their number."""
    count = 0
    for i in range(max(0, center - size), min(len(words), center + size + 1)):
        if i != center:
            contexts[count] = words[i]
            count += 1
    return count


@inlined
def _collect_members(composition: Composition, words: Int64Array, state: ThreadState) -> int:
    """Write the input rows of which the words are composed, with their factors; returns their number."""
    count = 0
    for word in words:
        if len(composition.starts_V) == 0:
            state.members[count], state.mean_weights[count], state.rate_factors[count] = word, 1, 1
            count += 1
            continue
        own = shared_row(state.cache, word)
        for i in range(composition.starts_V[own], composition.starts_V[own + 1]):
            state.members[count] = composition.rows[i]
            state.mean_weights[count] = composition.mean_weights[i]
            state.rate_factors[count] = composition.rate_factors[i]
            count += 1
    return count


@inlined
def _mean_product(a: Float32Array, b: Float32Array) -> np.float32:
    total = np.float32(0)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total / np.float32(len(a))


@inlined
def _prefetch_window(setup: TrainingSetup, samples: OutputSamples, words: Int64Array, window: int) -> None:
    """Prefetch the output rows of a window, and the input row that enters with it."""
    weights, entering = setup.weights, window + setup.method.window
    if window < len(words):
        _prefetch_outputs(weights, samples, window)
    if entering < len(words):
        for d in range(0, weights.stride, _CACHE_LINE_FLOATS):
            prefetch(weights.inputs, words[entering] * weights.stride + d)


@inlined
def _prefetch_outputs(weights: EmbeddingWeights, samples: OutputSamples, window: int) -> None:
    """Prefetch the output rows of a window."""
    for i in range(window * samples.tiles * TILE, (window + 1) * samples.tiles * TILE):
        for d in range(0, weights.stride, _CACHE_LINE_FLOATS):
            prefetch(weights.outputs, samples.rows[i] * weights.stride + d)
