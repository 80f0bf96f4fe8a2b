"""Tokenization of lines with gaps."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError, UsageError
from rnnkit.text.masked_lines import check_gap, read_masked_lines, tokenize_masked
from rnnkit.text.rule_based_tokenizers import CharacterTokenizer, WhitespaceTokenizer, WordTokenizer
from rnnkit.text.subword_training import train_subwords
from rnnkit.text.tokenizer import FeaturedTokenizer
from rnnkit.text.unicode import Normalizer

WORDS = WordTokenizer(Normalizer())
LOWER = WordTokenizer(Normalizer(lowercase=True))
SPACES = WhitespaceTokenizer(Normalizer())
EXACT = Normalizer("none", exact=True)


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("I am ___ very hungry", ["I", "am", None, "very", "hungry"]),
        ("___", [None]),
        ("  ___   ___ ", [None, None]),
        ("I am very ___.", ["I", "am", "very", None, "￭."]),
        ('He said "___"!', ["He", "said", '"￭', None, '￭"', "￭!"]),
        ("(___, ___)", ["(￭", None, "￭,", None, "￭)"]),
        ("no gap", ["no", "gap"]),
        ("____ ___ __", ["_", "￭_", "￭_", "￭_", None, "_", "￭_"]),
        ("a___b ___", ["a", "￭_", "￭_", "￭_￭", "b", None]),
        ("qzgapzq ___ QZGAPZQq", ["qzgapzq", None, "QZGAPZQq"]),
    ],
)
def test_words_around_gaps_are_tokenized_as_in_text(line: str, tokens: list[str | None]) -> None:
    assert tokenize_masked(line, "___", WORDS) == tokens


def test_lower_case_reaches_the_words_and_not_the_gap() -> None:
    assert tokenize_masked("The GAP ___ Is", "GAP", LOWER) == ["the", None, "_", "￭_", "￭_", "is"]


@given(
    words=st.lists(st.text("abcAB.,!", min_size=1, max_size=4), max_size=6),
    places=st.sets(st.integers(0, 6), min_size=1),
)
def test_a_word_in_the_gaps_place_gives_the_same_tokens(words: list[str], places: set[int]) -> None:
    """Whatever its context, a gap is tokenized like a word."""
    chunks = [
        word for place, word in enumerate([*words, "a"]) for word in (["___"] if place in places else []) + [word]
    ]
    if "___" not in chunks:
        chunks.append("___")
    expected = WORDS.tokenize(" ".join("xyz" if chunk == "___" else chunk for chunk in chunks))
    assert tokenize_masked(" ".join(chunks), "___", WORDS) == [None if token == "xyz" else token for token in expected]


def test_whitespace_tokens_keep_punctuation() -> None:
    for tokenizer in (SPACES, None):
        assert tokenize_masked("the <unk> ___ 's", "___", tokenizer) == ["the", "<unk>", None, "'s"]
    assert tokenize_masked("a ___. b", "___", None) == ["a", "___.", "b"]
    assert tokenize_masked("a ___. b", "___", SPACES) == ["a", None, ".", "b"]


def test_subwords_are_tokenized_on_each_side_of_a_gap() -> None:
    subwords = train_subwords(["the cat sat on the mat"] * 50, "unigram", None, Normalizer())
    characters = CharacterTokenizer(Normalizer())
    for tokenizer in (subwords, characters):
        expected = [*tokenizer.tokenize("the cat"), None, *tokenizer.tokenize("on the"), None]
        assert tokenize_masked("the cat ___ on the ___", "___", tokenizer) == expected


@pytest.mark.parametrize("gap", ["[MASK]", "?", "***", "xyz", "…"])
def test_custom_gaps(gap: str) -> None:
    assert tokenize_masked(f"a {gap} b ___", gap, SPACES) == ["a", None, "b", "___"]


@pytest.mark.parametrize("gap", ["", " ", "a b", "a "])
def test_an_invalid_gap_is_refused(gap: str) -> None:
    with raises(UsageError, repr(gap), option="--gap"):
        check_gap(gap)
    check_gap("___")


def test_lines_of_files_come_in_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("a ___\n___ b\n", encoding="utf-8")
    second.write_text("___ c ___\n", encoding="utf-8")
    assert list(read_masked_lines([first, second], "___", None)) == [["a", None], [None, "b"], [None, "c", None]]


def test_a_line_without_a_gap_is_named_by_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines"
    path.write_text("a ___\nno gap\n", encoding="utf-8")
    with raises(DataError, f"{path}:2: ", "'no gap'", "___", "--gap", path=path, line=2):
        list(read_masked_lines([path], "___", WORDS))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x" * 100 + b"\n")))
    with pytest.raises(DataError, match=rf"^standard input:1: the line has no gap\n  it begins '{'x' * 80}'\n"):
        list(read_masked_lines([Path("-")], "___", WORDS))


def test_more_gaps_than_can_be_ranked_are_named(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("a ___\n___ b ___\n", encoding="utf-8")
    with raises(DataError, f"{path}:2: ", "2 gaps", "--json", path=path, line=2, option="--nbest"):
        list(read_masked_lines([path], "___", WORDS, single=True))


def test_features_precede_masked_tokens(tmp_path: Path) -> None:
    featured = FeaturedTokenizer(WORDS)
    assert tokenize_masked("I am ___.\tformal;___", "___", featured) == ["␉formal", "␉___", "I", "am", None, "￭."]
    assert tokenize_masked("I\t___", "___", WORDS) == ["I", None]
    (tmp_path / "a").write_text("___\tx\n___\tx\ty\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a:2: the line has 2 TABs"):
        list(read_masked_lines([tmp_path / "a"], "___", featured))


def test_white_space_that_is_kept_stays_around_a_gap() -> None:
    words, characters = WordTokenizer(EXACT), CharacterTokenizer(EXACT)
    assert tokenize_masked("a  b\u00a0: ___ c", "___", words) == ["a", "<0x20>￭", "b", "￭<0xC2><0xA0>￭", ":", None, "c"]
    assert tokenize_masked("a ___ b", "___", characters) == ["a", None, "b"]
