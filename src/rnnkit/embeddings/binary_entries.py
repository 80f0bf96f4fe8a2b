"""The entries of word2vec's binary format as they stand in the file: a word, a space, its numbers as float32."""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np

from rnnkit.embeddings.row_buffer import RowBuffer
from rnnkit.embeddings.source import Source
from rnnkit.embeddings.spelling import is_numbers, is_utf8
from rnnkit.embeddings.table import Matrix
from rnnkit.errors import DataError

LONGEST_WORD: Final = 1 << 16

_LEAST, _GREATEST = 1e-15, 1e9
_BLOCK = 1 << 20  # bytes of numbers that are joined at a time


class Entries:
    """Words and vectors while they are read.

    Args:
        source: The file, at the start of an entry.
        dimension: Numbers of a vector.

    Attributes:
        words: Those read so far, as bytes.
        is_cut: Whether the file ended within the numbers of the last word.
    """

    def __init__(self, source: Source, dimension: int) -> None:
        self.source = source
        self.words: list[bytes] = []
        self.is_cut = False
        self._dimension = dimension
        self._starts: array[int] = array("q")
        self._rows = RowBuffer(dimension)
        self._waiting: list[bytes] = []

    def add(self) -> bool:
        """Read an entry; False where no word ends within the longest that is read, or within the file."""
        start = self.source.position
        word = self.source.until(b" ", LONGEST_WORD)
        if word is None:
            return False
        self._starts.append(start)
        self.words.append(word.removeprefix(b"\n"))
        numbers = self.source.read(4 * self._dimension)
        self.is_cut = len(numbers) < 4 * self._dimension
        if not self.is_cut:
            self._waiting.append(numbers)
            if len(self._waiting) * len(numbers) >= _BLOCK:
                self._join()
        return True

    def drop(self) -> None:
        """Take back the last entry."""
        self.words.pop()
        self._starts.pop()
        if self.is_cut:
            self.is_cut = False
        elif self._waiting:
            self._waiting.pop()
        else:
            self._rows.drop()

    def is_at_end(self) -> bool:
        """Whether the file ends before a word that starts here could be too long."""
        return not self.source.peek(LONGEST_WORD + 1)[LONGEST_WORD:]

    def last_vector(self) -> Matrix:
        """The numbers (D,) of the last entry."""
        self._join()
        return self._rows.row(-1)

    def take_vectors(self) -> Matrix:
        """The vectors (V, D). They are gone afterwards."""
        self._join()
        return self._rows.take()

    def where(self, row: int) -> str:
        """The place of an entry, for messages."""
        return f"{self.source.name}: byte {self._starts[row]:,}"

    def refuse_numbers(self, has_rest: bool = False) -> None:
        """Make sure that words and numbers were read from their right places.

        Args:
            has_rest: Whether the file has more or fewer entries than it should, or bytes that are not an entry.

        Raises:
            DataError: A word is numbers, or a vector is text: from there on, everything was read from a wrong place.
        """
        self._join()
        try:
            b"\n".join(self.words).decode("utf-8")
            suspects = [row for row, word in enumerate(self.words) if is_numbers(word)]
        except UnicodeDecodeError:
            suspects = [row for row, word in enumerate(self.words) if is_numbers(word) or not is_utf8(word)]
        if has_rest:
            suspects += [*(row + 1 for row in _text_rows(self._rows.rows())), len(self.words)]
        for row in sorted(suspects):
            if (row < len(self.words) and is_numbers(self.words[row])) or (row and _is_wild(self._rows.row(row - 1))):
                place = self.where(row) if row < len(self.words) else f"{self.source.name}: the end"
                raise DataError(
                    f"{place}: there are numbers where a word should begin",
                    "a word before it that holds a space, or a wrong dimension in the header, is the usual cause",
                    hint="write the file again with _ for the spaces in words, or as text",
                )

    def no_word(self) -> DataError:
        """The error that no word ends where one should."""
        return DataError(
            f"{self.source.name}: byte {self.source.position:,}: no word ends within {LONGEST_WORD:,} bytes",
            "the header's dimension is wrong, or the file is of another kind",
        )

    def _join(self) -> None:
        if self._waiting:
            block = np.frombuffer(b"".join(self._waiting), dtype="<f4").reshape(-1, self._dimension)
            self._rows.append(block)
            self._waiting.clear()


def _is_wild(vector_D: Matrix) -> bool:
    """Whether numbers are of sizes that bytes of text have, and vectors do not."""
    sizes_D = np.abs(vector_D[np.isfinite(vector_D) & (vector_D != 0)])
    return bool(((sizes_D < _LEAST) | (sizes_D > _GREATEST)).any())


def _text_rows(matrix_VD: Matrix) -> list[int]:
    """Rows that begin with four letters or signs, which are a number that no vector holds."""
    octets = np.ascontiguousarray(matrix_VD[:, :1]).view(np.uint8)
    printable = ((octets >= ord(" ")) & (octets <= ord("~"))).all(axis=1)
    return [row for row in np.flatnonzero(printable).tolist() if _is_wild(matrix_VD[row, :1])]
