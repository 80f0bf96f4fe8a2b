"""One set of links from two directions (Och and Ney 2003; grow-diag and final-and as in Koehn, Och and Marcu 2003).

`intersection` holds what both directions found, `union` what either did. `grow-diag` starts from the intersection and
adds neighbours, the diagonal ones too, that are in the union and bring in a word that has no link yet, until none is
left. `grow-diag-final-and` then adds links of the forward direction and after them of the backward one, if both of
their words have no link yet. Points are visited by target word and then by source word, those just added too.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment.alignment_reference import NEIGHBORS
from rnnkit.alignment.bitext import Bitext
from rnnkit.alignment.compiled import inlined, kernel
from rnnkit.alignment.pharaoh import AlignmentLinks

INTERSECTION: Final = "intersection"
UNION: Final = "union"
GROW_DIAG: Final = "grow-diag"
GROW_DIAG_FINAL_AND: Final = "grow-diag-final-and"
METHODS: Final = (GROW_DIAG_FINAL_AND, GROW_DIAG, INTERSECTION, UNION)

_FORWARD, _BACKWARD, _BOTH = np.uint8(1), np.uint8(2), np.uint8(3)


def symmetrize(
    bitext: Bitext, forward_T: NDArray[np.int32], backward_S: NDArray[np.int32], method: str
) -> AlignmentLinks:
    """Links of all sentence pairs.

    Args:
        bitext: The pairs, forward.
        forward_T: For each target word the place of its source word, or -1.
        backward_S: For each source word the place of its target word, or -1.
        method: One of METHODS.
    """
    lengths = bitext.source.length_N, bitext.target.length_N
    source_begin_N1, target_begin_N1 = (np.concatenate(([0], np.cumsum(length_N))) for length_N in lengths)
    most = int((forward_T >= 0).sum() + (backward_S >= 0).sum())
    offset_N1 = np.zeros(len(bitext) + 1, dtype=np.int64)
    source_L, target_L = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    _symmetrise(
        source_begin_N1, target_begin_N1, forward_T, backward_S, METHODS.index(method), offset_N1, source_L, target_L
    )
    return AlignmentLinks(offset_N1, source_L[: offset_N1[-1]].copy(), target_L[: offset_N1[-1]].copy())


def single_direction_links(bitext: Bitext, link_T: NDArray[np.int32], backward: bool = False) -> AlignmentLinks:
    """Links of one direction alone.

    Args:
        bitext: The pairs, forward.
        link_T: For each word of the side that is explained, the place of the other side's word, or -1.
        backward: It is the source side that is explained.
    """
    none = np.full(int((bitext.target if backward else bitext.source).length_N.sum()), -1, dtype=np.int32)
    return symmetrize(bitext, none, link_T, UNION) if backward else symmetrize(bitext, link_T, none, UNION)


@kernel
def _symmetrise(
    source_begin_N1: NDArray[np.int64],
    target_begin_N1: NDArray[np.int64],
    forward_T: NDArray[np.int32],
    backward_S: NDArray[np.int32],
    method: int,
    offset_N1: NDArray[np.int64],
    source_L: NDArray[np.int32],
    target_L: NDArray[np.int32],
) -> None:
    """Fill the links of each sentence pair, by source word and then by target word."""
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
        chosen_TS = found_TS > 0 if method == 3 else found_TS == _BOTH
        if method <= 1:
            _grow(found_TS, chosen_TS)
        if method == 0:
            _finish(found_TS, chosen_TS, _FORWARD)
            _finish(found_TS, chosen_TS, _BACKWARD)
        for j in range(len(backward)):
            for i in range(len(forward)):
                if chosen_TS[i, j]:
                    source_L[written], target_L[written] = j, i
                    written += 1
        offset_N1[sentence + 1] = written


@inlined
def _grow(found_TS: NDArray[np.uint8], chosen_TS: NDArray[np.bool_]) -> None:
    """Add neighbours until none is left that brings in a word without a link."""
    n, m = found_TS.shape
    grown = True
    while grown:
        grown = False
        for i in range(n):
            for j in range(m):
                if not chosen_TS[i, j]:
                    continue
                for down, right in NEIGHBORS:
                    y, x = i + down, j + right
                    inside = 0 <= y < n and 0 <= x < m
                    if not inside or found_TS[y, x] == 0 or chosen_TS[y, x]:
                        continue
                    if not chosen_TS[y].any() or not chosen_TS[:, x].any():
                        chosen_TS[y, x] = True
                        grown = True


@inlined
def _finish(found_TS: NDArray[np.uint8], chosen_TS: NDArray[np.bool_], direction: np.uint8) -> None:
    """Add a direction's links between words that have none."""
    for i in range(found_TS.shape[0]):
        for j in range(found_TS.shape[1]):
            if found_TS[i, j] & direction and not chosen_TS[i].any() and not chosen_TS[:, j].any():
                chosen_TS[i, j] = True
