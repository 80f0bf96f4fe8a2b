"""Lookup of words without decoding a vocabulary, and errors in damaged ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.embeddings.samples import COUNTS, WORDS
from tests.raising import raises

from rnnkit.embeddings.word_index import MAX_LINEAR_SEARCHES, WordIndex, find_words
from rnnkit.errors import FormatError

SPELLED = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n"), min_size=1, max_size=4)


@given(st.lists(SPELLED, unique=True, max_size=9), SPELLED)
def test_search_and_index_find_the_same_rows(known: list[str], other: str) -> None:
    words = WordIndex.from_list(known)
    asked = [*known, other, *(word[1:] for word in known), *(word[:-1] for word in known)]
    expected = [known.index(word) if word in known else None for word in asked]
    assert [words.row(word) for word in asked[:MAX_LINEAR_SEARCHES]] == expected[:MAX_LINEAR_SEARCHES]  # by searching
    for _ in range(MAX_LINEAR_SEARCHES):
        words.row(other)
    assert [words.row(word) for word in asked] == expected  # by the index
    assert list(words) == known


def test_a_sequence_of_words() -> None:
    words = WordIndex.from_list(WORDS, COUNTS)
    assert (len(words), words[1], words[-1], words[1:3]) == (5, "straße", "日本語", ["straße", "New\u00a0York"])
    assert "the" in words
    assert all(other not in words for other in ("", "th", "the\t900", "he", 5, "\udcff"))
    assert words.counts is not None
    assert words.counts.tolist() == COUNTS
    assert words.lengths().tolist() == [3, 7, 9, 10, 9]
    with pytest.raises(IndexError):
        words[5]


def test_first_words() -> None:
    first = WordIndex.from_list(WORDS, COUNTS).first(2)
    assert (list(first), first.row("straße"), first.row("日本語")) == (WORDS[:2], 1, None)
    assert first.table == "the\t900\nstraße\t70\n".encode()
    assert first.first(0).table == b""
    assert first.first(0).row("the") is None


def test_rows_of_a_file() -> None:
    words = WordIndex.from_table("<pad>\t0\nthe\t3\nün\t2\n".encode(), "vocab.tsv", skip=1)
    assert (list(words), words.row("ün"), words.row("<pad>")) == (["the", "ün"], 1, None)
    assert words.counts is not None
    assert words.counts.tolist() == [3, 2]


def test_unknown_counts() -> None:
    assert WordIndex.from_list(["a", "b"]).counts is None
    assert WordIndex.from_list([], []).counts is None


@pytest.mark.parametrize(
    ("table", "line", "is_truncated"),
    [
        (b"<pad>\t0\nthe\t3", 2, True),
        (b"<pad>\t0\nthe 3\n", 2, False),
        (b"<pad>\t0\nt\the\t3\na\t1\n", 2, False),
        (b"<pad>\t0\nthe\n\t3\n", 2, False),
        (b"<pad>\t0\n\t3\n", 2, False),
        (b"", 1, True),
    ],
)
def test_a_malformed_row_is_located(table: bytes, line: int, is_truncated: bool) -> None:
    values = ["`word<TAB>count`", *(["truncated"] if is_truncated else [])]
    with raises(FormatError, f"vocab.tsv:{line}", *values, path="vocab.tsv", line=line):
        WordIndex.from_table(table, "vocab.tsv", skip=1)


def test_damage_found_at_access() -> None:
    words = WordIndex.from_table(b"<pad>\t0\na\t1\nb\xff\t-2\na\t1\n", "vocab.tsv", skip=1)
    with raises(FormatError, "vocab.tsv:3:2", "0xff", path="vocab.tsv", line=3):
        words[1]
    with raises(FormatError, "'-2'", path="vocab.tsv", line=3):
        words.counts  # noqa: B018 - computed at first access
    with raises(FormatError, "'a'", "line 2", path="vocab.tsv", line=4):
        for _ in range(MAX_LINEAR_SEARCHES + 1):
            words.row("a")


def test_counts_are_an_array() -> None:
    counts = WordIndex.from_list(["a"], [5]).counts
    assert counts is not None
    assert counts.dtype == np.int64


def test_an_exact_match_has_priority_over_other_cases() -> None:
    words = ["apple", "Paris", "Apple", "paris", "APPLE"]
    asked = ["Apple", "APPLE", "aPPLE", "PARIS", "paris", "pear"]
    assert find_words(asked, words, ignore_case=True) == {"Apple": 2, "APPLE": 4, "aPPLE": 0, "PARIS": 1, "paris": 3}
    assert find_words(asked, words, ignore_case=False) == {"Apple": 2, "APPLE": 4, "paris": 3}
    assert find_words([], words, ignore_case=True) == {}


@pytest.mark.parametrize(
    ("words", "asked", "found"),
    [
        (["sinir", "sınır"], "sınır", "sınır"),
        (["sinir", "sınır"], "sinir", "sinir"),
        (["sinir", "Sınır"], "sınır", "Sınır"),
        (["sinir", "SINIR"], "sınır", "SINIR"),
        (["sınır"], "SINIR", "sınır"),
        (["masse", "maße"], "maße", "maße"),
        (["masse", "maße"], "Maße", "maße"),
        (["maße", "masse"], "Masse", "masse"),
        (["Masse", "Maße"], "maße", "Maße"),
        (["straße"], "STRASSE", "straße"),
        (["ısparta"], "Isparta", "ısparta"),
        (["Isparta"], "ısparta", "Isparta"),
        (["STRASSE"], "Straße", "STRASSE"),
        (["ﬁne", "fine"], "Fine", "fine"),
        (["fine", "ﬁne"], "ﬁne", "ﬁne"),
        (["ΟΔΟΣ", "οδος"], "οδος", "οδος"),
    ],
)
def test_capitals_which_make_one_of_two_letters_come_last(words: list[str], asked: str, found: str) -> None:
    assert find_words([asked], words, ignore_case=True) == {asked: words.index(found)}
    exact = {asked: words.index(asked)} if asked in words else {}
    assert find_words([asked], words, ignore_case=False) == exact


@pytest.mark.parametrize(
    ("words", "asked"), [(["sinir"], "sınır"), (["masse"], "maße"), (["Maße"], "masse"), (["straße"], "strasse")]
)
def test_words_with_the_same_capitals_stay_two_words(words: list[str], asked: str) -> None:
    assert find_words([asked], words, ignore_case=True) == {}


@given(st.lists(st.text("aAiIıİsSßẞ"), unique=True), st.text("aAiIıİsSßẞ"))
def test_a_word_that_has_a_row_has_that_row(words: list[str], asked: str) -> None:
    for ignore_case in (True, False):
        row = find_words([asked], words, ignore_case).get(asked)
        if asked in words:
            assert row == words.index(asked)
        elif row is not None:
            assert ignore_case
            assert words[row].upper() == asked.upper() or words[row].lower() == asked.lower()
