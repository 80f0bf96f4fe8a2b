"""Slabs of text learned by several threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.train.word_composition import whole_words
from rnnkit.kernels.negative_sampling import NoiseDistribution, keep_probabilities, make_noise_distribution
from rnnkit.kernels.row_cache import NGRAM_SYNC_INTERVAL, SYNC_INTERVAL, RowCache, cached_composition
from rnnkit.kernels.word2vec_arrays import Composition, EmbeddingWeights, extra_rows, init_weights
from rnnkit.kernels.word2vec_chunk import (
    MAX_SEGMENT_WORDS,
    NEGATIVE_SAMPLING,
    SKIP_GRAM,
    ThreadState,
    TrainingMethod,
    fill_row_cache,
    make_thread_state,
    sync_row_cache,
    train_chunk,
)
from rnnkit.kernels.word_hash_table import WordHashTable
from rnnkit.system.machine import release_code
from rnnkit.text import special
from rnnkit.text.word_blocks import ASCII_SPACES

_Chunk = tuple[NDArray[np.int32], NDArray[np.int64], int, np.uint64, float]
"""Words, where segments begin, words before, seed and rate."""

_CHUNKS_PER_THREAD = 8
"""So that a thread that is held up leaves its share to the others."""


@dataclass(frozen=True)
class EmbeddingTrainingConfig:
    """What is learned, and how.

    Attributes:
        weights: What learns.
        keep_V: Chance of each word to be kept.
        noise: Where noise words come from.
        composition: What words are made of.
        method: How windows are learned.
        seed: Of everything that is drawn.
        busiest: Input rows that threads may keep copies of, the first in order; None: the first words'.
    """

    weights: EmbeddingWeights
    keep_V: NDArray[np.float32]
    noise: NoiseDistribution
    composition: Composition
    method: TrainingMethod
    seed: int
    busiest: NDArray[np.int64] | None = None


class HogwildTrainer:
    """Threads that learn one slab after the other.

    Args:
        lesson: What they learn.
        threads: How many.
    """

    def __init__(self, lesson: EmbeddingTrainingConfig, threads: int) -> None:
        self.lesson = lesson
        self._pool = ThreadPoolExecutor(threads)
        self._chunks = 1 if threads == 1 else _CHUNKS_PER_THREAD * threads
        self._places: list[_Worker] = []
        for thread in range(threads):
            # The rows of the special symbols are never looked at, and each thread has one of its own to write to.
            spare = thread % len(special.NAMES)
            hot = _make_cache(lesson, thread, threads)
            room = make_thread_state(lesson.weights, lesson.composition, lesson.method, spare)
            self._places.append(_Worker(room, spare, hot, cached_composition(lesson.composition, hot)))

    def learn(
        self, ids: NDArray[np.int32], segments: NDArray[np.int64], place: int, epoch: int, rate: float
    ) -> tuple[float, int]:
        """Learn a slab.

        Args:
            ids: Its words.
            segments: Where each segment begins, and where the last one ends.
            place: Words of the text before it.
            epoch: Pass over the text, from 0.
            rate: Learning rate.

        Returns:
            The loss summed over all predictions, in nats, and their number.
        """
        seed = np.uint64(((self.lesson.seed << 20) + epoch) % (1 << 64))
        # Ever smaller, so that no thread waits long for another's last one.
        behind = np.linspace(1, 0, self._chunks + 1) ** 2
        cuts = np.searchsorted(segments, (1 - behind) * segments[-1])
        left = [(ids, segments[first : last + 1], place, seed, rate) for first, last in pairwise(cuts)][::-1]
        learned = list(self._pool.map(lambda mine: self._learn_chunks(mine, left), self._places))
        for mine in self._places:
            sync_row_cache(self.lesson.weights, mine.hot)
        return sum(loss for loss, _ in learned), sum(predictions for _, predictions in learned)

    def _learn_chunks(self, mine: _Worker, left: list[_Chunk]) -> tuple[float, int]:
        """Take chunks until none is left."""
        lesson, losses, predictions = self.lesson, 0.0, 0
        fill_row_cache(lesson.weights, mine.hot)
        while True:
            try:
                ids, segments, place, seed, rate = left.pop()
            except IndexError:  # another thread took the last one
                return losses, predictions
            loss, count = train_chunk(
                lesson.weights, ids, segments, lesson.keep_V, lesson.noise, mine.composition, lesson.method,
                np.float32(rate), seed, place, mine.room, mine.spare, mine.hot,
            )  # fmt: skip
            losses, predictions = losses + float(loss), predictions + int(count)


@dataclass(frozen=True)
class _Worker:
    """What one thread at a time works with."""

    room: ThreadState
    spare: int
    hot: RowCache
    composition: Composition


def _make_cache(lesson: EmbeddingTrainingConfig, thread: int, threads: int) -> RowCache:
    """Where a thread has its copies: those of all threads share what room both matrices have behind their rows."""
    words, weights = len(lesson.keep_V), lesson.weights
    copied = extra_rows(weights, words)
    rows = copied // (2 * threads)
    first_input = len(weights.inputs) // weights.stride - copied
    busiest = np.arange(rows) if lesson.busiest is None else lesson.busiest[:rows]
    interval = NGRAM_SYNC_INTERVAL if len(lesson.composition.rows) else SYNC_INTERVAL
    return RowCache(rows, words + 2 * thread * rows, busiest, first_input + 2 * thread * rows, interval)


COMPILER = "llvmlite"
"""Name of the compiler's library."""


def compile_kernels() -> None:
    """Learn a text of two words once. Compiling takes seconds, once on a machine; loading takes none."""
    release_code(COMPILER)
    ids, _ = WordHashTable(MAX_SEGMENT_WORDS, ASCII_SPACES).encode(b"a b\n")
    first = len(special.NAMES)
    counts_V = np.concatenate([np.zeros(first, np.int64), np.ones(len(ids), np.int64)])
    weights = init_weights(len(counts_V), len(counts_V), 1, first, seed=0)
    method = TrainingMethod(SKIP_GRAM, 1, True, 1, NEGATIVE_SAMPLING, False, False)
    noise = make_noise_distribution(counts_V, 1.0, 1, contrastive=False)
    lesson = EmbeddingTrainingConfig(weights, keep_probabilities(counts_V, 0), noise, whole_words(), method, seed=0)
    HogwildTrainer(lesson, threads=1).learn(ids + np.int32(first), np.array([0, len(ids)]), 0, 0, 0.1)
    release_code(COMPILER)
