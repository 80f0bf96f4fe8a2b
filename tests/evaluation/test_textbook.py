"""The formula against its worked example, and what must hold for any tokens."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.evaluation.textbook import precisions, textbook_bleu

TOKENS = st.lists(st.sampled_from("abc"), max_size=8)


def test_worked_example() -> None:
    """Label ABCDEF, prediction ABBCD: p1 4/5, p2 3/4, p3 1/3, p4 0."""
    assert precisions("ABBCD", "ABCDEF", 4) == [4 / 5, 3 / 4, 1 / 3, 0]
    assert textbook_bleu("ABBCD", "ABCDEF", 2) == pytest.approx(0.6815, abs=5e-5)
    assert textbook_bleu("ABBCD", "ABCDEF", 4) == 0


def test_the_formula_term_by_term() -> None:
    brevity = math.exp(1 - 6 / 5)
    assert textbook_bleu("ABBCD", "ABCDEF", 3) == pytest.approx(
        brevity * (4 / 5) ** (1 / 2) * (3 / 4) ** (1 / 4) * (1 / 3) ** (1 / 8)
    )


def test_an_ngram_counts_no_more_often_than_in_the_label() -> None:
    assert precisions("aaaa", "ab", 1) == [1 / 4]


def test_length_is_punished_only_where_it_falls_short() -> None:
    assert textbook_bleu("abab", "ab", 1) == pytest.approx((2 / 4) ** (1 / 2))
    assert textbook_bleu("a", "abcd", 1) == pytest.approx(math.exp(-3))


def test_empty_sides() -> None:
    assert textbook_bleu([], ["a"], 4) == 0
    assert textbook_bleu(["a"], [], 4) == 0
    assert textbook_bleu([], [], 4) == 1


@given(TOKENS, st.integers(1, 6))
def test_identical_is_one(tokens: list[str], max_n: int) -> None:
    assert textbook_bleu(tokens, tokens, max_n) == 1


@given(TOKENS, TOKENS, st.integers(1, 6))
def test_between_zero_and_one_and_falling_with_longer_ngrams(
    prediction: list[str], label: list[str], max_n: int
) -> None:
    score = textbook_bleu(prediction, label, max_n)
    assert 0 <= textbook_bleu(prediction, label, max_n + 1) <= score <= 1
