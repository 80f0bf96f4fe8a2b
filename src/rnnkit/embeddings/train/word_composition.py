"""What words are made of: their own row, and with subwords those of their n-grams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.subword_ngrams import Subwords
from rnnkit.kernels.word2vec_arrays import Composition
from rnnkit.text import special_tokens

_BLOCK = 8192


def whole_words() -> Composition:
    """Each word is its own row."""
    none = np.empty(0, np.float32)
    return Composition(np.empty(0, np.int64), np.empty(0, np.int32), none, none)


def with_subwords(words: Sequence[bytes], subwords: Subwords, by_length: bool = False) -> Composition:
    """Each word is its own row and those of its n-grams.

    By length, q being an n-gram's length over the mean of the least and the greatest, an n-gram's vector z goes q
    steps where a word's own goes one, as a long n-gram says more of a word than `ing` does. Kept is q z: an unknown
    word, the mean of what is kept for its n-grams, hears the long ones more for the same reason. So the part of what
    is kept is 1 / q, and its rate q^2.

    Args:
        words: In UTF-8; the first has the row behind the special symbols.
        subwords: Which n-grams there are.
        by_length: N-grams count by their length; else all parts and rates are 1, as in fastText.
    """
    specials = len(special_tokens.NAMES)
    starts, buckets = subwords.table([word.decode() for word in words])
    starts_V = np.concatenate([np.zeros(specials, np.int64), starts + np.arange(len(starts))])
    rows = np.empty(starts_V[-1], np.int32)
    own = np.zeros(len(rows), np.bool_)
    own[starts_V[specials:-1]] = True
    rows[own] = np.arange(specials, specials + len(words))
    rows[~own] = buckets + (specials + len(words))
    ratios = np.ones(len(rows), np.float32)
    if by_length:
        lengths = subwords.lengths([word.decode() for word in words])
        ratios[~own] = lengths * 2 / (subwords.min_length + subwords.max_length)
    return Composition(starts_V, rows, np.float32(1) / ratios, ratios * ratios)


def mean_rows(inputs_RD: NDArray[np.float32], composition: Composition) -> NDArray[np.float32]:
    """The vector of each vocabulary row, (V, D); the special symbols', which are made of nothing, are zero."""
    starts_V = composition.starts_V
    vectors_VD = np.zeros((len(starts_V) - 1, inputs_RD.shape[1]), np.float32)
    for first in range(len(special_tokens.NAMES), len(vectors_VD), _BLOCK):
        last = min(first + _BLOCK, len(vectors_VD))
        places = slice(starts_V[first], starts_V[last])
        members = inputs_RD[composition.rows[places]]
        members *= composition.mean_weights[places, None]
        sums = np.add.reduceat(members, starts_V[first:last] - starts_V[first], axis=0)
        vectors_VD[first:last] = sums / np.diff(starts_V[first : last + 1])[:, None]
    return vectors_VD


def own_rows(
    vectors_ND: NDArray[np.float32],
    inputs_RD: NDArray[np.float32],
    composition: Composition,
    words_N: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Each word's own row, from the mean that was kept: (n + 1) mean - the n-grams' rows, each with its part.

    Args:
        vectors_ND: The means.
        inputs_RD: Holds the n-grams' rows.
        composition: What words are made of.
        words_N: The vocabulary row of each mean.
    """
    own_ND = np.empty_like(vectors_ND)
    for number, word in enumerate(words_N):
        first, last = composition.starts_V[word] + 1, composition.starts_V[word + 1]
        parts = composition.mean_weights[first:last, None].astype(np.float64)
        sums = (inputs_RD[composition.rows[first:last]] * parts).sum(axis=0)
        own_ND[number] = vectors_ND[number] * (last - first + 1) - sums
    return own_ND
