"""Symmetrization of word alignments (Och and Ney 2003; grow-diag and final-and as in Koehn, Och and Marcu 2003).

- `intersection`: the links that both directions have; `union`: the links that either has.
- `grow-diag`: starts from the intersection and adds neighbors of links, diagonal ones included, that are in the union
  and link a word that has no link yet, until there are none.
- `grow-diag-final-and`: then adds links of the forward direction, and after them of the backward direction, whose words
  both have no link yet.

Links are visited by target position, then by source position, newly added ones included.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment.bitext import Bitext
from rnnkit.alignment.pharaoh import WordAlignments
from rnnkit.kernels.word_alignment import symmetrize_sentences

INTERSECTION: Final = "intersection"
UNION: Final = "union"
GROW_DIAG: Final = "grow-diag"
GROW_DIAG_FINAL_AND: Final = "grow-diag-final-and"
METHODS: Final = (GROW_DIAG_FINAL_AND, GROW_DIAG, INTERSECTION, UNION)


def symmetrize(
    bitext: Bitext, forward_T: NDArray[np.int32], backward_S: NDArray[np.int32], method: str
) -> WordAlignments:
    """Combine the links of two directions.

    Args:
        bitext: The sentence pairs, in the forward direction.
        forward_T: For each target word its source position, or NULL_LINK.
        backward_S: For each source word its target position, or NULL_LINK.
        method: One of METHODS.
    """
    lengths = bitext.source.length_N, bitext.target.length_N
    source_begin_N1, target_begin_N1 = (np.concatenate(([0], np.cumsum(length_N))) for length_N in lengths)
    max_links = int((forward_T >= 0).sum() + (backward_S >= 0).sum())
    offset_N1 = np.zeros(len(bitext) + 1, dtype=np.int64)
    source_L, target_L = np.empty(max_links, dtype=np.int32), np.empty(max_links, dtype=np.int32)
    begins, links = (source_begin_N1, target_begin_N1), (offset_N1, source_L, target_L)
    symmetrize_sentences(begins, forward_T, backward_S, METHODS.index(method), links)
    return WordAlignments(offset_N1, source_L[: offset_N1[-1]].copy(), target_L[: offset_N1[-1]].copy())


def single_direction_links(bitext: Bitext, link_T: NDArray[np.int32], backward: bool = False) -> WordAlignments:
    """Return the links of one direction.

    Args:
        bitext: The sentence pairs, in the forward direction.
        link_T: For each word of the generated side the position of its word on the other side, or NULL_LINK.
        backward: Whether the source side is the generated one.
    """
    none = np.full(int((bitext.target if backward else bitext.source).length_N.sum()), -1, dtype=np.int32)
    return symmetrize(bitext, none, link_T, UNION) if backward else symmetrize(bitext, link_T, none, UNION)
