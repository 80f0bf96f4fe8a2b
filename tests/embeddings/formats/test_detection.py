"""Formats are detected by content, files round-trip, and incomplete files are rejected."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from tests.embeddings.samples import COUNTS, WORDS, make_table, random_matrix, same_bits, tables
from tests.file_limits import limit_files
from tests.raising import raises

from rnnkit.embeddings import formats
from rnnkit.embeddings.formats import word2vec_binary
from rnnkit.embeddings.formats.vector_reader import open_vector_file
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.errors import ArtefactError, DataError, FormatError

SINGLE_FILES = sorted(formats.WRITERS)


@pytest.mark.parametrize("format", SINGLE_FILES)
@pytest.mark.parametrize("packed", [False, True])
def test_written_files_are_recognized_and_round_trip(tmp_path: Path, format: str, packed: bool) -> None:
    table = make_table()
    path = tmp_path / "any.name"
    formats.WRITERS[format](path, table)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = formats.load(path)
    assert list(found.words) == WORDS
    assert same_bits(found.matrix_VD, table.matrix_VD)
    assert found.name == str(path)


@pytest.mark.parametrize("format", [formats.WORD2VEC, formats.GLOVE, formats.FASTTEXT_BINARY])
def test_any_words_and_numbers_come_back(tmp_path_factory: pytest.TempPathFactory, format: str) -> None:
    path = tmp_path_factory.mktemp("formats") / "vectors"

    @settings(max_examples=40)
    @given(tables(least_dimension=2 if format == formats.GLOVE else 1))
    def round_trip(table: VectorTable) -> None:
        formats.WRITERS[format](path, table)
        found = formats.load(path)
        assert list(found.words) == list(table.words)
        assert same_bits(found.matrix_VD, table.matrix_VD)

    round_trip()


def test_any_words_and_numbers_come_back_in_binary(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("formats") / "vectors"

    @settings(max_examples=40)
    @given(tables())
    def round_trip(table: VectorTable) -> None:
        word2vec_binary.write(path, table)
        with open_vector_file(path) as source:
            found = word2vec_binary.read(source)
        assert list(found.words) == list(table.words)
        assert same_bits(found.matrix_VD, table.matrix_VD)

    round_trip()


@pytest.mark.parametrize("format", [formats.WORD2VEC, formats.WORD2VEC_BINARY, formats.FASTTEXT_BINARY])
def test_a_file_truncated_anywhere_is_rejected(tmp_path: Path, format: str) -> None:
    path = tmp_path / "vectors"
    formats.WRITERS[format](path, make_table(2))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with raises(DataError, path=path):
            formats.load(path)


def test_glove_truncated_within_a_line_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    formats.WRITERS[formats.GLOVE](path, make_table())
    whole = path.read_bytes()
    for length in (length for length in range(len(whole)) if whole[:length][-1:] != b"\n"):
        path.write_bytes(whole[:length])
        with raises(DataError, path=path):
            formats.load(path)


def test_first_words_only(tmp_path: Path) -> None:
    table = make_table(subwords=True).first(2)
    formats.WRITERS[formats.FASTTEXT_BINARY](tmp_path / "f", table)
    found = formats.load(tmp_path / "f")
    assert list(found.words) == WORDS[:2]
    assert found.words.counts is not None
    assert found.words.counts.tolist() == COUNTS[:2]


@pytest.mark.parametrize(
    ("content", "values", "line"),
    [
        (b"", ["empty"], None),
        (b"\x93NUMPY\x01\x00", ["NumPy"], None),
        (b"PK\x03\x04rest", ["ZIP", "`unzip`"], None),
        (b"\x80\x04\x95", ["pickle", "gensim", "`vectors.save_word2vec_format"], None),
        (b"<pad>\t0\n", ["vocabulary of rnnkit", "vectors directory"], None),
        ("a 1 2\n".encode("utf-16"), ["UTF-16", "`iconv"], None),
        (b"Zwei Hunde.\n", ["text", "word2vec, fastText and GloVe"], None),
        (b"the 1061396\nof 593677\n", ["text"], None),
        (bytes(range(200)), ["unknown format"], None),
        (b"a\t0.1\t0.2\n", ["tabs", r"`tr '\t' ' ' < "], 1),
        (b"a\t0.1 0.2\n", ["tabs"], 1),
    ],
)
def test_other_files_are_recognized(tmp_path: Path, content: bytes, values: list[str], line: int | None) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with raises(DataError, *values, path=path) as raised:
        formats.load(path)
    assert raised.value.line == line


def test_nothing_there(tmp_path: Path) -> None:
    with raises(DataError, tmp_path / "none", "rnnkit train-embeddings", "rnnkit convert-embeddings"):
        formats.load(tmp_path / "none")


def test_text_with_an_incomplete_character() -> None:
    text = "日本語 text".encode()
    assert [formats.looks_like_text(text[:length]) for length in range(len(text))] == [True] * len(text)
    assert not formats.looks_like_text(b"caf\xe9 au lait")
    assert not formats.looks_like_text(b"\xe9caf")
    assert not formats.looks_like_text(b"caf\0")


UNWRITABLE: list[tuple[str, list[str], str]] = [
    (formats.WORD2VEC, ["a b"], "'a b'"),
    (formats.WORD2VEC, [""], "''"),
    (formats.GLOVE, ["a b"], "'a b'"),
    (formats.GLOVE, ["\ufeffa"], r"'\ufeffa'"),
    (formats.WORD2VEC_BINARY, ["a b"], "'a b'"),
    (formats.FASTTEXT_BINARY, [""], "''"),
]


@pytest.mark.parametrize(("format", "words", "shown"), UNWRITABLE)
def test_words_that_a_format_cannot_represent(tmp_path: Path, format: str, words: list[str], shown: str) -> None:
    path = tmp_path / "vectors"
    path.write_text("precious")
    with raises(DataError, shown):
        formats.WRITERS[format](path, VectorTable.of(words, random_matrix(1)))
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("format", SINGLE_FILES)
def test_what_no_format_can_represent(tmp_path: Path, format: str) -> None:
    matrix = random_matrix(2)
    matrix[1, 2] = np.nan
    with raises(FormatError, "'b'"):
        formats.WRITERS[format](tmp_path / "vectors", VectorTable.of(["a", "b"], matrix))
    with raises(DataError, r"'a\x00'"):
        formats.WRITERS[format](tmp_path / "vectors", VectorTable.of(["a\0"], random_matrix(1)))
    assert list(tmp_path.iterdir()) == []


def test_glove_of_one_number(tmp_path: Path) -> None:
    with raises(DataError, "dimension 1", "--to word2vec"):
        formats.WRITERS[formats.GLOVE](tmp_path / "vectors", VectorTable.of(["5"], random_matrix(1, 1)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", SINGLE_FILES)
def test_a_full_disk_keeps_the_old_file(tmp_path: Path, format: str) -> None:
    path = tmp_path / "vectors"
    path.write_text("precious")
    with raises(ArtefactError, path=path), limit_files(30):
        formats.WRITERS[format](path, make_table())
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]
