"""What words are made of: their own row, and with subwords those of their n-grams."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.subwords import Subwords
from rnnkit.text import special

_BLOCK = 8192


class Composition(NamedTuple):
    """The input rows that each word is made of: its own, then those of its n-grams.

    Attributes:
        starts_V: Rows of vocabulary row v are `rows[starts_V[v]:starts_V[v + 1]]`. Empty where each word is its own.
        rows: Rows of the input matrix; bucket b is row V + b.
    """

    starts_V: NDArray[np.int64]
    rows: NDArray[np.int32]


def whole_words() -> Composition:
    """Each word is its own row."""
    return Composition(np.empty(0, np.int64), np.empty(0, np.int32))


def with_subwords(words: Sequence[bytes], subwords: Subwords) -> Composition:
    """Each word is its own row and those of its n-grams.

    Args:
        words: In UTF-8; the first has the row behind the special symbols.
        subwords: Which n-grams there are.
    """
    specials = len(special.NAMES)
    starts, buckets = subwords.table([word.decode() for word in words])
    starts_V = np.concatenate([np.zeros(specials, np.int64), starts + np.arange(len(starts))])
    rows = np.empty(starts_V[-1], np.int32)
    own = np.zeros(len(rows), np.bool_)
    own[starts_V[specials:-1]] = True
    rows[own] = np.arange(specials, specials + len(words))
    rows[~own] = buckets + (specials + len(words))
    return Composition(starts_V, rows)


def mean_rows(inputs_RD: NDArray[np.float32], composition: Composition) -> NDArray[np.float32]:
    """The vector of each vocabulary row, (V, D); the special symbols', which are made of nothing, are zero."""
    starts_V = composition.starts_V
    vectors_VD = np.zeros((len(starts_V) - 1, inputs_RD.shape[1]), np.float32)
    for first in range(len(special.NAMES), len(vectors_VD), _BLOCK):
        last = min(first + _BLOCK, len(vectors_VD))
        members = inputs_RD[composition.rows[starts_V[first] : starts_V[last]]]
        sums = np.add.reduceat(members, starts_V[first:last] - starts_V[first], axis=0)
        vectors_VD[first:last] = sums / np.diff(starts_V[first : last + 1])[:, None]
    return vectors_VD


def own_rows(
    vectors_VD: NDArray[np.float32], buckets_KD: NDArray[np.float32], words: Sequence[bytes], subwords: Subwords
) -> NDArray[np.float32]:
    """Each word's own row, from the mean that was kept: (n + 1) mean - the n-grams' rows."""
    starts, buckets = subwords.table([word.decode() for word in words])
    own_VD = np.empty_like(vectors_VD)
    for word, (first, last) in enumerate(pairwise(starts)):
        sums = buckets_KD[buckets[first:last]].sum(axis=0, dtype=np.float64)
        own_VD[word] = vectors_VD[word] * (last - first + 1) - sums
    return own_VD
