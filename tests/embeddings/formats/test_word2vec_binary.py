"""word2vec's binary format, as word2vec.c and as gensim write it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from tests.embeddings.samples import make_table
from tests.raising import raises

from rnnkit.embeddings import formats
from rnnkit.embeddings.formats import WORD2VEC_BINARY, WRITERS
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.errors import DataError


def entry(word: str, *numbers: float) -> bytes:
    return word.encode() + b" " + struct.pack(f"<{len(numbers)}f", *numbers)


def load(path: Path, content: bytes) -> VectorTable:
    path.write_bytes(content)
    return formats.load(path)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_both_variants(tmp_path: Path, end: bytes) -> None:
    table = load(tmp_path / "f", b"2 3\n" + entry("ün", 1, 2, 3) + end + entry("b", 4, 5, 6) + end)
    assert list(table.words) == ["ün", "b"]
    assert table.matrix_VD.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_bytes_of_a_file(tmp_path: Path) -> None:
    table = VectorTable.of(["a", "ün"], np.array([[1, 2], [3, -4.5]], np.float32))
    WRITERS[WORD2VEC_BINARY](tmp_path / "f", table)
    assert (tmp_path / "f").read_bytes() == b"2 2\n" + entry("a", 1, 2) + entry("ün", 3, -4.5)


def test_numbers_that_look_like_text_and_like_entries(tmp_path: Path) -> None:
    odd = np.frombuffer(b" \n\n a b \n\x80\n 1 2\n\0 ab", "<f4").reshape(1, 5)
    table = load(tmp_path / "f", b"2 5\na " + odd.tobytes() + b"b " + odd.tobytes())
    assert np.array_equal(table.matrix_VD, np.concatenate([odd, odd]))


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"2 3\n" + entry("a", 1, 2, 3) + entry("b", 1, 2), ["byte 28", "word 2 of 2"]),
        (b"9 3\n" + entry("a", 1, 2, 3), ["9 words", "dimension 3"]),
        (b"1 3\n" + entry("a", 1, 2, 3) + entry("b", 1, 2, 3), ["after the 1 words"]),
        (b"2 3\n" + entry("a", 1, 2, 3) + entry("a", 1, 2, 3), ["byte 18", "'a'", "byte 4"]),
        (b"2 3\n" + entry("a", 1, 2, 3) + entry("", 1, 2, 3), ["byte 18", "word is missing"]),
        (b"2 3\n" + entry("a", 1, 2, 3) + entry("b", 1, np.nan, 3), ["byte 18", "'b'", "NaN"]),
        (b"2 3\na\xff " + entry("b", 1, 2, 3) * 2, ["byte 4", r"'a\xff'"]),
        (b"2 0\n\0", ["2 words", "dimension 0"]),
        (b"2 1\n" + b"\0" * 70000, ["byte 4", "65,536"]),
        (b"2 1\n" + b"\0" * 40, ["byte 4", "word 1 of 2"]),
    ],
)
def test_damage_has_a_position(tmp_path: Path, content: bytes, values: list[str]) -> None:
    with raises(DataError, *values, path=tmp_path / "f"):
        load(tmp_path / "f", content)


def test_every_bit_is_kept(tmp_path: Path) -> None:
    table = make_table(7)
    WRITERS[WORD2VEC_BINARY](tmp_path / "f", table)
    assert formats.load(tmp_path / "f").matrix_VD.tobytes() == table.matrix_VD.tobytes()
