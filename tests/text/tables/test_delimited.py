"""TSV and CSV: quotes, headers, widths, and rows that are broken."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.text.tables import records
from rnnkit.text.tables.delimited import DelimitedReader
from rnnkit.text.tables.records import RowError
from rnnkit.text.tables.table_format import GivenLayout

from .reading import read_values, replace_values


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("table.csv")


def test_fields_are_those_of_csv() -> None:
    """Also where fields are not quoted as a writer would: text before a quote, quotes in the middle, empty fields."""

    @given(st.text(st.sampled_from('a", \n'), max_size=12))
    def hold(text: str) -> None:
        lines = [line.encode() for line in text.splitlines(keepends=True)]
        reader = DelimitedReader("f", ",", quotes=True, header=False)
        try:
            found = [reader.cells(record) for record in reader.records(lines) if record.is_row]
        except DataError:  # stricter than `csv`: text after a closing quote, quotes that never close
            with pytest.raises(csv.Error):
                list(csv.reader(io.StringIO(text, newline=""), strict=True))
            return
        assert found == [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]

    hold()


def test_quoted_line_ends(table: Path) -> None:
    table.write_bytes(b'text,label\n"a ""b""\r\n\r\nc",x\n\nd,"y"\n')
    assert read_values(table, ["text", "label"]) == [['a "b" c', "x"], ["d", "y"]]
    assert replace_values(table, ["label"], ["x,1", 'z"']) == b'text,label\n"a ""b""\r\n\r\nc","x,1"\n\nd,"z"""\n'


def test_header_after_blank_lines(table: Path) -> None:
    table.write_bytes(b"\n\r\ntext,label\n\na,b\n")
    assert read_values(table, ["label"]) == [["b"]]
    assert read_values(table, ["x=2"]) == [["label"], ["b"]]


def test_tsv_has_no_quotes(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(b'"a\t1\n2 "\t"b"\n')
    assert read_values(path, ["x=1", "y=2"]) == [['"a', "1"], ['2 "', '"b"']]
    assert read_values(path, ["x=1", "y=2"], GivenLayout(quotes=True)) == [["a\t1 2 ", "b"]]
    path.write_bytes(b'a\tb\n"a\n')
    with raises(RowError, "--quotes", line=2):
        read_values(path, ["x=1"])


def test_broken_rows(table: Path) -> None:
    broken = {
        b"a,b\nc\n": (2, "rows with too few columns"),
        b"a,b\n\nc,d,e\n": (3, "rows with too many columns"),
        b'a,b\n"c"d,e\n': (2, "rows with text after a quoted field"),
    }
    for content, (line, kind) in broken.items():
        table.write_bytes(content)
        with raises(RowError, f"table.csv:{line}", path="table.csv", line=line) as raised:
            read_values(table, ["x=1"])
        assert raised.value.kind == kind
    table.write_bytes(b"a,b\nc,\xff\n")
    with raises(DataError, "table.csv:2:3", "0xff", line=2):
        read_values(table, ["x=1"])
    table.write_bytes(b"a,b\nc,\0\n")
    with raises(DataError, "table.csv:2:3", "NUL", line=2):
        read_values(table, ["x=1"])


def test_quotes_that_never_close(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table.write_bytes(b'a,b\nc,"d\ne,f\n')
    with raises(DataError, "--no-quotes", "table.csv:2", path="table.csv", line=2):
        read_values(table, ["x=1"])
    assert read_values(table, ["x=2"], GivenLayout(quotes=False)) == [["b"], ['"d'], ["f"]]
    monkeypatch.setattr("rnnkit.text.tables.delimited.MAX_RECORD_BYTES", 7)  # it reads no further than that
    table.write_bytes(b'a,b\nc,"d\ne,f\n",g\n')
    with raises(DataError, line=2):
        read_values(table, ["x=1"])


def test_long_lines(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table.write_bytes(b"a,b\n" + b"c" * 20 + b",d\n")
    monkeypatch.setattr(records, "MAX_LINE_BYTES", 10)
    assert read_values(table, ["x=2"]) == [["b"], ["d"]]
    with raises(RowError, "table.csv:2", 10, line=2):
        read_values(table, ["x=1"])
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 15)
    with raises(DataError, "table.csv:2", 15, line=2):
        read_values(table, ["x=2"])


def test_replacement_without_quotes(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(b"a\tb\r\nc\td")
    assert replace_values(path, ["y=2"], ["e f", "g"]) == b"a\te f\r\nc\tg"
    with pytest.raises(records.ReplacementError, match="delimiter"):
        replace_values(path, ["y=2"], ["e\tf", "g"])
