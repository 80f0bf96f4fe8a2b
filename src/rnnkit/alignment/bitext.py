"""Two texts, sentence by sentence translations of each other, as arrays of ids that may lie on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.io.npy import IntArray
from rnnkit.text.special_tokens import EOS

CHUNK_PRODUCT = 1 << 17
"""Pairs of words, one of each side, that are looked at in one go. How a text is cut depends on the text alone."""


@dataclass(frozen=True)
class Side:
    """One of the two texts.

    Attributes:
        ids: Tokens of all sentences.
        begin_N: Where each sentence begins.
        length_N: Its words; the end symbol is none of them.
        size: Number of ids there can be.
    """

    ids: IntArray
    begin_N: NDArray[np.int64]
    length_N: NDArray[np.int64]
    size: int


class Chunk(NamedTuple):
    """Some sentence pairs as kernels read them.

    Attributes:
        source_S: Words of the source sentences, one sentence after the other.
        source_begin_N1: Where each begins, and the end of the last.
        target_T: Words of the target sentences.
        target_begin_N1: Where each begins, and the end of the last.
        shape_N: Number of each pair's shape in `Bitext.shapes`.
    """

    source_S: NDArray[np.int32]
    source_begin_N1: NDArray[np.int64]
    target_T: NDArray[np.int32]
    target_begin_N1: NDArray[np.int64]
    shape_N: NDArray[np.int32]


@dataclass(frozen=True)
class Bitext:
    """Sentence pairs.

    Attributes:
        source: The side that explains.
        target: The side whose words are explained, each by one word of the other side or by none.
        too_long: Pairs that are left alone because a side has too many words.
    """

    source: Side
    target: Side
    too_long: int

    def __len__(self) -> int:
        return len(self.source.length_N)

    @property
    def target_words(self) -> int:
        """Words that are explained; those opposite an empty line are not."""
        return int(self.target.length_N[self.source.length_N > 0].sum())

    def swapped(self) -> Bitext:
        """The other direction."""
        return Bitext(self.target, self.source, self.too_long)

    def shapes(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The different pairs of lengths (source, target), shape (shapes, 2), and the number of each pair's, (N,)."""
        width = int(self.target.length_N.max(initial=0)) + 1
        keys, shape_N = np.unique(self.source.length_N * width + self.target.length_N, return_inverse=True)
        return np.stack((keys // width, keys % width), axis=1), shape_N.astype(np.int32)

    def cuts(self) -> NDArray[np.int64]:
        """Where chunks begin, and the end of the last; as many sentences as have `CHUNK_PRODUCT` pairs of words."""
        work_N = np.cumsum((self.source.length_N + 1) * (self.target.length_N + 1))
        marks = np.arange(CHUNK_PRODUCT, work_N[-1] if len(work_N) else 0, CHUNK_PRODUCT)
        return np.unique(np.concatenate(([0], np.searchsorted(work_N, marks) + 1, [len(self)])))

    def chunk(self, first: int, last: int, shape_N: NDArray[np.int32]) -> Chunk:
        """Sentence pairs `first` to `last`, the latter not included."""
        sides = (_gather(side, first, last) for side in (self.source, self.target))
        (source_S, source_begin_N1), (target_T, target_begin_N1) = sides
        return Chunk(source_S, source_begin_N1, target_T, target_begin_N1, shape_N[first:last])

    def chunks(self, shape_N: NDArray[np.int32]) -> Iterator[Chunk]:
        """All of them in order."""
        for first, last in pairwise(self.cuts().tolist()):
            yield self.chunk(first, last, shape_N)


def make_bitext(source: Side, target: Side, longest: int) -> Bitext:
    """Pair two sides of equally many sentences.

    Args:
        source: One.
        target: The other.
        longest: Pairs with a side of more words are left alone: their time grows with the cube of the length.
    """
    long_N = (source.length_N > longest) | (target.length_N > longest)
    cut = [replace(side, length_N=np.where(long_N, 0, side.length_N)) for side in (source, target)]
    return Bitext(cut[0], cut[1], int(long_N.sum()))


def make_side(sentences: SentenceDataset, size: int) -> Side:
    """One side of aligned data, without padding and end symbols.

    Args:
        sentences: The side.
        size: Rows of its vocabulary.
    """
    ids = sentences.stream()
    end_N1 = np.concatenate(([0], np.cumsum(sentences.lengths())))
    length_N = np.diff(end_N1)
    some_N = length_N > 0
    ended_N = np.zeros(len(length_N), dtype=np.bool_)
    ended_N[some_N] = np.asarray(ids[end_N1[1:][some_N] - 1]) == EOS
    return Side(ids, end_N1[:-1], length_N - ended_N, size)


def _gather(side: Side, first: int, last: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The words of some sentences, one after the other, and where each begins."""
    length_N = side.length_N[first:last]
    begin_N1 = np.concatenate(([0], np.cumsum(length_N)))
    shift_N = side.begin_N[first:last] - begin_N1[:-1]
    place_S = np.arange(begin_N1[-1]) + np.repeat(shift_N, length_N)
    return side.ids[place_S].astype(np.int32), begin_N1
