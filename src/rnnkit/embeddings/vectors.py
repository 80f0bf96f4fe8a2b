"""Queries on word vectors: nearest neighbors, similarity, the odd one out, and analogies."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings import formats
from rnnkit.embeddings.vector_table import Matrix, Subwords, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError, UsageError
from rnnkit.options.declare import did_you_mean

_BLOCK_ROWS = 8192
_SUGGESTED = 50_000
"""Number of frequent words that are searched for suggestions."""

_FORMS: tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...] = ("NFC", "NFD", "NFKC", "NFKD")


class UnknownWord(DataError):
    """The word is out of vocabulary and has no n-grams with vectors."""


@dataclass(frozen=True)
class Neighbor:
    """A word and its cosine similarity to the query."""

    word: str
    similarity: float


class WordVectors:
    """Word vectors with queries.

    Args:
        table: The words and their vectors.
    """

    def __init__(self, table: VectorTable) -> None:
        self.table = table
        self._units_VD: Matrix = np.zeros((0, table.dimension), dtype=np.float32)

    @classmethod
    def load(cls, path: str | os.PathLike[str], repair: bool = False) -> WordVectors:
        """Open a vectors directory, or read a file of word2vec, fastText or GloVe, detected by its content.

        Args:
            path: The directory or file.
            repair: Accept an imperfect file, and record in `table.repairs` what was repaired or skipped.

        Raises:
            DataError: The file does not exist, contains no vectors, or is malformed.
            FormatError: The directory is damaged or of a newer version.
            ArtefactError: The directory is of another kind.
        """
        return cls(formats.load(path, repair))

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        matrix_VD: Matrix,
        counts: Sequence[int] | None = None,
        subwords: Subwords | None = None,
        buckets_KD: Matrix | None = None,
    ) -> WordVectors:
        """Make vectors from data in memory; the arguments are those of `VectorTable`."""
        return cls(VectorTable.of(words, matrix_VD, counts, subwords, buckets_KD))

    @property
    def words(self) -> WordIndex:
        """The words by descending frequency, without special symbols."""
        return self.table.words

    @property
    def matrix_VD(self) -> Matrix:
        """A row per word (V, D); may be memory-mapped and read-only."""
        return self.table.matrix_VD

    @property
    def counts(self) -> NDArray[np.int64] | None:
        """Occurrences of each word in the training text, if known."""
        return self.table.words.counts

    @property
    def dimension(self) -> int:
        """Dimension of the vectors."""
        return self.table.dimension

    def __len__(self) -> int:
        return len(self.words)

    def __repr__(self) -> str:
        """Number of words and dimension."""
        return f"WordVectors({len(self):,} words, dimension {self.dimension})"

    def __contains__(self, word: object) -> bool:
        return word in self.words

    def __getitem__(self, word: str) -> Matrix:
        """Return the vector (D,) of a word; without a row, the mean of its n-grams' vectors if the model has them.

        Raises:
            UnknownWord: There is neither.
            FormatError: The vector contains NaN or infinity.
        """
        vector = self.table.vector(word)
        if vector is None:
            raise self._unknown(word)
        return vector

    def neighbors(self, query: str | Matrix, count: int = 10, restrict: int | None = None) -> list[Neighbor]:
        """Return the nearest words by cosine similarity, the nearest first.

        Args:
            query: A word, which is excluded from the result, or a vector (D,).
            count: Maximum number of neighbors.
            restrict: Search only this many of the first words.

        Raises:
            UnknownWord: The word has no vector.
        """
        if isinstance(query, str):
            return self._nearest(self[query], count, restrict, [query])
        return self._nearest(np.asarray(query, np.float32), count, restrict, [])

    def most_similar(self, word: str, count: int = 10) -> list[tuple[str, float]]:
        """Return the nearest words with their cosine similarity, as gensim does. Raises as `neighbors`."""
        return [(each.word, each.similarity) for each in self.neighbors(word, count)]

    def similarity(self, first: str, second: str) -> float:
        """Return the cosine similarity of two words; 0 if a vector is all zeros. Raises like `neighbors`."""
        return float(_unit(self[first]) @ _unit(self[second]))

    def odd_one_out(self, words: Sequence[str]) -> str:
        """Return the word least similar to the mean of the normalized vectors.

        Raises:
            UsageError: There are fewer than three words.
            UnknownWord: A word has no vector.
        """
        if len(words) < 3:
            raise UsageError(f"the odd one out needs at least three words, got {len(words)}")
        units_ND = np.stack([_unit(self[word]) for word in words])
        return words[int(np.argmin(units_ND @ units_ND.mean(axis=0)))]

    def analogy(
        self, positive: Sequence[str], negative: Sequence[str], count: int = 10, restrict: int | None = None
    ) -> list[Neighbor]:
        """Return the words nearest to a sum of normalized vectors (3CosAdd, Mikolov et al. 2013, arXiv:1301.3781).

        With `positive` king and woman and `negative` man: what is to woman as king is to man?

        Args:
            positive: Words to add.
            negative: Words to subtract. All query words are excluded from the result.
            count: Maximum number of words.
            restrict: Search only this many of the first words.

        Raises:
            UsageError: No word was given.
            UnknownWord: A word has no vector.
        """
        if not [*positive, *negative]:
            raise UsageError("an analogy needs at least one word")
        parts = [_unit(self[word]) for word in positive] + [-_unit(self[word]) for word in negative]
        return self._nearest(np.sum(parts, axis=0), count, restrict, [*positive, *negative])

    def unit_rows(self, restrict: int | None = None) -> Matrix:
        """Return the rows normalized to unit length, computed once; rows of zeros stay zero.

        Args:
            restrict: Only this many of the first words.

        Raises:
            FormatError: A row contains NaN or infinity; the message names its word.
        """
        rows = len(self) if restrict is None else min(restrict, len(self))
        if len(self._units_VD) < rows:
            lengths_V = self._lengths(rows)
            divisors_V = np.where(lengths_V > 0, lengths_V, 1).astype(np.float32)
            self._units_VD = np.divide(self.matrix_VD[:rows], divisors_V[:, None], dtype=np.float32)
        return self._units_VD[:rows]

    def _nearest(self, query_D: Matrix, count: int, restrict: int | None, excluded: Iterable[str]) -> list[Neighbor]:
        rows = len(self) if restrict is None else min(restrict, len(self))
        lengths_V = self._lengths(rows)
        scores_V = (self.matrix_VD[:rows] @ _unit(query_D)) / np.where(lengths_V > 0, lengths_V, 1)
        found = [row for word in excluded if (row := self.words.row(word)) is not None and row < rows]
        scores_V[found] = -np.inf
        wanted = max(0, min(count, rows - len(set(found))))
        if not wanted:
            return []
        least = np.partition(scores_V, rows - wanted)[rows - wanted]
        nearest_N = np.flatnonzero(scores_V >= least)
        ordered_N = nearest_N[np.argsort(-scores_V[nearest_N], kind="stable")][:wanted]
        return [Neighbor(self.words[row], float(scores_V[row])) for row in ordered_N.tolist()]

    def _lengths(self, rows: int) -> NDArray[np.float64]:
        """Return the Euclidean norm of each of the first rows."""
        if rows < len(self) and "_all_lengths_V" not in self.__dict__:
            return self._measure(rows)
        return self._all_lengths_V[:rows]

    @cached_property
    def _all_lengths_V(self) -> NDArray[np.float64]:
        return self._measure(len(self))

    def _measure(self, rows: int) -> NDArray[np.float64]:
        lengths_V = np.empty(rows)
        for start in range(0, rows, _BLOCK_ROWS):
            block = self.matrix_VD[start : min(start + _BLOCK_ROWS, rows)].astype(np.float64)
            lengths_V[start : start + len(block)] = np.sqrt(np.einsum("vd,vd->v", block, block))
        bad = np.flatnonzero(~np.isfinite(lengths_V))
        if len(bad):
            raise self.table.not_finite(self.words[int(bad[0])])
        return lengths_V

    def _unknown(self, word: str) -> UnknownWord:
        """Make the error for a word without a vector, with a suggestion."""
        for form in _FORMS:
            same = unicodedata.normalize(form, word)
            if same != word and same in self.words:
                return UnknownWord(
                    f"{word!r} has no vector",
                    f"{same!r} has one: the two differ only in their Unicode normalization form",
                    hint=f"use the word in form {form}",
                )
        other = next((form for form in (word.lower(), word.capitalize(), word.upper()) if form in self.words), None)
        hint = f"did you mean {other!r}?" if other else did_you_mean(word, self._similar_words(word))
        return UnknownWord(
            f"{word!r} has no vector", f"{self.table.name} has vectors of {len(self):,} words", hint=hint
        )

    def _similar_words(self, word: str) -> list[str]:
        """Return frequent words of similar length that begin or end with the same character."""
        if not word:
            return []
        lengths = self.words.first(_SUGGESTED).lengths()
        rows = np.flatnonzero(abs(lengths - len(word.encode("utf-8", "surrogatepass"))) <= 2)
        near = [self.words[int(row)] for row in rows]
        return [other for other in near if other[0] == word[0] or other[-1] == word[-1]]


def _unit(vector_D: Matrix) -> Matrix:
    """Normalize a vector to unit length; zeros stay zero."""
    length = float(np.linalg.norm(vector_D.astype(np.float64)))
    return (vector_D / length).astype(np.float32) if length else vector_D
