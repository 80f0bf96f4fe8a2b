"""Sentence pairs and links between their words, written down as lists."""

from __future__ import annotations

import numpy as np

from rnnkit.alignment.pharaoh import WordAlignments
from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.text.special_tokens import EOS

Points = list[list[tuple[int, int]]]
"""Of each pair, the places of a source and a target word that are linked."""


def sentences(rows: list[list[int]]) -> SentenceDataset:
    """Ids without end symbols as one side of a split."""
    ended = [[*row, EOS] for row in rows]
    return SentenceDataset(np.concatenate(ended).astype(np.uint16), np.cumsum([0, *map(len, ended)]))


def pack(points: Points) -> WordAlignments:
    """Links as they are read from a folder."""
    flat = np.array([link for pair in points for link in pair], dtype=np.int32).reshape(-1, 2)
    return WordAlignments(np.cumsum([0, *map(len, points)], dtype=np.int64), flat[:, 0], flat[:, 1])
