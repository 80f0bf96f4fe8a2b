"""Nodes put together from n-grams in any order are those of an estimated model."""

from __future__ import annotations

import numpy as np
import pytest

from rnnkit.errors import FormatError
from rnnkit.kernels import ngram_trie
from rnnkit.ngrams.arpa.arpa_writer import ngrams
from rnnkit.ngrams.trie_builder import NgramEntries, TrieBuilder

from .samples import SIZE, make_model


def rows_of(words: list[list[int]], order: int) -> NgramEntries:
    zeros = np.zeros(len(words), dtype=np.float32)
    return NgramEntries(np.array(words, dtype=np.int32).reshape(-1, order), zeros - 1, zeros)


def empty_trie() -> TrieBuilder:
    return TrieBuilder(np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32))


def add(trie: TrieBuilder, words: list[list[int]]) -> None:
    trie.add(rows_of(words, trie.order + 1), lambda row: f"file:{row}", lambda row: str(words[row]))


@pytest.mark.parametrize("seed", [1, 2])
def test_shuffled_ngrams_make_the_model_they_came_from(seed: int) -> None:
    model = make_model(order=4)
    random = np.random.default_rng(seed)
    levels = model.level_begins
    trie = TrieBuilder(model.log10_A[1 : levels[2]], model.backoff_I[1 : levels[2]])
    for order in (2, 3, 4):
        node_N = random.permutation(np.arange(levels[order], levels[order + 1]))
        backoff_N = model.backoff_I[node_N] if order < 4 else np.zeros(len(node_N), np.float32)
        trie.add(NgramEntries(ngrams(model, node_N, order), model.log10_A[node_N], backoff_N), str, str)
    again = trie.model()
    assert all(np.array_equal(mine, its) for mine, its in zip(model._arrays, again._arrays, strict=True))


def test_what_an_ngram_ends_like_is_the_longest_there_is() -> None:
    trie = empty_trie()
    add(trie, [[4, 5], [6, 7]])
    add(trie, [[4, 5, 6], [4, 5, 5]])
    add(trie, [[4, 5, 6, 7]])
    model = trie.model()
    begins = model.level_begins
    assert model.suffix_A[begins[2] : begins[3]].tolist() == [1 + 5, 1 + 7]
    assert model.suffix_A[begins[3] : begins[4]].tolist() == [1 + 5, 1 + 6]
    assert model.suffix_A[begins[4]] == begins[2] + 1  # neither 5 6 7 nor anything but 6 7 is there


def test_a_missing_context_is_named() -> None:
    trie = empty_trie()
    add(trie, [[4, 5]])
    with pytest.raises(FormatError) as caught:
        add(trie, [[4, 5, 6], [5, 4, 6], [6, 6, 6]])
    assert str(caught.value).startswith("file:1: the context of '[5, 4, 6]' is missing")


def test_the_first_repetition_is_named() -> None:
    with pytest.raises(FormatError) as caught:
        add(empty_trie(), [[8, 8], [4, 5], [4, 6], [8, 8], [4, 5], [4, 5]])
    assert str(caught.value) == "file:3: '[8, 8]' is there already\n  the first is file:0"


def test_kernels_do_in_python_what_they_do_compiled() -> None:
    trie = empty_trie()
    add(trie, [[4, 5], [5, 4], [5, 5]])
    model = trie.model()
    words = np.array([[4, 5, 4], [4, 4, 4], [5, 5, 8]], dtype=np.int32)
    context = ngram_trie.find_contexts(model.word_A, model.begins_I1, words)
    assert context.tolist() == [1 + SIZE, -1, 3 + SIZE]
    assert ngram_trie.find_contexts.py_func(model.word_A, model.begins_I1, words).tolist() == context.tolist()  # type: ignore[attr-defined]
    arguments = model.word_A, model.suffix_A, model.begins_I1, context[[0, 2]], words[[0, 2], -1].copy()
    # 5 4 is there, 5 8 is not
    assert (
        ngram_trie.find_suffixes(*arguments).tolist()
        == ngram_trie.find_suffixes.py_func(*arguments).tolist()
        == [2 + SIZE, 1 + 8]
    )  # type: ignore[attr-defined]
