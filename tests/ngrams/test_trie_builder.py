"""A trie built from n-grams in any order equals that of the estimated model."""

from __future__ import annotations

import numpy as np
import pytest

from rnnkit.kernels import ngram_trie
from rnnkit.ngrams.arpa.arpa_writer import ngram_words
from rnnkit.ngrams.trie_builder import InvalidNgramError, NgramEntries, TrieBuilder

from .samples import SIZE, make_model


def entries_of(words: list[list[int]], order: int) -> NgramEntries:
    zeros = np.zeros(len(words), dtype=np.float32)
    return NgramEntries(np.array(words, dtype=np.int32).reshape(-1, order), zeros - 1, zeros)


def empty_trie() -> TrieBuilder:
    return TrieBuilder(np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32))


def add(trie: TrieBuilder, words: list[list[int]]) -> None:
    trie.add_order(entries_of(words, trie.order + 1))


@pytest.mark.parametrize("seed", [1, 2])
def test_shuffled_ngrams_give_the_same_model(seed: int) -> None:
    model = make_model(order=4)
    random = np.random.default_rng(seed)
    levels = model.order_begins
    trie = TrieBuilder(model.log10_A[1 : levels[2]], model.backoff_I[1 : levels[2]])
    for order in (2, 3, 4):
        node_N = random.permutation(np.arange(levels[order], levels[order + 1]))
        backoff_N = model.backoff_I[node_N] if order < 4 else np.zeros(len(node_N), np.float32)
        trie.add_order(NgramEntries(ngram_words(model, node_N, order), model.log10_A[node_N], backoff_N))
    again = trie.build()
    assert all(np.array_equal(mine, its) for mine, its in zip(model._arrays, again._arrays, strict=True))


def test_suffix_is_the_longest_in_the_trie() -> None:
    trie = empty_trie()
    add(trie, [[4, 5], [6, 7]])
    add(trie, [[4, 5, 6], [4, 5, 5]])
    add(trie, [[4, 5, 6, 7]])
    model = trie.build()
    begins = model.order_begins
    assert model.suffix_A[begins[2] : begins[3]].tolist() == [1 + 5, 1 + 7]
    assert model.suffix_A[begins[3] : begins[4]].tolist() == [1 + 5, 1 + 6]
    assert model.suffix_A[begins[4]] == begins[2] + 1  # 6 7, as 5 6 7 is missing


def test_missing_context_is_located() -> None:
    trie = empty_trie()
    add(trie, [[4, 5]])
    with pytest.raises(InvalidNgramError) as caught:
        add(trie, [[4, 5, 6], [5, 4, 6], [6, 6, 6]])
    assert (caught.value.index, caught.value.first) == (1, None)


def test_first_duplicate_is_located() -> None:
    with pytest.raises(InvalidNgramError) as caught:
        add(empty_trie(), [[8, 8], [4, 5], [4, 6], [8, 8], [4, 5], [4, 5]])
    assert (caught.value.index, caught.value.first) == (3, 0)


def test_kernels_compiled_equal_python() -> None:
    trie = empty_trie()
    add(trie, [[4, 5], [5, 4], [5, 5]])
    model = trie.build()
    words = np.array([[4, 5, 4], [4, 4, 4], [5, 5, 8]], dtype=np.int32)
    context = ngram_trie.find_contexts(model.word_A, model.first_child_I1, words)
    assert context.tolist() == [1 + SIZE, -1, 3 + SIZE]
    plain = ngram_trie.find_contexts.py_func(model.word_A, model.first_child_I1, words)  # type: ignore[attr-defined]
    assert plain.tolist() == context.tolist()
    arguments = model.word_A, model.suffix_A, model.first_child_I1, context[[0, 2]], words[[0, 2], -1].copy()
    plain = ngram_trie.find_suffixes.py_func(*arguments)  # type: ignore[attr-defined]
    # 5 4 is in the trie, 5 8 is not
    assert ngram_trie.find_suffixes(*arguments).tolist() == plain.tolist() == [2 + SIZE, 1 + 8]
