"""How often words, and pairs of neighbours, occur in a text.

A pair is one 64 bit number made of two words' ids, and the pairs counted so far are two sorted arrays: 16 bytes a pair,
where a table of Python's would take ten times as much.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BUFFER = 1 << 21
"""Words that are gathered before their pairs are counted; sorting so many takes a tenth of a second."""

_END = -1  # stands between lines: a pair does not reach from one to the next
_BITS = 32


@dataclass(frozen=True)
class Pair:
    """Two neighbours.

    Attributes:
        first: The word on the left.
        second: The word on the right.
        count: How often they stood side by side.
        first_count: Occurrences of the word on the left, anywhere.
        second_count: Occurrences of the word on the right.
    """

    first: str
    second: str
    count: int
    first_count: int
    second_count: int


class PairCounts:
    """Counts words and pairs of neighbours, line by line.

    Args:
        most: Most different pairs kept. Where there are more, the rarest so far are forgotten.

    Attributes:
        words: Words counted.
        dropped: Pairs that were forgotten; one that comes back is counted from nothing, and again if it goes again.
        floor: Highest count of a pair that was forgotten.
    """

    def __init__(self, most: int) -> None:
        self.words = 0
        self.dropped = 0
        self.floor = 0
        self._most = most
        self._ids: defaultdict[str, int] = defaultdict()
        self._ids.default_factory = self._ids.__len__  # a new word gets the next number
        self._buffer = array("q")
        self._word_counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._pairs: NDArray[np.int64] = np.zeros(0, np.int64)
        self._pair_counts: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, words: Sequence[str]) -> None:
        """Count the words of one line."""
        self._buffer.extend(map(self._ids.__getitem__, words))
        self._buffer.append(_END)
        self.words += len(words)
        if len(self._buffer) >= BUFFER:
            self._fold()

    def frequent(self, least: int) -> Iterator[Pair]:
        """The pairs that occur at least so often, in no order that means anything."""
        self._fold()
        names = list(self._ids)
        often = self._pair_counts >= least
        for key, count in zip(self._pairs[often].tolist(), self._pair_counts[often].tolist(), strict=True):
            first, second = key >> _BITS, key & ((1 << _BITS) - 1)
            counts = int(self._word_counts[first]), int(self._word_counts[second])
            yield Pair(names[first], names[second], count, *counts)

    def _fold(self) -> None:
        """Add what is in the buffer to the counts."""
        ids = np.frombuffer(self._buffer, np.int64) if self._buffer else np.zeros(0, np.int64)
        real = ids != _END
        counts = np.bincount(ids[real], minlength=len(self._ids))
        counts[: len(self._word_counts)] += self._word_counts
        self._word_counts = counts
        first, second = ids[:-1], ids[1:]
        inside = real[:-1] & real[1:]
        new, new_counts = np.unique((first[inside] << _BITS) | second[inside], return_counts=True)
        self._pairs, self._pair_counts = _merge((self._pairs, new), (self._pair_counts, new_counts))
        self._buffer = array("q")
        if len(self._pairs) > self._most:
            self._forget()

    def _forget(self) -> None:
        """Drop the rarest pairs: every one of the highest count among them, so that no pair is lucky."""
        surplus = len(self._pairs) - self._most
        floor = int(np.partition(self._pair_counts, surplus - 1)[surplus - 1])
        stays = self._pair_counts > floor
        self.dropped += int(len(stays) - stays.sum())
        self.floor = max(self.floor, floor)
        self._pairs, self._pair_counts = self._pairs[stays], self._pair_counts[stays]


def _merge(
    keys: Iterable[NDArray[np.int64]], counts: Iterable[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two tables of counts as one, sorted by key."""
    every, amounts = np.concatenate(list(keys)), np.concatenate(list(counts))
    if not len(every):
        return every, amounts
    order = np.argsort(every, kind="stable")  # a merge, where both are sorted already
    every, amounts = every[order], amounts[order]
    starts = np.flatnonzero(np.concatenate(([True], every[1:] != every[:-1])))
    return every[starts], np.add.reduceat(amounts, starts)
