"""Vocabularies in memory and on disk."""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.embeddings.formats import vectors_directory
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.stages.text import vocab
from rnnkit.text import special_tokens
from rnnkit.text.vocabulary import Vocabulary, read_vocabulary_manifest

SPECIALS = "<pad>\t0\n<unk>\t0\n<s>\t0\n</s>\t0\n"
TOKENS = st.text(min_size=1).filter(lambda token: token.split() == [token] and "\0" not in token)


def refused(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(FormatError) as caught:
        Vocabulary.load(path)
    return str(caught.value)


def test_order_is_by_count_then_code_point() -> None:
    vocabulary = Vocabulary.from_counts({"b": 2, "Z": 2, "é": 2, "a": 1, "c": 9})
    assert vocabulary.tokens == ("<pad>", "<unk>", "<s>", "</s>", "c", "Z", "b", "é", "a")
    assert vocabulary.counts == (0, 0, 0, 0, 9, 2, 2, 2, 1)
    assert Vocabulary.from_counts({"b": 2, "a": 1}, min_count=2).tokens[4:] == ("b",)
    assert Vocabulary.from_counts({"b": 2, "a": 1}, max_size=5).tokens[4:] == ("b",)
    assert len(Vocabulary.from_counts({"b": 2}, max_size=3)) == 4


def test_typed_special_tokens_are_ordinary_entries(tmp_path: Path) -> None:
    text = ["</s>", "<unk>", "a", "<pad>", "</s>"]
    vocabulary = Vocabulary.from_counts(Counter(text))
    ids = vocabulary.encode([*text, "new"])
    assert min(ids[:-1]) >= len(special_tokens.NAMES)
    assert ids[-1] == special_tokens.UNK
    assert vocabulary.decode(ids[:-1]) == text
    vocabulary.save(tmp_path / "vocab.tsv")
    assert Vocabulary.load(tmp_path / "vocab.tsv") == vocabulary
    assert Vocabulary.from_counts({}).encode(special_tokens.NAMES) == [special_tokens.UNK] * 4


@given(st.dictionaries(TOKENS, st.integers(1, 10**15)))
def test_saved_and_loaded_are_equal(tmp_path_factory: pytest.TempPathFactory, counts: dict[str, int]) -> None:
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.tsv"
    vocabulary = Vocabulary.from_counts(counts)
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary
    assert vocabulary.decode(vocabulary.encode(counts)) == list(counts)


def test_the_manifest_records_the_inputs(tmp_path: Path) -> None:
    path = tmp_path / "vocab.tsv"
    Vocabulary.from_counts({"a": 1}).save(path, inputs={"tokenizer": "abc"}, facts={"tokens": 1})
    meta = read_vocabulary_manifest(path)
    assert (meta.kind, meta.inputs, meta.facts) == ("vocabulary", {"tokenizer": "abc"}, {"rows": 5, "tokens": 1})
    path.write_text(SPECIALS, encoding="utf-8")
    with pytest.raises(FormatError, match=r"is damaged\n  vocab.tsv: .* bytes, expected "):
        read_vocabulary_manifest(path)


def test_missing_vocabulary_and_missing_manifest(tmp_path: Path) -> None:
    path = tmp_path / "vocab.tsv"
    with raises(DataError, path=path):
        Vocabulary.load(path)
    with pytest.raises(DataError, match="there is no vocabulary at"):
        read_vocabulary_manifest(path)
    path.write_text(SPECIALS, encoding="utf-8")
    with pytest.raises(DataError, match=r"vocab.tsv.meta.json is missing"):
        read_vocabulary_manifest(path)
    path.unlink()
    Vocabulary.from_counts({}).save(path)
    meta = path.with_name("vocab.tsv.meta.json")
    meta.write_text(meta.read_text().replace('"vocabulary"', '"tokens"'))
    with pytest.raises(ArtefactError, match="is tokens, not vocabulary"):
        read_vocabulary_manifest(path)


@pytest.mark.parametrize(
    ("rows", "line", "values"),
    [
        ("a\t1\nb\t1\na\t1\n", 7, ["'a'", "line 5"]),
        ("a 1\n", 5, ["token<TAB>count"]),
        ("a\tmany\n", 5, ["'many'"]),
        ("a\t-1\n", 5, ["'-1'"]),
        ("a\t²\n", 5, ["'²'"]),
        ("a\t" + "9" * 5000 + "\n", 5, ["'" + "9" * 5000 + "'"]),
        ("\t1\n", 5, ["''"]),
        ("a\rb\t1\n", 5, ["'a\\rb'"]),
    ],
    ids=["duplicate", "no tab", "word", "negative", "superscript", "huge", "empty", "carriage return"],
)
def test_damaged_rows_are_named(tmp_path: Path, rows: str, line: int, values: list[str]) -> None:
    path = tmp_path / "vocab.tsv"
    path.write_text(SPECIALS + rows, encoding="utf-8", newline="")
    with raises(FormatError, f"{path}:{line}: ", *values, path=path, line=line):
        Vocabulary.load(path)


def test_special_tokens_come_first(tmp_path: Path) -> None:
    path = tmp_path / "vocab.tsv"
    assert refused(path, "the\t9\n").splitlines()[0] == f"{path}:1: <pad> is missing"
    assert refused(path, "<pad>\t0\n").splitlines()[0] == f"{path} is not a vocabulary"
    assert refused(path, "").splitlines()[0] == f"{path} is not a vocabulary"
    path.write_text(SPECIALS.replace("\n", "\r\n"), encoding="utf-8", newline="")
    assert len(Vocabulary.load(path)) == 4


WHITE = [
    letter for letter in map(chr, range(sys.maxunicode + 1)) if letter.isspace() or unicodedata.category(letter) == "Cc"
]


def test_white_space_that_separates_nothing_is_written_and_read(tmp_path: Path) -> None:
    words = [text for letter in WHITE if letter not in " \t\r\n\0" for text in (letter, f"new{letter}york")]
    written = Vocabulary((*special_tokens.NAMES, *words), (0,) * (len(words) + 4))
    written.save(tmp_path / "vocab.tsv")
    assert Vocabulary.load(tmp_path / "vocab.tsv") == written


def write_vectors(folder: Path, words: list[str]) -> None:
    vectors_directory.write(
        folder, VectorTable(WordIndex.from_list(words, [1] * len(words)), np.ones((len(words), 2), np.float32))
    )


def write_table(folder: Path, words: list[str]) -> None:
    folder.mkdir()
    Vocabulary((*special_tokens.NAMES, *words), (0, 0, 0, 0, *[1] * len(words))).save(folder / "vocab.tsv")


def count_tokens(folder: Path, words: list[str]) -> None:
    """Words of a token file, in which all white space separates tokens."""
    folder.mkdir()
    (folder / "train.en.tok").write_text(" ".join(words) + "\n", encoding="utf-8", newline="")
    vocab.run(vocab.VocabOptions(files=[folder / "train.en.tok"], output=folder / "vocab.tsv"))


@pytest.mark.parametrize("write", [write_vectors, write_table, count_tokens])
def test_every_writer_of_vocabularies_is_readable(tmp_path: Path, write: Callable[[Path, list[str]], None]) -> None:
    words = [f"new{letter}york" for letter in WHITE if letter not in " \t\r\n\0"]
    write(tmp_path / "v", words)
    read = Vocabulary.load(tmp_path / "v" / "vocab.tsv").tokens[4:]
    assert {*read} == ({token for word in words for token in word.split()} if write is count_tokens else {*words})


@pytest.mark.parametrize("token", ["", "a b", "a\tb", "a\rb", "a\nb", "a\0b", "\udc80", "the", "x" * 32_000_000])
def test_unreadable_tokens_are_not_written(tmp_path: Path, token: str) -> None:
    tokens = (*special_tokens.NAMES, "the", token)
    with pytest.raises(FormatError, match=r"vocab\.tsv:6: "):
        Vocabulary(tokens, (0,) * len(tokens)).save(tmp_path / "vocab.tsv")
    assert not list(tmp_path.iterdir())


def test_special_tokens_come_first_on_write(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"vocab\.tsv:2: <unk> is missing"):
        Vocabulary(("<pad>", "the"), (0, 0)).save(tmp_path / "vocab.tsv")
    with pytest.raises(FormatError, match="it has 3 entries"):
        Vocabulary(special_tokens.NAMES[:3], (0, 0, 0)).save(tmp_path / "vocab.tsv")
