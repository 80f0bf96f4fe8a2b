"""Queries on word vectors, compared with their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.embeddings.samples import SUBWORDS, make_table, random_matrix
from tests.raising import raises

import rnnkit.embeddings
from rnnkit.embeddings import WordVectors
from rnnkit.embeddings.vectors import Neighbor, UnknownWord
from rnnkit.errors import FormatError, UsageError

NAMES = ["one", "two", "three", "four", "five", "six", "seven"]


@pytest.fixture
def vectors() -> WordVectors:
    return WordVectors.of(NAMES, random_matrix(7, 5), range(7, 0, -1))


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def test_a_table_of_words(vectors: WordVectors) -> None:
    assert (len(vectors), vectors.dimension, list(vectors.words)) == (7, 5, NAMES)
    assert vectors.counts is not None
    assert vectors.counts.tolist() == [7, 6, 5, 4, 3, 2, 1]
    assert "six" in vectors
    assert "sex" not in vectors
    assert np.array_equal(vectors["three"], vectors.matrix_VD[2])
    with pytest.raises(ValueError, match="2 words, 3 rows"):
        WordVectors.of(["a", "b"], random_matrix(3))


def test_the_package_exports_vectors_only() -> None:
    assert rnnkit.embeddings.WordVectors is WordVectors
    with pytest.raises(AttributeError, match=r"module 'rnnkit\.embeddings' has no attribute 'Vektors'"):
        rnnkit.embeddings.Vektors  # noqa: B018


@pytest.mark.parametrize(
    ("known", "asked", "form"),
    [
        ("café", "cafe\u0301", "NFC"),
        ("cafe\u0301", "café", "NFD"),
        ("file", "ﬁle", "NFKC"),
        ("각", "\u1100\u1161\u11a8", "NFC"),
    ],
)
def test_a_word_in_another_unicode_form(known: str, asked: str, form: str) -> None:
    with raises(UnknownWord, repr(known)) as caught:
        WordVectors.of([known, "other"], random_matrix(2, 3))[asked]
    assert form in str(caught.value.hint).split()


def test_vectors_are_copies(vectors: WordVectors) -> None:
    vectors["one"][:] = 0
    assert vectors["one"].any()


def test_neighbors_are_all_others_by_cosine(vectors: WordVectors) -> None:
    near = vectors.neighbors("two", count=9)
    query = vectors["two"]
    expected = sorted(((cosine(vectors[name], query), name) for name in NAMES if name != "two"), reverse=True)
    assert [neighbor.word for neighbor in near] == [name for _, name in expected]
    assert [neighbor.similarity for neighbor in near] == pytest.approx([score for score, _ in expected], abs=1e-6)
    assert vectors.neighbors("two", count=3) == near[:3]
    assert vectors.neighbors("two", count=0) == []


def test_neighbors_of_a_vector_and_among_the_first(vectors: WordVectors) -> None:
    [nearest] = vectors.neighbors(vectors["two"], 1)
    assert nearest.word == "two"
    assert nearest.similarity == pytest.approx(1)
    among = [neighbor for neighbor in vectors.neighbors("seven", 9) if neighbor.word in NAMES[:3]]
    restricted = vectors.neighbors("seven", 9, restrict=3)
    assert [neighbor.word for neighbor in restricted] == [neighbor.word for neighbor in among]
    assert len(vectors.neighbors("two", 9, restrict=100)) == 6


def test_ties_keep_the_order_of_the_table() -> None:
    vectors = WordVectors.of(["a", "b", "c", "d"], np.array([[1, 0], [3, 0], [0, 1], [2, 0]], np.float32))
    assert [neighbor.word for neighbor in vectors.neighbors("b", 2)] == ["a", "d"]
    assert [neighbor.word for neighbor in vectors.neighbors("c", 2)] == ["a", "b"]


def test_similarity(vectors: WordVectors) -> None:
    assert vectors.similarity("one", "six") == pytest.approx(cosine(vectors["one"], vectors["six"]), abs=1e-6)
    assert vectors.similarity("one", "one") == pytest.approx(1)


def test_zero_vectors_have_similarity_0() -> None:
    vectors = WordVectors.of(["zero", "a", "b"], np.array([[0, 0], [1, 2], [-1, -2]], np.float32))
    assert vectors.similarity("zero", "a") == 0
    assert vectors.neighbors("zero") == [Neighbor("a", 0), Neighbor("b", 0)]
    assert [neighbor.word for neighbor in vectors.neighbors("a")] == ["zero", "b"]
    assert vectors.unit_rows()[0].tolist() == [0, 0]


def test_odd_one_out() -> None:
    rows = np.array([[9, 1, 0], [1, 0, 0], [5, 0, 1], [0, 0, 2]], np.float32)
    vectors = WordVectors.of(["a", "b", "c", "odd"], rows)
    assert vectors.odd_one_out(["a", "odd", "b", "c"]) == "odd"
    with raises(UsageError, "three", "got 2"):
        vectors.odd_one_out(["a", "b"])


def test_analogy_is_arithmetic_of_normalized_vectors(vectors: WordVectors) -> None:
    units = vectors.matrix_VD / np.linalg.norm(vectors.matrix_VD, axis=1, keepdims=True)
    sum_D = units[0] + units[1] - units[2]
    found = vectors.analogy(["one", "two"], ["three"], count=2)
    expected = sorted(((cosine(units[row], sum_D), NAMES[row]) for row in range(3, 7)), reverse=True)[:2]
    assert [neighbor.word for neighbor in found] == [name for _, name in expected]
    assert [neighbor.similarity for neighbor in found] == pytest.approx([score for score, _ in expected], abs=1e-6)
    with raises(UsageError):
        vectors.analogy([], [])


@given(st.integers(0, 12), st.integers(0, 12))
def test_unit_rows_have_length_one(first: int, second: int) -> None:
    vectors = WordVectors.of(NAMES, random_matrix(7, 3) * 1e-30)
    for asked in (first, second):
        rows = vectors.unit_rows(asked)
        assert rows.shape == (min(asked, 7), 3)
        assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    assert vectors.unit_rows() is not vectors.matrix_VD
    assert vectors.unit_rows().base is vectors.unit_rows().base  # computed once


def test_unknown_words_and_suggestions() -> None:
    vectors = WordVectors.of(["Berlin", "berries", "of"], random_matrix(3))
    for asked, hint in (("berlin", "Berlin"), ("beries", "berries"), ("OF", "of")):
        with pytest.raises(UnknownWord) as caught:
            vectors[asked]
        assert all(repr(word) in str(caught.value) for word in (asked, hint))
    for asked in ("", "xyz", "\udcff"):
        with pytest.raises(UnknownWord) as caught:
            vectors.neighbors(asked)
        assert caught.value.hint is None


def test_unseen_words_are_composed_of_their_ngrams() -> None:
    table = make_table(subwords=True)
    vectors = WordVectors(table)
    assert table.buckets_KD is not None
    expected = table.buckets_KD[SUBWORDS.rows("unseen")].mean(axis=0)
    assert vectors["unseen"] == pytest.approx(expected, abs=1e-6)
    assert len(vectors.neighbors("unseen", 9)) == 5
    assert "unseen" not in vectors
    with raises(UnknownWord, r"'\udcff'"):
        vectors["\udcff"]


def test_a_word_too_short_for_any_ngram_is_unknown() -> None:
    from rnnkit.embeddings.vector_table import Subwords

    vectors = WordVectors.of(["long"], random_matrix(1), None, Subwords(4, 6, 5), random_matrix(5))
    assert vectors["ab"].shape == (3,)
    with pytest.raises(UnknownWord):
        vectors["a"]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_nan_is_found_at_use(number: float) -> None:
    matrix = random_matrix(7)
    matrix[4, 1] = number
    vectors = WordVectors.of(NAMES, matrix)
    assert vectors.similarity("one", "two")
    assert len(vectors.neighbors("one", restrict=4)) == 3
    for use in (lambda: vectors["five"], lambda: vectors.neighbors("one"), vectors.unit_rows):
        with raises(FormatError, "'five'", "`rnnkit verify`"):
            use()
