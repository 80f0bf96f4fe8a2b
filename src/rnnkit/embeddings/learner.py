"""Slabs of text learned by several threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.chunk import Method, Room, exchange_rows, learn_chunk, make_room, take_rows
from rnnkit.embeddings.composition import Composition
from rnnkit.embeddings.hot_rows import INTERVAL, NGRAM_INTERVAL, HotRows, own_composition
from rnnkit.embeddings.sampling import Noise
from rnnkit.embeddings.weights import Weights, copied_rows
from rnnkit.text import special_tokens

_Chunk = tuple[NDArray[np.int32], NDArray[np.int64], int, np.uint64, float]
"""Words, where segments begin, words before, seed and rate."""

_CHUNKS_A_THREAD = 8
"""So that a thread that is held up leaves its share to the others."""


@dataclass(frozen=True)
class Lesson:
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

    weights: Weights
    keep_V: NDArray[np.float32]
    noise: Noise
    composition: Composition
    method: Method
    seed: int
    busiest: NDArray[np.int64] | None = None


class Learner:
    """Threads that learn one slab after the other.

    Args:
        lesson: What they learn.
        threads: How many.
    """

    def __init__(self, lesson: Lesson, threads: int) -> None:
        self.lesson = lesson
        self._pool = ThreadPoolExecutor(threads)
        self._chunks = 1 if threads == 1 else _CHUNKS_A_THREAD * threads
        self._places: list[_Place] = []
        for thread in range(threads):
            # The rows of the special symbols are never looked at, and each thread has one of its own to write to.
            spare = thread % len(special_tokens.NAMES)
            hot = _copies(lesson, thread, threads)
            room = make_room(lesson.weights, lesson.composition, lesson.method, spare)
            self._places.append(_Place(room, spare, hot, own_composition(lesson.composition, hot)))

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
            exchange_rows(self.lesson.weights, mine.hot)
        return sum(loss for loss, _ in learned), sum(predictions for _, predictions in learned)

    def _learn_chunks(self, mine: _Place, left: list[_Chunk]) -> tuple[float, int]:
        """Take chunks until none is left."""
        lesson, losses, predictions = self.lesson, 0.0, 0
        take_rows(lesson.weights, mine.hot)
        while True:
            try:
                ids, segments, place, seed, rate = left.pop()
            except IndexError:  # another thread took the last one
                return losses, predictions
            loss, count = learn_chunk(
                lesson.weights, ids, segments, lesson.keep_V, lesson.noise, mine.composition, lesson.method,
                np.float32(rate), seed, place, mine.room, mine.spare, mine.hot,
            )  # fmt: skip
            losses, predictions = losses + float(loss), predictions + int(count)


@dataclass(frozen=True)
class _Place:
    """What one thread at a time works with."""

    room: Room
    spare: int
    hot: HotRows
    composition: Composition


def _copies(lesson: Lesson, thread: int, threads: int) -> HotRows:
    """Where a thread has its copies: those of all threads share what room both matrices have behind their rows."""
    words, weights = len(lesson.keep_V), lesson.weights
    copied = copied_rows(weights, words)
    rows = copied // (2 * threads)
    first_input = len(weights.inputs) // weights.stride - copied
    busiest = np.arange(rows) if lesson.busiest is None else lesson.busiest[:rows]
    interval = NGRAM_INTERVAL if len(lesson.composition.rows) else INTERVAL
    return HotRows(rows, words + 2 * thread * rows, busiest, first_input + 2 * thread * rows, interval)
