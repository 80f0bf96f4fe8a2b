"""Words of a test and rows of the vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.evaluation.word_lookup import find_rows


def test_the_own_spelling_counts_before_the_first_of_several_cases() -> None:
    words = ["apple", "Paris", "Apple", "paris", "APPLE"]
    asked = ["Apple", "APPLE", "aPPLE", "PARIS", "paris", "pear"]
    assert find_rows(asked, words, ignore_case=True) == {"Apple": 2, "APPLE": 4, "aPPLE": 0, "PARIS": 1, "paris": 3}
    assert find_rows(asked, words, ignore_case=False) == {"Apple": 2, "APPLE": 4, "paris": 3}
    assert find_rows([], words, ignore_case=True) == {}


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
    assert find_rows([asked], words, ignore_case=True) == {asked: words.index(found)}
    exact = {asked: words.index(asked)} if asked in words else {}
    assert find_rows([asked], words, ignore_case=False) == exact


@pytest.mark.parametrize(
    ("words", "asked"), [(["sinir"], "sınır"), (["masse"], "maße"), (["Maße"], "masse"), (["straße"], "strasse")]
)
def test_words_with_the_same_capitals_stay_two_words(words: list[str], asked: str) -> None:
    assert find_rows([asked], words, ignore_case=True) == {}


@given(st.lists(st.text("aAiIıİsSßẞ"), unique=True), st.text("aAiIıİsSßẞ"))
def test_a_word_that_has_a_row_has_that_row(words: list[str], asked: str) -> None:
    for ignore_case in (True, False):
        row = find_rows([asked], words, ignore_case).get(asked)
        if asked in words:
            assert row == words.index(asked)
        elif row is not None:
            assert ignore_case
            assert words[row].upper() == asked.upper() or words[row].lower() == asked.lower()
