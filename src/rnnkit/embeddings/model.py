"""Word vectors while they learn: the words, what they are made of, and the two matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.composition import Composition, mean_rows, own_rows, whole_words, with_subwords
from rnnkit.embeddings.corpus import WordCounts
from rnnkit.embeddings.subwords import Subwords, hash_ngrams
from rnnkit.embeddings.table import Table
from rnnkit.embeddings.weights import Weights, make_weights, memory_bytes, rows_of
from rnnkit.embeddings.words import Words
from rnnkit.errors import ConfigError
from rnnkit.text import special_tokens

MOST_BUCKETS: Final = 2_000_000
"""Rows for n-grams where nobody says how many."""

_SPECIALS = len(special_tokens.NAMES)


@dataclass(frozen=True)
class Lexicon:
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

    lexicon: Lexicon
    dimension: int
    composition: Composition
    weights: Weights

    def table(self) -> Table:
        """The words and their vectors as they are now; they are no copies but for means."""
        lexicon, rows = self.lexicon, self.lexicon.rows
        inputs_RD = rows_of(self.weights.inputs, self.weights.stride, self.dimension)
        vectors_VD = mean_rows(inputs_RD, self.composition) if lexicon.subwords else inputs_RD
        return Table(
            Words.from_list(lexicon.words, lexicon.counts.tolist()),
            vectors_VD[_SPECIALS:rows],
            lexicon.subwords,
            inputs_RD[rows : rows + lexicon.subwords.buckets] if lexicon.subwords else None,
            rows_of(self.weights.outputs, self.weights.stride, self.dimension)[_SPECIALS:rows],
        )


def make_model(lexicon: Lexicon, dimension: int, seed: int, copies: int = 0, by_length: bool = False) -> EmbeddingModel:
    """A model as word2vec starts.

    Args:
        lexicon: The words.
        dimension: Numbers in a vector.
        seed: Of the first vectors.
        copies: Rows more, for threads to keep copies in.
        by_length: N-grams count by their length.
    """
    subwords = lexicon.subwords
    composition = with_subwords(lexicon.words, subwords, by_length) if subwords else whole_words()
    buckets = subwords.buckets if subwords else 0
    weights = make_weights(lexicon.rows + buckets, lexicon.rows, dimension, _SPECIALS, seed, copies)
    return EmbeddingModel(lexicon, dimension, composition, weights)


def choose_subwords(words: Sequence[bytes], min_length: int, max_length: int, buckets: int) -> Subwords:
    """The n-grams of a vocabulary, in as many buckets; 0 for four times as many as there are different ones.

    One in five shares its bucket with another then. The most are two million, as in fastText.
    """
    if not buckets:
        _, hashes, _ = hash_ngrams([word.decode() for word in words], min_length, max_length)
        buckets = min(MOST_BUCKETS, 4 * len(np.unique(hashes)) + 1)
    return Subwords(min_length, max_length, buckets)


def merge_words(found: WordCounts, known: Table) -> tuple[list[bytes], NDArray[np.int64], NDArray[np.int32]]:
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


def copy_vectors(model: EmbeddingModel, known: Table) -> None:
    """Let a model start from vectors; its words hold all of theirs, and its n-grams are the same.

    Raises:
        ConfigError: The dimension differs.
    """
    lexicon, stride = model.lexicon, model.weights.stride
    if known.dimension != model.dimension:
        raise ConfigError(
            f"{known.name} has vectors of {known.dimension} numbers, --dimension is {model.dimension}",
            hint=f"--dimension {known.dimension} goes on with them",
        )
    row = {word: number for number, word in enumerate(lexicon.words, start=_SPECIALS)}
    rows = np.array([row[word] for word in known.words.encoded()])
    inputs_RD = rows_of(model.weights.inputs, stride, model.dimension)
    if known.subwords is not None and known.buckets_KD is not None:
        inputs_RD[lexicon.rows : lexicon.rows + len(known.buckets_KD)] = known.buckets_KD
        inputs_RD[rows] = own_rows(known.matrix_VD, inputs_RD, model.composition, rows)
    else:
        inputs_RD[rows] = known.matrix_VD
    if known.contexts_VD is not None:
        rows_of(model.weights.outputs, stride, model.dimension)[rows] = known.contexts_VD
