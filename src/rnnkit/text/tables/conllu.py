"""CoNLL-U: annotated sentences with ten columns, as in Universal Dependencies.

A line is a word, whose ID counts from 1 within the sentence; a multiword token, whose ID is a range such as `1-2`; or
an empty node, such as `5.1`. Only words have items in a line of values. Comments begin with `#`, and a blank line ends
a sentence. https://universaldependencies.org/format.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rnnkit.errors import DataError
from rnnkit.text.lines import decode_text
from rnnkit.text.tables.records import (
    MAX_RECORD_BYTES,
    Record,
    RowError,
    check_line_length,
    from_item,
    join_items,
    split_items,
)

COLUMNS: Final = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
FORM: Final = "form"

_RANGE: Final = re.compile(r"([1-9]\d{0,8})-([1-9]\d{0,8})", re.ASCII)
_EMPTY_NODE: Final = re.compile(r"(0|[1-9]\d{0,8})\.([1-9]\d{0,8})", re.ASCII)
_IDS: Final = [str(number) for number in range(1, 1001)]
_MALFORMED: Final = "sentences with malformed IDs"


def read_blocks(lines: Iterable[bytes], name: str) -> Iterator[tuple[list[bytes], int]]:
    """Yield the lines up to and including each blank line, and the number of the first of them.

    Raises:
        DataError: They are longer than `MAX_RECORD_BYTES`.
    """
    block: list[bytes] = []
    first, size = 1, 0
    for raw in lines:
        block.append(raw)
        size += len(raw)
        if raw.isspace():
            yield block, first
            first += len(block)
            block, size = [], 0
        elif size > MAX_RECORD_BYTES:
            raise DataError(
                f"{name}:{first}: the sentence is longer than {MAX_RECORD_BYTES:,} bytes",
                "a blank line ends a sentence",
                hint="check that this is an annotated corpus",
                path=name,
                line=first,
            )
    if block:
        yield block, first


class ConlluReader:
    """Reads a CoNLL-U file.

    Args:
        name: Name of the file for messages.
        columns: Indices of the selected columns.
    """

    unit = "sentences"

    def __init__(self, name: str, columns: Sequence[int] = ()) -> None:
        self.changes = Counter[str]()
        self._name = name
        self._columns = columns

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yield sentences, with the comments before and the blank line after each."""
        for block, line in read_blocks(lines, self._name):
            # The last line that is not blank is a word in all but files of comments.
            is_row = any(not raw.startswith(b"#") and not raw.isspace() for raw in reversed(block))
            yield Record(b"".join(block), line, is_row)

    def values(self, record: Record) -> list[str]:
        """Return the selected columns of a sentence. Raises as `TableReader.values`."""
        lines = decode_text(record.raw, self._name, record.line).replace("\r\n", "\n").split("\n")
        words = [line.split("\t") for line in lines if line and not line.startswith("#")]
        # Most sentences have nothing but well-formed words.
        if [word[0] for word in words] != _IDS[: len(words)] or {*map(len, words)} != {len(COLUMNS)}:
            words = [cells for _, cells in self._words(record)]
        values = [join_items([word[column] for word in words], self.changes) for column in self._columns]
        check_line_length(record, values, self._name)
        return values

    def _words(self, record: Record) -> Iterator[tuple[int, list[str]]]:
        """Yield the index of each line with a word, and its columns.

        Raises:
            RowError: A line has not ten columns, or its ID does not follow from those before.
        """
        text = decode_text(record.raw, self._name, record.line)
        last = range_end = empty_node = 0
        for index, line in enumerate(text.split("\n")):
            if not line.strip() or line.startswith("#"):
                continue
            number = record.line + index
            cells = line.removesuffix("\r").split("\t")
            if len(cells) != len(COLUMNS):
                raise self._error(
                    "sentences with a wrong number of columns",
                    number,
                    f"{len(cells):,} columns, CoNLL-U has {len(COLUMNS)}",
                    "columns are separated by tabs",
                )
            identifier = cells[0]
            if identifier == str(last + 1):
                last, empty_node = last + 1, 0
                yield index, cells
            elif found := _RANGE.fullmatch(identifier):
                range_end = self._check_range(int(found[1]), int(found[2]), last, range_end, number)
            elif found := _EMPTY_NODE.fullmatch(identifier):
                empty_node += 1
                if (int(found[1]), int(found[2])) != (last, empty_node):
                    expected = f"{last}.{empty_node}"
                    raise self._error(
                        _MALFORMED, number, f"the ID {identifier} follows word {last}", f"expected {expected}"
                    )
            else:
                raise self._error(_MALFORMED, number, f"the ID is {identifier[:40]!r}", f"the next word is {last + 1}")
        if last < range_end:
            raise self._error(
                _MALFORMED, record.line, f"a range ends with word {range_end}", f"the sentence has {last} words"
            )

    def _check_range(self, first: int, end: int, last: int, range_end: int, number: int) -> int:
        """Return the last word of a range of words; raise RowError if it is malformed."""
        if first <= range_end:
            why = f"overlaps the range that ends with word {range_end}"
        elif end <= first:
            why = "is empty or has one word"
        elif first != last + 1:
            why = f"follows word {last}"
        else:
            return end
        raise self._error(_MALFORMED, number, f"the range {first}-{end} {why}")

    def content(self, record: Record) -> bytes:
        """Return the lines of a sentence without comments and line ends."""
        lines = record.raw.split(b"\n")
        return b"\n".join(line.rstrip() for line in lines if line.strip() and not line.startswith(b"#"))

    def replace(self, record: Record, line: str) -> bytes:
        """Return a sentence with the items of a line in place of the first selected column.

        Raises as `TableReader.replace`.
        """
        lines = decode_text(record.raw, self._name, record.line).split("\n")
        words = list(self._words(record))
        column = self._columns[0]
        for (index, cells), item in zip(words, split_items(line, len(words)), strict=True):
            end = "\r" if lines[index].endswith("\r") else ""
            cells[column] = from_item(item, cells[column])
            lines[index] = "\t".join(cells) + end
        return "\n".join(lines).encode()

    def _error(self, kind: str, line: int, what: str, *details: str) -> RowError:
        return RowError(kind, f"{self._name}:{line}: {what}", *details, path=self._name, line=line)
