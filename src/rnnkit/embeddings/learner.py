"""Slabs of text learned by several threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.chunk import Method, Room, learn_chunk, make_room
from rnnkit.embeddings.composition import Composition
from rnnkit.embeddings.sampling import Noise
from rnnkit.embeddings.weights import Weights
from rnnkit.text import special

_CHUNKS_A_THREAD = 4  # so that a thread that is held up leaves its share to the others


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
    """

    weights: Weights
    keep_V: NDArray[np.float32]
    noise: Noise
    composition: Composition
    method: Method
    seed: int


class Learner:
    """Threads that learn one slab after the other.

    Args:
        lesson: What they learn.
        threads: How many.
    """

    def __init__(self, lesson: Lesson, threads: int) -> None:
        self.lesson = lesson
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)
        count = 1 if threads == 1 else _CHUNKS_A_THREAD * threads
        # The rows of the special symbols are never looked at, and each chunk has one of its own to write to.
        spares = [chunk % len(special.NAMES) for chunk in range(count)]
        self._rooms = [(make_room(lesson.weights, lesson.composition, lesson.method, spare), spare) for spare in spares]

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
        cuts = np.searchsorted(segments, np.linspace(0, segments[-1], len(self._rooms) + 1))
        chunks = [
            self._pool.submit(self._learn_chunk, ids, segments[first : last + 1], place, seed, rate, room, spare)
            for first, last, (room, spare) in zip(cuts[:-1], cuts[1:], self._rooms, strict=True)
        ]
        learned = [chunk.result() for chunk in chunks]
        return sum(loss for loss, _ in learned), sum(predictions for _, predictions in learned)

    def _learn_chunk(
        self, ids: NDArray[np.int32], segments: NDArray[np.int64], place: int, seed: np.uint64, rate: float,
        room: Room, spare: int,
    ) -> tuple[float, int]:  # fmt: skip
        lesson = self.lesson
        loss, predictions = learn_chunk(
            lesson.weights, ids, segments, lesson.keep_V, lesson.noise, lesson.composition, lesson.method,
            np.float32(rate), seed, place, room, spare,
        )  # fmt: skip
        return float(loss), int(predictions)
