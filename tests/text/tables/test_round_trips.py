"""Every format: records divide the file, values survive a round trip, and one column changes without the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnkit.errors import DataError
from rnnkit.text.tables.conll import ConllReader
from rnnkit.text.tables.conllu import ConlluReader
from rnnkit.text.tables.delimited import DelimitedReader
from rnnkit.text.tables.json_lines import JsonLinesReader
from rnnkit.text.tables.label_lines import LabelLinesReader
from rnnkit.text.tables.records import TableReader, read_records
from rnnkit.text.tables.table_format import GivenLayout

from .reading import (
    CELLS,
    VALUES,
    WORDS,
    open_reader,
    read_values,
    replace_values,
    write_conll,
    write_conllu,
    write_csv,
    write_json_lines,
)

READERS: dict[str, Callable[[], TableReader]] = {
    "tsv": lambda: DelimitedReader("f", "\t", quotes=False, header=False, columns=[0], width=2),
    "csv": lambda: DelimitedReader("f", ",", quotes=True, header=True, columns=[0], width=2),
    "jsonl": lambda: JsonLinesReader("f", ["k"]),
    "conll": lambda: ConllReader("f", " ", columns=[0, -1], width=2),
    "conllu": lambda: ConlluReader("f", [1, 3]),
    "fasttext": lambda: LabelLinesReader("f", [0, 1]),
}
PARTS = st.lists(
    st.sampled_from([b'"', b'""', b",", b"\t", b"\n", b"\r\n", b"\n\n", b" ", b"# ", b"a", b"\xff", b"-DOCSTART-"])
)


@pytest.mark.parametrize("name", READERS)
def test_records_are_the_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"

    @given(start=st.sampled_from([b"", b"\xef\xbb\xbf"]), parts=PARTS)
    def hold(start: bytes, parts: list[bytes]) -> None:
        content = start + b"".join(parts)
        path.write_bytes(content)
        try:
            records = list(read_records(path, READERS[name]()))
        except DataError as error:
            assert (name, "--no-quotes" in str(error)) == ("csv", True)
            return
        assert b"".join(record.raw for record in records) == content
        line = 1
        for record in records:
            assert record.line == line
            line += record.raw.count(b"\n")

    hold()


def as_line(value: str) -> str:
    return re.sub(r"[\r\n]+", " ", value)


def as_items(values: Sequence[str]) -> str:
    return " ".join("".join("␣" if each.isspace() else each for each in value) or "_" for value in values)


def row_lines(row: Sequence[str]) -> list[str]:
    return [as_line(row[0]), as_line(row[2])]


def sentence_lines(sentence: Sequence[Sequence[str]]) -> list[str]:
    return [as_items(column) for column in zip(*sentence, strict=True)]


def label_row_lines(row: tuple[str, Sequence[str]]) -> list[str]:
    return [row[0], " ".join(row[1])]


@dataclass(frozen=True)
class Format:
    """Tables of a format.

    Attributes:
        given: Its name.
        write: From rows to a file.
        row: A row.
        columns: The columns to read.
        lines: From a row to the lines of these columns.
        replacement: From a row to lines that may replace the first.
    """

    given: str
    write: Callable[[Any], bytes]
    row: st.SearchStrategy[Any]
    columns: tuple[str, ...]
    lines: Callable[[Any], list[str]]
    replacement: Callable[[Any], st.SearchStrategy[str]]


def one_line(row: object) -> st.SearchStrategy[str]:
    return VALUES.map(as_line)


def items(sentence: Sequence[object]) -> st.SearchStrategy[str]:
    return st.lists(WORDS, min_size=len(sentence), max_size=len(sentence)).map(" ".join)


def write_tsv(rows: Sequence[Sequence[str]]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def write_label_lines(rows: Sequence[tuple[str, Sequence[str]]]) -> bytes:
    lines = (" ".join([*(f"__label__{label}" for label in labels), text]) for text, labels in rows)
    return "".join(f"{line}\r\n" for line in lines).encode()


ROWS = st.tuples(VALUES, VALUES, VALUES)
SENTENCES = st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4)
PLAIN_SENTENCES = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4)
LABEL_ROWS = st.tuples(CELLS.map(str.strip), st.lists(WORDS, min_size=1, max_size=3))

FORMATS = {
    "csv": Format("csv", partial(write_csv, end="\r\n"), ROWS, ("x=1", "y=3"), row_lines, one_line),
    "tsv": Format(
        "tsv", write_tsv, st.tuples(CELLS, CELLS, CELLS), ("x=1", "y=-1"), row_lines, lambda row: CELLS
    ),
    "json lines": Format("jsonl", write_json_lines, ROWS, ("x=k0", "y=k2"), row_lines, one_line),
    "conll with tabs": Format("conll", write_conll, SENTENCES, ("token", "tag"), sentence_lines, items),
    "conll with spaces": Format(
        "conll", partial(write_conll, delimiter="  "), PLAIN_SENTENCES, ("token=1", "tag=3"), sentence_lines, items
    ),
    "conllu": Format("conllu", write_conllu, SENTENCES, ("form", "upos"), sentence_lines, items),
    "conllu with CR LF": Format(
        "conllu", partial(write_conllu, end="\r\n"), SENTENCES, ("form", "upos"), sentence_lines, items
    ),
    "label lines": Format(
        "fasttext", write_label_lines, LABEL_ROWS, ("text", "label"), label_row_lines, lambda row: WORDS
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_values_survive(name: str, tmp_path: Path) -> None:
    kind, path = FORMATS[name], tmp_path / "file"
    layout = GivenLayout(kind.given, delimiter="," if kind.given == "csv" else None)

    @settings(max_examples=40)
    @given(data=st.data())
    def hold(data: st.DataObject) -> None:
        rows = data.draw(st.lists(kind.row, min_size=1, max_size=4))
        content = kind.write(rows)
        path.write_bytes(content)
        lines = [kind.lines(row) for row in rows]
        assert read_values(path, kind.columns, layout) == lines
        assert replace_values(path, kind.columns, [line[0] for line in lines], layout) == content
        new = [data.draw(kind.replacement(row)) for row in rows]
        path.write_bytes(replace_values(path, kind.columns, new, layout))
        assert read_values(path, kind.columns, layout) == [[line, old[1]] for line, old in zip(new, lines, strict=True)]

    hold()


@pytest.mark.parametrize("name", ["conll with spaces", "conllu"])
def test_splits_depend_on_tokens_alone(name: str, tmp_path: Path) -> None:
    """Comments, line ends, blank lines and the selected columns do not change the bytes that are hashed."""
    kind, path = FORMATS[name], tmp_path / "file"
    sentence = [("a", "X"), ("b_", "Y"), ("c", "X")]
    plain = kind.write([sentence])
    variants = [
        plain,
        plain.removesuffix(b"\n"),
        plain.replace(b"\n", b"\r\n"),
        b"# comment\n" + plain,
        plain + b"\n \n",
    ]
    found = []
    for content in variants:
        path.write_bytes(content)
        reader = open_reader(path, kind.columns[:1], GivenLayout(kind.given))
        found += [reader.content(record) for record in read_records(path, reader) if record.is_row]
    assert found == [found[0]] * len(variants)
    path.write_bytes(kind.write([sentence[::-1]]))
    assert [reader.content(record) for record in read_records(path, reader)] != found[:1]


def test_columns_have_an_item_per_token(tmp_path: Path) -> None:
    path = tmp_path / "file"

    @settings(max_examples=40)
    @given(st.lists(SENTENCES, min_size=1, max_size=3))
    def hold(sentences: list[list[tuple[str, str]]]) -> None:
        path.write_bytes(write_conllu(sentences))
        for sentence, lines in zip(sentences, read_values(path, (), GivenLayout("conllu")), strict=True):
            for line in lines:
                assert line.split() == line.split(" ")
                assert len(line.split()) == len(sentence)

    hold()
