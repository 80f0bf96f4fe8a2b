"""Formats of tables and annotated corpora: detected by name and content, and opened.

The name decides if its suffix belongs to one format; `.tsv` and others are decided by the first lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rnnkit.errors import DataError, UsageError
from rnnkit.text.label_counts import LabelCounter
from rnnkit.text.lines import BOM, MAX_LINE_BYTES, READ_ERRORS, check_not_utf16, open_text
from rnnkit.text.tables import conll, conllu, label_lines
from rnnkit.text.tables.columns import ColumnSelection, list_names, resolve_columns
from rnnkit.text.tables.conll import ConllReader
from rnnkit.text.tables.conllu import ConlluReader
from rnnkit.text.tables.delimited import DelimitedReader
from rnnkit.text.tables.json_lines import JsonLinesReader
from rnnkit.text.tables.label_lines import LabelLinesReader
from rnnkit.text.tables.records import Record, TableReader, read_records

TSV: Final = "tsv"
CSV: Final = "csv"
JSON_LINES: Final = "jsonl"
CONLL: Final = "conll"
CONLLU: Final = "conllu"
LABEL_LINES: Final = "fasttext"
FORMATS: Final = {
    TSV: "TSV",
    CSV: "CSV",
    JSON_LINES: "JSON Lines",
    CONLL: "CoNLL columns",
    CONLLU: "CoNLL-U",
    LABEL_LINES: "fastText label lines",
}
"""Names of the formats on the command line and in messages."""

SAMPLE_BYTES: Final = MAX_LINE_BYTES
"""Bytes at the start of a file by which its format is detected."""

_SUFFIXES: Final = {
    ".csv": CSV,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON_LINES,
    ".conllu": CONLLU,
    ".conll": CONLL,
    ".iob": CONLL,
    ".iob1": CONLL,
    ".iob2": CONLL,
    ".bio": CONLL,
    ".bioes": CONLL,
}
_TSV_SUFFIX: Final = ".tsv"
_COMPRESSION: Final = (".gz", ".bz2", ".xz")
_CSV_DELIMITERS: Final = (",", ";", "\t")
_USUAL_DELIMITERS: Final = {TSV: "\t", CSV: ",", CONLL: "\t"}
_DELIMITER_NAMES: Final = {"\t": "tabs", " ": "spaces", ",": "commas", ";": "semicolons", "|": "bars"}
_JSON_OBJECT: Final = re.compile(r'\s*\{\s*["}]')
_ID: Final = re.compile(r"\d+([-.]\d+)?")
_MAX_SAMPLE_LINES: Final = 1000
_TOKEN_FRACTION: Final = 0.8
"""Fraction of lines that must look like tokens; some are broken, or have spaces in a token."""


@dataclass(frozen=True)
class TableLayout:
    """How a file is read.

    Attributes:
        format: One of `FORMATS`.
        delimiter: Separates columns; None for formats without delimiters.
        quotes: Whether fields of a table may be quoted.
        header: Whether the first row of a table is a header.
    """

    format: str
    delimiter: str | None = None
    quotes: bool = False
    header: bool = False

    def __str__(self) -> str:
        """Return a description such as `CSV with a header`."""
        name = FORMATS[self.format]
        if self.delimiter != _USUAL_DELIMITERS.get(self.format):
            name += f" separated by {_DELIMITER_NAMES.get(str(self.delimiter), repr(self.delimiter))}"
        if self.format not in (TSV, CSV):
            return name
        quotes = "" if self.quotes == (self.format == CSV) else f" {'with' if self.quotes else 'without'} quotes and"
        return f"{name}{quotes} {'with' if self.header else 'without'} a header"


@dataclass(frozen=True)
class GivenLayout:
    """What the user gives of a layout; the rest is detected.

    Attributes:
        format: One of `FORMATS`.
        delimiter: As in `TableLayout`.
        quotes: As in `TableLayout`.
        header: As in `TableLayout`.
    """

    format: str | None = None
    delimiter: str | None = None
    quotes: bool | None = None
    header: bool | None = None


def detect_layout(path: Path, given: GivenLayout, columns: Sequence[ColumnSelection]) -> TableLayout:
    """Detect how a file is read.

    Args:
        path: The file, plain or compressed.
        given: What is known.
        columns: The selected columns; a table whose columns have names has a header.

    Raises:
        DataError: The file is missing, empty or not text, or its format is unknown.
        UsageError: An option does not apply to the format.
    """
    sample = _read_sample(path)
    format = given.format or _detect_format(path, sample)
    named = any(isinstance(selection.column, str) for selection in columns)
    if format in (TSV, CSV):
        delimiter = given.delimiter or ("\t" if format == TSV else _csv_delimiter(_first_line(sample)))
        quotes = format == CSV if given.quotes is None else given.quotes
        return TableLayout(format, delimiter, quotes, named if given.header is None else given.header)
    for option, value in (("--delimiter", given.delimiter), ("--quotes", given.quotes), ("--header", given.header)):
        if value is not None:
            raise UsageError(f"{option} applies to TSV and CSV", f"{path} is {FORMATS[format]}", option=option)
    if format == CONLL:
        token = next((line for line in sample if not conll.is_skippable(line)), sample[0])
        return TableLayout(format, conll.TAB if conll.TAB in token else conll.SPACE)
    return TableLayout(format)


def _read_sample(path: Path) -> list[str]:
    """Return the first lines of a file, without a cut one at the end."""
    with open_text(path) as (file, _):
        try:
            raw = file.read(SAMPLE_BYTES)
        except READ_ERRORS as error:
            raise DataError(f"cannot read {path}", str(error), path=path) from error
    check_not_utf16(raw, str(path))
    if not raw.strip(b"\r\n"):
        raise DataError(f"{path} is empty", path=path)
    raw = raw.removeprefix(BOM)
    if len(raw) >= SAMPLE_BYTES - len(BOM):
        raw = raw[: raw.rfind(b"\n") + 1] or raw
    lines = raw.split(b"\n")[:_MAX_SAMPLE_LINES]
    return [line.decode("utf-8", "replace").removesuffix("\r") for line in lines]


def _detect_format(path: Path, sample: Sequence[str]) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _COMPRESSION]
    by_name = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    if by_name is not None:
        return by_name
    first = _first_line(sample)
    annotated = next((line for line in sample if line.strip() and not line.startswith("#")), "").split("\t")
    if len(annotated) == len(conllu.COLUMNS) and _ID.fullmatch(annotated[0]):
        return CONLLU
    if _has_sentences(sample):
        return CONLL
    if suffixes[-1:] == [_TSV_SUFFIX]:
        return TSV
    if _JSON_OBJECT.match(first):
        return JSON_LINES
    if any(word.startswith(label_lines.PREFIX) for word in first.split()):
        return LABEL_LINES
    if "\t" in first:
        return TSV
    if "," in first or ";" in first:
        return CSV
    raise DataError(
        f"{path}: unknown format",
        "it has neither the name nor the content of a table or an annotated corpus",
        hint=f"--format gives it: {', '.join(FORMATS)}",
        path=path,
        option="--format",
    )


def _first_line(sample: Sequence[str]) -> str:
    return next((line for line in sample if line.strip()), sample[0])


def _has_sentences(sample: Sequence[str]) -> bool:
    """Return whether blank lines separate lines that look like tokens with the same number of columns, at least two."""
    lines = [line for line in sample if not conll.is_skippable(line)]
    if not lines:
        return False
    ends = [place for place, line in enumerate(sample) if not line.strip()]
    delimiter = conll.TAB if conll.TAB in lines[0] else conll.SPACE
    rows = [conll.split_cells(line, delimiter) for line in lines]
    separated = any(sample[place + 1].strip() for place in ends if place + 1 < len(sample))
    tokens = sum(" " not in row[0] and len(row) == len(rows[0]) for row in rows)
    return separated and len(rows[0]) > 1 and tokens >= _TOKEN_FRACTION * len(rows)


def _csv_delimiter(header: str) -> str:
    """Return the most frequent delimiter outside quotes in the first line."""
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(_CSV_DELIMITERS, key=unquoted.count)


def default_columns(layout: TableLayout) -> list[ColumnSelection]:
    """Return the columns that are extracted if none are selected: none of tables, which have no fixed names."""
    names = {CONLLU: (conllu.FORM, "upos"), CONLL: tuple(conll.COLUMNS), LABEL_LINES: label_lines.COLUMNS}
    return [ColumnSelection(name, name) for name in names.get(layout.format, ())]


def open_counters(layout: TableLayout, columns: Sequence[ColumnSelection]) -> list[LabelCounter]:
    """Return a counter for each column: of items in annotated corpora, whose tokens are not labels, else of lines."""
    annotated = layout.format in (CONLLU, CONLL)
    tokens = {CONLLU: (conllu.FORM, 2, -9), CONLL: ("token", 1)}.get(layout.format, ())
    several = layout.format == LABEL_LINES
    return [
        LabelCounter(annotated or (several and each.column == label_lines.LABEL), each.column not in tokens)
        for each in columns
    ]


def open_reader(path: Path, layout: TableLayout, columns: Sequence[ColumnSelection]) -> TableReader:
    """Return a reader of a file for the selected columns.

    Raises:
        DataError: A column does not exist, its name is ambiguous, or the file is damaged.
        UsageError: A column of JSON Lines is selected by number.
    """
    name = str(path)
    match layout.format:
        case "conllu":
            return ConlluReader(name, resolve_columns(columns, conllu.COLUMNS, len(conllu.COLUMNS), path))
        case "fasttext":
            return LabelLinesReader(name, resolve_columns(columns, label_lines.COLUMNS, len(label_lines.COLUMNS), path))
        case "conll":
            return _open_conll(path, layout, columns)
        case "jsonl":
            return JsonLinesReader(name, [_key(selection) for selection in columns])
        case _:
            return _open_delimited(path, layout, columns)


def _open_conll(path: Path, layout: TableLayout, columns: Sequence[ColumnSelection]) -> ConllReader:
    assert layout.delimiter is not None
    sample = _read_sample(path)
    token = next((line for line in sample if not conll.is_skippable(line)), sample[0])
    width = len(conll.split_cells(token, layout.delimiter))
    numbered = [ColumnSelection(each.name, conll.COLUMNS.get(str(each.column), each.column)) for each in columns]
    return ConllReader(str(path), layout.delimiter, resolve_columns(numbered, tuple(conll.COLUMNS), width, path), width)


def _open_delimited(path: Path, layout: TableLayout, columns: Sequence[ColumnSelection]) -> DelimitedReader:
    names = column_names(path, layout)
    indices = resolve_columns(columns, names, len(names), path, numbered=not layout.header)
    assert layout.delimiter is not None
    return DelimitedReader(str(path), layout.delimiter, layout.quotes, layout.header, indices, len(names))


def _key(selection: ColumnSelection) -> str:
    if isinstance(selection.column, int):
        raise UsageError(f"--columns {selection}: columns of JSON Lines have names, not numbers", option="--columns")
    return selection.column


def column_names(path: Path, layout: TableLayout) -> list[str]:
    """Return the columns of the first record of a table, or the keys of the first row of JSON Lines."""
    if layout.format == JSON_LINES:
        json_reader = JsonLinesReader(str(path))
        return list(json_reader.row(_first_row(path, json_reader)))
    assert layout.delimiter is not None
    reader = DelimitedReader(str(path), layout.delimiter, layout.quotes, header=False)
    return reader.cells(_first_row(path, reader))


def _first_row(path: Path, reader: TableReader) -> Record:
    for record in read_records(path, reader):
        if record.is_row:
            return record
    raise DataError(f"{path} has no {reader.unit}", path=path)


def missing_columns(path: Path, layout: TableLayout) -> UsageError:
    """Return the error for a table of which no columns are selected."""
    names = column_names(path, layout)
    return UsageError(
        "--columns is missing",
        f"{path} is {FORMATS[layout.format]}, and begins with {list_names(names)}",
        hint="--columns text,label selects columns by name, --columns text=1,label=2 by number",
        option="--columns",
    )
