"""CoNLL columns: a token per line with its columns, separated by tabs or by spaces, and a blank line after a sentence.

Tag schemes, IOB1, BIO or BIOES, are passed through. Columns are numbered; `token` is the first and `tag` the last.
Lines `-DOCSTART-` of CoNLL-2003 are not tokens. A line that begins with `# ` before the first token of a sentence is a
comment if it has another number of columns than the first token of the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rnnkit.text.lines import decode_text
from rnnkit.text.tables.conllu import read_blocks
from rnnkit.text.tables.records import (
    SPACE_ITEM,
    Record,
    RowError,
    check_line_length,
    from_item,
    join_items,
    split_items,
    strip_line_end,
)

COLUMNS: Final = {"token": 1, "tag": -1}
"""Default names of columns, and their numbers."""

TAB: Final = "\t"
SPACE: Final = " "

_DOCUMENT_START: Final = "-DOCSTART-"
_CELL: Final = re.compile(r"[^ \t]+")


class ConllReader:
    """Reads a file of CoNLL columns.

    Args:
        name: Name of the file for messages.
        delimiter: `TAB`, or `SPACE` for runs of spaces and tabs.
        columns: Indices of the selected columns, negative from the end.
        width: Columns of the first token of the file.
    """

    unit = "sentences"

    def __init__(self, name: str, delimiter: str, columns: Sequence[int] = (), width: int = 0) -> None:
        self.changes = Counter[str]()
        self._name = name
        self._delimiter = delimiter
        self._columns = columns
        self._width = width
        self._fixed_width = any(column < 0 for column in columns)

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yield sentences, with the comments before and the blank line after each."""
        for block, line in read_blocks(lines, self._name):
            is_row = any(not raw.isspace() and not self._is_skipped(raw) for raw in block)
            yield Record(b"".join(block), line, is_row)

    def _is_skipped(self, raw: bytes) -> bool:
        """Return whether a line before the first token is not a token."""
        if raw.startswith(b"# "):
            return (
                len(split_cells(strip_line_end(raw).decode("utf-8", "surrogateescape"), self._delimiter)) != self._width
            )
        return raw.startswith(_DOCUMENT_START.encode())

    def values(self, record: Record) -> list[str]:
        """Return the selected columns of a sentence. Raises as `TableReader.values`."""
        rows = [split_cells(line, self._delimiter) for _, line in self._tokens(record)]
        self._check_widths(rows, record)
        values = [join_items([row[column] for row in rows], self.changes) for column in self._columns]
        check_line_length(record, values, self._name)
        return values

    def _tokens(self, record: Record) -> Iterator[tuple[int, str]]:
        """Yield the index of each line with a token, and the line without its end."""
        started = False
        text = decode_text(record.raw, self._name, record.line)
        for index, line in enumerate(text.split("\n")):
            if not line.strip(" \t\r\v\f") or (not started and self._is_skipped(line.encode())):
                continue
            started = True
            yield index, line.removesuffix("\r")

    def _check_widths(self, rows: Sequence[Sequence[str]], record: Record) -> None:
        expected = self._width if self._fixed_width else len(rows[0])
        needed = max(column + 1 if column >= 0 else -column for column in self._columns)
        if {*map(len, rows)} == {expected} and expected >= needed:
            return
        numbers = [index for index, _ in self._tokens(record)]
        index, found = next(
            (index, len(row))
            for index, row in zip(numbers, rows, strict=True)
            if len(row) != expected or expected < needed
        )
        whole = "the first token of the file" if self._fixed_width else "the first token of the sentence"
        raise RowError(
            "sentences with a wrong number of columns",
            f"{self._name}:{record.line + index}: {found:,} columns, "
            + (f"{whole} has {expected:,}" if found != expected else f"column {needed} is selected"),
            f"columns are separated by {'tabs' if self._delimiter == TAB else 'spaces'}",
            path=self._name,
            line=record.line + index,
        )

    def content(self, record: Record) -> bytes:
        """Return the lines of a sentence without comments and line ends."""
        lines = record.raw.split(b"\n")
        while lines and (not lines[0].strip() or self._is_skipped(lines[0])):
            lines.pop(0)
        return b"\n".join(line.rstrip() for line in lines if line.strip())

    def replace(self, record: Record, line: str) -> bytes:
        """Return a sentence with the items of a line in place of the first selected column.

        Raises as `TableReader.replace`.
        """
        lines = decode_text(record.raw, self._name, record.line).split("\n")
        tokens = list(self._tokens(record))
        for (index, token), item in zip(tokens, split_items(line, len(tokens)), strict=True):
            lines[index] = self._replace_cell(token, item) + lines[index][len(token) :]
        return "\n".join(lines).encode()

    def _replace_cell(self, token: str, item: str) -> str:
        start, end = self._spans(token)[self._columns[0]]
        # Spaces separate the columns of a file without tabs.
        space = SPACE if self._delimiter == TAB else SPACE_ITEM
        return token[:start] + from_item(item, token[start:end], space) + token[end:]

    def _spans(self, token: str) -> list[tuple[int, int]]:
        if self._delimiter == SPACE:
            return [found.span() for found in _CELL.finditer(token)]
        ends = [place for place, character in enumerate(token) if character == TAB] + [len(token)]
        return list(zip([0, *(end + 1 for end in ends)], ends, strict=False))


def split_cells(line: str, delimiter: str) -> list[str]:
    """Return the columns of a line."""
    return line.split(TAB) if delimiter == TAB else _CELL.findall(line)


def is_skippable(line: str) -> bool:
    """Return whether a line before the first token of a file may be something else: a comment or `-DOCSTART-`."""
    return not line.strip() or line.startswith(("# ", _DOCUMENT_START))
