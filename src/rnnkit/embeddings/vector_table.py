"""A table of words and their vectors: the content of every file of word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import FormatError
from rnnkit.io.safe_reading import Repairs

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Subwords:
    """Which n-grams words have, and their buckets as in fastText (Bojanowski et al. 2017, arXiv:1607.04606).

    A word is written `<word>` and split into n-grams of characters. The bucket of an n-gram is the hash of its UTF-8
    bytes modulo the number of buckets. Buckets equal fastText's, so models can be exchanged.

    Attributes:
        min_length: Characters of the shortest n-gram, `<` and `>` included.
        max_length: Characters of the longest n-gram.
        buckets: Number of buckets that n-grams are hashed into.
    """

    min_length: int
    max_length: int
    buckets: int

    def rows(self, word: str) -> NDArray[np.int32]:
        """Return the bucket of each n-gram of a word, in order and with repeats; buckets count from 0."""
        return self.table([word])[1]

    def table(self, words: Sequence[str | bytes]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the buckets of the n-grams of many words, given as text or as UTF-8 bytes, which need not be valid.

        Returns:
            Where the buckets of each word begin, (words + 1,), and all buckets, word by word.
        """
        from rnnkit.kernels.word_hashing import hash_ngrams  # imports the compiler

        starts, hashes, _ = hash_ngrams(words, self.min_length, self.max_length)
        return starts, (hashes % np.uint32(self.buckets)).astype(np.int32)

    def lengths(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Return the length in characters of each n-gram, in the order of `table`."""
        from rnnkit.kernels.word_hashing import hash_ngrams

        return hash_ngrams(words, self.min_length, self.max_length)[2]


@dataclass(frozen=True, eq=False)
class VectorTable:
    """Words and their vectors, with vectors of n-grams for out-of-vocabulary words.

    Attributes:
        words: In the order of the file, usually by descending frequency.
        matrix_VD: The vector of each word, possibly memory-mapped. With subwords, the mean of the word's own row and
            those of its n-grams.
        subwords: How words are split into n-grams; None if only whole words have vectors.
        buckets_KD: The vector of each bucket of n-grams, if there are subwords.
        contexts_VD: The output (context) vector of each word, if known.
        name: Where the vectors come from, for messages.
        repairs: What was repaired or skipped while reading; None after strict reading.
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
        """Make a table from data in memory."""
        return cls(WordIndex.from_list(words, counts), np.asarray(matrix_VD, np.float32), subwords, buckets_KD)

    @property
    def dimension(self) -> int:
        """Dimension of the vectors."""
        return int(self.matrix_VD.shape[1])

    def first(self, count: int) -> VectorTable:
        """Return the first `count` words, with the same n-grams."""
        contexts_VD = None if self.contexts_VD is None else self.contexts_VD[:count]
        return replace(self, words=self.words.first(count), matrix_VD=self.matrix_VD[:count], contexts_VD=contexts_VD)

    def vector(self, word: str) -> Matrix | None:
        """Return the vector (D,) of a word; without a row, the mean of its n-grams' vectors; None without these.

        Raises:
            FormatError: It contains NaN or infinity.
        """
        row = self.words.row(word)
        vector = self._compose(word) if row is None else np.array(self.matrix_VD[row])
        if vector is not None and not np.isfinite(vector).all():
            raise self.not_finite(word)
        return vector

    def not_finite(self, word: str) -> FormatError:
        """Make the error for a vector that contains NaN or infinity."""
        return FormatError(
            f"{self.name}: the vector of {word!r} contains NaN or infinity",
            hint="`rnnkit verify` checks whether the file has changed since it was written",
            path=None if self.name == VectorTable.name else self.name,
        )

    def _compose(self, word: str) -> Matrix | None:
        if self.subwords is None or self.buckets_KD is None:
            return None
        try:
            rows = self.subwords.rows(word)
        except UnicodeEncodeError:  # a lone surrogate, as terminals may deliver
            return None
        if not len(rows):
            return None
        mean: Matrix = self.buckets_KD[rows].sum(axis=0) * np.float32(1 / len(rows))
        return mean


class RowBuffer:
    """A growing matrix: memory follows the rows that were read, not the size that a header promises.

    It grows by half of its size, in place if the system can.

    Args:
        dimension: Numbers per row.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._rows = 0
        self._matrix: Matrix = np.empty((0, dimension), dtype=np.float32)

    def __len__(self) -> int:
        return self._rows

    def append(self, block_ND: Matrix) -> None:
        """Append rows (N, D)."""
        size = self._rows + len(block_ND)
        if size > len(self._matrix):
            self._matrix.resize((int(1.5 * self._rows) + len(block_ND), self._dimension), refcheck=False)
        self._matrix[self._rows : size] = block_ND
        self._rows = size

    def rows(self) -> Matrix:
        """Return a view of the rows (N, D), which must be released before more are appended."""
        return self._matrix[: self._rows]

    def row(self, index: int) -> Matrix:
        """Return a copy of one row (D,); -1 is the last."""
        row: Matrix = self._matrix[: self._rows][index].copy()
        return row

    def drop(self) -> None:
        """Remove the last row."""
        self._rows -= 1

    def take(self) -> Matrix:
        """Return the rows (V, D) and empty the buffer."""
        matrix, self._matrix = self._matrix, np.empty((0, self._dimension), dtype=np.float32)
        matrix.resize((self._rows, self._dimension), refcheck=False)
        self._rows = 0
        return matrix
