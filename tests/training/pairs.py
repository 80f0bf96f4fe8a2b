"""Sentence pairs and alignment links, given as lists."""

from __future__ import annotations

import numpy as np

from rnnkit.alignment.alignment_links import WordAlignments
from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.text.special_tokens import EOS

Points = list[list[tuple[int, int]]]
"""Alignment links of each pair: positions of a source and a target word."""


def sentences(rows: list[list[int]]) -> SentenceDataset:
    """One side of a split, from ids without EOS."""
    ended = [[*row, EOS] for row in rows]
    return SentenceDataset(np.concatenate(ended).astype(np.uint16), np.cumsum([0, *map(len, ended)]))


def pack(points: Points) -> WordAlignments:
    """Alignment links as they are loaded."""
    flat = np.array([link for pair in points for link in pair], dtype=np.int32).reshape(-1, 2)
    return WordAlignments(np.cumsum([0, *map(len, points)], dtype=np.int64), flat[:, 0], flat[:, 1])
