"""The composition of word vectors: each word's own row, and with subwords those of its n-grams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.subword_ngrams import Subwords
from rnnkit.kernels.word2vec_weights import Composition
from rnnkit.text import special_tokens

_BLOCK = 8192


def whole_word_composition() -> Composition:
    """Compose each word of its own row only."""
    none = np.empty(0, np.float32)
    return Composition(np.empty(0, np.int64), np.empty(0, np.int32), none, none)


def subword_composition(words: Sequence[bytes], subwords: Subwords, by_length: bool = False) -> Composition:
    """Compose each word of its own row and those of its n-grams.

    With `by_length`, let q be the length of an n-gram divided by the mean of the shortest and the longest length. The
    n-gram's vector z is trained at q times the learning rate, because a long n-gram is more specific than, say, `ing`.
    What is stored is q z, so that long n-grams also contribute more to the vector of an out-of-vocabulary word, the
    mean of the stored vectors of its n-grams. Hence a stored row has the mean weight 1 / q and the rate factor q^2.

    Args:
        words: In UTF-8; the first one has the row after the special symbols.
        subwords: Which n-grams words have.
        by_length: Weight n-grams by their length; otherwise all factors are 1, as in fastText.
    """
    specials = len(special_tokens.NAMES)
    starts, buckets = subwords.table([word.decode() for word in words])
    starts_V = np.concatenate([np.zeros(specials, np.int64), starts + np.arange(len(starts))])
    rows = np.empty(starts_V[-1], np.int32)
    is_own = np.zeros(len(rows), np.bool_)
    is_own[starts_V[specials:-1]] = True
    rows[is_own] = np.arange(specials, specials + len(words))
    rows[~is_own] = buckets + (specials + len(words))
    ratios = np.ones(len(rows), np.float32)
    if by_length:
        lengths = subwords.lengths([word.decode() for word in words])
        ratios[~is_own] = lengths * 2 / (subwords.min_length + subwords.max_length)
    return Composition(starts_V, rows, np.float32(1) / ratios, ratios * ratios)


def composed_vectors(inputs_RD: NDArray[np.float32], composition: Composition) -> NDArray[np.float32]:
    """Compute the vector of each vocabulary id, (V, D); those of special symbols, which have no rows, are zero."""
    starts_V = composition.starts_V
    vectors_VD = np.zeros((len(starts_V) - 1, inputs_RD.shape[1]), np.float32)
    for first in range(len(special_tokens.NAMES), len(vectors_VD), _BLOCK):
        last = min(first + _BLOCK, len(vectors_VD))
        block = slice(starts_V[first], starts_V[last])
        members = inputs_RD[composition.rows[block]]
        members *= composition.mean_weights[block, None]
        sums = np.add.reduceat(members, starts_V[first:last] - starts_V[first], axis=0)
        vectors_VD[first:last] = sums / np.diff(starts_V[first : last + 1])[:, None]
    return vectors_VD


def recover_word_rows(
    vectors_ND: NDArray[np.float32],
    inputs_RD: NDArray[np.float32],
    composition: Composition,
    words_N: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Compute each word's own row from its stored vector: (n + 1) mean - the weighted sum of its n n-grams' rows.

    Args:
        vectors_ND: The stored vectors, which are means.
        inputs_RD: Contains the rows of the n-grams.
        composition: The composition of the words.
        words_N: The vocabulary id of each vector.
    """
    own_ND = np.empty_like(vectors_ND)
    for i, word in enumerate(words_N):
        first, last = composition.starts_V[word] + 1, composition.starts_V[word + 1]
        mean_weights = composition.mean_weights[first:last, None].astype(np.float64)
        sums = (inputs_RD[composition.rows[first:last]] * mean_weights).sum(axis=0)
        own_ND[i] = vectors_ND[i] * (last - first + 1) - sums
    return own_ND
