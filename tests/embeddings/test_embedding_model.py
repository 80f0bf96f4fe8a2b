"""A model in training: its vocabulary, its initial vectors, and the composition of words, compared with plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.embeddings.samples import COUNTS, SUBWORDS, WORDS, make_table, random_matrix, same_bits
from tests.raising import raises

from rnnkit.embeddings import embedding_model as models
from rnnkit.embeddings.corpus import WordCounts
from rnnkit.embeddings.embedding_model import (
    EmbeddingModel,
    EmbeddingVocabulary,
    choose_subwords,
    composed_vectors,
    copy_pretrained_vectors,
    init_model,
    merge_vocabularies,
    recover_word_rows,
    subword_composition,
    whole_word_composition,
)
from rnnkit.embeddings.vector_table import Subwords, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import ConfigError
from rnnkit.kernels.word2vec_weights import padded_dimension, unpadded_rows
from rnnkit.text import special_tokens

FIRST = len(special_tokens.NAMES)
FOUND = WordCounts([b"new", b"the", b"a"], np.array([80, 7, 7]), np.array([2, 0, 1]), distinct=5)


def vocabulary_of(words: list[str], subwords: Subwords | None = None) -> EmbeddingVocabulary:
    return EmbeddingVocabulary([word.encode() for word in words], np.arange(len(words), 0, -1), subwords)


def merged_model(known: VectorTable, dimension: int = 3, by_length: bool = False) -> EmbeddingModel:
    """A model of the words of `known` and FOUND, initialized from `known`."""
    words, counts, _ = merge_vocabularies(FOUND, known)
    model = init_model(EmbeddingVocabulary(words, counts, known.subwords), dimension, seed=1, by_length=by_length)
    copy_pretrained_vectors(model, known)
    return model


def rows_by_word(table: VectorTable) -> dict[str, int]:
    return {word: row for row, word in enumerate(table.words)}


@pytest.mark.parametrize("subwords", [None, SUBWORDS])
def test_initialization_of_word2vec(subwords: Subwords | None) -> None:
    model = init_model(vocabulary_of(WORDS, subwords), 7, seed=3)
    table = model.table()
    assert list(table.words) == WORDS
    assert (table.dimension, table.subwords) == (7, subwords)
    assert table.contexts_VD is not None
    assert not table.contexts_VD.any()
    assert np.abs(table.matrix_VD).max() <= 0.5 / 7
    assert (table.buckets_KD is None) == (subwords is None)
    if table.buckets_KD is not None:
        assert table.buckets_KD.shape == (SUBWORDS.buckets, 7)
        assert table.buckets_KD.any()
    again = init_model(vocabulary_of(WORDS, subwords), 7, seed=3)
    assert model.weights.inputs.tobytes() == again.weights.inputs.tobytes()
    other = init_model(vocabulary_of(WORDS, subwords), 7, seed=4)
    assert model.weights.inputs.tobytes() != other.weights.inputs.tobytes()


@pytest.mark.parametrize("subwords", [None, SUBWORDS])
def test_memory_is_what_is_allocated(subwords: Subwords | None) -> None:
    model = init_model(vocabulary_of(WORDS, subwords), 5, seed=1)
    taken = model.weights.inputs.nbytes + model.weights.outputs.nbytes
    means = 4 * (FIRST + len(WORDS)) * 5 if subwords else 0
    assert model.vocabulary.memory_bytes(5) == taken + means
    assert model.weights.stride == padded_dimension(5)


def test_default_number_of_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [b"ab", b"abc"]  # <a ab b> bc c>
    assert choose_subwords(words, 2, 2, 0) == Subwords(2, 2, 21)
    assert choose_subwords(words, 2, 2, 7) == Subwords(2, 2, 7)
    assert choose_subwords(words, 9, 9, 0) == Subwords(9, 9, 1), "no n-grams, one bucket"
    monkeypatch.setattr(models, "MAX_BUCKETS", 5)
    assert choose_subwords(words, 2, 2, 0) == Subwords(2, 2, 5)
    assert choose_subwords(words, 2, 2, 7) == Subwords(2, 2, 7), "an explicit number is not limited"


def test_merged_words_have_the_counts_of_both() -> None:
    words, counts, rows = merge_vocabularies(FOUND, make_table())
    assert [word.decode() for word in words] == [
        "the", "new", "New\u00a0York", "straße", "a", "line\u2028end", "日本語",
    ]  # fmt: skip
    assert counts.tolist() == [907, 80, 70, 70, 7, 5, 1]
    assert rows.tolist() == [FIRST + 1, FIRST + 0, FIRST + 4]
    assert FOUND.vocabulary_ids(rows).tolist() == [FIRST, FIRST + 4, FIRST + 1, special_tokens.UNK, special_tokens.UNK]


def test_words_without_counts_come_last() -> None:
    words, counts, _ = merge_vocabularies(FOUND, make_table(counted=False))
    assert [word.decode() for word in words][:3] == ["new", "a", "the"]
    assert counts.tolist() == [80, 7, 7, 0, 0, 0, 0]


def test_training_continues_from_vectors() -> None:
    known = replace(make_table(), contexts_VD=random_matrix(len(WORDS), seed=9))
    table = merged_model(known).table()
    rows = [rows_by_word(table)[word] for word in WORDS]
    assert same_bits(table.matrix_VD[rows], known.matrix_VD)
    assert table.contexts_VD is not None and known.contexts_VD is not None
    assert same_bits(table.contexts_VD[rows], known.contexts_VD)
    new = [rows_by_word(table)[word] for word in ("new", "a")]
    assert np.abs(table.matrix_VD[new]).max() <= 0.5 / 3, "as in a new model"
    assert not table.contexts_VD[new].any()


def test_vectors_without_contexts_leave_them_at_zero() -> None:
    table = merged_model(make_table()).table()
    assert table.contexts_VD is not None
    assert not table.contexts_VD.any()


@pytest.mark.parametrize("by_length", [False, True])
def test_training_continues_from_vectors_with_n_grams(by_length: bool) -> None:
    known = make_table(subwords=True)
    assert known.buckets_KD is not None
    model = merged_model(known, by_length=by_length)
    table = model.table()
    rows = [rows_by_word(table)[word] for word in WORDS]
    np.testing.assert_allclose(table.matrix_VD[rows], known.matrix_VD, rtol=0, atol=1e-6)
    assert table.buckets_KD is not None
    assert same_bits(table.buckets_KD, known.buckets_KD)
    padding = model.weights.inputs.reshape(-1, model.weights.stride)[:, 3:]
    assert not padding.any(), "kernels assume zeros"


def test_another_dimension_is_rejected() -> None:
    known = VectorTable(WordIndex.from_list(WORDS, COUNTS), random_matrix(len(WORDS)), name="old.vec")
    with raises(ConfigError, "dimension 3", "--dimension is 5", path="old.vec", option="--dimension"):
        merged_model(known, dimension=5)


def test_the_table_is_a_view() -> None:
    model = init_model(vocabulary_of(WORDS), 5, seed=1)
    unpadded_rows(model.weights.inputs, model.weights.stride, 5)[FIRST + 2] = 9
    assert model.table().matrix_VD[2].tolist() == [9] * 5


VARIED_WORDS = ["the", "a", "straße", "日本語", "the-the", "🙂"]

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
    composition = subword_composition(encoded(VARIED_WORDS), subwords)
    inputs_RD = random_rows(FIRST + len(VARIED_WORDS) + subwords.buckets)
    at_once = composed_vectors(inputs_RD, composition)
    for block in (1, 2, 5):
        monkeypatch.setattr(models, "_BLOCK", block)
        assert np.array_equal(composed_vectors(inputs_RD, composition), at_once)


def test_whole_words_have_no_composition() -> None:
    assert [len(part) for part in whole_word_composition()] == [0, 0, 0, 0]
