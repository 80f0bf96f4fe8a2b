"""Multi-threaded training of word vectors: batches of text are split into chunks that threads take from a queue.

Threads share the weights without locks (Hogwild; see `kernels/word2vec_chunk.py`); each caches the most used rows
(`kernels/word2vec_weights.py`). Kernels release the interpreter lock. With one thread the result is reproducible to
the bit.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.embedding_model import whole_word_composition
from rnnkit.kernels.negative_sampling import NoiseDistribution, keep_probabilities, make_noise_distribution
from rnnkit.kernels.word2vec_chunk import (
    MAX_SEGMENT_WORDS,
    NEGATIVE_SAMPLING,
    SKIP_GRAM,
    TextChunk,
    ThreadState,
    TrainingMethod,
    TrainingSetup,
    make_thread_state,
    train_chunk,
)
from rnnkit.kernels.word2vec_weights import (
    NGRAM_SYNC_INTERVAL,
    SYNC_INTERVAL,
    Composition,
    EmbeddingWeights,
    RowCache,
    cached_composition,
    extra_rows,
    fill_row_cache,
    init_weights,
    sync_row_cache,
)
from rnnkit.kernels.word_hashing import WordHashTable
from rnnkit.system.machine import release_library_pages
from rnnkit.text import special_tokens
from rnnkit.text.blocks import ASCII_SPACES

COMPILER: Final = "llvmlite"
"""The compiler's library, whose memory is released after compilation."""

_CHUNKS_PER_THREAD = 8
"""Enough that a delayed thread leaves part of its share to the others."""


@dataclass(frozen=True)
class EmbeddingTrainingConfig:
    """What is trained, and how.

    Attributes:
        weights: Updated in place.
        keep_V: Probability that subsampling keeps each word.
        noise: Distribution of noise words.
        composition: Input rows of each word.
        method: How windows are trained.
        seed: Of all random numbers.
        cached_inputs: Input rows that threads may cache, the first ones preferred; None: those of the first words.
    """

    weights: EmbeddingWeights
    keep_V: NDArray[np.float32]
    noise: NoiseDistribution
    composition: Composition
    method: TrainingMethod
    seed: int
    cached_inputs: NDArray[np.int64] | None = None


class HogwildTrainer:
    """A pool of threads that trains on one batch of text after another.

    Args:
        config: What is trained, and how.
        threads: Number of threads.
    """

    def __init__(self, config: EmbeddingTrainingConfig, threads: int) -> None:
        self.config = config
        self._pool = ThreadPoolExecutor(threads)
        self._chunks = 1 if threads == 1 else _CHUNKS_PER_THREAD * threads
        self._workers = [_make_worker(config, thread, threads) for thread in range(threads)]

    def train(
        self, ids: NDArray[np.int32], segments: NDArray[np.int64], position: int, epoch: int, learning_rate: float
    ) -> tuple[float, int]:
        """Train on a batch of text.

        Args:
            ids: Vocabulary ids of its words.
            segments: Start of each segment in `ids`, and the end of the last one.
            position: Position of the first word in the whole text.
            epoch: Epoch, from 0.
            learning_rate: Of the whole batch.

        Returns:
            The loss summed over all predictions, in nats, and their number.
        """
        seed = np.uint64(((self.config.seed << 20) + epoch) % (1 << 64))
        # Chunks become smaller and smaller, so that no thread waits long for another's last one.
        remaining = np.linspace(1, 0, self._chunks + 1) ** 2
        bounds = np.searchsorted(segments, (1 - remaining) * segments[-1])
        queue = [
            TextChunk(ids, segments[first : last + 1], position, seed, np.float32(learning_rate))
            for first, last in pairwise(bounds)
        ][::-1]
        results = list(self._pool.map(lambda worker: _train_chunks(worker, queue), self._workers))
        for worker in self._workers:
            sync_row_cache(self.config.weights, worker.state.cache)
        return sum(loss for loss, _ in results), sum(predictions for _, predictions in results)


@dataclass(frozen=True)
class _Worker:
    """The data of one thread."""

    setup: TrainingSetup
    state: ThreadState


def _make_worker(config: EmbeddingTrainingConfig, thread: int, threads: int) -> _Worker:
    cache = _make_cache(config, thread, threads)
    composition = cached_composition(config.composition, cache)
    setup = TrainingSetup(config.weights, composition, config.keep_V, config.noise, config.method)
    # The output rows of special symbols are never read, so each thread uses one of them for padding.
    return _Worker(setup, make_thread_state(setup, cache, padding_row=thread % len(special_tokens.NAMES)))


def _make_cache(config: EmbeddingTrainingConfig, thread: int, threads: int) -> RowCache:
    """Locate a thread's cache: the rows after those of the words are divided among the threads."""
    words, weights = len(config.keep_V), config.weights
    extra = extra_rows(weights, words)
    size = extra // (2 * threads)  # for each cached row there is a snapshot
    first_input = len(weights.inputs) // weights.stride - extra
    input_rows = np.arange(size) if config.cached_inputs is None else config.cached_inputs[:size]
    interval = NGRAM_SYNC_INTERVAL if len(config.composition.rows) else SYNC_INTERVAL
    offset = 2 * thread * size
    return RowCache(size, words + offset, input_rows, first_input + offset, interval)


def _train_chunks(worker: _Worker, queue: list[TextChunk]) -> tuple[float, int]:
    """Train on chunks until the queue is empty; returns the loss and the number of predictions."""
    total_loss, predictions = 0.0, 0
    fill_row_cache(worker.setup.weights, worker.state.cache)
    while True:
        try:
            chunk = queue.pop()
        except IndexError:  # another thread took the last one
            return total_loss, predictions
        loss, count = train_chunk(worker.setup, chunk, worker.state)
        total_loss, predictions = total_loss + float(loss), predictions + int(count)


def compile_kernels() -> None:
    """Load all kernels of training, or compile them, by training on a text of two words.

    Compilation takes seconds, once per machine. It precedes the allocation of data, so that the compiler's memory is
    released first.
    """
    release_library_pages(COMPILER)
    ids, _ = WordHashTable(MAX_SEGMENT_WORDS, ASCII_SPACES).encode(b"a b\n")
    first = len(special_tokens.NAMES)
    counts_V = np.concatenate([np.zeros(first, np.int64), np.ones(len(ids), np.int64)])
    weights = init_weights(len(counts_V), len(counts_V), 1, first, seed=0)
    config = EmbeddingTrainingConfig(
        weights=weights,
        keep_V=keep_probabilities(counts_V, 0),
        noise=make_noise_distribution(counts_V, 1.0, 1, is_nce=False),
        composition=whole_word_composition(),
        method=TrainingMethod(SKIP_GRAM, 1, True, 1, NEGATIVE_SAMPLING, False, False),
        seed=0,
    )
    HogwildTrainer(config, threads=1).train(ids + np.int32(first), np.array([0, len(ids)]), 0, 0, 0.1)
    release_library_pages(COMPILER)
