"""word2vec's binary format: a header line `words dimension`, then each word, a space, and its vector as float32.

word2vec.c ends each entry with a newline, gensim does not; both are read, the latter is written. Nothing
in the format separates text from numbers: a word that contains a space, or a wrong dimension, shifts everything after
it. `BinaryEntries.check_alignment` detects that from entries that look like the wrong kind of bytes.
"""

from __future__ import annotations

import os
from array import array
from pathlib import Path
from typing import Final

import numpy as np

from rnnkit.embeddings.formats.text_formats import read_header
from rnnkit.embeddings.formats.text_repair import WRONG_COUNT, read_loose_header
from rnnkit.embeddings.formats.vector_reader import VectorReader
from rnnkit.embeddings.formats.word_validation import (
    check_vectors,
    check_words,
    check_writable,
    is_utf8,
    looks_like_floats,
    repair_words,
)
from rnnkit.embeddings.vector_table import Matrix, RowBuffer, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import Repairs

CUT_OFF: Final = "entries cut off at the end"
TRAILING: Final = "trailing bytes that are not entries"

MAX_WORD_BYTES: Final = 1 << 16

_BLOCK_ROWS = 4096
_BLOCK_BYTES = 1 << 20
_MIN_MAGNITUDE, _MAX_MAGNITUDE = 1e-15, 1e9
"""Magnitudes of plausible numbers; bytes of text read as float32 are mostly outside."""

_NEWLINES = b"\r\n"
_MAX_NEWLINES = 8

_COPY = "copy the file again"
_COPY_OR_REPAIR = f"{_COPY}; --repair reads the words before"


def read(reader: VectorReader, repairs: Repairs | None = None) -> VectorTable:
    """Read a file.

    Args:
        reader: The file.
        repairs: Records what is repaired in an imperfect file; without it, such a file is an error.

    Raises:
        DataError: The file is malformed or truncated.
    """
    if repairs is not None:
        return read_with_repairs(reader, repairs)
    count, dimension = read_header(reader)
    if not reader.can_hold(count * (4 * dimension + 2)):
        raise DataError(
            f"{reader.name}:1: the header promises {count:,} words of dimension {dimension:,}",
            "the file is too small for that: it is truncated, or of another kind",
            hint="copy the file again; --repair reads the words that are present",
            path=reader.name,
            line=1,
        )
    entries = BinaryEntries(reader, dimension)
    for row in range(count):
        if not entries.read_entry():
            raise _no_word(entries, row, count)
        if entries.is_truncated:
            hint = _COPY_OR_REPAIR if row else _COPY
            entries.drop()
            entries.check_alignment(has_rest=True)
            raise reader.truncated(reader.position, f"the vector of word {row + 1:,} of {count:,}", hint)
    has_rest = reader.read(2) not in (b"", b"\n")
    entries.check_alignment(has_rest)
    matrix_VD = entries.take_vectors()
    check_words(entries.words, entries.locate)
    check_vectors(matrix_VD, entries.words, entries.locate)
    if has_rest:
        raise DataError(
            f"{reader.name} continues after the {count:,} words of its header",
            hint="the header is wrong, or its dimension: copy the file again; --repair reads the additional words, as "
            "far as there are any",
            path=reader.name,
        )
    return VectorTable(WordIndex.from_list(entries.words, name=reader.name), matrix_VD, name=reader.name)


def write(path: str | os.PathLike[str], table: VectorTable) -> None:
    """Write a file.

    Raises:
        DataError: A word contains a space.
        FormatError: A vector is not finite.
        ArtefactError: The file cannot be written.
    """
    words = check_writable(table, "word2vec's binary format", b" ")
    with atomic_file(Path(path), "wb") as file:
        file.write(b"%d %d\n" % (len(words), table.dimension))
        for start in range(0, len(words), _BLOCK_ROWS):
            rows = np.ascontiguousarray(table.matrix_VD[start : start + _BLOCK_ROWS], dtype="<f4")
            pairs = zip(words[start : start + _BLOCK_ROWS], rows, strict=True)
            file.write(b"".join(b"%b %b" % (word, row.tobytes()) for word, row in pairs))


def read_with_repairs(reader: VectorReader, repairs: Repairs) -> VectorTable:
    """Read all complete entries of an imperfect file, whatever their number.

    Raises:
        DataError: No entry can be used, or words and numbers are misaligned.
    """
    count, dimension = read_loose_header(reader, repairs)
    entries = BinaryEntries(reader, dimension)
    has_rest = False
    while not _is_at_end(reader):
        start = reader.position
        is_additional = len(entries.words) >= count
        if not entries.read_entry():
            if is_additional or entries.is_at_end():
                has_rest = True
                _skip_rest(reader, start, TRAILING if is_additional else CUT_OFF, repairs)
                break
            entries.check_alignment(has_rest=True)
            raise entries.no_word()
        entries.words[-1] = entries.words[-1].lstrip(_NEWLINES)
        if entries.is_truncated or (is_additional and not _is_entry(entries)):
            kind = CUT_OFF if entries.is_truncated and not is_additional else TRAILING
            entries.drop()
            has_rest = True
            _skip_rest(reader, start, kind, repairs)
            break
    entries.check_alignment(has_rest or len(entries.words) != count)
    if len(entries.words) != count:
        what = f"the header promises {count:,} words, {len(entries.words):,} were read"
        repairs.add(WRONG_COUNT, f"{reader.name}:1", what)
    kept = repair_words(entries.words, entries.take_vectors(), entries.locate, repairs, reader.name)
    return VectorTable(WordIndex.from_list(kept.words, name=reader.name), kept.matrix_VD, name=reader.name)


class BinaryEntries:
    """The words and vectors read so far.

    Args:
        reader: The file, at the start of an entry.
        dimension: Dimension of the vectors.

    Attributes:
        words: The words, as bytes.
        is_truncated: Whether the file ended within the vector of the last word.
    """

    def __init__(self, reader: VectorReader, dimension: int) -> None:
        self.reader = reader
        self.words: list[bytes] = []
        self.is_truncated = False
        self._dimension = dimension
        self._starts: array[int] = array("q")
        self._rows = RowBuffer(dimension)
        self._pending: list[bytes] = []

    def read_entry(self) -> bool:
        """Read an entry; returns False if no word ends within MAX_WORD_BYTES or before the end of the file."""
        start = self.reader.position
        word = self.reader.read_until(b" ", MAX_WORD_BYTES)
        if word is None:
            return False
        self._starts.append(start)
        self.words.append(word.removeprefix(b"\n"))
        vector = self.reader.read(4 * self._dimension)
        self.is_truncated = len(vector) < 4 * self._dimension
        if not self.is_truncated:
            self._pending.append(vector)
            if len(self._pending) * len(vector) >= _BLOCK_BYTES:
                self._append_pending()
        return True

    def drop(self) -> None:
        """Remove the last entry."""
        self.words.pop()
        self._starts.pop()
        if self.is_truncated:
            self.is_truncated = False
        elif self._pending:
            self._pending.pop()
        else:
            self._rows.drop()

    def is_at_end(self) -> bool:
        """Return whether fewer bytes are left than the longest word may have."""
        return not self.reader.peek(MAX_WORD_BYTES + 1)[MAX_WORD_BYTES:]

    def last_vector(self) -> Matrix:
        """Return the vector (D,) of the last entry."""
        self._append_pending()
        return self._rows.row(-1)

    def take_vectors(self) -> Matrix:
        """Return the vectors (V, D) and release them."""
        self._append_pending()
        return self._rows.take()

    def locate(self, row: int) -> str:
        """Return the position of an entry, for messages."""
        return f"{self.reader.name}: byte {self._starts[row]:,}"

    def check_alignment(self, has_rest: bool = False) -> None:
        """Check that words and vectors were read from their right offsets.

        Args:
            has_rest: Whether the number of entries differs from the header, or bytes are left that are not an entry.

        Raises:
            DataError: A word consists of numbers, or a vector of text.
        """
        self._append_pending()
        if is_utf8(b"\n".join(self.words)):
            suspects = [row for row, word in enumerate(self.words) if looks_like_floats(word)]
        else:
            suspects = [row for row, word in enumerate(self.words) if looks_like_floats(word) or not is_utf8(word)]
        if has_rest:
            suspects += [*(row + 1 for row in _text_rows(self._rows.rows())), len(self.words)]
        for row in sorted(suspects):
            is_word = row < len(self.words)
            if (is_word and looks_like_floats(self.words[row])) or (row and _is_implausible(self._rows.row(row - 1))):
                where = self.locate(row) if is_word else f"{self.reader.name}: the end"
                raise DataError(
                    f"{where}: found numbers where a word should begin",
                    "the usual cause is an earlier word that contains a space, or a wrong dimension in the header",
                    hint="write the file again with _ for the spaces in words, or as text",
                    path=self.reader.name,
                )

    def no_word(self) -> DataError:
        """Make the error for a missing end of a word."""
        return DataError(
            f"{self.reader.name}: byte {self.reader.position:,}: no word ends within {MAX_WORD_BYTES:,} bytes",
            "the header's dimension is wrong, or the file is of another kind",
            path=self.reader.name,
        )

    def _append_pending(self) -> None:
        if self._pending:
            block = np.frombuffer(b"".join(self._pending), dtype="<f4").reshape(-1, self._dimension)
            self._rows.append(block)
            self._pending.clear()


def _no_word(entries: BinaryEntries, row: int, count: int) -> DataError:
    reader = entries.reader
    entries.check_alignment(has_rest=True)
    if entries.is_at_end():
        hint = _COPY_OR_REPAIR if row else _COPY
        return reader.truncated(reader.position, f"word {row + 1:,} of {count:,}", hint)
    return entries.no_word()


def _is_at_end(reader: VectorReader) -> bool:
    """Return whether only line ends follow."""
    rest = reader.peek(_MAX_NEWLINES)
    return len(rest) < _MAX_NEWLINES and not rest.strip(_NEWLINES)


def _is_entry(entries: BinaryEntries) -> bool:
    """Return whether an entry beyond the header's number is a word with a vector, not arbitrary bytes."""
    word = entries.words[-1]
    is_word = bool(word) and is_utf8(word) and not looks_like_floats(word)
    return is_word and bool(np.isfinite(entries.last_vector()).all())


def _skip_rest(reader: VectorReader, start: int, kind: str, repairs: Repairs) -> None:
    repairs.add(kind, f"{reader.name}: byte {start:,}", "it was skipped, with all that follows")


def _is_implausible(vector_D: Matrix) -> bool:
    """Return whether numbers have magnitudes that bytes of text have and vectors do not."""
    magnitudes_D = np.abs(vector_D[np.isfinite(vector_D) & (vector_D != 0)])
    return bool(((magnitudes_D < _MIN_MAGNITUDE) | (magnitudes_D > _MAX_MAGNITUDE)).any())


def _text_rows(matrix_VD: Matrix) -> list[int]:
    """Return the rows whose first number is four printable characters and implausible."""
    first_bytes = np.ascontiguousarray(matrix_VD[:, :1]).view(np.uint8)
    printable = ((first_bytes >= ord(" ")) & (first_bytes <= ord("~"))).all(axis=1)
    return [row for row in np.flatnonzero(printable).tolist() if _is_implausible(matrix_VD[row, :1])]
