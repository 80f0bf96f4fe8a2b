"""Text formats: rows round-trip bit by bit with few digits, and errors have a line; headers; the projector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.embeddings.samples import COUNTS, WORDS, make_table, random_matrix, same_bits
from tests.raising import raises

from rnnkit.embeddings import formats
from rnnkit.embeddings.formats import GLOVE, WORD2VEC, WRITERS, text_formats
from rnnkit.embeddings.formats.text_formats import format_rows, read_rows
from rnnkit.embeddings.formats.vector_reader import open_vector_file
from rnnkit.embeddings.vector_table import Matrix, VectorTable
from rnnkit.errors import DataError

NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
ANY_BITS = st.integers(0, 2**32 - 1).map(lambda bits: np.uint32(bits).view(np.float32)).filter(np.isfinite)


def read(path: Path, text: str | bytes, dimension: int = 2, first_line: int = 2) -> tuple[list[bytes], Matrix]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with open_vector_file(path) as source:
        return read_rows(source, dimension, first_line)


@given(arrays.arrays(np.float32, (2, 3), elements=st.one_of(NUMBERS, ANY_BITS)))
def test_numbers_round_trip(matrix: Matrix) -> None:
    lines = format_rows(matrix)
    assert same_bits(np.array([list(map(float, line.split())) for line in lines], np.float32), matrix)


@given(ANY_BITS.filter(lambda number: abs(number) >= np.finfo(np.float32).tiny))
def test_no_digit_is_wasted(number: np.float32) -> None:
    [text] = format_rows(np.array([[number]], np.float32))
    digits = len(text.decode().lstrip("-").partition("e")[0].replace(".", "").strip("0"))
    assert digits <= 9
    shorter = {float(f"{number:.{places}e}") for places in range(max(0, digits - 2))}
    assert not any(np.float32(value) == number for value in shorter)


def test_plain_numbers_are_formatted_plainly() -> None:
    matrix = np.array([[0.1, -0.0, 1.0, 100000.0], [1e-10, 16777216, -2.5e-7, 1 / 3]], np.float32)
    assert format_rows(matrix) == [b"0.1 -0 1 100000", b"1e-10 16777216 -2.5e-07 0.33333334"]
    assert format_rows(matrix[:1], "\t") == [b"0.1\t-0\t1\t100000"]


def test_a_number_that_is_rounded_twice_gets_more_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_formats, "_digits", lambda flat: np.full(len(flat), 2))  # as if two digits were enough
    matrix = np.array([[0.5, 0.25], [1 / 3, 0.1]], np.float32)
    assert format_rows(matrix) == [b"0.5 0.25", b"0.3333333432674408 0.10000000149011612"]
    assert format_rows(matrix, "\t")[1] == b"0.3333333432674408\t0.10000000149011612"


def test_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnkit.embeddings.formats.vector_reader.BLOCK_BYTES", 64)
    matrix = np.arange(300, dtype=np.float32).reshape(100, 3)
    lines = [b"w%d %b\n" % pair for pair in enumerate(format_rows(matrix))]
    words, found = read(tmp_path / "f", b"".join(lines), dimension=3)
    assert words == [b"w%d" % row for row in range(100)]
    assert same_bits(found, matrix)


def test_line_ends_of_other_programs(tmp_path: Path) -> None:
    words, matrix = read(tmp_path / "f", b"a 1 2 \nb -3e+0 .5\r\nc\r 1. 2\n")
    assert words == [b"a", b"b", b"c\r"]
    assert matrix.tolist() == [[1, 2], [-3, 0.5], [1, 2]]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("b 1", ["1 numbers", "expected 2", "contains a space"]),
        ("b 1 2 3", ["3 numbers", "expected 2"]),
        ("b", ["0 numbers", "expected 2"]),
        ("", ["0 numbers", "expected 2"]),
        ("b  1", ["''"]),
        ("b 1  2", ["3 numbers"]),
        ("b 1\t2", ["1 numbers"]),
        ("b 1\t2 3", [r"'1\t2'"]),
        ("b 1-2 3", ["'1-2'"]),
        ("b 1 2e", ["'2e'"]),
        ("b 1 2x", ["'2x'"]),
        ("b 1 1_0", ["'1_0'"]),
        ("b 1 ２", ["'２'"]),
        ("b 1 NaN", ["NaN"]),
        ("b -inf 1", ["-inf"]),
        ("b 1 1e39", ["1e39"]),
        ("a 1 2", ["'a'", "f:2"]),
        (" 1 2", ["word is missing"]),
        ("b\tc 1 2", [r"'b\tc'", r"'\t'"]),
        ("b\0 1 2", [r"'b\x00'", r"'\x00'"]),
    ],
)
def test_errors_have_a_line(tmp_path: Path, line: str, values: list[str]) -> None:
    with raises(DataError, *values, path=tmp_path / "f", line=3):
        read(tmp_path / "f", f"a 1 2\n{line}\nz 1 2\n")


def test_a_word_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "f"
    convert = f"`iconv -f LATIN1 -t UTF-8 {path}`"
    with raises(DataError, r"'stra\xdfe'", "byte 5", "0xdf", convert, "--repair", "'\ufffd'", path=path, line=3):
        read(path, b"a 1 2\nstra\xdfe 1 2\n")


def load(path: Path, text: str) -> list[str]:
    path.write_bytes(text.encode())
    return list(formats.load(path).words)


def test_bytes_of_a_file(tmp_path: Path) -> None:
    WRITERS[WORD2VEC](tmp_path / "f", make_table(1).first(2))
    header, *rows = (tmp_path / "f").read_text().split("\n")
    assert (header, [row.split(" ")[0] for row in rows]) == ("2 1", ["the", "straße", ""])


def test_headers_of_other_programs(tmp_path: Path) -> None:
    for header in ("2 2", "2 2 ", "2 2\r", "\ufeff2 2"):
        assert load(tmp_path / "f", f"{header}\n5 1 2\n7 3 4\n") == ["5", "7"]


@pytest.mark.parametrize(
    ("text", "values", "line"),
    [
        ("3 2\na 1 2\nb 1 2\n", ["2 words", "promises 3"], None),
        ("1 2\na 1 2\nb 1 2\n", ["one row more than the 1 "], 3),
        ("2 3\na 1 2\nb 1 2\n", ["2 numbers", "expected 3"], 2),
        ("0 2\n", ["0 words"], 1),
        ("2 0\na\nb\n", ["dimension 0"], 1),
        ("2 2", ["`words dimension`"], 1),
        ("2 2\na 1 2\nb 1 x\n", ["'x'"], 3),
        ("2 2\na 1 x\nb 1 2\n", ["'x'"], 2),
    ],
)
def test_rows_must_match_the_header(tmp_path: Path, text: str, values: list[str], line: int | None) -> None:
    with raises(DataError, *values, path=tmp_path / "f") as raised:
        load(tmp_path / "f", text)
    assert raised.value.line == line


def load_glove(path: Path, text: str) -> list[str]:
    path.write_bytes(text.encode())
    return list(formats.load(path).words)


def test_bytes_of_a_glove_file(tmp_path: Path) -> None:
    WRITERS[GLOVE](tmp_path / "f", make_table(2).first(2))
    rows = (tmp_path / "f").read_text().split("\n")
    assert [row.split(" ")[0] for row in rows] == ["the", "straße", ""]


def test_the_first_row_determines_the_dimension(tmp_path: Path) -> None:
    assert load_glove(tmp_path / "f", "12 1 2\n. 3 4\n") == ["12", "."]
    assert load_glove(tmp_path / "f", "\ufeffa 1 2 3 \r\nb\u00a0c 4 5 6\r\n") == ["a", "b\u00a0c"]
    with raises(DataError, "3 numbers", "expected 2", path=tmp_path / "f", line=2):
        load_glove(tmp_path / "f", "a 1 2\nb 1 2 3\n")
    with raises(DataError, "nan", path=tmp_path / "f", line=1):
        load_glove(tmp_path / "f", "a 1 nan\nb 1 2\n")


def test_rows_of_both_files_correspond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_formats, "_BLOCK_ROWS", 2)
    table = make_table()
    text_formats.write_projector(tmp_path, table)
    rows = (tmp_path / "vectors.tsv").read_text().removesuffix("\n").split("\n")
    assert same_bits(np.array([row.split("\t") for row in rows], np.float32), table.matrix_VD)
    header, *labels = (tmp_path / "metadata.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert header == "word\tcount"
    assert labels == [f"{word}\t{count}" for word, count in zip(WORDS, COUNTS, strict=True)]


def test_one_column_has_no_header(tmp_path: Path) -> None:
    text_formats.write_projector(tmp_path, make_table(counted=False))
    assert (tmp_path / "metadata.tsv").read_text(encoding="utf-8").split("\n") == [*WORDS, ""]


def test_a_word_with_a_line_end(tmp_path: Path) -> None:
    with raises(DataError, r"'a\rb'"):
        text_formats.write_projector(tmp_path, VectorTable.of(["a\rb"], random_matrix(1)))
