"""JSON Lines: one object per line.

Columns are keys; `translation.de` is the key `de` of the object at the key `translation`, unless that is a key itself.
Values are strings, numbers as they are written, and `true` or `false`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

from rnnkit.json_types import JsonObject, JsonValue
from rnnkit.text.tables.columns import list_names, unknown_column
from rnnkit.text.tables.records import (
    Record,
    RowError,
    check_line_length,
    decode_record,
    replace_span,
    strip_line_end,
    to_line,
)

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_TYPES: Final = {dict: "an object", list: "a list", type(None): "null"}
_BOOLEANS: Final = {True: "true", False: "false"}


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


# Numbers stay text, as they are written.
_decoder: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=str, parse_int=str)


class JsonLinesReader:
    """Reads a JSON Lines file.

    Args:
        name: Name of the file for messages.
        columns: Keys of the selected columns.
    """

    unit = "rows"

    def __init__(self, name: str, columns: Sequence[str] = ()) -> None:
        self.changes = Counter[str]()
        self._name = name
        self._columns = columns

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yield rows and blank lines."""
        for line, raw in enumerate(lines, start=1):
            yield Record(raw, line, not raw.isspace())

    def values(self, record: Record) -> list[str]:
        """Return the selected columns of a row. Raises as `TableReader.values`."""
        row = self.row(record)
        values = [self._value(row, column, record.line) for column in self._columns]
        check_line_length(record, values, self._name)
        return values

    def row(self, record: Record) -> JsonObject:
        """Parse a row. Raises as `TableReader.values`."""
        text = decode_record(record, self._name)
        try:
            row = _decoder.decode(text)
        except json.JSONDecodeError as error:
            raise self._error("rows that are not JSON", record.line, "not JSON", str(error)) from None
        except (ValueError, RecursionError) as error:
            reason = "brackets are nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise self._error("rows that are not JSON", record.line, "not JSON", reason) from None
        if not isinstance(row, dict):
            hint = "`jq -c '.[]' FILE` writes the items of a list as lines" if text.startswith("[") else None
            raise self._error("rows that are not objects", record.line, "the row is not an object", hint=hint)
        return row

    def _value(self, row: JsonObject, column: str, line: int) -> str:
        found = self._find(row, column, line)
        if isinstance(found, bool):
            return _BOOLEANS[found]
        if not isinstance(found, str):
            raise self._error(
                "rows with values that are not text",
                line,
                f"the value of {column!r} is {_TYPES[type(found)]}",
                "text, a number, true or false can be extracted",
            )
        if _SURROGATE.search(found):
            raise self._error(
                "rows with lone surrogates",
                line,
                f"the value of {column!r} has a lone surrogate",
                "it is not Unicode text",
            )
        if "\0" in found:
            raise self._error(
                "rows with NUL characters", line, f"the value of {column!r} has a NUL character", "text has none"
            )
        return to_line(found, self.changes)

    def _find(self, row: JsonObject, column: str, line: int) -> JsonValue:
        if column in row:
            return row[column]
        outer, dot, inner = column.partition(".")
        if dot and isinstance(row.get(outer), dict):
            return self._find(row[outer], inner, line)
        error = unknown_column(column, list(row), Path(self._name), line)
        raise RowError("rows without a column", error.what, *error.details, hint=error.hint, path=self._name, line=line)

    def content(self, record: Record) -> bytes:
        """Return the bytes of a row without its line end."""
        return strip_line_end(record.raw)

    def replace(self, record: Record, line: str) -> bytes:
        """Return a row with a line in place of the first selected column. Raises as `TableReader.replace`."""
        if self.values(record)[0] == line:
            return record.raw
        text = decode_record(record, self._name)
        start, end = _find_value(text, 0, self._columns[0])
        end_of_line = record.raw[len(strip_line_end(record.raw)) :]
        return replace_span(text, start, end, _to_json(line, text[start:end], text.isascii())) + end_of_line

    def _error(self, kind: str, line: int, what: str, *details: str, hint: str | None = None) -> RowError:
        return RowError(kind, f"{self._name}:{line}: {what}", *details, hint=hint, path=self._name, line=line)


def describe_keys(row: JsonObject) -> str:
    """Return the keys of a row for messages."""
    return list_names(list(row))


def _find_value(text: str, start: int, column: str) -> tuple[int, int]:
    """Return the position of the value of a column in the text of a valid object."""
    spans = dict(_scan_object(text, start))
    if column in spans:
        return spans[column]
    outer, _, inner = column.partition(".")
    return _find_value(text, spans[outer][0], inner)


def _scan_object(text: str, start: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the keys of a valid object, and the position of the value of each."""
    place = text.index("{", start) + 1
    while text[place := _skip_space(text, place)] != "}":
        place += text[place] == ","
        key, place = _decoder.raw_decode(text, _skip_space(text, place))
        place = _skip_space(text, text.index(":", place) + 1)
        _, end = _decoder.raw_decode(text, place)
        yield key, (place, end)
        place = end


def _skip_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _to_json(line: str, old: str, ascii_only: bool) -> str:
    """Return a line as a JSON value of the type of the old one, if the line spells one."""
    if old in _BOOLEANS.values() and line in _BOOLEANS.values():
        return line
    if not old.startswith('"') and _is_number(line):
        return line
    return json.dumps(line, ensure_ascii=ascii_only)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", text, re.ASCII) is not None
