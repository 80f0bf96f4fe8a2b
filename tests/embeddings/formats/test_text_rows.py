"""Rows of text: they round-trip bit by bit with few digits, and errors have a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.embeddings.samples import same_bits
from tests.raising import raises

from rnnkit.embeddings.formats import text_rows
from rnnkit.embeddings.formats.text_rows import format_rows, read_rows
from rnnkit.embeddings.formats.vector_reader import open_vector_file
from rnnkit.embeddings.vector_table import Matrix
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
    monkeypatch.setattr(text_rows, "_digits", lambda flat: np.full(len(flat), 2))  # as if two digits were enough
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
