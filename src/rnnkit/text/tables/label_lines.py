"""fastText's lines of labels and text: `__label__positive a stirring , funny film`.

Columns are `text` and `label`. As in fastText, any word that begins with `__label__` is a label; several labels of a
line are joined by spaces.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rnnkit.text.tables.records import (
    EMPTY_ITEM,
    Record,
    ReplacementError,
    RowError,
    check_line_length,
    decode_record,
    replace_span,
    strip_line_end,
    to_line,
)

PREFIX: Final = "__label__"
TEXT: Final = "text"
LABEL: Final = "label"
COLUMNS: Final = (TEXT, LABEL)

# fastText separates words at ASCII white space; the space before a label goes with it when the label is removed.
_LABEL: Final = re.compile(rf"(?:(?<=[ \t\v\f\r])|^){PREFIX}([^ \t\v\f\r]*)")
_SPACE: Final = " \t\v\f\r"


class LabelLinesReader:
    """Reads a file of `__label__` lines.

    Args:
        name: Name of the file for messages.
        columns: Indices of the selected columns in `COLUMNS`.
    """

    unit = "rows"

    def __init__(self, name: str, columns: Sequence[int] = ()) -> None:
        self.changes = Counter[str]()
        self._name = name
        self._columns = [COLUMNS[column] for column in columns]

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yield rows and blank lines."""
        for line, raw in enumerate(lines, start=1):
            yield Record(raw, line, not raw.isspace())

    def values(self, record: Record) -> list[str]:
        """Return the selected columns of a row. Raises as `TableReader.values`."""
        text = decode_record(record, self._name)
        labels = list(_LABEL.finditer(text))
        if not labels and LABEL in self._columns:
            raise RowError(
                "rows without a label",
                f"{self._name}:{record.line}: there is no label",
                f"a label is a word that begins with {PREFIX}",
                hint="--columns text extracts the text alone",
                path=self._name,
                line=record.line,
            )
        values = [_text(text, labels, self.changes) if column == TEXT else _labels(labels) for column in self._columns]
        check_line_length(record, values, self._name)
        return values

    def content(self, record: Record) -> bytes:
        """Return the bytes of a row without its line end."""
        return strip_line_end(record.raw)

    def replace(self, record: Record, line: str) -> bytes:
        """Return a row with a line in place of the first selected column. Raises as `TableReader.replace`."""
        text = decode_record(record, self._name)
        if self.values(record)[0] == line:
            return record.raw
        labels = list(_LABEL.finditer(text))
        new = _replace_text(text, labels, line) if self._columns[0] == TEXT else _replace_labels(text, labels, line)
        return new + record.raw[len(strip_line_end(record.raw)) :]


def _labels(labels: Sequence[re.Match[str]]) -> str:
    return " ".join(label[1] or EMPTY_ITEM for label in labels)


def _text(text: str, labels: Sequence[re.Match[str]], changes: Counter[str]) -> str:
    return to_line(" ".join(text[start:end] for start, end in _text_spans(text, labels)), changes)


def _text_spans(text: str, labels: Sequence[re.Match[str]]) -> list[tuple[int, int]]:
    """Return the parts of a row between its labels, without white space around them."""
    starts = [0, *(label.end() for label in labels)]
    ends = [*(label.start() for label in labels), len(text)]
    stripped = []
    for start, end in zip(starts, ends, strict=True):
        part = text[start:end]
        start += len(part) - len(part.lstrip(_SPACE))
        if kept := part.strip(_SPACE):
            stripped.append((start, start + len(kept)))
    return stripped


def _replace_text(text: str, labels: Sequence[re.Match[str]], line: str) -> bytes:
    spans = _text_spans(text, labels)
    if _LABEL.search(line):
        raise ReplacementError(f"the text has a word that begins with {PREFIX}")
    if len(spans) > 1:
        raise ReplacementError("the row has text on both sides of a label")
    if not spans:
        return f"{text.rstrip(_SPACE)} {line}".encode()
    return replace_span(text, *spans[0], line)


def _replace_labels(text: str, labels: Sequence[re.Match[str]], line: str) -> bytes:
    """Replace labels one by one or, if their number differs, the first by all new ones."""
    new = line.split()
    if not new:
        raise ReplacementError("there is no label")
    if len(new) != len(labels):
        new = [f" {PREFIX}".join(new), *([""] * (len(labels) - 1))]
    parts, place = [], 0
    for label, item in zip(labels, new, strict=True):
        before = text[place : label.start()]
        parts.append(f"{before}{PREFIX}{item}" if item else before.rstrip(_SPACE))
        place = label.end()
    return "".join([*parts, text[place:]]).encode()
