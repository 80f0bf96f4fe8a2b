"""Small tables of word vectors for tests, with difficult words."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rnnkit.embeddings.vector_table import Matrix, Subwords, VectorTable

WORDS = ["the", "straße", "New\u00a0York", "line\u2028end", "日本語"]
"""Words with characters that some programs treat as white space or line ends."""

COUNTS = [900, 70, 70, 5, 1]

SUBWORDS = Subwords(min_length=2, max_length=4, buckets=53)


def random_matrix(rows: int, dimension: int = 3, seed: int = 7) -> Matrix:
    return np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)


def make_table(dimension: int = 3, *, counted: bool = True, subwords: bool = False) -> VectorTable:
    buckets = (SUBWORDS, random_matrix(SUBWORDS.buckets, dimension, seed=8)) if subwords else (None, None)
    return VectorTable.of(WORDS, random_matrix(len(WORDS), dimension), COUNTS if counted else None, *buckets)


def same_bits(one: Matrix, other: Matrix) -> bool:
    """Return whether two matrices are bit-identical, signs of zeros included."""
    return one.shape == other.shape and np.array_equal(
        np.ascontiguousarray(one).view(np.uint32), np.ascontiguousarray(other).view(np.uint32)
    )


def tables(least_dimension: int = 1) -> st.SearchStrategy[VectorTable]:
    """Tables of words that every format can represent, and of finite numbers."""
    characters = st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\r\0\ufeff")
    words = st.lists(st.text(characters, min_size=1, max_size=7), min_size=1, max_size=5, unique=True)
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)

    def with_rows(words: list[str]) -> st.SearchStrategy[Any]:
        shapes = st.integers(least_dimension, 5).map(lambda dimension: (len(words), dimension))
        return shapes.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=numbers)).map(
            lambda matrix: VectorTable.of(words, matrix)
        )

    return words.flatmap(with_rows)
