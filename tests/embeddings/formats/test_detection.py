"""Files are known by what they hold, come back as they were, and are refused where they are not whole."""

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
from rnnkit.embeddings.formats import detection, word2vec_binary
from rnnkit.embeddings.formats.vector_reader import open_vector_file
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.errors import ArtefactError, DataError

SINGLE_FILES = sorted(formats.WRITERS)


@pytest.mark.parametrize("format", SINGLE_FILES)
@pytest.mark.parametrize("packed", [False, True])
def test_what_was_written_is_recognised_and_comes_back(tmp_path: Path, format: str, packed: bool) -> None:
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
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, format: str) -> None:
    path = tmp_path / "vectors"
    formats.WRITERS[format](path, make_table(2))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=str(path)):
            formats.load(path)


def test_glove_cut_off_inside_a_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    formats.WRITERS[formats.GLOVE](path, make_table())
    whole = path.read_bytes()
    for length in (length for length in range(len(whole)) if whole[:length][-1:] != b"\n"):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=str(path)):
            formats.load(path)


def test_first_words_only(tmp_path: Path) -> None:
    table = make_table(subwords=True).first(2)
    formats.WRITERS[formats.FASTTEXT_BINARY](tmp_path / "f", table)
    found = formats.load(tmp_path / "f")
    assert list(found.words) == WORDS[:2]
    assert found.words.counts is not None
    assert found.words.counts.tolist() == COUNTS[:2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", " is empty\n  a file of word vectors is wanted"),
        (b"\x93NUMPY\x01\x00", " holds no word vectors\n  it is a NumPy array, which has no words"),
        (b"PK\x03\x04rest", "it is a ZIP archive\n  hint: `unzip` it"),
        (b"\x80\x04\x95", "it is a pickle of Python, .*\n  hint: save it in gensim with `vectors.save_word2vec_format"),
        (b"<pad>\t0\n", "it is a vocabulary of rnnkit\n  hint: name the vectors directory that holds it"),
        ("a 1 2\n".encode("utf-16"), "it is text in UTF-16\n  hint: `iconv"),
        (b"Zwei Hunde.\n", "it is a text whose first line is no word with numbers\n  hint: read are vectors"),
        (b"the 1061396\nof 593677\n", "it is a text whose first line"),
        (bytes(range(200)), "it is of no format that is known here"),
        (b"a\t0.1\t0.2\n", r":1: the numbers are parted by tabs\n  hint: `tr '\\t' ' ' < "),
        (b"a\t0.1 0.2\n", r":1: the numbers are parted by tabs"),
    ],
)
def test_other_files_are_recognised(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        formats.load(path)
    assert str(path) in caught.value.what


def test_nothing_there(tmp_path: Path) -> None:
    with raises(DataError, "rnnkit train-embeddings", "rnnkit convert-embeddings", path=tmp_path / "none"):
        formats.load(tmp_path / "none")


def test_text_in_which_a_character_is_cut() -> None:
    text = "日本語 text".encode()
    assert [detection.looks_like_text(text[:length]) for length in range(len(text))] == [True] * len(text)
    assert not detection.looks_like_text(b"caf\xe9 au lait")
    assert not detection.looks_like_text(b"\xe9caf")
    assert not detection.looks_like_text(b"caf\0")


REFUSALS: list[tuple[str, list[str], str]] = [
    (formats.WORD2VEC, ["a b"], "'a b' cannot be written as text\n  the word holds white space"),
    (formats.WORD2VEC, [""], "'' cannot be written as text\n  the word is empty; nothing was written"),
    (formats.GLOVE, ["a b"], "'a b' cannot be written as GloVe's text"),
    (
        formats.GLOVE,
        ["\ufeffa"],
        r"'\\ufeffa' cannot be the first word of GloVe's text\n  a byte order mark is dropped",
    ),
    (formats.WORD2VEC_BINARY, ["a b"], "'a b' cannot be written as word2vec's binary format"),
    (formats.FASTTEXT_BINARY, [""], "'' cannot be written as fastText's model file"),
]


@pytest.mark.parametrize(("format", "words", "message"), REFUSALS)
def test_words_that_a_format_cannot_carry(tmp_path: Path, format: str, words: list[str], message: str) -> None:
    path = tmp_path / "vectors"
    path.write_text("precious")
    with pytest.raises(DataError, match=message):
        formats.WRITERS[format](path, VectorTable.of(words, random_matrix(1)))
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("format", SINGLE_FILES)
def test_what_no_format_carries(tmp_path: Path, format: str) -> None:
    matrix = random_matrix(2)
    matrix[1, 2] = np.nan
    with pytest.raises(Exception, match="the vector of 'b' holds NaN or infinity"):
        formats.WRITERS[format](tmp_path / "vectors", VectorTable.of(["a", "b"], matrix))
    with pytest.raises(DataError, match=r"'a\\x00' cannot be written as "):
        formats.WRITERS[format](tmp_path / "vectors", VectorTable.of(["a\0"], random_matrix(1)))
    assert list(tmp_path.iterdir()) == []


def test_glove_of_one_number(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        formats.WRITERS[formats.GLOVE](tmp_path / "vectors", VectorTable.of(["5"], random_matrix(1, 1)))
    assert str(caught.value) == (
        "vectors of one number cannot be written as GloVe's text\n"
        "  a row of a word and one number would look like word2vec's header\n"
        "  hint: --to word2vec has a header"
    )


@pytest.mark.parametrize("format", SINGLE_FILES)
def test_a_full_disk_keeps_the_old_file(tmp_path: Path, format: str) -> None:
    path = tmp_path / "vectors"
    path.write_text("precious")
    with raises(ArtefactError, path=path), limit_files(30):
        formats.WRITERS[format](path, make_table())
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]
