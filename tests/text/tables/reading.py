"""Files in every format, written by other means, and what the readers return for them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from hypothesis import strategies as st

from rnnkit.text.tables import table_format
from rnnkit.text.tables.columns import parse_columns
from rnnkit.text.tables.records import TableReader, read_records
from rnnkit.text.tables.table_format import GivenLayout

VALUES = st.text(
    st.sampled_from('",;\t \r\nab_␣#\xa0\u2028\u0130𐐀')
    | st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"),
    max_size=8,
)
"""Values of a table, with everything that a format must quote or escape."""

CELLS = VALUES.map(lambda value: "".join(each for each in value if each not in "\t\r\n"))
"""Values of a token, which contain neither tabs nor line ends."""

WORDS = st.text(st.sampled_from("abŁ中_-"), min_size=1, max_size=3)
"""Values of a token without white space."""

Sentence = Sequence[tuple[str, str]]


def open_reader(path: Path, columns: Sequence[str] = (), given: GivenLayout | None = None) -> TableReader:
    """The reader that the command uses."""
    selections = parse_columns(columns)
    layout = table_format.detect_layout(path, given or GivenLayout(), selections)
    return table_format.open_reader(path, layout, selections or table_format.default_columns(layout))


def read_values(path: Path, columns: Sequence[str] = (), given: GivenLayout | None = None) -> list[list[str]]:
    """The lines of each row."""
    reader = open_reader(path, columns, given)
    return [reader.values(record) for record in read_records(path, reader) if record.is_row]


def replace_values(path: Path, columns: Sequence[str], lines: Iterable[str], given: GivenLayout | None = None) -> bytes:
    """The file with lines in place of its first column."""
    reader, new = open_reader(path, columns, given), iter(lines)
    return b"".join(
        reader.replace(record, next(new)) if record.is_row else record.raw for record in read_records(path, reader)
    )


def write_csv(rows: Iterable[Sequence[str]], delimiter: str = ",", end: str = "\n") -> bytes:
    """A table as Python's `csv` writes it."""
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=end).writerows(rows)
    return file.getvalue().encode()


def write_json_lines(rows: Iterable[Sequence[str]]) -> bytes:
    """A table as JSON Lines with the keys `k0`, `k1` and so on."""
    return "".join(json.dumps({f"k{key}": value for key, value in enumerate(row)}) + "\n" for row in rows).encode()


def write_conll(sentences: Iterable[Sentence], delimiter: str = "\t", end: str = "\n") -> bytes:
    """Sentences as CoNLL columns: token, a column between, and tag."""
    lines = (line for each in sentences for line in (*(delimiter.join([a, "x", b]) for a, b in each), ""))
    return "".join(f"{line}{end}" for line in lines).encode()


def write_conllu(sentences: Iterable[Sentence], end: str = "\n") -> bytes:
    """Sentences as CoNLL-U: FORM and UPOS, comments and, from three words on, a range and an empty node."""
    lines = []
    for sentence in sentences:
        lines.append("# text = a\tb")
        for number, (form, tag) in enumerate(sentence, start=1):
            if number == 2 < len(sentence):
                lines += [_line("1.1", "gap", "X"), _line("2-3", "both", "_")]
            lines.append(_line(str(number), form, tag))
        lines.append("")
    return "".join(f"{line}{end}" for line in lines).encode()


def _line(identifier: str, form: str, tag: str) -> str:
    return "\t".join([identifier, form, "_", tag, *"______"])
