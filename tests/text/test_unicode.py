"""Normalization of lines, and word boundaries between characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.text.unicode import (
    FORMS,
    Normalizer,
    is_boundary,
    is_closing_punctuation,
    is_unspaced_script,
    occurs_as_words,
)


@pytest.mark.parametrize(
    ("normalizer", "text", "result"),
    [
        (Normalizer(), "  a \t\u00a0\u3000b\u2028\x85c \n", "a b c"),
        (Normalizer(), "e\u0301 ﬁ Ａ", "é ﬁ Ａ"),
        (Normalizer("nfkc"), "e\u0301 ﬁ Ａ\u00b4", "é fi A \u0301"),
        (Normalizer("none"), "e\u0301", "e\u0301"),
        (Normalizer("none"), " a\u00a0 b ", "a b"),
        (Normalizer("none", exact=True), " a\u00a0 b\t", " a\u00a0 b\t"),
        (Normalizer("none", lowercase=True, exact=True), " A\u00a0 B\t", " a\u00a0 b\t"),
        (Normalizer("nfc", lowercase=True), "İSTANBUL ÉÀ", "i̇stanbul éà"),
        (Normalizer(), "", ""),
        (Normalizer(), " \u2003 ", ""),
    ],
)
def test_examples(normalizer: Normalizer, text: str, result: str) -> None:
    assert normalizer(text) == result


@given(st.text(), st.sampled_from(FORMS), st.booleans())
def test_normalization_is_idempotent(text: str, form: str, lowercase: bool) -> None:
    normalise = Normalizer(form, lowercase)
    once = normalise(text)
    assert normalise(once) == once
    assert once.split() == (once.split(" ") if once else [])


@pytest.mark.parametrize(
    "pair", ["a ", " a", "a,", ",a", "(a", "中文", "中a", "a中", "กข", "カメ", "あa", "-a", "’a", "—é", "本。"]
)
def test_boundaries_at_spaces_marks_and_unspaced_scripts(pair: str) -> None:
    assert is_boundary(*pair)


@pytest.mark.parametrize("pair", ["ab", "a1", "éa", "한국", "да", "กิ", "か\u3099", "a\u0301", "a\u200d", "❤\ufe0f"])
def test_there_is_none_inside_a_word_nor_before_a_combining_mark(pair: str) -> None:
    assert not is_boundary(pair[-2], pair[-1])


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("cat", "category", False), ("cat", "bobcat", False), ("cat", "bobcat cat", True), ("cat", "(cat)", True),
        ("cat", "category, cat's", True), ("cat", "cat\u0301", False), (", and", "sick, and", True), (".", "up.", True),
        ("the cat", "the category the cats", False), ("他不", "我给他不的", True), ("IBM", "在IBM工作", True),
        ("ก", "กิน", False),
        ("3", "13 31", False), ("aa", "aaa aa", True),
    ],
)  # fmt: skip
def test_a_phrase_stands_between_boundaries(phrase: str, text: str, found: bool) -> None:
    assert occurs_as_words(phrase, text) is found


def test_classes_of_characters() -> None:
    assert [is_closing_punctuation(mark) for mark in ",.)»”。(«“a¿"] == [True] * 6 + [False] * 5
    assert [is_unspaced_script(letter) for letter in "中あカกa한д𠀀"] == [True] * 4 + [False] * 3 + [True]
