"""A number for every two words that stand in one sentence pair: the word table p(target | source), and its counts.

Most pairs of words never meet, so a table has slots only for those that do. Row by row, each source word has a small
hash table of its own, its capacity a power of two: a pair is found in one or two looks, and the slots of a row lie
together. The last row is the empty word's, which meets every target word.

Counts are whole numbers, each a share of a word times a power of two. Sums of whole numbers do not depend on their
order, so that the result does not depend on how the sentences are spread over threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment.compiled import inlined, kernel

Counts = NDArray[np.int64]

EMPTY_SLOT = -1
"""Key of a slot that no pair has taken."""

_FREE = np.int64(-1)
_FIRST_CAPACITY = 1 << 16


class WordPairTable(NamedTuple):
    """Slots for pairs of words.

    Attributes:
        begin_R1: Where each source word's slots begin, and the end of the last row, which is the empty word's.
        target_A: Target word of each slot, or EMPTY.
        p_A: p(target | source) of each slot.
    """

    begin_R1: NDArray[np.int64]
    target_A: NDArray[np.int32]
    p_A: NDArray[np.float64]


@inlined
def scatter(key: Any) -> Any:
    """A place for a key; neighbours go far apart."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(0x7FFFFFFF))


@inlined
def find_slot(table: WordPairTable, row: int, target: int) -> Any:
    """The slot of a pair that has one."""
    begin = table.begin_R1[row]
    mask = table.begin_R1[row + 1] - begin - 1
    place = scatter(target) & mask
    while table.target_A[begin + place] != target:
        place = (place + 1) & mask
    return begin + place


@kernel
def _collect(chunk: BitextChunk, first: int, null: int, keys_K: NDArray[np.int64], used: int) -> tuple[int, int]:
    """Add the pairs of a chunk to a set, from one sentence on, until it would be too full.

    Returns:
        The sentence to go on with, and the keys in the set.
    """
    mask = len(keys_K) - 1
    for sentence in range(first, len(chunk.shape_N)):
        source_S = chunk.source_S[chunk.source_begin_N1[sentence] : chunk.source_begin_N1[sentence + 1]]
        target_T = chunk.target_T[chunk.target_begin_N1[sentence] : chunk.target_begin_N1[sentence + 1]]
        if len(source_S) == 0 or len(target_T) == 0:
            continue
        if 2 * (used + (len(source_S) + 1) * len(target_T)) > len(keys_K):
            return sentence, used
        for column in range(len(source_S) + 1):
            row = null if column == len(source_S) else source_S[column]
            for target in target_T:
                key = (np.int64(row) << 32) | np.int64(target)
                place = scatter(key) & mask
                while keys_K[place] != _FREE and keys_K[place] != key:
                    place = (place + 1) & mask
                if keys_K[place] == _FREE:
                    keys_K[place] = key
                    used += 1
    return len(chunk.shape_N), used


@kernel
def _grow(keys_K: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same set with room for twice as many."""
    larger = np.full(2 * len(keys_K), _FREE)
    mask = len(larger) - 1
    for key in keys_K:
        if key != _FREE:
            place = scatter(key) & mask
            while larger[place] != _FREE:
                place = (place + 1) & mask
            larger[place] = key
    return larger


@kernel
def _lay_out(keys_K: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """Where the rows begin: each gets a power of two of slots, at least a third of which stay free."""
    begin_R1 = np.zeros(rows + 1, dtype=np.int64)
    for key in keys_K:
        if key != _FREE:
            begin_R1[(key >> 32) + 1] += 1
    for row in range(rows):
        capacity, wanted = 0, begin_R1[row + 1]
        if wanted > 0:
            capacity = 2
            while 2 * capacity < 3 * wanted:
                capacity *= 2
        begin_R1[row + 1] = begin_R1[row] + capacity
    return begin_R1


@kernel
def _fill(keys_K: NDArray[np.int64], begin_R1: NDArray[np.int64], target_A: NDArray[np.int32]) -> None:
    """Give each pair its slot."""
    for key in keys_K:
        if key != _FREE:
            row, target = key >> 32, key & 0xFFFFFFFF
            begin = begin_R1[row]
            mask = begin_R1[row + 1] - begin - 1
            place = scatter(target) & mask
            while target_A[begin + place] != EMPTY_SLOT:
                place = (place + 1) & mask
            target_A[begin + place] = target


@inlined
def digamma(x: float) -> Any:
    """The logarithmic derivative of the gamma function for x > 0 (Abramowitz and Stegun 6.3.5 and 6.3.18)."""
    shift = 0.0
    while x < 6:
        shift -= 1 / x
        x += 1
    square = 1 / (x * x)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    return shift + np.log(x) - 0.5 / x - series


@kernel
def normalize_counts(table: WordPairTable, count_A: Counts, scale: float, alpha: float, first: int, last: int) -> None:
    """Probabilities from counts, for the rows `first` to `last`, the latter not included.

        alpha = 0   p(t | s) = c(s, t) / c(s)                                                  maximum likelihood
        alpha > 0   p(t | s) = exp(digamma(c(s, t) + alpha) - digamma(c(s) + n(s) alpha))      variational Bayes

    with n(s) the number of target words that s meets (Dyer et al. 2013 after Riley and Gildea 2012). A row without
    counts keeps what it has.
    """
    for row in range(first, last):
        begin, end = table.begin_R1[row], table.begin_R1[row + 1]
        total, entries = np.int64(0), 0
        for slot in range(begin, end):
            total += count_A[slot]
            entries += table.target_A[slot] != EMPTY_SLOT
        if total == 0:
            continue
        whole = digamma(total / scale + entries * alpha) if alpha > 0 else 0.0
        for slot in range(begin, end):
            if table.target_A[slot] == EMPTY_SLOT:
                continue
            if alpha > 0:
                table.p_A[slot] = np.exp(digamma(count_A[slot] / scale + alpha) - whole)
            else:
                table.p_A[slot] = count_A[slot] / total


class BitextChunk(NamedTuple):
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
