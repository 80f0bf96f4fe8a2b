"""Text of word vectors under `--repair`: word2vec's with its header, GloVe's without.

The last D fields of a row are its vector, whatever the word before them holds. Tabs part fields as blanks do. A row
that cannot be understood is skipped. Everything that strict reading refuses is recorded.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from rnnkit.embeddings.formats.text_rows import NON_FINITE_PATTERN, NUMBER_CHARACTERS, NUMBER_PATTERN, parse_block
from rnnkit.embeddings.formats.vector_reader import BLOCK_BYTES, VectorReader
from rnnkit.embeddings.formats.word_repair import NO_WORD, NOT_FINITE, WORD_WITH_SPACE, repair_words
from rnnkit.embeddings.vector_table import RowBuffer, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError
from rnnkit.io.safe_reading import Repairs

WRONG_COUNT: Final = "wrong header counts"
WRONG_DIMENSION: Final = "wrong header dimensions"
STRAY: Final = "headers with stray blanks"
BLANK_LINES: Final = "blank lines"
TABS: Final = "rows with tabs"
EXTRA_BLANKS: Final = "rows with stray blanks"
TOO_FEW: Final = "rows with too few numbers"
TOO_MANY: Final = "rows with too many numbers"
NO_NUMBER: Final = "rows with a field that is not a number"

LOOSE_HEADER_PATTERN: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t]*(\d{1,18})[ \t]+(\d{1,9})[ \t\r]*")
"""A header, blanks and tabs aside."""

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r"
_FIELD = re.compile(rb"[^ \t]+")
_SAMPLE = 64  # rows that tell the dimension
_LONGEST_HEADER = 1 << 10


def read(source: VectorReader, repairs: Repairs, header: bool) -> VectorTable:
    """Read a file.

    Args:
        source: The file, at its start.
        repairs: Takes the record of what was repaired or skipped.
        header: Whether the first line says how many words and numbers there are.

    Raises:
        DataError: No row can be used, or the lines are of no such file at all.
    """
    count, dimension, first_line = (*read_loose_header(source, repairs), 2) if header else (None, 0, 1)
    if not header and source.peek(len(_BOM)) == _BOM:
        source.read(len(_BOM))
    dimension = _choose_dimension(source, dimension, repairs)
    rows = _RowParser(source.name, dimension, repairs)
    line = first_line
    for lines in source.lines(first_line, repairs):
        rows.add(lines, line)
        line += len(lines)
    if count is not None and count != rows.met:
        repairs.add(WRONG_COUNT, f"{source.name}:1", f"it says {count:,} words, {rows.met:,} rows were read")
    kept = repair_words(
        rows.words, rows.vectors.take(), lambda row: f"{source.name}:{rows.lines[row]}", repairs, source.name
    )
    return VectorTable(WordIndex.from_list(kept.words, name=source.name), kept.matrix_VD, name=source.name)


def read_loose_header(source: VectorReader, repairs: Repairs) -> tuple[int, int]:
    """The numbers of words and of numbers a vector, from a first line that may have stray blanks.

    Raises:
        DataError: There is no such line.
    """
    line = source.until(b"\n", _LONGEST_HEADER) or b""
    found = LOOSE_HEADER_PATTERN.fullmatch(line)
    if found is None or not int(found[2]):
        raise DataError(f"{source.name}:1: no header", "the first line is `words dimension`")
    if line.removeprefix(_BOM).rstrip(b" \r") != b"%b %b" % found.groups():
        repairs.add(STRAY, f"{source.name}:1", f"it was read as '{found[1].decode()} {found[2].decode()}'")
    return int(found[1]), int(found[2])


def looks_like_rows(start: bytes, dimension: int = 0) -> bool:
    """Whether most lines at the start of a file are a word and numbers.

    Args:
        start: Its first bytes.
        dimension: Numbers that a row has at least; 0: at least two, and as many in most rows.
    """
    found = _count_sample(start)
    if dimension:
        return any(count >= dimension for count in found)
    rows = Counter(count for count in found if count > 1)
    return bool(rows) and 2 * max(rows.values()) > len(found)


def _count_sample(start: bytes) -> list[int]:
    """The numbers that end each of the first lines; blank lines do not count."""
    lines = start.split(b"\n", _SAMPLE)
    if len(lines) > 1:
        lines.pop()  # it may be cut
    return [_count_numbers(line) for line in lines if line.strip(_BLANKS)]


def _count_numbers(line: bytes) -> int:
    """Fields at the end of a line that are numbers; the first field is a word, whatever it looks like."""
    fields = _FIELD.findall(line.rstrip(_BLANKS))
    count = 0
    for text in reversed(fields[1:]):
        if not NUMBER_PATTERN.fullmatch(text) and not NON_FINITE_PATTERN.fullmatch(text):
            break
        count += 1
    return count


def _choose_dimension(source: VectorReader, dimension: int, repairs: Repairs) -> int:
    """Numbers in a row: as the header says, if any of the first rows is like that, or as in most of them."""
    found = Counter(count for count in _count_sample(source.peek(BLOCK_BYTES)) if count)
    if not found or found[dimension]:
        if not dimension:
            raise DataError(f"{source.name} holds no word vectors", "none of its first lines is a word with numbers")
        return dimension
    usual = found.most_common(1)[0][0]
    if dimension:
        repairs.add(WRONG_DIMENSION, f"{source.name}:1", f"it says {dimension:,} numbers a vector, rows have {usual:,}")
    return usual


@dataclass
class _RowParser:
    """Rows while they are read.

    Attributes:
        name: Of the file.
        dimension: Numbers in a row.
        repairs: Takes the record.
        words: Words of the rows that were understood.
        lines: The line of each.
        met: Rows of the file, skipped ones counted.
    """

    name: str
    dimension: int
    repairs: Repairs
    words: list[bytes] = field(default_factory=list)
    lines: array[int] = field(default_factory=lambda: array("q"))
    met: int = 0

    def __post_init__(self) -> None:
        self.vectors = RowBuffer(self.dimension)

    def add(self, lines: Sequence[bytes], first: int) -> None:
        """Add the rows of a block of lines: those without a fault all at once, the others one by one."""
        parts = [text.rstrip(b" \r").partition(b" ") for text in lines]
        fit = [self._is_fit(word, numbers) for word, _, numbers in parts]
        values = parse_block([part[2] for part, good in zip(parts, fit, strict=True) if good], self.dimension)
        if values is not None and all(fit):
            self.words += [word for word, _, _ in parts]
            self.lines.extend(range(first, first + len(parts)))
            self.vectors.append(values)
            self.met += len(parts)
            return
        ready = iter([] if values is None else values)
        for line, (text, (word, _, _), good) in enumerate(zip(lines, parts, fit, strict=True), start=first):
            if good and values is not None:
                self._keep(word, line, next(ready))
                self.met += 1
            else:
                self._add_one(text, line)

    def _is_fit(self, word: bytes, numbers: bytes) -> bool:
        """Whether a row can be read with others: one blank between fields, and nothing but numbers behind the word."""
        return (
            numbers.count(b" ") == self.dimension - 1
            and b"  " not in numbers
            and b"\t" not in word
            and bool(word and numbers)
            and not numbers.startswith(b" ")
            and not numbers.translate(None, NUMBER_CHARACTERS)
        )

    def _add_one(self, text: bytes, line: int) -> None:
        """Add a row that has a fault, or record why it is skipped."""
        place = f"{self.name}:{line}"
        body = text.rstrip(_BLANKS)
        fields = list(_FIELD.finditer(body))
        if not fields:
            self.repairs.add(BLANK_LINES, place, "the line was skipped")
            return
        self.met += 1
        numbers = [found[0] for found in fields[-self.dimension :]]
        kind = self._fault([found[0] for found in fields], numbers)
        if kind is not None:
            self.repairs.add(kind, place, "the row was skipped")
            return
        word = body[fields[0].start() : fields[-self.dimension - 1].end()]
        if b"\t" in text:
            self.repairs.add(TABS, place, "tabs were read as blanks")
        elif len(body) != len(word) + sum(len(number) + 1 for number in numbers):
            self.repairs.add(EXTRA_BLANKS, place, "several blanks were read as one")
        if len(fields) > self.dimension + 1:
            self.repairs.add(WORD_WITH_SPACE, place, f"the last {self.dimension:,} fields are the vector")
        self._keep(word, line, np.array([float(number) for number in numbers], np.float32))

    def _fault(self, fields: Sequence[bytes], numbers: Sequence[bytes]) -> str | None:
        """Why a row cannot be used; None where it can."""
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
