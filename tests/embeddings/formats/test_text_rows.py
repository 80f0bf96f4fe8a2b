"""Rows of numbers as text: the same bits come back, in few digits, and what is wrong has a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.embeddings.samples import same_bits

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
def test_the_same_bits_come_back(matrix: Matrix) -> None:
    lines = format_rows(matrix)
    assert same_bits(np.array([list(map(float, line.split())) for line in lines], np.float32), matrix)


@given(ANY_BITS.filter(lambda number: abs(number) >= np.finfo(np.float32).tiny))
def test_no_digit_is_wasted(number: np.float32) -> None:
    [text] = format_rows(np.array([[number]], np.float32))
    digits = len(text.decode().lstrip("-").partition("e")[0].replace(".", "").strip("0"))
    assert digits <= 9
    shorter = {float(f"{number:.{places}e}") for places in range(max(0, digits - 2))}
    assert not any(np.float32(value) == number for value in shorter)


def test_numbers_that_people_would_write() -> None:
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
    ("line", "message"),
    [
        ("b 1", "f:3: 1 numbers behind the word, 2 are wanted\n  hint: a word that holds a space"),
        ("b 1 2 3", "f:3: 3 numbers behind the word, 2 are wanted"),
        ("b", "f:3: 0 numbers behind the word, 2 are wanted"),
        ("", "f:3: 0 numbers behind the word, 2 are wanted"),
        ("b  1", "f:3: '' is not a number"),
        ("b 1  2", "f:3: 3 numbers behind the word"),
        ("b 1\t2", "f:3: 1 numbers behind the word"),
        ("b 1\t2 3", r"f:3: '1\\t2' is not a number"),
        ("b 1-2 3", "f:3: '1-2' is not a number"),
        ("b 1 2e", "f:3: '2e' is not a number"),
        ("b 1 2x", "f:3: '2x' is not a number"),
        ("b 1 1_0", "f:3: '1_0' is not a number"),
        ("b 1 ２", "f:3: '２' is not a number"),
        ("b 1 NaN", "f:3: NaN among the numbers\n  vectors are finite"),
        ("b -inf 1", "f:3: -inf among the numbers"),
        ("b 1 1e39", "f:3: 1e39 is too large for a float32"),
        ("a 1 2", "f:3: 'a' has a vector already\n  the first is at .*f:2\n  hint: keep one of the two"),
        (" 1 2", "f:3: the word is missing\n  the entry begins with its numbers"),
        ("b\tc 1 2", r"f:3: the word 'b\\tc' holds the character '\\t'"),
        ("b\0 1 2", r"f:3: the word 'b\\x00' holds the character '\\x00'"),
    ],
)
def test_what_is_wrong_has_a_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "f", f"a 1 2\n{line}\nz 1 2\n")


def test_a_word_of_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "f", b"a 1 2\nstra\xdfe 1 2\n")
    assert str(caught.value) == (
        f"{tmp_path / 'f'}:3: the word 'stra\\xdfe' is not UTF-8\n  byte 5 of it is 0xdf\n"
        f"  hint: `iconv -f LATIN1 -t UTF-8 {tmp_path / 'f'}` converts the text, if that is its encoding; "
        "--repair reads the file with '\ufffd' in place of such bytes"
    )
