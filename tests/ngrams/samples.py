"""Small texts and models for the tests of n-grams."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnkit.ngrams.ngram_estimation import estimate_ngram_model
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.ngrams.options import NgramOptions
from rnnkit.text.special_tokens import BOS, EOS, NAMES, PAD

Lines = list[list[int]]

SIZE = 9
"""Vocabulary size: four special symbols and five words."""

OUTCOMES = [word for word in range(SIZE) if word not in (PAD, BOS)]
TOKENS = [*NAMES, "the", "cat", "naïve", "日本", "sat"]


def lines_of(size: int = SIZE) -> st.SearchStrategy[Lines]:
    """Generate texts: lines of words and unknown words, each ending with EOS."""
    words = st.sampled_from([1, *range(len(NAMES), size)])
    return st.lists(st.lists(words, max_size=7).map(lambda line: [*line, EOS]), min_size=1, max_size=12)


def flatten(lines: Sequence[Sequence[int]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return ids and offsets, as in aligned data."""
    offsets = np.cumsum([0, *map(len, lines)], dtype=np.int64)
    return np.array([word for line in lines for word in line], dtype=np.int32), offsets


def random_lines(seed: int = 1, lines: int = 60, size: int = SIZE, longest: int = 9) -> Lines:
    """Generate a text in which word frequencies are skewed and some words tend to follow others."""
    source = random.Random(seed)
    words = range(len(NAMES), size)
    weights = [1 / (rank + 1) for rank in range(len(words))]
    text = []
    for _ in range(lines):
        line = source.choices(words, weights, k=source.randrange(longest + 1))
        for position in range(1, len(line)):
            if source.random() < 0.4:
                line[position] = words[(line[position - 1] + 1) % len(words)]
        text.append([*line, EOS])
    return text


def make_model(lines: Lines | None = None, size: int = SIZE, **options: object) -> BackoffModel:
    """Estimate a model of a text."""
    ids, offsets = flatten(random_lines(size=size) if lines is None else lines)
    return estimate_ngram_model(ids, offsets, size, NgramOptions(**options))  # type: ignore[arg-type]
