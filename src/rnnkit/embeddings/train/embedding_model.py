"""Word vectors while they learn: the words, what they are made of, and the two matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.subword_ngrams import Subwords
from rnnkit.embeddings.train.corpus import WordCounts
from rnnkit.embeddings.train.word_composition import mean_rows, own_rows, whole_words, with_subwords
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import ConfigError
from rnnkit.kernels.ngram_hashing import hash_ngrams
from rnnkit.kernels.word2vec_arrays import Composition, EmbeddingWeights, init_weights, memory_bytes, unpadded_rows
from rnnkit.text import special_tokens

MAX_BUCKETS: Final = 2_000_000
"""Rows for n-grams where nobody says how many."""

_SPECIALS = len(special_tokens.NAMES)


@dataclass(frozen=True)
class EmbeddingVocabulary:
    """The words that get vectors.

    Attributes:
        words: In UTF-8; the first has the row behind the special symbols.
        counts: Occurrences of each, in all text so far.
        subwords: Which n-grams there are; None for whole words.
    """

    words: Sequence[bytes]
    counts: NDArray[np.int64]
    subwords: Subwords | None

    @property
    def rows(self) -> int:
        """Rows of the vocabulary."""
        return _SPECIALS + len(self.words)

    def memory_bytes(self, dimension: int) -> int:
        """What learning takes: both matrices, and for subwords the means that are written in the end."""
        buckets = self.subwords.buckets if self.subwords else 0
        means = 4 * self.rows * dimension if self.subwords else 0
        return memory_bytes(self.rows + buckets, self.rows, dimension) + means


@dataclass(frozen=True)
class EmbeddingModel:
    """Word vectors that learn.

    Attributes:
        lexicon: The words.
        dimension: Numbers in a vector.
        composition: What words are made of.
        weights: The matrices.
    """

    vocabulary: EmbeddingVocabulary
    dimension: int
    composition: Composition
    weights: EmbeddingWeights

    def table(self) -> VectorTable:
        """The words and their vectors as they are now; they are no copies but for means."""
        vocabulary, rows = self.vocabulary, self.vocabulary.rows
        inputs_RD = unpadded_rows(self.weights.inputs, self.weights.stride, self.dimension)
        vectors_VD = mean_rows(inputs_RD, self.composition) if vocabulary.subwords else inputs_RD
        return VectorTable(
            WordIndex.from_list(vocabulary.words, vocabulary.counts.tolist()),
            vectors_VD[_SPECIALS:rows],
            vocabulary.subwords,
            inputs_RD[rows : rows + vocabulary.subwords.buckets] if vocabulary.subwords else None,
            unpadded_rows(self.weights.outputs, self.weights.stride, self.dimension)[_SPECIALS:rows],
        )


def init_model(
    vocabulary: EmbeddingVocabulary, dimension: int, seed: int, copies: int = 0, by_length: bool = False
) -> EmbeddingModel:
    """A model as word2vec starts.

    Args:
        vocabulary: The words.
        dimension: Numbers in a vector.
        seed: Of the first vectors.
        copies: Rows more, for threads to keep copies in.
        by_length: N-grams count by their length.
    """
    subwords = vocabulary.subwords
    composition = with_subwords(vocabulary.words, subwords, by_length) if subwords else whole_words()
    buckets = subwords.buckets if subwords else 0
    weights = init_weights(vocabulary.rows + buckets, vocabulary.rows, dimension, _SPECIALS, seed, copies)
    return EmbeddingModel(vocabulary, dimension, composition, weights)


def choose_subwords(words: Sequence[bytes], min_length: int, max_length: int, buckets: int) -> Subwords:
    """The n-grams of a vocabulary, in as many buckets; 0 for four times as many as there are different ones.

    One in five shares its bucket with another then. The most are two million, as in fastText.
    """
    if not buckets:
        _, hashes, _ = hash_ngrams([word.decode() for word in words], min_length, max_length)
        buckets = min(MAX_BUCKETS, 4 * len(np.unique(hashes)) + 1)
    return Subwords(min_length, max_length, buckets)


def merge_vocabularies(
    found: WordCounts, known: VectorTable
) -> tuple[list[bytes], NDArray[np.int64], NDArray[np.int32]]:
    """The words of new text and those that have vectors already.

    Returns:
        All words, the most frequent in both texts together first; their counts; the row of each found word.
    """
    totals = dict(zip(found.words, found.counts.tolist(), strict=True))
    counts = known.words.counts if known.words.counts is not None else np.zeros(len(known.words), np.int64)
    for word, count in zip(known.words.encoded(), counts.tolist(), strict=True):
        totals[word] = totals.get(word, 0) + count
    words = sorted(totals, key=lambda word: (-totals[word], word))
    row = {word: number for number, word in enumerate(words, start=_SPECIALS)}
    return words, np.array([totals[word] for word in words]), np.array([row[word] for word in found.words], np.int32)


def copy_pretrained_vectors(model: EmbeddingModel, known: VectorTable) -> None:
    """Let a model start from vectors; its words hold all of theirs, and its n-grams are the same.

    Raises:
        ConfigError: The dimension differs.
    """
    vocabulary, stride = model.vocabulary, model.weights.stride
    if known.dimension != model.dimension:
        raise ConfigError(
            f"{known.name} has vectors of {known.dimension} numbers, --dimension is {model.dimension}",
            hint=f"--dimension {known.dimension} goes on with them",
        )
    row = {word: number for number, word in enumerate(vocabulary.words, start=_SPECIALS)}
    rows = np.array([row[word] for word in known.words.encoded()])
    inputs_RD = unpadded_rows(model.weights.inputs, stride, model.dimension)
    if known.subwords is not None and known.buckets_KD is not None:
        inputs_RD[vocabulary.rows : vocabulary.rows + len(known.buckets_KD)] = known.buckets_KD
        inputs_RD[rows] = own_rows(known.matrix_VD, inputs_RD, model.composition, rows)
    else:
        inputs_RD[rows] = known.matrix_VD
    if known.contexts_VD is not None:
        unpadded_rows(model.weights.outputs, stride, model.dimension)[rows] = known.contexts_VD
