"""TSV and CSV: rows of columns between delimiters, with or without quotes and a header.

A field that begins with a double quote ends at the next one; two in a row represent one, and everything else in
between, delimiters and line ends included, belongs to the value (RFC 4180). Elsewhere a double quote is an ordinary
character. TSV has no quotes unless they are requested: text corpora in TSV contain quotation marks.

Fields are found here and not with the `csv` module, which returns neither the position of a field nor the bytes of a
row, and reads a quote that never closes to the end of the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from rnnkit.errors import DataError
from rnnkit.text.tables.records import (
    MAX_RECORD_BYTES,
    Record,
    ReplacementError,
    RowError,
    check_line_length,
    decode_record,
    replace_span,
    strip_line_end,
    to_line,
)

QUOTE: Final = '"'
_INSIDE: Final = re.compile(rb'(?:[^"]+|"")*+("?)')
_QUOTED: Final = re.compile(r'"((?:[^"]+|"")*+)"')


class Field(NamedTuple):
    """A field of a row: its position in the text of the row, and its value without quotes."""

    start: int
    end: int
    value: str


class DelimitedReader:
    """Reads a TSV or CSV file.

    Args:
        name: Name of the file for messages.
        delimiter: One character.
        quotes: Whether fields may be quoted.
        header: Whether the first record is a header.
        columns: Indices of the selected columns.
        width: Number of columns.
    """

    unit = "rows"

    def __init__(
        self, name: str, delimiter: str, quotes: bool, header: bool, columns: Sequence[int] = (), width: int = 0
    ) -> None:
        self.changes = Counter[str]()
        self._name = name
        self._delimiter = delimiter
        self._delimiter_byte = delimiter.encode()
        self._quotes = quotes
        self._header = header
        self._columns = columns
        self._width = width

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yield rows, the header and blank lines. Raises as `TableReader.records`."""
        header = self._header
        for raw, line in self._join_lines(lines) if self._quotes else _number(lines):
            is_blank = not raw.strip(b"\r\n")
            yield Record(raw, line, not header and not is_blank)
            header = header and is_blank

    def _join_lines(self, lines: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
        """Yield records of one line, or of several where a quoted field contains line ends, with their first line."""
        parts: list[bytes] = []
        size = first = opened = 0
        for number, raw in enumerate(lines, start=1):
            if not parts:
                first, size = number, 0
            is_open = self._ends_in_quotes(raw, bool(parts))
            if not parts and not is_open:
                yield raw, number
                continue
            opened = opened if parts else number
            parts.append(raw)
            size += len(raw)
            if not is_open:
                yield b"".join(parts), first
                parts = []
            elif size > MAX_RECORD_BYTES:
                raise self._never_closes(opened)
        if parts:
            raise self._never_closes(opened)

    def _ends_in_quotes(self, raw: bytes, inside: bool) -> bool:
        """Return whether a line ends within a quoted field, given whether it begins within one."""
        if not inside and b'"' not in raw:
            return False
        place = 0
        while True:
            if not inside and raw[place : place + 1] == b'"':
                inside, place = True, place + 1
            if inside:
                found = _INSIDE.match(raw, place)
                assert found is not None  # it matches the empty string
                if not found[1]:
                    return True
                inside, place = False, found.end()
            place = raw.find(self._delimiter_byte, place) + 1
            if not place:
                return False

    def _never_closes(self, line: int) -> DataError:
        return DataError(
            f"{self._name}:{line}: a quote opens in this row and never closes",
            "a field that begins with a double quote ends with one",
            hint="--no-quotes reads quotes as ordinary characters",
            path=self._name,
            line=line,
        )

    def values(self, record: Record) -> list[str]:
        """Return the selected columns of a row. Raises as `TableReader.values`."""
        text = decode_record(record, self._name)
        if self._quotes and QUOTE in text:
            cells = [field.value for field in self._fields(text, record.line)]
        else:
            cells = text.split(self._delimiter)
        if len(cells) != self._width:
            raise self._wrong_width(len(cells), record.line, not self._quotes and QUOTE in text)
        values = [to_line(cells[column], self.changes) for column in self._columns]
        check_line_length(record, values, self._name)
        return values

    def cells(self, record: Record) -> list[str]:
        """Return all columns of a record, such as the header."""
        return [field.value for field in self._fields(decode_record(record, self._name), record.line)]

    def _wrong_width(self, found: int, line: int, has_quotes: bool) -> RowError:
        return RowError(
            f"rows with too {'few' if found < self._width else 'many'} columns",
            f"{self._name}:{line}: {found:,} columns, {'the header' if self._header else 'the first row'} has "
            f"{self._width:,}",
            hint="--quotes reads quoted fields" if has_quotes else None,
            path=self._name,
            line=line,
        )

    def _fields(self, text: str, line: int) -> list[Field]:
        """Return the fields of a row. Raises RowError if text follows a quoted field."""
        fields: list[Field] = []
        start = 0
        while True:
            quoted = _QUOTED.match(text, start) if self._quotes else None
            stop = text.find(self._delimiter, quoted.end() if quoted else start)
            stop = len(text) if stop < 0 else stop
            if quoted and quoted.end() != stop:
                raise RowError(
                    "rows with text after a quoted field",
                    f"{self._name}:{line}: text follows a closing quote",
                    "two double quotes represent one within a quoted field",
                    hint="--no-quotes reads quotes as ordinary characters",
                    path=self._name,
                    line=line,
                )
            value = quoted[1].replace('""', QUOTE) if quoted else text[start:stop]
            fields.append(Field(start, stop, value))
            if stop == len(text):
                return fields
            start = stop + 1

    def content(self, record: Record) -> bytes:
        """Return the bytes of a row without its line end."""
        return strip_line_end(record.raw)

    def replace(self, record: Record, line: str) -> bytes:
        """Return a row with a line in place of the first selected column. Raises as `TableReader.replace`."""
        text = decode_record(record, self._name)
        field = self._fields(text, record.line)[self._columns[0]]
        if to_line(field.value) == line:
            return record.raw
        was_quoted = self._quotes and text.startswith(QUOTE, field.start)
        end = record.raw[len(strip_line_end(record.raw)) :]
        return replace_span(text, field.start, field.end, self._to_field(line, was_quoted)) + end

    def _to_field(self, value: str, was_quoted: bool) -> str:
        if not self._quotes:
            if self._delimiter in value:
                raise ReplacementError("the line contains the delimiter of the table, which has no quotes")
            return value
        needs_quotes = was_quoted or value.startswith(QUOTE) or any(each in value for each in (self._delimiter, "\r"))
        return QUOTE + value.replace(QUOTE, '""') + QUOTE if needs_quotes else value


def _number(lines: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    return ((raw, number) for number, raw in enumerate(lines, start=1))
