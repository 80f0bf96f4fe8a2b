"""A model in training: its vocabulary and its initial vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.embeddings.samples import COUNTS, SUBWORDS, WORDS, make_table, random_matrix, same_bits
from tests.raising import raises

from rnnkit.embeddings.subword_ngrams import Subwords
from rnnkit.embeddings.train import embedding_model as models
from rnnkit.embeddings.train.corpus import WordCounts
from rnnkit.embeddings.train.embedding_model import (
    EmbeddingModel,
    EmbeddingVocabulary,
    choose_subwords,
    copy_pretrained_vectors,
    init_model,
    merge_vocabularies,
)
from rnnkit.embeddings.vector_table import VectorTable
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
