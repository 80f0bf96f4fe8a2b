"""A bitext, two texts that are translations of each other sentence by sentence, as id arrays that may be mapped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.io.npy import IntArray
from rnnkit.kernels.word_alignment import BitextChunk
from rnnkit.text.special_tokens import EOS

WORD_PAIRS_PER_CHUNK = 1 << 17
"""Target size of a chunk. Chunk boundaries depend on the text alone, never on the number of threads."""


@dataclass(frozen=True)
class BitextSide:
    """One side of a bitext.

    Attributes:
        ids: Tokens of all sentences.
        begin_N: Offset of each sentence in `ids`.
        length_N: Number of words of each sentence, EOS excluded.
        size: Vocabulary size.
    """

    ids: IntArray
    begin_N: NDArray[np.int64]
    length_N: NDArray[np.int64]
    size: int


@dataclass(frozen=True)
class Bitext:
    """Sentence pairs.

    Attributes:
        source: The side that generates.
        target: The side that is generated: each of its words is aligned to one source word or to NULL.
        too_long: Number of pairs that are skipped because a side has too many words.
    """

    source: BitextSide
    target: BitextSide
    too_long: int

    def __len__(self) -> int:
        return len(self.source.length_N)

    @property
    def target_words(self) -> int:
        """Number of target words that are aligned; words opposite an empty sentence are not."""
        return int(self.target.length_N[self.source.length_N > 0].sum())

    def swapped(self) -> Bitext:
        """Return the bitext of the reverse direction."""
        return Bitext(self.target, self.source, self.too_long)

    def shapes(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the distinct pairs of lengths (source, target), (H, 2), and the index of each pair's lengths, (N,)."""
        width = int(self.target.length_N.max(initial=0)) + 1
        keys, shape_N = np.unique(self.source.length_N * width + self.target.length_N, return_inverse=True)
        return np.stack((keys // width, keys % width), axis=1), shape_N.astype(np.int32)

    def chunk_bounds(self) -> NDArray[np.int64]:
        """Return the first sentence of each chunk of about `WORD_PAIRS_PER_CHUNK` word pairs, and the total."""
        work_N = np.cumsum((self.source.length_N + 1) * (self.target.length_N + 1))
        marks = np.arange(WORD_PAIRS_PER_CHUNK, work_N[-1] if len(work_N) else 0, WORD_PAIRS_PER_CHUNK)
        return np.unique(np.concatenate(([0], np.searchsorted(work_N, marks) + 1, [len(self)])))

    def chunk(self, first: int, last: int, shape_N: NDArray[np.int32]) -> BitextChunk:
        """Return the sentence pairs from `first` up to but excluding `last`."""
        sides = (_gather(side, first, last) for side in (self.source, self.target))
        (source_S, source_begin_N1), (target_T, target_begin_N1) = sides
        return BitextChunk(source_S, source_begin_N1, target_T, target_begin_N1, shape_N[first:last])

    def chunks(self, shape_N: NDArray[np.int32]) -> Iterator[BitextChunk]:
        """Iterate over all chunks in order."""
        for first, last in pairwise(self.chunk_bounds().tolist()):
            yield self.chunk(first, last, shape_N)


def make_bitext(source: BitextSide, target: BitextSide, max_length: int) -> Bitext:
    """Pair two sides with the same number of sentences.

    Args:
        source: The source side.
        target: The target side.
        max_length: Pairs with a longer side, in words, are skipped: the HMM's time grows cubically with the length.
    """
    long_N = (source.length_N > max_length) | (target.length_N > max_length)
    kept = [replace(side, length_N=np.where(long_N, 0, side.length_N)) for side in (source, target)]
    return Bitext(kept[0], kept[1], int(long_N.sum()))


def make_side(sentences: SentenceDataset, size: int) -> BitextSide:
    """Make one side of a bitext from one side of aligned data, without padding and EOS.

    Args:
        sentences: The side of the data.
        size: Size of its vocabulary.
    """
    ids = sentences.stream()
    end_N1 = np.concatenate(([0], np.cumsum(sentences.lengths())))
    length_N = np.diff(end_N1)
    nonempty_N = length_N > 0
    has_eos_N = np.zeros(len(length_N), dtype=np.bool_)
    has_eos_N[nonempty_N] = np.asarray(ids[end_N1[1:][nonempty_N] - 1]) == EOS
    return BitextSide(ids, end_N1[:-1], length_N - has_eos_N, size)


def _gather(side: BitextSide, first: int, last: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Copy some sentences into one array; return their words and the offset of each."""
    length_N = side.length_N[first:last]
    begin_N1 = np.concatenate(([0], np.cumsum(length_N)))
    shift_N = side.begin_N[first:last] - begin_N1[:-1]
    position_S = np.arange(begin_N1[-1]) + np.repeat(shift_N, length_N)
    return side.ids[position_S].astype(np.int32), begin_N1
