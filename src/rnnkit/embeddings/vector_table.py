"""Rows of numbers by word: what every file of word vectors holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import FormatError
from rnnkit.io.safe_reading import Repairs

if TYPE_CHECKING:
    from rnnkit.embeddings.subword_ngrams import Subwords

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class VectorTable:
    """Words and their vectors, and n-grams' vectors for words that are not there.

    Attributes:
        words: In the file's order, usually the most frequent first.
        matrix_VD: The vector of each, perhaps memory-mapped. With subwords, the mean of the word's own row and those
            of its n-grams.
        subwords: How a word is cut into n-grams; None where only whole words have vectors.
        buckets_KD: The vector of each bucket of n-grams, where there are subwords.
        contexts_VD: The output (context) vector of each word in training, where it is known.
        name: Where they come from, for messages.
        repairs: What was repaired or skipped while they were read; None where they were read strictly.
    """

    words: WordIndex
    matrix_VD: Matrix
    subwords: Subwords | None = None
    buckets_KD: Matrix | None = None
    contexts_VD: Matrix | None = None
    name: str = "the table"
    repairs: Repairs | None = None

    def __post_init__(self) -> None:
        if len(self.words) != len(self.matrix_VD):
            raise ValueError(f"{len(self.words)} words, {len(self.matrix_VD)} rows")

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        matrix_VD: Matrix,
        counts: Sequence[int] | None = None,
        subwords: Subwords | None = None,
        buckets_KD: Matrix | None = None,
    ) -> VectorTable:
        """A table of what is in memory."""
        return cls(WordIndex.from_list(words, counts), np.asarray(matrix_VD, np.float32), subwords, buckets_KD)

    @property
    def dimension(self) -> int:
        """Numbers a vector."""
        return int(self.matrix_VD.shape[1])

    def first(self, count: int) -> VectorTable:
        """The first so many words, with the same n-grams."""
        contexts_VD = None if self.contexts_VD is None else self.contexts_VD[:count]
        return replace(self, words=self.words.first(count), matrix_VD=self.matrix_VD[:count], contexts_VD=contexts_VD)

    def vector(self, word: str) -> Matrix | None:
        """The vector (D,) of a word, composed of its n-grams' where it has no row; None where nothing is known.

        Raises:
            FormatError: It holds NaN or infinity.
        """
        row = self.words.row(word)
        vector = self._compose(word) if row is None else np.array(self.matrix_VD[row])
        if vector is not None and not np.isfinite(vector).all():
            raise self.not_finite(word)
        return vector

    def not_finite(self, word: str) -> FormatError:
        """The error that a vector cannot be used."""
        return FormatError(
            f"{self.name}: the vector of {word!r} holds NaN or infinity",
            hint="`rnnkit verify` says whether the file has changed since it was written",
        )

    def _compose(self, word: str) -> Matrix | None:
        if self.subwords is None or self.buckets_KD is None:
            return None
        try:
            rows = self.subwords.rows(word)
        except UnicodeEncodeError:  # half a surrogate pair, as a terminal may deliver
            return None
        if not len(rows):
            return None
        mean: Matrix = self.buckets_KD[rows].sum(axis=0) * np.float32(1 / len(rows))
        return mean


class RowBuffer:
    """A matrix that grows by halves, in place where the system can.

    Args:
        dimension: Numbers in a row.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._rows = 0
        self._matrix: Matrix = np.empty((0, dimension), dtype=np.float32)

    def __len__(self) -> int:
        return self._rows

    def append(self, block_ND: Matrix) -> None:
        """Add rows (N, D) at the end."""
        wanted = self._rows + len(block_ND)
        if wanted > len(self._matrix):
            self._matrix.resize((int(1.5 * self._rows) + len(block_ND), self._dimension), refcheck=False)
        self._matrix[self._rows : wanted] = block_ND
        self._rows = wanted

    def rows(self) -> Matrix:
        """The rows so far (N, D): a view, to be let go before more are added."""
        return self._matrix[: self._rows]

    def row(self, number: int) -> Matrix:
        """A copy of one row (D,); -1 is the last."""
        row: Matrix = self._matrix[: self._rows][number].copy()
        return row

    def drop(self) -> None:
        """Take back the last row."""
        self._rows -= 1

    def take(self) -> Matrix:
        """The rows (V, D). The buffer is empty afterwards."""
        matrix, self._matrix = self._matrix, np.empty((0, self._dimension), dtype=np.float32)
        matrix.resize((self._rows, self._dimension), refcheck=False)
        self._rows = 0
        return matrix
