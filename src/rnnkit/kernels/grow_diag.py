"""Kernels that symmetrize the word alignments of two directions; `rnnkit.alignment.word_alignments` has the methods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.word_pair_table import inlined, kernel

NEIGHBORS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))
"""Offsets (target, source) of the neighbors of a link, in the order in which they are visited."""

_FORWARD, _BACKWARD, _BOTH = np.uint8(1), np.uint8(2), np.uint8(3)


@kernel
def symmetrize_sentences(
    source_begin_N1: NDArray[np.int64],
    target_begin_N1: NDArray[np.int64],
    forward_T: NDArray[np.int32],
    backward_S: NDArray[np.int32],
    method: int,
    offset_N1: NDArray[np.int64],
    source_L: NDArray[np.int32],
    target_L: NDArray[np.int32],
) -> None:
    """Write the links of all sentence pairs, sorted by source word, then by target word.

    Args:
        source_begin_N1: Offset of each source sentence, and the total.
        target_begin_N1: Offset of each target sentence, and the total.
        forward_T: For each target word its source position, or a negative number.
        backward_S: For each source word its target position, or a negative number.
        method: Index in `symmetrization.METHODS`.
        offset_N1: Output: offset of each pair's links, and the total.
        source_L: Output: source position of each link.
        target_L: Output: target position of each link.
    """
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
