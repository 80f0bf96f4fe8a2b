"""word2vec's binary format: a header line `words dimension`, then each word, a space, and its numbers as float32.

word2vec.c ends each entry with a newline, gensim does not; both are read, the second is written.
"""

from __future__ import annotations

import os
from array import array
from pathlib import Path
from typing import Final

import numpy as np

from rnnkit.embeddings.formats.text_repair import WRONG_COUNT, read_loose_header
from rnnkit.embeddings.formats.vector_reader import VectorReader
from rnnkit.embeddings.formats.word2vec_text import read_header
from rnnkit.embeddings.formats.word_repair import repair_words
from rnnkit.embeddings.formats.word_validation import (
    check_vectors,
    check_words,
    check_writable,
    is_utf8,
    looks_like_floats,
)
from rnnkit.embeddings.vector_table import Matrix, RowBuffer, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import Repairs

_BLOCK_ROWS = 4096
_COPY = "copy the file again"
_CUT_OFF = f"{_COPY}; --repair reads the words before"


def read(source: VectorReader, repairs: Repairs | None = None) -> VectorTable:
    """Read a file.

    Args:
        source: The file.
        repairs: Takes the record where an imperfect file is read; without it, such a file is an error.

    Raises:
        DataError: It is malformed or cut off; the message names the byte.
    """
    if repairs is not None:
        return read_with_repairs(source, repairs)
    count, dimension = read_header(source)
    if not source.can_hold(count * (4 * dimension + 2)):
        raise DataError(
            f"{source.name}:1: the header says {count:,} words of dimension {dimension:,}",
            "the file is too small for that: it was cut off, or is of another kind",
            hint="copy the file again; --repair reads the words that are there",
        )
    entries = BinaryEntries(source, dimension)
    for row in range(count):
        if not entries.add():
            raise _no_word(entries, row, count)
        if entries.is_cut:
            hint = _CUT_OFF if row else _COPY
            entries.drop()
            entries.refuse_numbers(has_rest=True)
            raise source.cut_off(source.position, f"the vector of word {row + 1:,} of {count:,}", hint)
    has_rest = source.read(2) not in (b"", b"\n")
    entries.refuse_numbers(has_rest)
    matrix_VD = entries.take_vectors()
    check_words(entries.words, entries.where)
    check_vectors(matrix_VD, entries.words, entries.where)
    if has_rest:
        raise DataError(
            f"{source.name} goes on behind its last vector",
            f"its header says {count:,}",
            hint="the header or the dimension in it is wrong: copy the file again; "
            "--repair reads the words behind it, as far as there are any",
        )
    return VectorTable(WordIndex.from_list(entries.words, name=source.name), matrix_VD, name=source.name)


def write(path: str | os.PathLike[str], table: VectorTable) -> None:
    """Write a file.

    Raises:
        DataError: A word holds a space, or a vector is not finite.
        ArtefactError: The file cannot be written.
    """
    words = check_writable(table, "word2vec's binary format", b" ")
    with atomic_file(Path(path), "wb") as file:
        file.write(b"%d %d\n" % (len(words), table.dimension))
        for start in range(0, len(words), _BLOCK_ROWS):
            rows = np.ascontiguousarray(table.matrix_VD[start : start + _BLOCK_ROWS], dtype="<f4")
            pairs = zip(words[start : start + _BLOCK_ROWS], rows, strict=True)
            file.write(b"".join(b"%b %b" % (word, row.tobytes()) for word, row in pairs))


def _no_word(entries: BinaryEntries, row: int, count: int) -> DataError:
    source = entries.source
    entries.refuse_numbers(has_rest=True)
    if entries.is_at_end():
        return source.cut_off(source.position, f"word {row + 1:,} of {count:,}", _CUT_OFF if row else _COPY)
    return entries.no_word()


MAX_WORD_BYTES: Final = 1 << 16

_MIN_MAGNITUDE, _MAX_MAGNITUDE = 1e-15, 1e9
_BLOCK_BYTES = 1 << 20  # bytes of numbers that are joined at a time


class BinaryEntries:
    """Words and vectors while they are read.

    Args:
        source: The file, at the start of an entry.
        dimension: Numbers of a vector.

    Attributes:
        words: Those read so far, as bytes.
        is_cut: Whether the file ended within the numbers of the last word.
    """

    def __init__(self, source: VectorReader, dimension: int) -> None:
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
        word = self.source.until(b" ", MAX_WORD_BYTES)
        if word is None:
            return False
        self._starts.append(start)
        self.words.append(word.removeprefix(b"\n"))
        numbers = self.source.read(4 * self._dimension)
        self.is_cut = len(numbers) < 4 * self._dimension
        if not self.is_cut:
            self._waiting.append(numbers)
            if len(self._waiting) * len(numbers) >= _BLOCK_BYTES:
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
        return not self.source.peek(MAX_WORD_BYTES + 1)[MAX_WORD_BYTES:]

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
            suspects = [row for row, word in enumerate(self.words) if looks_like_floats(word)]
        except UnicodeDecodeError:
            suspects = [row for row, word in enumerate(self.words) if looks_like_floats(word) or not is_utf8(word)]
        if has_rest:
            suspects += [*(row + 1 for row in _text_rows(self._rows.rows())), len(self.words)]
        for row in sorted(suspects):
            if (row < len(self.words) and looks_like_floats(self.words[row])) or (
                row and _is_implausible(self._rows.row(row - 1))
            ):
                place = self.where(row) if row < len(self.words) else f"{self.source.name}: the end"
                raise DataError(
                    f"{place}: there are numbers where a word should begin",
                    "a word before it that holds a space, or a wrong dimension in the header, is the usual cause",
                    hint="write the file again with _ for the spaces in words, or as text",
                )

    def no_word(self) -> DataError:
        """The error that no word ends where one should."""
        return DataError(
            f"{self.source.name}: byte {self.source.position:,}: no word ends within {MAX_WORD_BYTES:,} bytes",
            "the header's dimension is wrong, or the file is of another kind",
        )

    def _join(self) -> None:
        if self._waiting:
            block = np.frombuffer(b"".join(self._waiting), dtype="<f4").reshape(-1, self._dimension)
            self._rows.append(block)
            self._waiting.clear()


def _is_implausible(vector_D: Matrix) -> bool:
    """Whether numbers are of sizes that bytes of text have, and vectors do not."""
    sizes_D = np.abs(vector_D[np.isfinite(vector_D) & (vector_D != 0)])
    return bool(((sizes_D < _MIN_MAGNITUDE) | (sizes_D > _MAX_MAGNITUDE)).any())


def _text_rows(matrix_VD: Matrix) -> list[int]:
    """Rows that begin with four letters or signs, which are a number that no vector holds."""
    octets = np.ascontiguousarray(matrix_VD[:, :1]).view(np.uint8)
    printable = ((octets >= ord(" ")) & (octets <= ord("~"))).all(axis=1)
    return [row for row in np.flatnonzero(printable).tolist() if _is_implausible(matrix_VD[row, :1])]


CUT_OFF = "entries cut off at the end"
TRAILING = "trailing bytes that are not entries"

_NEWLINES = b"\r\n"
_MAX_NEWLINES = 8


def read_with_repairs(source: VectorReader, repairs: Repairs) -> VectorTable:
    """Read a file.

    Raises:
        DataError: No entry can be used, or words and numbers are read from a wrong place.
    """
    count, dimension = read_loose_header(source, repairs)
    entries = BinaryEntries(source, dimension)
    has_rest = False
    while not _is_at_end(source):
        start = source.position
        is_behind = len(entries.words) >= count
        if not entries.add():
            if is_behind or entries.is_at_end():
                has_rest = True
                _skip_rest(source, start, TRAILING if is_behind else CUT_OFF, repairs)
                break
            entries.refuse_numbers(has_rest=True)
            raise entries.no_word()
        entries.words[-1] = entries.words[-1].lstrip(_NEWLINES)
        if entries.is_cut or (is_behind and not _is_entry(entries)):
            kind = CUT_OFF if entries.is_cut and not is_behind else TRAILING
            entries.drop()
            has_rest = True
            _skip_rest(source, start, kind, repairs)
            break
    entries.refuse_numbers(has_rest or len(entries.words) != count)
    if len(entries.words) != count:
        repairs.add(WRONG_COUNT, f"{source.name}:1", f"it says {count:,} words, {len(entries.words):,} were read")
    kept = repair_words(entries.words, entries.take_vectors(), entries.where, repairs, source.name)
    return VectorTable(WordIndex.from_list(kept.words, name=source.name), kept.matrix_VD, name=source.name)


def _is_at_end(source: VectorReader) -> bool:
    """Whether nothing but line ends follows."""
    rest = source.peek(_MAX_NEWLINES)
    return len(rest) < _MAX_NEWLINES and not rest.strip(_NEWLINES)


def _is_entry(entries: BinaryEntries) -> bool:
    """Whether what the header does not count is a word with a vector, rather than bytes of another kind."""
    word = entries.words[-1]
    fit = bool(word) and is_utf8(word) and not looks_like_floats(word)
    return fit and bool(np.isfinite(entries.last_vector()).all())


def _skip_rest(source: VectorReader, start: int, kind: str, repairs: Repairs) -> None:
    repairs.add(kind, f"{source.name}: byte {start:,}", "it was skipped, with all that follows")
