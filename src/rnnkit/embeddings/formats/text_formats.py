"""Text formats of word vectors: word2vec's, GloVe's, and the tables of TensorBoard's Embedding Projector.

    word2vec     a header `words dimension`, then a row per word; also fastText's `.vec`
    GloVe        a row per word, without a header
    projector    a directory with `vectors.tsv` and `metadata.tsv`; only written

A row is `word number number ...`. Rows are parsed in blocks, and written with the fewest digits that round-trip.
Reading is strict; `text_repair.py` reads imperfect files.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.formats.vector_reader import BLOCK_BYTES, VectorReader
from rnnkit.embeddings.formats.word_validation import check_words, check_writable
from rnnkit.embeddings.vector_table import Matrix, RowBuffer, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError
from rnnkit.io.atomic import atomic_file

MIN_DIGITS, MAX_DIGITS = 6, 9
"""Significant digits: every decimal of six survives in a float32, and nine distinguish any two float32."""

ROW_PATTERN: Final = re.compile(rb"[^ \n]+(?: [-+0-9.eE]+| [-+]?(?:nan|inf|infinity))+[ \r]*", re.IGNORECASE)
"""What looks like a row, for format detection."""

HEADER_PATTERN: Final = re.compile(rb"(?:\xef\xbb\xbf)?(\d{1,18}) (\d{1,9})[ \r]*")
NUMBER_CHARACTERS: Final = b"0123456789+-.eE "
NUMBER_PATTERN: Final = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
NON_FINITE_PATTERN: Final = re.compile(rb"[-+]?(nan|inf|infinity)", re.IGNORECASE)

REPAIR_HINT: Final = "--repair takes the last fields of a row as its vector, and skips malformed rows"
"""The end of the hint for a malformed row."""

MIN_GLOVE_DIMENSION: Final = 2
"""Lowest dimension: a word and one number could be a row of a frequency list, or word2vec's header."""

PROJECTOR_VECTORS: Final = "vectors.tsv"
PROJECTOR_METADATA: Final = "metadata.tsv"
BOM = b"\xef\xbb\xbf"
_MAX_HEADER_BYTES = 64
_BLOCK_NUMBERS = 1 << 18
_BLOCK_ROWS = 1024

_SENTINEL = b" 1"
"""An additional number, which is missing from the result if the parser stopped within the last one."""


def read_word2vec(reader: VectorReader) -> VectorTable:
    """Read a file of word2vec's text.

    Raises:
        DataError: The file is malformed.
    """
    count, dimension = read_header(reader)
    words, matrix_VD = read_rows(reader, dimension, first_line=2, max_rows=count)
    if len(words) < count:
        raise DataError(
            f"{reader.name} has {len(words):,} words, its header promises {count:,}",
            "the file is truncated, or the header is wrong",
            hint="copy the file again, or correct the header's first number if the rows are right"
            + ("; --repair reads them as they are" if words else ""),
            path=reader.name,
        )
    return VectorTable(WordIndex.from_list(words, name=reader.name), matrix_VD, name=reader.name)


def read_header(reader: VectorReader) -> tuple[int, int]:
    """Read the number of words and the dimension from the first line.

    Raises:
        DataError: The line is not a header, or one of the numbers is 0.
    """
    found = HEADER_PATTERN.fullmatch(reader.read_until(b"\n", _MAX_HEADER_BYTES) or b"")
    if found is None:
        raise DataError(f"{reader.name}:1: no header", "expected `words dimension`", path=reader.name, line=1)
    count, dimension = int(found[1]), int(found[2])
    if not count or not dimension:
        raise DataError(
            f"{reader.name}:1: the header promises {count} words of dimension {dimension}", path=reader.name, line=1
        )
    return count, dimension


def write_word2vec(path: str | os.PathLike[str], table: VectorTable) -> None:
    """Write a file of word2vec's text.

    Raises:
        DataError: A word contains a space, or a vector is not finite.
        ArtefactError: The file cannot be written.
    """
    words = check_writable(table, "text", b" ")
    with atomic_file(Path(path), "wb") as file:
        file.write(b"%d %d\n" % (len(words), table.dimension))
        write_rows(file, words, table.matrix_VD)


def read_glove(reader: VectorReader) -> VectorTable:
    """Read a file of GloVe's text; the first row determines the dimension.

    Raises:
        DataError: The file is malformed.
    """
    if reader.peek(len(BOM)) == BOM:
        reader.read(len(BOM))
    words, matrix_VD = read_rows(reader, count_numbers(reader.peek(BLOCK_BYTES)), first_line=1)
    return VectorTable(WordIndex.from_list(words, name=reader.name), matrix_VD, name=reader.name)


def write_glove(path: str | os.PathLike[str], table: VectorTable) -> None:
    """Write a file of GloVe's text.

    Raises:
        DataError: A word contains a space, a vector is not finite, or the first row is ambiguous.
        ArtefactError: The file cannot be written.
    """
    words = check_writable(table, "GloVe text", b" ")
    if table.dimension < MIN_GLOVE_DIMENSION:
        raise DataError(
            "vectors of dimension 1 cannot be written as GloVe text",
            "a row of a word and one number would look like word2vec's header",
            hint="use --to word2vec, which has a header",
        )
    if words and words[0].startswith(BOM):
        raise DataError(
            f"{table.words[0]!r} cannot be the first word of GloVe text", "readers drop a byte order mark at the start"
        )
    with atomic_file(Path(path), "wb") as file:
        write_rows(file, words, table.matrix_VD)


def write_projector(folder: Path, table: VectorTable) -> None:
    """Write both files of the Embedding Projector into an existing directory.

    Raises:
        DataError: A vector is not finite, or a word cannot be written.
    """
    words = check_writable(table, "the projector's table", b"\r")
    counts = table.words.counts
    with (folder / PROJECTOR_VECTORS).open("wb") as file:
        for start in range(0, len(words), _BLOCK_ROWS):
            rows = format_rows(table.matrix_VD[start : start + _BLOCK_ROWS], "\t")
            file.writelines(b"%b\n" % row for row in rows)
    with (folder / PROJECTOR_METADATA).open("wb") as file:
        if counts is None:  # the projector expects column names only if there are several columns
            file.writelines(b"%b\n" % word for word in words)
        else:
            file.write(b"word\tcount\n")
            file.writelines(b"%b\t%d\n" % pair for pair in zip(words, counts.tolist(), strict=True))


def count_numbers(start: bytes) -> int:
    """Count the numbers in the first row of a text."""
    return start.partition(b"\n")[0].rstrip(b" \r").count(b" ")


def read_rows(
    reader: VectorReader, dimension: int, first_line: int, max_rows: int | None = None
) -> tuple[list[bytes], Matrix]:
    """Read the remaining lines of a file.

    Args:
        reader: The file, at the start of a row.
        dimension: Expected numbers per row.
        first_line: Number of that line, for messages.
        max_rows: Maximum number of rows.

    Returns:
        The words, and their vectors (V, D).

    Raises:
        DataError: A row has another number of columns, a field is not a finite number, a word fails `check_words`, or
            there are too many rows.
    """
    words: list[bytes] = []
    rows = RowBuffer(dimension)
    for lines in reader.lines(first_line):
        line = first_line + len(words)
        parts = [text.rstrip(b" \r").partition(b" ") for text in lines]
        rows.append(_parse([numbers for _, _, numbers in parts], dimension, reader.name, line))
        words += [word for word, _, _ in parts]
        if max_rows is not None and len(words) > max_rows:
            line = first_line + max_rows
            raise DataError(
                f"{reader.name}:{line}: one row more than the {max_rows:,} of the header",
                hint="correct the header's first number if the rows are right, or --repair reads them all",
                path=reader.name,
                line=line,
            )
    check_words(words, lambda row: f"{reader.name}:{first_line + row}", reader.name if reader.editable else "")
    return words, rows.take()


def parse_block(rows: Sequence[bytes], dimension: int) -> Matrix | None:
    """Parse the numbers of rows (N, D) at once; None if a row is irregular or not finite."""
    text = b" ".join(rows)
    if (
        all(row.count(b" ") == dimension - 1 for row in rows)
        and b"  " not in text
        and not text.translate(None, NUMBER_CHARACTERS)
    ):
        values = _parse_floats(text + _SENTINEL)
        if len(values) == len(rows) * dimension + 1 and np.isfinite(values).all():
            return values[:-1].reshape(len(rows), dimension)
    return None


def _parse(rows: Sequence[bytes], dimension: int, name: str, line: int) -> Matrix:
    """Parse the numbers of rows (N, D): at once, or if that fails one by one, to locate the error."""
    values = parse_block(rows, dimension)
    if values is not None:
        return values
    return np.array(list(_parse_slowly(rows, dimension, name, line)), dtype=np.float32)


def _parse_floats(text: bytes) -> NDArray[np.float32]:
    """Parse numbers separated by spaces, up to the first that is malformed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the parser stopped: callers compare the length
        try:
            return np.fromstring(text.decode("ascii"), dtype=np.float32, sep=" ")
        except ValueError:  # announced for future versions of NumPy
            return np.empty(0, dtype=np.float32)


def _parse_slowly(rows: Sequence[bytes], dimension: int, name: str, first_line: int) -> Iterator[list[float]]:
    for line, row in enumerate(rows, start=first_line):
        count = row.count(b" ") + 1 if row else 0
        if count != dimension:
            cause = "a word that contains a space, or a truncated line" if count else "a blank line, or tabs"
            raise DataError(
                f"{name}:{line}: {count} numbers after the word, expected {dimension}",
                hint=f"the usual cause is {cause}; {REPAIR_HINT}",
                path=name,
                line=line,
            )
        yield [_parse_number(field, name, line) for field in row.split(b" ")]


def _parse_number(field: bytes, name: str, line: int) -> float:
    where, text = f"{name}:{line}", field.decode("utf-8", "backslashreplace")
    if NON_FINITE_PATTERN.fullmatch(field):
        what, hint = f"{text} among the numbers", "train again, or --repair skips the row"
        raise DataError(f"{where}: {what}", "vectors must be finite", hint=hint, path=name, line=line)
    if not NUMBER_PATTERN.fullmatch(field):
        hint = f"the usual cause is a word that contains a space; {REPAIR_HINT}"
        raise DataError(f"{where}: {text!r} is not a number", hint=hint, path=name, line=line)
    value = float(field)
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.float32(value))
    if not finite:
        hint = "--repair skips the row"
        raise DataError(f"{where}: {text} is too large for a float32", hint=hint, path=name, line=line)
    return value


def write_rows(file: IO[bytes], words: Sequence[bytes], matrix_VD: Matrix) -> None:
    """Write a line per word."""
    rows = max(1, _BLOCK_NUMBERS // matrix_VD.shape[1])
    for start in range(0, len(words), rows):
        numbers = format_rows(matrix_VD[start : start + rows])
        file.writelines(b"%b %b\n" % pair for pair in zip(words[start : start + rows], numbers, strict=True))


def format_rows(matrix_VD: Matrix, separator: str = " ") -> list[bytes]:
    """Format the numbers of each row as text that parses to the same bits."""
    rows, dimension = matrix_VD.shape
    flat = np.ascontiguousarray(matrix_VD, dtype=np.float32).reshape(-1)
    arguments: list[float] = [0] * (2 * len(flat))
    arguments[0::2] = _digits(flat).tolist()
    arguments[1::2] = flat.tolist()
    template = "\n".join([separator.join(["%.*g"] * dimension)] * rows)
    lines = (template % tuple(arguments)).encode("ascii").split(b"\n")
    for row in sorted(set((_inexact_indices(b" ".join(lines), flat) // dimension).tolist())):
        # About one number in a hundred million is rounded twice on its way; full float64 digits avoid that.
        lines[row] = separator.join(map(repr, matrix_VD[row].tolist())).encode("ascii")
    return lines


def _digits(flat: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the significant digits that each number needs, from six to nine."""
    exact = flat.astype(np.float64)
    magnitude = np.floor(np.log10(np.abs(exact), where=exact != 0, out=np.zeros_like(exact)))
    digits = np.full(len(flat), MAX_DIGITS)
    for fewer in range(MAX_DIGITS - 1, MIN_DIGITS - 1, -1):
        scale = 10.0 ** (fewer - 1 - magnitude)
        digits[(np.rint(exact * scale) / scale).astype(np.float32) == flat] = fewer
    return digits


def _inexact_indices(text: bytes, flat: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the indices of numbers that do not parse to the same bits."""
    return np.flatnonzero(_parse_floats(text).view(np.uint32) != flat.view(np.uint32))
