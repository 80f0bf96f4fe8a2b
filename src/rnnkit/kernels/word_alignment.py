"""Kernels that the word-alignment models share: the lexical translation table, and symmetrization.

The table has p(target word | source word) and its expected counts. Most word pairs never co-occur, so it has slots only
for pairs that do. Each source word is a row: a hash table of its own, with linear probing and a power of two as its
capacity, so that a lookup takes one or two probes and the slots of a row are adjacent in memory. The last row belongs
to the NULL word, which co-occurs with every target word.

Counts are fixed-point integers: a posterior probability times a power of two. Integer sums do not depend on their
order, so the result does not depend on how sentences are distributed over threads.

`rnnkit.alignment.alignment_links` describes the methods that combine the alignments of two directions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.compiler import Compiler

_compiler = Compiler(Path(__file__).parent, reassociate=True)
kernel, inlined = _compiler.kernel, _compiler.inlined

Counts = NDArray[np.int64]
"""Fixed-point expected counts."""

EMPTY_SLOT = -1
"""Marks a slot that holds no pair."""

FREE_KEY = np.int64(-1)
"""Marks a free entry of the set of pair keys."""


class BitextChunk(NamedTuple):
    """Some sentence pairs, as kernels read them.

    Attributes:
        source_S: Words of the source sentences, concatenated.
        source_begin_N1: Offset of each source sentence, and the total.
        target_T: Words of the target sentences, concatenated.
        target_begin_N1: Offset of each target sentence, and the total.
        shape_N: Index of each pair's shape in `Bitext.shapes`.
    """

    source_S: NDArray[np.int32]
    source_begin_N1: NDArray[np.int64]
    target_T: NDArray[np.int32]
    target_begin_N1: NDArray[np.int64]
    shape_N: NDArray[np.int32]


class WordPairTable(NamedTuple):
    """Slots for the word pairs that co-occur.

    Attributes:
        begin_R1: First slot of each source word, and the total; the last row belongs to the NULL word.
        target_A: Target word of each slot, or EMPTY_SLOT.
        p_A: p(target | source) of each slot.
    """

    begin_R1: NDArray[np.int64]
    target_A: NDArray[np.int32]
    p_A: NDArray[np.float64]


@inlined
def hash_key(key: int | np.integer[Any]) -> np.int64:
    """Hash a key to 31 bits (Fibonacci hashing), so that consecutive ids spread over the table."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(0x7FFFFFFF))


@inlined
def find_slot(table: WordPairTable, row: int, target: int) -> int:
    """Find the slot of a pair that is in the table."""
    begin = table.begin_R1[row]
    mask = table.begin_R1[row + 1] - begin - 1
    slot = hash_key(target) & mask
    while table.target_A[begin + slot] != target:
        slot = (slot + 1) & mask
    return int(begin + slot)


@kernel
def collect_pairs(
    chunk: BitextChunk, first: int, null_row: int, keys_K: NDArray[np.int64], used: int
) -> tuple[int, int]:
    """Add the word pairs of a chunk to a hash set until it is half full.

    Args:
        chunk: The sentence pairs.
        first: First sentence to add.
        null_row: Row of the NULL word.
        keys_K: The set: keys `source << 32 | target`, or FREE_KEY.
        used: Number of keys in the set.

    Returns:
        The first sentence that was not added, and the new number of keys.
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
            row = null_row if column == len(source_S) else source_S[column]
            for target in target_T:
                key = (np.int64(row) << 32) | np.int64(target)
                slot = hash_key(key) & mask
                while keys_K[slot] != FREE_KEY and keys_K[slot] != key:
                    slot = (slot + 1) & mask
                if keys_K[slot] == FREE_KEY:
                    keys_K[slot] = key
                    used += 1
    return len(chunk.shape_N), used


@kernel
def double_capacity(keys_K: NDArray[np.int64]) -> NDArray[np.int64]:
    """Copy a set of keys into one of twice the capacity."""
    larger = np.full(2 * len(keys_K), FREE_KEY)
    mask = len(larger) - 1
    for key in keys_K:
        if key != FREE_KEY:
            slot = hash_key(key) & mask
            while larger[slot] != FREE_KEY:
                slot = (slot + 1) & mask
            larger[slot] = key
    return larger


@kernel
def allocate_rows(keys_K: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """Compute the first slot of each row; capacities are powers of two of which at least a third stays free."""
    begin_R1 = np.zeros(rows + 1, dtype=np.int64)
    for key in keys_K:
        if key != FREE_KEY:
            begin_R1[(key >> 32) + 1] += 1
    for row in range(rows):
        capacity, needed = 0, begin_R1[row + 1]
        if needed > 0:
            capacity = 2
            while 2 * capacity < 3 * needed:
                capacity *= 2
        begin_R1[row + 1] = begin_R1[row] + capacity
    return begin_R1


@kernel
def insert_pairs(keys_K: NDArray[np.int64], begin_R1: NDArray[np.int64], target_A: NDArray[np.int32]) -> None:
    """Insert each pair of a set of keys into its row."""
    for key in keys_K:
        if key != FREE_KEY:
            row, target = key >> 32, key & 0xFFFFFFFF
            begin = begin_R1[row]
            mask = begin_R1[row + 1] - begin - 1
            slot = hash_key(target) & mask
            while target_A[begin + slot] != EMPTY_SLOT:
                slot = (slot + 1) & mask
            target_A[begin + slot] = target


@inlined
def digamma(x: float) -> float:
    """Compute the digamma function, the derivative of log gamma, for x > 0 (Abramowitz and Stegun 6.3.5, 6.3.18)."""
    shift = 0.0
    while x < 6:
        shift -= 1 / x
        x += 1
    square = 1 / (x * x)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    return float(shift + np.log(x) - 0.5 / x - series)


@kernel
def normalize_counts(table: WordPairTable, count_A: Counts, scale: float, alpha: float, first: int, last: int) -> None:
    """Compute probabilities from expected counts, for the rows from `first` up to but excluding `last`.

        alpha = 0   p(t | s) = c(s, t) / c(s)                                                  maximum likelihood
        alpha > 0   p(t | s) = exp(digamma(c(s, t) + alpha) - digamma(c(s) + n(s) alpha))      variational Bayes

    where n(s) is the number of target words that co-occur with s (Dyer et al. 2013, after Riley and Gildea 2012). A row
    without counts keeps its probabilities.
    """
    for row in range(first, last):
        begin, end = table.begin_R1[row], table.begin_R1[row + 1]
        total, entries = np.int64(0), 0
        for slot in range(begin, end):
            total += count_A[slot]
            entries += table.target_A[slot] != EMPTY_SLOT
        if total == 0:
            continue
        denominator = digamma(total / scale + entries * alpha) if alpha > 0 else 0.0
        for slot in range(begin, end):
            if table.target_A[slot] == EMPTY_SLOT:
                continue
            if alpha > 0:
                table.p_A[slot] = np.exp(digamma(count_A[slot] / scale + alpha) - denominator)
            else:
                table.p_A[slot] = count_A[slot] / total


NEIGHBORS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))
"""Offsets (target, source) of the neighbors of a link, in the order in which they are visited."""

_FORWARD, _BACKWARD, _BOTH = np.uint8(1), np.uint8(2), np.uint8(3)


@kernel
def symmetrize_sentences(
    begins: tuple[NDArray[np.int64], NDArray[np.int64]],
    forward_T: NDArray[np.int32],
    backward_S: NDArray[np.int32],
    method: int,
    links: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]],
) -> None:
    """Write the links of all sentence pairs, sorted by source word, then by target word.

    Args:
        begins: Offset of each source sentence, and the total; the same of the target sentences.
        forward_T: For each target word its source position, or a negative number.
        backward_S: For each source word its target position, or a negative number.
        method: Index in `alignment_links.METHODS`.
        links: Output: offset of each pair's links, and the total; source position and target position of each link.
    """
    source_begin_N1, target_begin_N1 = begins
    offset_N1, source_L, target_L = links
    written = 0
    for sentence in range(len(offset_N1) - 1):
        forward = forward_T[target_begin_N1[sentence] : target_begin_N1[sentence + 1]]
        backward = backward_S[source_begin_N1[sentence] : source_begin_N1[sentence + 1]]
        found_TS = np.zeros((len(forward), len(backward)), dtype=np.uint8)
        for i in range(len(forward)):
            if forward[i] >= 0:
                found_TS[i, forward[i]] |= _FORWARD
        for j in range(len(backward)):
            if backward[j] >= 0:
                found_TS[backward[j], j] |= _BACKWARD
        linked_TS = found_TS > 0 if method == 3 else found_TS == _BOTH
        if method <= 1:
            grow_diag(found_TS, linked_TS)
        if method == 0:
            final_and(found_TS, linked_TS, _FORWARD)
            final_and(found_TS, linked_TS, _BACKWARD)
        for j in range(len(backward)):
            for i in range(len(forward)):
                if linked_TS[i, j]:
                    source_L[written], target_L[written] = j, i
                    written += 1
        offset_N1[sentence + 1] = written


@inlined
def grow_diag(found_TS: NDArray[np.uint8], linked_TS: NDArray[np.bool_]) -> None:
    """Add neighboring links of the union that link an unlinked word, until there are none."""
    n, m = found_TS.shape
    grown = True
    while grown:
        grown = False
        for i in range(n):
            for j in range(m):
                if not linked_TS[i, j]:
                    continue
                for down, right in NEIGHBORS:
                    y, x = i + down, j + right
                    inside = 0 <= y < n and 0 <= x < m
                    if not inside or found_TS[y, x] == 0 or linked_TS[y, x]:
                        continue
                    if not linked_TS[y].any() or not linked_TS[:, x].any():
                        linked_TS[y, x] = True
                        grown = True


@inlined
def final_and(found_TS: NDArray[np.uint8], linked_TS: NDArray[np.bool_], direction: np.uint8) -> None:
    """Add the links of one direction whose words are both unlinked."""
    for i in range(found_TS.shape[0]):
        for j in range(found_TS.shape[1]):
            if found_TS[i, j] & direction and not linked_TS[i].any() and not linked_TS[:, j].any():
                linked_TS[i, j] = True
