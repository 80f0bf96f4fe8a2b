"""A word-vector model during training: its vocabulary, its weights, and the composition of its words.

The vector of a word is its own row or, with subwords, the mean of its own row and those of its n-grams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.corpus import WordCounts
from rnnkit.embeddings.vector_table import Subwords, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import ConfigError
from rnnkit.kernels.word2vec_weights import Composition, EmbeddingWeights, init_weights, memory_bytes, unpadded_rows
from rnnkit.kernels.word_hashing import hash_ngrams
from rnnkit.text import special_tokens

MAX_BUCKETS: Final = 2_000_000
"""Upper limit of the default number of n-gram buckets; fastText's default."""

_SPECIALS = len(special_tokens.NAMES)
_BLOCK = 8192


@dataclass(frozen=True)
class EmbeddingVocabulary:
    """The words that get vectors.

    Attributes:
        words: In UTF-8; the first one has the row after the special symbols.
        counts: Occurrences of each, in all training texts so far.
        subwords: Which n-grams words have; None for whole words only.
    """

    words: Sequence[bytes]
    counts: NDArray[np.int64]
    subwords: Subwords | None

    @property
    def rows(self) -> int:
        """Number of vocabulary ids, special symbols included."""
        return _SPECIALS + len(self.words)

    def memory_bytes(self, dimension: int) -> int:
        """Return the memory of training: both weight matrices and, with subwords, the composed vectors for writing."""
        buckets = self.subwords.buckets if self.subwords else 0
        composed = 4 * self.rows * dimension if self.subwords else 0
        return memory_bytes(self.rows + buckets, self.rows, dimension) + composed


@dataclass(frozen=True)
class EmbeddingModel:
    """A word-vector model in training.

    Attributes:
        vocabulary: The words.
        dimension: Dimension of the vectors.
        composition: Input rows of each word.
        weights: Input and output embeddings.
    """

    vocabulary: EmbeddingVocabulary
    dimension: int
    composition: Composition
    weights: EmbeddingWeights

    def table(self) -> VectorTable:
        """Return the words and their current vectors: views of the weights, except for composed vectors."""
        vocabulary, rows = self.vocabulary, self.vocabulary.rows
        inputs_RD = unpadded_rows(self.weights.inputs, self.weights.stride, self.dimension)
        vectors_VD = composed_vectors(inputs_RD, self.composition) if vocabulary.subwords else inputs_RD
        return VectorTable(
            WordIndex.from_list(vocabulary.words, vocabulary.counts.tolist()),
            vectors_VD[_SPECIALS:rows],
            vocabulary.subwords,
            inputs_RD[rows : rows + vocabulary.subwords.buckets] if vocabulary.subwords else None,
            unpadded_rows(self.weights.outputs, self.weights.stride, self.dimension)[_SPECIALS:rows],
        )


def init_model(
    vocabulary: EmbeddingVocabulary, dimension: int, seed: int, cache_rows: int = 0, by_length: bool = False
) -> EmbeddingModel:
    """Initialize a model like word2vec.

    Args:
        vocabulary: The words.
        dimension: Dimension of the vectors.
        seed: Of the initial vectors.
        cache_rows: Additional rows for the row caches of threads.
        by_length: Weight n-grams by their length.
    """
    subwords = vocabulary.subwords
    if subwords:
        composition, buckets = subword_composition(vocabulary.words, subwords, by_length), subwords.buckets
    else:
        composition, buckets = whole_word_composition(), 0
    weights = init_weights(vocabulary.rows + buckets, vocabulary.rows, dimension, _SPECIALS, seed, cache_rows)
    return EmbeddingModel(vocabulary, dimension, composition, weights)


def choose_subwords(words: Sequence[bytes], min_length: int, max_length: int, buckets: int) -> Subwords:
    """Choose the n-grams of a vocabulary; with `buckets` 0, four times as many buckets as distinct n-grams.

    One n-gram in five then shares its bucket with another. The default is limited to MAX_BUCKETS.
    """
    if not buckets:
        _, hashes, _ = hash_ngrams([word.decode() for word in words], min_length, max_length)
        buckets = min(MAX_BUCKETS, 4 * len(np.unique(hashes)) + 1)
    return Subwords(min_length, max_length, buckets)


def merge_vocabularies(
    found: WordCounts, known: VectorTable
) -> tuple[list[bytes], NDArray[np.int64], NDArray[np.int32]]:
    """Merge the words of a new text with those that already have vectors.

    Returns:
        All words, by descending total frequency; their counts; the vocabulary id of each word of `found`.
    """
    totals = dict(zip(found.words, found.counts.tolist(), strict=True))
    counts = known.words.counts if known.words.counts is not None else np.zeros(len(known.words), np.int64)
    for word, count in zip(known.words.encoded(), counts.tolist(), strict=True):
        totals[word] = totals.get(word, 0) + count
    words = sorted(totals, key=lambda word: (-totals[word], word))
    id_of = {word: id for id, word in enumerate(words, start=_SPECIALS)}
    return words, np.array([totals[word] for word in words]), np.array([id_of[word] for word in found.words], np.int32)


def copy_pretrained_vectors(model: EmbeddingModel, known: VectorTable) -> None:
    """Initialize a model from existing vectors; its vocabulary includes their words and has the same n-grams.

    Raises:
        ConfigError: The dimensions differ.
    """
    vocabulary, stride = model.vocabulary, model.weights.stride
    if known.dimension != model.dimension:
        raise ConfigError(
            f"{known.name} has vectors of dimension {known.dimension}, --dimension is {model.dimension}",
            hint=f"use --dimension {known.dimension} to continue from them",
            path=known.name,
            option="--dimension",
        )
    id_of = {word: id for id, word in enumerate(vocabulary.words, start=_SPECIALS)}
    rows = np.array([id_of[word] for word in known.words.encoded()])
    inputs_RD = unpadded_rows(model.weights.inputs, stride, model.dimension)
    if known.subwords is not None and known.buckets_KD is not None:
        inputs_RD[vocabulary.rows : vocabulary.rows + len(known.buckets_KD)] = known.buckets_KD
        inputs_RD[rows] = recover_word_rows(known.matrix_VD, inputs_RD, model.composition, rows)
    else:
        inputs_RD[rows] = known.matrix_VD
    if known.contexts_VD is not None:
        unpadded_rows(model.weights.outputs, stride, model.dimension)[rows] = known.contexts_VD


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
    starts, buckets = subwords.table([word.decode() for word in words])
    starts_V = np.concatenate([np.zeros(_SPECIALS, np.int64), starts + np.arange(len(starts))])
    rows = np.empty(starts_V[-1], np.int32)
    is_own = np.zeros(len(rows), np.bool_)
    is_own[starts_V[_SPECIALS:-1]] = True
    rows[is_own] = np.arange(_SPECIALS, _SPECIALS + len(words))
    rows[~is_own] = buckets + (_SPECIALS + len(words))
    ratios = np.ones(len(rows), np.float32)
    if by_length:
        lengths = subwords.lengths([word.decode() for word in words])
        ratios[~is_own] = lengths * 2 / (subwords.min_length + subwords.max_length)
    return Composition(starts_V, rows, np.float32(1) / ratios, ratios * ratios)


def composed_vectors(inputs_RD: NDArray[np.float32], composition: Composition) -> NDArray[np.float32]:
    """Compute the vector of each vocabulary id, (V, D); those of special symbols, which have no rows, are zero."""
    starts_V = composition.starts_V
    vectors_VD = np.zeros((len(starts_V) - 1, inputs_RD.shape[1]), np.float32)
    for first in range(_SPECIALS, len(vectors_VD), _BLOCK):
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
