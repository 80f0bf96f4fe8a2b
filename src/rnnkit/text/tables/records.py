"""Records of tables and annotated corpora, and how their values become lines.

A reader divides a file into records: rows, each of which becomes one line, and what lies between them, such as
headers, comments and blank lines. The bytes of all records, joined, are the bytes of the file, so that predictions can
be written back into one column while every other byte is kept.

A value of a table becomes a line: each run of line ends in it becomes one space. The values of a sentence, one per
token, become the items of a line, separated by single spaces: each white-space character in a value becomes `␣`
(U+2423), an empty value becomes `_`. U+00A0 would not do, because any white space separates tokens in token files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

from rnnkit.errors import DataError
from rnnkit.io.safe_reading import Repairs
from rnnkit.text.lines import (
    BOM,
    MAX_LINE_BYTES,
    READ_ERRORS,
    check_not_utf16,
    decode_text,
    line_too_long,
    open_text,
    unreadable_after,
)

MAX_RECORD_BYTES: Final = 16 * MAX_LINE_BYTES
"""Maximum size of a row or sentence, in bytes, which bounds memory."""

SPACE_ITEM: Final = "␣"
"""U+2423, which represents a white-space character within an item."""

EMPTY_ITEM: Final = "_"
"""Represents an empty value."""

CHANGES: Final = {
    "line_ends": "line ends in values became spaces ({:,})",
    "white_space": "white space in values became ␣ ({:,})",
    "empty": "empty values became _ ({:,})",
}
"""How messages describe changed values."""

_SPACE: Final = re.compile(r"\s")
_LINE_ENDS: Final = re.compile(r"[\r\n]+")
_MAX_GROWTH: Final = len(SPACE_ITEM.encode())


class Record(NamedTuple):
    """Consecutive bytes of a file.

    Attributes:
        raw: The bytes, including line ends.
        line: Number of the line with which they begin, from 1.
        is_row: Whether the record is a row or sentence, and not a header, a comment or a blank line.
    """

    raw: bytes
    line: int
    is_row: bool


class RowError(DataError):
    """A broken row, which `--repair` skips.

    Args:
        kind: Such rows in the plural, such as `rows with too few columns`, by which they are counted.
        what: As for `DataError`; begins with the location.
        *details: As for `DataError`.
        hint: As for `DataError`.
        path: The file.
        line: The line.
    """

    def __init__(
        self, kind: str, what: str, *details: str, hint: str | None = None, path: str | None = None, line: int = 0
    ) -> None:
        super().__init__(what, *details, hint=hint, path=path, line=line)
        self.kind = kind


class TableReader(Protocol):
    """Reads one file in one format, for a fixed selection of columns."""

    @property
    def unit(self) -> str:
        """What a row is, in the plural: `rows` or `sentences`."""

    @property
    def changes(self) -> Mapping[str, int]:
        """Number of values that a line does not contain as they are, by the keys of `CHANGES`."""

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Divide the lines of a file, which include their ends, into records.

        Raises:
            DataError: A record is too long, or a quote never closes.
        """

    def values(self, record: Record) -> list[str]:
        """Return the line of each selected column for a row.

        Raises:
            RowError: The row is broken.
            DataError: The row is not UTF-8 or contains NUL bytes.
        """

    def content(self, record: Record) -> bytes:
        """Return the bytes by which a row is assigned to a split: those of its values, without comments."""

    def replace(self, record: Record, line: str) -> bytes:
        """Return the bytes of a row with a line in place of the values of the first selected column.

        Raises:
            ReplacementError: The line does not fit.
        """


class ReplacementError(Exception):
    """A prediction that does not fit into its row; the message has the reason."""


def read_records(path: Path, reader: TableReader) -> Iterator[Record]:
    """Yield the records of a file, plain or compressed. Raises as `read_raw_lines` and the reader."""
    with open_text(path) as (file, _):
        lines = read_raw_lines(file, str(path))
        first = next(lines, b"")
        check_not_utf16(first, str(path))
        if first.startswith(BOM):
            yield Record(BOM, 1, False)
            first = first.removeprefix(BOM)
        yield from reader.records(chain([first], lines) if first else lines)


def read_rows(
    path: Path, reader: TableReader, repairs: Repairs | None = None
) -> Iterator[tuple[Record, list[str] | None]]:
    """Yield the records of a file, with the line of each selected column for a row.

    Args:
        path: The file.
        reader: Its reader.
        repairs: Broken rows are recorded here and yielded without lines; with None they are errors.

    Raises:
        DataError: As `read_records`; or a row is broken.
    """
    for record in read_records(path, reader):
        values = None
        if record.is_row:
            try:
                values = reader.values(record)
            except DataError as error:
                if repairs is None:
                    raise
                kind = error.kind if isinstance(error, RowError) else "rows that are not UTF-8 text"
                repairs.add(kind, f"{path}:{error.line}", "skipped")
        yield record, values


def read_raw_lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    """Yield the lines of a stream including their ends.

    Raises:
        DataError: The stream cannot be read, or a line is longer than `MAX_RECORD_BYTES`.
    """
    number = 0
    while True:
        try:
            raw = file.readline(MAX_RECORD_BYTES + 1)
        except READ_ERRORS as error:
            raise unreadable_after(name, number, error) from error
        if not raw:
            return
        number += 1
        if len(raw) > MAX_RECORD_BYTES:
            raise line_too_long(name, number, MAX_RECORD_BYTES)
        yield raw


def decode_record(record: Record, name: str) -> str:
    """Return the text of a record, without the end of its last line. Raises as `decode_text`."""
    return decode_text(strip_line_end(record.raw), name, record.line)


def strip_line_end(raw: bytes) -> bytes:
    """Return a line without its end: LF, or CR LF."""
    return raw.removesuffix(b"\n").removesuffix(b"\r")


def to_line(value: str, changes: Counter[str] | None = None) -> str:
    """Return a value of a table as one line, and count it if it is changed."""
    if "\n" not in value and "\r" not in value:
        return value
    if changes is not None:
        changes["line_ends"] += 1
    return _LINE_ENDS.sub(" ", value)


def to_item(value: str) -> str:
    """Return a value of a token as an item of a line: without white space, and not empty."""
    return _SPACE.sub(SPACE_ITEM, value) or EMPTY_ITEM


def join_items(values: list[str], changes: Counter[str]) -> str:
    """Return the values of a sentence as a line, which has an item for each value, and count those that are changed."""
    line = " ".join(values)
    if line.split() == values:
        return line
    items = [to_item(value) for value in values]
    changes["empty"] += values.count("")
    changes["white_space"] += sum(item != value != "" for item, value in zip(items, values, strict=True))
    return " ".join(items)


def from_item(item: str, old: str, space: str = " ") -> str:
    """Return the value of an item that replaces an old value, which is kept if the item represents it."""
    return old if to_item(old) == item else item.replace(SPACE_ITEM, space)


def split_items(line: str, expected: int) -> list[str]:
    """Return the items of a line of predictions. Raises ReplacementError if there is not one for each token."""
    items = line.split()
    if len(items) != expected:
        raise ReplacementError(f"expected an item for each of {expected:,} tokens, got {len(items):,}")
    return items


def check_line_length(record: Record, values: Sequence[str], name: str) -> None:
    """Raise RowError if a line is longer than the line reader accepts."""
    if len(record.raw) * _MAX_GROWTH > MAX_LINE_BYTES and any(len(each.encode()) > MAX_LINE_BYTES for each in values):
        raise RowError(
            "rows that are too long",
            f"{name}:{record.line}: a value is longer than {MAX_LINE_BYTES:,} bytes",
            "no command reads a longer line",
            path=name,
            line=record.line,
        )


def replace_span(text: str, start: int, end: int, new: str) -> bytes:
    """Return a text with one part replaced, as UTF-8."""
    return f"{text[:start]}{new}{text[end:]}".encode()
