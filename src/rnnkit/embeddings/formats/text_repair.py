"""Repair of text files (`--repair`): word2vec's text with its header, GloVe's without.

The last D fields of a row are its vector, whatever the word before them contains. Tabs separate fields like spaces. A
malformed row is skipped. Everything that strict reading rejects is recorded.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from rnnkit.embeddings.formats.text_formats import (
    BOM,
    NON_FINITE_PATTERN,
    NUMBER_CHARACTERS,
    NUMBER_PATTERN,
    parse_block,
)
from rnnkit.embeddings.formats.vector_reader import BLOCK_BYTES, VectorReader
from rnnkit.embeddings.formats.word_validation import NO_WORD, NOT_FINITE, WORD_WITH_SPACE, repair_words
from rnnkit.embeddings.vector_table import RowBuffer, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError
from rnnkit.io.safe_reading import Repairs

WRONG_COUNT: Final = "wrong header counts"
WRONG_DIMENSION: Final = "wrong header dimensions"
EXTRA_HEADER_SPACES: Final = "headers with stray blanks"
BLANK_LINES: Final = "blank lines"
TABS: Final = "rows with tabs"
EXTRA_SPACES: Final = "rows with stray blanks"
TOO_FEW: Final = "rows with too few numbers"
TOO_MANY: Final = "rows with too many numbers"
NO_NUMBER: Final = "rows with a field that is not a number"

LOOSE_HEADER_PATTERN: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t]*(\d{1,18})[ \t]+(\d{1,9})[ \t\r]*")
"""A header with any white space."""

_WHITE_SPACE = b" \t\r"
_FIELD = re.compile(rb"[^ \t]+")
_SAMPLE = 64  # rows from which the dimension is inferred
_MAX_HEADER_BYTES = 1 << 10


def read(reader: VectorReader, repairs: Repairs, header: bool) -> VectorTable:
    """Read a file.

    Args:
        reader: The file, at its start.
        repairs: Records what is repaired or skipped.
        header: Whether the first line is a header `words dimension`.

    Raises:
        DataError: No row can be used, or the file contains no word vectors.
    """
    count, dimension, first_line = (*read_loose_header(reader, repairs), 2) if header else (None, 0, 1)
    if not header and reader.peek(len(BOM)) == BOM:
        reader.read(len(BOM))
    dimension = _choose_dimension(reader, dimension, repairs)
    rows = _RowParser(reader.name, dimension, repairs)
    line = first_line
    for lines in reader.lines(first_line, repairs):
        rows.add(lines, line)
        line += len(lines)
    if count is not None and count != rows.total:
        repairs.add(
            WRONG_COUNT, f"{reader.name}:1", f"the header promises {count:,} words, {rows.total:,} rows were read"
        )
    kept = repair_words(
        rows.words, rows.vectors.take(), lambda row: f"{reader.name}:{rows.lines[row]}", repairs, reader.name
    )
    return VectorTable(WordIndex.from_list(kept.words, name=reader.name), kept.matrix_VD, name=reader.name)


def read_loose_header(reader: VectorReader, repairs: Repairs) -> tuple[int, int]:
    """Read the number of words and the dimension from a first line that may have extra white space.

    Raises:
        DataError: The line is not a header.
    """
    line = reader.read_until(b"\n", _MAX_HEADER_BYTES) or b""
    found = LOOSE_HEADER_PATTERN.fullmatch(line)
    if found is None or not int(found[2]):
        raise DataError(f"{reader.name}:1: no header", "expected `words dimension`", path=reader.name, line=1)
    if line.removeprefix(BOM).rstrip(b" \r") != b"%b %b" % found.groups():
        repairs.add(
            EXTRA_HEADER_SPACES, f"{reader.name}:1", f"it was read as '{found[1].decode()} {found[2].decode()}'"
        )
    return int(found[1]), int(found[2])


def looks_like_rows(start: bytes, dimension: int = 0) -> bool:
    """Return whether most lines at the start of a file are a word followed by numbers.

    Args:
        start: Its first bytes.
        dimension: Minimum numbers per row; 0 for at least two, and the same number in most rows.
    """
    found = _count_sample(start)
    if dimension:
        return any(count >= dimension for count in found)
    rows = Counter(count for count in found if count > 1)
    return bool(rows) and 2 * max(rows.values()) > len(found)


def _count_sample(start: bytes) -> list[int]:
    """Count the numbers at the end of each of the first lines, without blank lines."""
    lines = start.split(b"\n", _SAMPLE)
    if len(lines) > 1:
        lines.pop()  # it may be incomplete
    return [_count_numbers(line) for line in lines if line.strip(_WHITE_SPACE)]


def _count_numbers(line: bytes) -> int:
    """Count the numbers at the end of a line; the first field is a word, whatever it looks like."""
    fields = _FIELD.findall(line.rstrip(_WHITE_SPACE))
    count = 0
    for text in reversed(fields[1:]):
        if not NUMBER_PATTERN.fullmatch(text) and not NON_FINITE_PATTERN.fullmatch(text):
            break
        count += 1
    return count


def _choose_dimension(reader: VectorReader, dimension: int, repairs: Repairs) -> int:
    """Return the header's dimension if any of the first rows has it, otherwise that of most rows."""
    found = Counter(count for count in _count_sample(reader.peek(BLOCK_BYTES)) if count)
    if not found or found[dimension]:
        if not dimension:
            raise DataError(
                f"{reader.name} contains no word vectors",
                "none of its first lines is a word followed by numbers",
                path=reader.name,
            )
        return dimension
    usual = found.most_common(1)[0][0]
    if dimension:
        repairs.add(
            WRONG_DIMENSION, f"{reader.name}:1", f"the header promises dimension {dimension:,}, rows have {usual:,}"
        )
    return usual


@dataclass
class _RowParser:
    """The rows read so far.

    Attributes:
        name: Name of the file, for messages.
        dimension: Numbers per row.
        repairs: Records what is repaired or skipped.
        words: Words of the rows that are kept.
        lines: Their line numbers.
        total: Number of rows, skipped ones included.
    """

    name: str
    dimension: int
    repairs: Repairs
    words: list[bytes] = field(default_factory=list)
    lines: array[int] = field(default_factory=lambda: array("q"))
    total: int = 0

    def __post_init__(self) -> None:
        self.vectors = RowBuffer(self.dimension)

    def add(self, lines: Sequence[bytes], first: int) -> None:
        """Add the rows of a block of lines: regular rows at once, the others one by one."""
        parts = [text.rstrip(b" \r").partition(b" ") for text in lines]
        regular = [self._is_regular(word, numbers) for word, _, numbers in parts]
        values = parse_block(
            [part[2] for part, is_regular in zip(parts, regular, strict=True) if is_regular], self.dimension
        )
        if values is not None and all(regular):
            self.words += [word for word, _, _ in parts]
            self.lines.extend(range(first, first + len(parts)))
            self.vectors.append(values)
            self.total += len(parts)
            return
        ready = iter([] if values is None else values)
        for line, (text, (word, _, _), is_regular) in enumerate(zip(lines, parts, regular, strict=True), start=first):
            if is_regular and values is not None:
                self._keep(word, line, next(ready))
                self.total += 1
            else:
                self._add_one(text, line)

    def _is_regular(self, word: bytes, numbers: bytes) -> bool:
        """Return whether a row has single spaces between fields, and only numbers after the word."""
        return (
            numbers.count(b" ") == self.dimension - 1
            and b"  " not in numbers
            and b"\t" not in word
            and bool(word and numbers)
            and not numbers.startswith(b" ")
            and not numbers.translate(None, NUMBER_CHARACTERS)
        )

    def _add_one(self, text: bytes, line: int) -> None:
        """Add an irregular row, or record why it is skipped."""
        where = f"{self.name}:{line}"
        body = text.rstrip(_WHITE_SPACE)
        fields = list(_FIELD.finditer(body))
        if not fields:
            self.repairs.add(BLANK_LINES, where, "the line was skipped")
            return
        self.total += 1
        numbers = [found[0] for found in fields[-self.dimension :]]
        kind = self._find_fault([found[0] for found in fields], numbers)
        if kind is not None:
            self.repairs.add(kind, where, "the row was skipped")
            return
        word = body[fields[0].start() : fields[-self.dimension - 1].end()]
        if b"\t" in text:
            self.repairs.add(TABS, where, "tabs were read as spaces")
        elif len(body) != len(word) + sum(len(number) + 1 for number in numbers):
            self.repairs.add(EXTRA_SPACES, where, "several spaces were read as one")
        if len(fields) > self.dimension + 1:
            self.repairs.add(WORD_WITH_SPACE, where, f"the last {self.dimension:,} fields are the vector")
        self._keep(word, line, np.array([float(number) for number in numbers], np.float32))

    def _find_fault(self, fields: Sequence[bytes], numbers: Sequence[bytes]) -> str | None:
        """Return why a row cannot be used; None if it can."""
        if len(fields) <= self.dimension:
            whole = len(fields) == self.dimension and all(NUMBER_PATTERN.fullmatch(text) for text in fields)
            return NO_WORD if whole else TOO_FEW
        if not all(NUMBER_PATTERN.fullmatch(text) or NON_FINITE_PATTERN.fullmatch(text) for text in numbers):
            return NO_NUMBER
        extra = fields[1 : -self.dimension]
        if len(extra) >= self.dimension > 1 and sum(map(bool, map(NUMBER_PATTERN.fullmatch, extra))) > len(extra) // 2:
            return TOO_MANY  # two rows in one line
        with np.errstate(over="ignore"):
            finite = np.isfinite(np.array([float(text) for text in numbers], np.float32)).all()
        return None if finite else NOT_FINITE

    def _keep(self, word: bytes, line: int, values: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
        self.words.append(word)
        self.lines.append(line)
        self.vectors.append(values[None])
