"""The composition of words, compared with plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnkit.embeddings.subword_ngrams import Subwords
from rnnkit.embeddings.train import word_composition as compositions
from rnnkit.embeddings.train.word_composition import (
    composed_vectors,
    recover_word_rows,
    subword_composition,
    whole_word_composition,
)
from rnnkit.text import special_tokens

FIRST = len(special_tokens.NAMES)
WORDS = ["the", "a", "straße", "日本語", "the-the", "🙂"]

characters = st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\0")
words = st.lists(st.text(characters, min_size=1, max_size=6), min_size=1, max_size=7, unique=True)
cuts = st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(1, 11)).map(
    lambda cut: Subwords(cut[0], cut[0] + cut[1], cut[2])
)


def encoded(words: list[str]) -> list[bytes]:
    return [word.encode() for word in words]


def random_rows(rows: int, dimension: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(rows, dimension)).astype(np.float32)


@given(words, cuts)
def test_a_word_has_its_own_row_and_those_of_its_n_grams(words: list[str], subwords: Subwords) -> None:
    composition = subword_composition(encoded(words), subwords)
    assert len(composition.starts_V) == FIRST + len(words) + 1
    assert composition.starts_V[: FIRST + 1].tolist() == [0] * (FIRST + 1), "special symbols are made of nothing"
    for row, word in enumerate(words, start=FIRST):
        rows = composition.rows[composition.starts_V[row] : composition.starts_V[row + 1]]
        buckets = subwords.rows(word) + FIRST + len(words)
        assert rows.tolist() == [row, *buckets.tolist()]


@given(words, cuts)
def test_means_equal_a_loop_and_are_invertible(words: list[str], subwords: Subwords) -> None:
    rows = FIRST + len(words)
    inputs_RD = random_rows(rows + subwords.buckets)
    vectors_VD = composed_vectors(inputs_RD, subword_composition(encoded(words), subwords))
    assert not vectors_VD[:FIRST].any()
    for row, word in enumerate(words, start=FIRST):
        members = [inputs_RD[row], *(inputs_RD[rows + bucket] for bucket in subwords.rows(word))]
        np.testing.assert_allclose(vectors_VD[row], np.mean(members, axis=0, dtype=np.float64), rtol=0, atol=1e-6)
    own_VD = recover_word_rows(
        vectors_VD[FIRST:], inputs_RD, subword_composition(encoded(words), subwords), np.arange(FIRST, rows)
    )
    np.testing.assert_allclose(own_VD, inputs_RD[FIRST:rows], rtol=0, atol=1e-5)


@given(words, cuts)
def test_long_n_grams_count_more(words: list[str], subwords: Subwords) -> None:
    rows, middle = FIRST + len(words), (subwords.min_length + subwords.max_length) / 2
    inputs_RD = random_rows(rows + subwords.buckets)
    composition = subword_composition(encoded(words), subwords, by_length=True)
    vectors_VD = composed_vectors(inputs_RD, composition)
    for row, word in enumerate(words, start=FIRST):
        places = slice(composition.starts_V[row], composition.starts_V[row + 1])
        parts, rates = composition.mean_weights[places], composition.rate_factors[places]
        ratios = [1.0, *(length / middle for length in ngram_lengths(word, subwords))]
        np.testing.assert_allclose(parts, 1 / np.array(ratios), rtol=1e-6)
        np.testing.assert_allclose(rates, np.array(ratios) ** 2, rtol=1e-6)
        members = inputs_RD[composition.rows[places]] * parts[:, None]
        np.testing.assert_allclose(vectors_VD[row], members.mean(axis=0), rtol=0, atol=1e-5)
    own_VD = recover_word_rows(vectors_VD[FIRST:], inputs_RD, composition, np.arange(FIRST, rows))
    np.testing.assert_allclose(own_VD, inputs_RD[FIRST:rows], rtol=0, atol=1e-4)


def ngram_lengths(word: str, subwords: Subwords) -> list[int]:
    """Compute the sums with a plain loop."""
    size = len(word) + 2
    return [
        length
        for first in range(size)
        for length in range(subwords.min_length, subwords.max_length + 1)
        if first + length <= size and (length > 1 or first not in (0, size - 1))
    ]


def test_any_block_size_gives_the_same_means(monkeypatch: pytest.MonkeyPatch) -> None:
    subwords = Subwords(2, 3, 7)
    composition = subword_composition(encoded(WORDS), subwords)
    inputs_RD = random_rows(FIRST + len(WORDS) + subwords.buckets)
    at_once = composed_vectors(inputs_RD, composition)
    for block in (1, 2, 5):
        monkeypatch.setattr(compositions, "_BLOCK", block)
        assert np.array_equal(composed_vectors(inputs_RD, composition), at_once)


def test_whole_words_have_no_composition() -> None:
    assert [len(part) for part in whole_word_composition()] == [0, 0, 0, 0]
