"""Rows of text, `word number number ...`: read a block at a time, written with the fewest digits that come back."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.formats.vector_reader import VectorReader
from rnnkit.embeddings.formats.word_validation import check_words
from rnnkit.embeddings.vector_table import Matrix, RowBuffer
from rnnkit.errors import DataError

MIN_DIGITS, MAX_DIGITS = 6, 9
"""Significant digits: any decimal of six survives in a float32, and nine tell any two float32 apart."""

ROW_PATTERN: Final = re.compile(rb"[^ \n]+(?: [-+0-9.eE]+| [-+]?(?:nan|inf|infinity))+[ \r]*", re.IGNORECASE)
"""What looks like a row, by which a file is recognised."""

REPAIR_HINT: Final = "--repair takes the last fields of a row as its vector, and skips rows that it cannot understand"
"""The end of the hint where a row is malformed."""

_BLOCK_NUMBERS = 1 << 18
NUMBER_CHARACTERS: Final = b"0123456789+-.eE "
NUMBER_PATTERN: Final = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
NON_FINITE_PATTERN: Final = re.compile(rb"[-+]?(nan|inf|infinity)", re.IGNORECASE)
_SENTINEL = b" 1"
"""One number more: it is missing where the parser stopped within the last."""


def count_numbers(start: bytes) -> int:
    """Numbers in the first row of a text."""
    return start.partition(b"\n")[0].rstrip(b" \r").count(b" ")


def read_rows(
    source: VectorReader, dimension: int, first_line: int, most: int | None = None
) -> tuple[list[bytes], Matrix]:
    """Read the remaining lines of a file.

    Args:
        source: The file, at the start of a row.
        dimension: Numbers that a row must have.
        first_line: Number of that line, for messages.
        most: Most rows there may be.

    Returns:
        The words, and their rows (V, D).

    Raises:
        DataError: A row has another number of columns, what should be a number is none or not finite, the words do not
            pass `check_words`, or there are too many rows.
    """
    words: list[bytes] = []
    rows = RowBuffer(dimension)
    for lines in source.lines(first_line):
        line = first_line + len(words)
        parts = [text.rstrip(b" \r").partition(b" ") for text in lines]
        rows.append(_parse([numbers for _, _, numbers in parts], dimension, source.name, line))
        words += [word for word, _, _ in parts]
        if most is not None and len(words) > most:
            raise DataError(
                f"{source.name}:{first_line + most}: one row more than the header says ({most:,})",
                hint="mend the header's first number if the rows are right, or --repair reads them all",
            )
    check_words(words, lambda row: f"{source.name}:{first_line + row}", source.name if source.editable else "")
    return words, rows.take()


def write_rows(file: IO[bytes], words: Sequence[bytes], matrix_VD: Matrix) -> None:
    """Write a line for each word."""
    rows = max(1, _BLOCK_NUMBERS // matrix_VD.shape[1])
    for start in range(0, len(words), rows):
        numbers = format_rows(matrix_VD[start : start + rows])
        file.writelines(b"%b %b\n" % pair for pair in zip(words[start : start + rows], numbers, strict=True))


def format_rows(matrix_VD: Matrix, separator: str = " ") -> list[bytes]:
    """The numbers of each row as text from which the same bits are read."""
    rows, dimension = matrix_VD.shape
    flat = np.ascontiguousarray(matrix_VD, dtype=np.float32).reshape(-1)
    arguments: list[float] = [0] * (2 * len(flat))
    arguments[0::2] = _digits(flat).tolist()
    arguments[1::2] = flat.tolist()
    template = "\n".join([separator.join(["%.*g"] * dimension)] * rows)
    lines = (template % tuple(arguments)).encode("ascii").split(b"\n")
    for row in sorted(set((_inexact_indices(b" ".join(lines), flat) // dimension).tolist())):
        # More digits than any reader needs, for the one number in a hundred million that is rounded twice on its way.
        lines[row] = separator.join(map(repr, matrix_VD[row].tolist())).encode("ascii")
    return lines


def _digits(flat: NDArray[np.float32]) -> NDArray[np.int64]:
    """Significant digits that each number needs, from six to nine."""
    exact = flat.astype(np.float64)
    magnitude = np.floor(np.log10(np.abs(exact), where=exact != 0, out=np.zeros_like(exact)))
    digits = np.full(len(flat), MAX_DIGITS)
    for fewer in range(MAX_DIGITS - 1, MIN_DIGITS - 1, -1):
        scale = 10.0 ** (fewer - 1 - magnitude)
        digits[(np.rint(exact * scale) / scale).astype(np.float32) == flat] = fewer
    return digits


def _inexact_indices(text: bytes, flat: NDArray[np.float32]) -> NDArray[np.int64]:
    """Places of the numbers that are not read back as the same bits."""
    return np.flatnonzero(_parse_floats(text).view(np.uint32) != flat.view(np.uint32))


def parse_block(rows: Sequence[bytes], dimension: int) -> Matrix | None:
    """The numbers of rows (N, D), all at once; None where one of them is not like the others, or not finite."""
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
    """The numbers of the rows (N, D): all at once, and one by one where that fails, to say why."""
    values = parse_block(rows, dimension)
    if values is not None:
        return values
    return np.array(list(_parse_slowly(rows, dimension, name, line)), dtype=np.float32)


def _parse_floats(text: bytes) -> NDArray[np.float32]:
    """Numbers parted by spaces, as far as they are numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the parser stopped: the caller counts
        try:
            return np.fromstring(text.decode("ascii"), dtype=np.float32, sep=" ")
        except ValueError:  # what the warning promises for later versions
            return np.empty(0, dtype=np.float32)


def _parse_slowly(rows: Sequence[bytes], dimension: int, name: str, first_line: int) -> Iterator[list[float]]:
    for line, row in enumerate(rows, start=first_line):
        count = row.count(b" ") + 1 if row else 0
        if count != dimension:
            cause = "a word that holds a space, or a line that was cut," if count else "a blank line, or tabs,"
            raise DataError(
                f"{name}:{line}: {count} numbers behind the word, {dimension} are wanted",
                hint=f"{cause} is the usual cause; {REPAIR_HINT}",
            )
        yield [_number(field, f"{name}:{line}") for field in row.split(b" ")]


def _number(field: bytes, where: str) -> float:
    text = field.decode("utf-8", "backslashreplace")
    if NON_FINITE_PATTERN.fullmatch(field):
        raise DataError(
            f"{where}: {text} among the numbers", "vectors are finite", hint="train again, or --repair skips the row"
        )
    if not NUMBER_PATTERN.fullmatch(field):
        raise DataError(
            f"{where}: {text!r} is not a number",
            hint=f"a word that holds a space is the usual cause; {REPAIR_HINT}",
        )
    value = float(field)
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.float32(value))
    if not finite:
        raise DataError(f"{where}: {text} is too large for a float32", hint="--repair skips the row")
    return value
